//! Whether a version that S3 once confirmed is still in the bucket, and when its absence is believed.
//!
//! One answer decides nothing that cannot be undone: stores answer 404 for objects that they hold, while a node is
//! away or before a write has reached every replica. An object counts as gone after [`ASKINGS`] askings spread over
//! [`SPAN`], each of which found it neither by its name nor in the listing of its key. One sighting in between, or any
//! time later, clears what was noted.

use jiff::{SignedDuration, Timestamp};

use crate::s3::{ObjectStore, S3Error, VersionHead, versions_of_key};

/// So many askings in a row must have found nothing.
const ASKINGS: u32 = 3;
/// At least so long must lie between the first of them and the last.
const SPAN: SignedDuration = SignedDuration::from_mins(2);
/// Askings that follow each other faster count as one.
const APART: SignedDuration = SignedDuration::from_secs(20);

/// What was noted of one object that was asked for and not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absence {
    /// How many askings in a row found nothing.
    pub askings: u32,
    /// The first of them.
    pub since: Timestamp,
    /// The last of them.
    pub asked_at: Timestamp,
}

impl Absence {
    /// What is to be noted after one more asking at `now` that found nothing. A clock that was set back counts as
    /// no time.
    #[must_use]
    pub fn asked(before: Option<Self>, now: Timestamp) -> Self {
        match before {
            None => Self {
                askings: 1,
                since: now,
                asked_at: now,
            },
            Some(before) if now.duration_since(before.asked_at) < APART => before,
            Some(before) => Self {
                askings: before.askings.saturating_add(1),
                asked_at: now,
                ..before
            },
        }
    }

    /// Whether the object counts as gone.
    #[must_use]
    pub fn is_believed(&self) -> bool {
        self.askings >= ASKINGS && self.asked_at.duration_since(self.since) >= SPAN
    }
}

/// What S3 says of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// A HEAD shows it.
    Shown(VersionHead),
    /// A HEAD says that there is none, and the listing of its key names it.
    OnlyListed,
    /// Neither shows it.
    Absent,
}

/// Asks for one version by name, and where that finds nothing, for the listing of its key.
///
/// # Errors
/// When S3 could not be asked.
pub async fn ask(
    store: &dyn ObjectStore,
    bucket: &str,
    key: &str,
    version: &str,
) -> Result<Presence, S3Error> {
    if let Some(head) = store.head(bucket, key, Some(version)).await? {
        return Ok(Presence::Shown(head));
    }
    let listed = versions_of_key(store, bucket, key).await?;
    Ok(if listed.iter().any(|one| one.version_id == version) {
        Presence::OnlyListed
    } else {
        Presence::Absent
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    fn after(askings: &[i64]) -> Absence {
        let mut absence = None;
        for secs in askings {
            absence = Some(Absence::asked(absence, at(*secs)));
        }
        absence.unwrap()
    }

    #[test]
    fn gone_is_believed_after_three_askings_over_two_minutes() {
        assert!(after(&[0, 60, 120]).is_believed());
        assert!(!after(&[0, 60, 119]).is_believed());
        assert!(!after(&[0, 3_600]).is_believed());
        // A burst counts as one asking, however many there are in it.
        assert!(!after(&[0, 1, 2, 3, 4, 5, 6, 7, 140]).is_believed());
        assert!(after(&[0, 1, 31, 63, 127]).is_believed());
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_believed() {
        let absence = after(&[0, 60, -100_000]);
        assert_eq!((absence.askings, absence.since), (2, at(0)));
        assert!(!absence.is_believed());
    }
}
