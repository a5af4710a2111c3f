//! An S3 bucket with Object Lock, in memory: it enforces what S3 enforces, whatever the planner says.

use jiff::Timestamp;

pub type Version = usize;

/// Object versions and their locks, in whole seconds.
#[derive(Default)]
pub struct Bucket {
    locks: Vec<Option<Timestamp>>,
}

/// What S3 answers to what it does not do.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    NoSuchVersion,
    Locked,
    WouldShorten,
}

impl Bucket {
    /// A new version, locked.
    pub fn put(&mut self, retain_until: Timestamp) -> Version {
        self.locks.push(Some(whole_seconds(retain_until)));
        self.locks.len() - 1
    }

    /// HEAD: the lock of a version, if it exists.
    pub fn lock(&self, version: Version) -> Option<Timestamp> {
        self.locks[version]
    }

    /// `PutObjectRetention` in compliance mode.
    pub fn extend(&mut self, version: Version, retain_until: Timestamp) -> Result<(), Refusal> {
        let lock = self.lock(version).ok_or(Refusal::NoSuchVersion)?;
        let retain_until = whole_seconds(retain_until);
        if retain_until < lock {
            return Err(Refusal::WouldShorten);
        }
        self.locks[version] = Some(retain_until);
        Ok(())
    }

    /// Deletes one version for good. A version is locked up to and with the date itself: the stricter reading.
    pub fn delete(&mut self, version: Version, now: Timestamp) -> Result<(), Refusal> {
        let lock = self.lock(version).ok_or(Refusal::NoSuchVersion)?;
        if now <= lock {
            return Err(Refusal::Locked);
        }
        self.locks[version] = None;
        Ok(())
    }

    pub fn count(&self) -> usize {
        self.locks.iter().flatten().count()
    }

    pub fn latest_lock(&self) -> Option<Timestamp> {
        self.locks.iter().flatten().max().copied()
    }
}

/// S3 cuts the fraction off.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap()
}
