//! A bucket with versions and delete markers, as an attacker may leave it.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Mutex, atomic::AtomicU64, atomic::Ordering::Relaxed},
};

use agent::recover::{Bucket, BucketError, Version};
use jiff::{SignedDuration, Timestamp};
use repository::{
    commit::{CommitRecord, CommitSigningKey},
    layout,
    manifest::ManifestHeader,
};
use shared::{
    ids::{SnapshotId, SourceId},
    object::{ObjectKind, ObjectRef},
    retention::LockMode,
};
use uuid::Uuid;

use super::bucket;

/// What the server signs commit records with.
pub fn commit_key() -> CommitSigningKey {
    CommitSigningKey::from_seed([8; 32])
}

#[derive(Default)]
pub struct Versioned {
    /// Oldest first.
    pub versions: Mutex<Vec<(Version, Vec<u8>)>>,
    clock: AtomicU64,
    /// Requests that were made.
    pub requests: AtomicU64,
}

impl Versioned {
    fn stamp(&self, key: &str, bytes: &[u8], is_marker: bool) -> Version {
        let number = self.clock.fetch_add(1, Relaxed);
        Version {
            key: key.to_owned(),
            version_id: format!("v{number}"),
            size_bytes: bytes.len() as u64,
            modified: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::try_from(number).unwrap()),
            is_marker,
        }
    }

    pub fn put(&self, key: &str, bytes: &[u8]) {
        let version = self.stamp(key, bytes, false);
        self.versions.lock().unwrap().push((version, bytes.to_vec()));
    }

    pub fn mark_deleted(&self, key: &str) {
        let version = self.stamp(key, &[], true);
        self.versions.lock().unwrap().push((version, Vec::new()));
    }

    /// Takes every version of a key away, as somebody may where there is no lock.
    pub fn delete(&self, key: &str) {
        self.versions
            .lock()
            .unwrap()
            .retain(|(version, _)| version.key != key);
    }

    /// Changes the content of a key in its place, as a rotten disk does.
    pub fn rot(&self, key: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut versions = self.versions.lock().unwrap();
        for (version, bytes) in versions.iter_mut().filter(|(version, _)| version.key == key) {
            change(bytes);
            version.size_bytes = bytes.len() as u64;
        }
    }

    pub fn keys(&self) -> BTreeSet<String> {
        let versions = self.versions.lock().unwrap();
        versions.iter().map(|(version, _)| version.key.clone()).collect()
    }

    /// The content of the only version of a key.
    pub fn content(&self, key: &str) -> Vec<u8> {
        let versions = self.versions.lock().unwrap();
        let found: Vec<_> = versions
            .iter()
            .filter(|(version, _)| version.key == key)
            .collect();
        assert_eq!(found.len(), 1);
        found[0].1.clone()
    }

    /// Puts what a backup in memory holds where the server would have it, apart from commit records.
    pub fn fill(&self, prefix: &str, source: SourceId, bucket: &bucket::Bucket) {
        let objects = bucket.objects.lock().unwrap();
        let known = self.keys();
        for (object, bytes) in objects.values() {
            let key = layout::object_key(prefix, source, object.kind, &object.hash);
            if !known.contains(&key) {
                self.put(&key, bytes);
            }
        }
    }

    /// Puts the commit record of a snapshot.
    pub fn commit(&self, prefix: &str, manifest: ObjectRef, header: &ManifestHeader) -> CommitRecord {
        assert_eq!(manifest.kind, ObjectKind::Manifest);
        let record = CommitRecord {
            source_id: header.source_id,
            snapshot_id: SnapshotId::from_uuid(Uuid::from_u128(5000 + u128::from(header.seq()))),
            run_id: header.run_id,
            seq: header.seq(),
            parent_manifest: header.parent.map(|parent| parent.manifest),
            manifest,
            received_at: header.created_at,
            protected_until: Timestamp::MAX,
            mode: LockMode::Compliance,
            tiers: vec![],
        };
        let key = layout::commit_key(prefix, header.source_id, header.seq());
        self.put(&key, &record.sign(&commit_key()));
        record
    }
}

impl Bucket for Versioned {
    fn folders(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        let below = |key: &String| {
            let (name, _) = key.strip_prefix(prefix)?.split_once('/')?;
            Some(name.to_owned())
        };
        let names: BTreeSet<String> = self.keys().iter().filter_map(below).collect();
        Ok(names.into_iter().collect())
    }

    fn versions(&self, prefix: &str) -> Result<Vec<Version>, BucketError> {
        self.requests.fetch_add(1, Relaxed);
        let versions = self.versions.lock().unwrap();
        let mut found: Vec<Version> = versions
            .iter()
            .map(|(version, _)| version.clone())
            .filter(|version| version.key.starts_with(prefix))
            .collect();
        // By key, the newest first, as S3 has it.
        found.reverse();
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    fn get(
        &self,
        key: &str,
        version: Option<&str>,
        range: Option<Range<u64>>,
        limit_bytes: u64,
    ) -> Result<Option<Vec<u8>>, BucketError> {
        self.requests.fetch_add(1, Relaxed);
        let versions = self.versions.lock().unwrap();
        let found = versions
            .iter()
            .rev()
            .find(|(found, _)| found.key == key && version.is_none_or(|wanted| wanted == found.version_id));
        let Some((_, bytes)) = found.filter(|(found, _)| !found.is_marker) else {
            return Ok(None);
        };
        let len = bytes.len();
        let (begin, end) = range.map_or((0, len), |range| {
            let at = |offset: u64| usize::try_from(offset).unwrap().min(len);
            (at(range.start), at(range.end))
        });
        if (end - begin) as u64 > limit_bytes {
            let key = key.to_owned();
            return Err(BucketError::TooLong { key, limit_bytes });
        }
        Ok(Some(bytes[begin..end].to_vec()))
    }

    fn locked_until(&self, _key: &str, _version: &str) -> Result<Option<Timestamp>, BucketError> {
        Ok(Some(Timestamp::MAX))
    }
}
