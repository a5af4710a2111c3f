//! The commit records of a source.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use repository::{commit::CommitRecord, layout};
use shared::object::{ObjectKind, ObjectRef};

use super::state::{Expected, PARALLEL, Scan};
use crate::{
    rebuild::report::{Finding, Kind},
    s3::S3Error,
    source_listing::Version,
};

/// A commit record is smaller.
const MAX_RECORD_BYTES: u64 = ObjectKind::Commit.max_bytes() as u64;
/// Numbers that no commit record is listed for and that are asked for by name, one after another.
const ASKED_RECORDS: usize = 1_000;

/// A commit record that counts.
pub(super) struct Counted {
    pub(super) record: CommitRecord,
    pub(super) object: ObjectRef,
    /// One of the accepted keys has signed it.
    pub(super) is_verified: bool,
}

impl Scan<'_> {
    /// The commit records that count, by number: those first that an accepted key has signed, then the earliest.
    pub(super) async fn records(
        &self,
        expected: &Expected,
        findings: &mut Vec<Finding>,
    ) -> Result<BTreeMap<u64, Vec<Counted>>, S3Error> {
        let versions = self.record_versions(expected).await?;
        let reads = versions
            .iter()
            .flat_map(|(seq, versions)| versions.iter().map(|version| self.read_record(*seq, version)));
        let read: Vec<_> = stream::iter(reads.collect::<Vec<_>>())
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        let mut records: BTreeMap<u64, Vec<Counted>> = BTreeMap::new();
        for (seq, version, record) in read {
            match record {
                Ok(counted) => records.entry(seq).or_default().push(counted),
                Err(reason) => findings.push(Finding::new(
                    Kind::UnverifiedRecord,
                    layout::commit_key(self.location.prefix, self.id, seq),
                    None,
                    Some(format!("version {}: {reason}", version.id)),
                )),
            }
        }
        for candidates in records.values_mut() {
            candidates.sort_by_key(|counted| !counted.is_verified);
        }
        Ok(records)
    }

    /// The versions of every commit record, by its number. A listing that lacks some does not hide them: those of snapshots
    /// that the ledger has, those between others, and the one behind the last are asked for by name.
    async fn record_versions(&self, expected: &Expected) -> Result<BTreeMap<u64, Vec<Version>>, S3Error> {
        let folder = format!("{}commits/", layout::source_prefix(self.location.prefix, self.id));
        let inside = self.listing.keys.range(folder.clone()..);
        let mut found = BTreeMap::new();
        for (key, versions) in inside.take_while(|(key, _)| key.starts_with(&folder)) {
            let number = key.strip_prefix(&folder).and_then(|name| name.parse().ok());
            let is_key = |seq: &u64| layout::commit_key(self.location.prefix, self.id, *seq) == *key;
            // What has another name is told of as an unknown version.
            if let Some(seq) = number.filter(is_key) {
                found.insert(seq, versions.clone());
            }
        }
        let ends = found
            .keys()
            .next()
            .copied()
            .zip(found.keys().next_back().copied());
        let between = ends.map_or(0..0, |(first, last)| first..last).rev();
        let mut unlisted: BTreeSet<u64> = between
            .filter(|seq| !found.contains_key(seq))
            .take(ASKED_RECORDS)
            .collect();
        unlisted.extend(expected.complete.iter().filter(|seq| !found.contains_key(seq)));
        let asked: Vec<_> = unlisted.into_iter().map(|seq| self.ask_record(seq)).collect();
        let asked: Vec<_> = stream::iter(asked).buffered(PARALLEL).try_collect().await?;
        found.extend(asked.into_iter().filter(|(_, versions)| !versions.is_empty()));
        for _ in 0..ASKED_RECORDS {
            let next = found.keys().next_back().map_or(1, |last| last + 1);
            let (seq, versions) = self.ask_record(next).await?;
            if versions.is_empty() {
                break;
            }
            found.insert(seq, versions);
        }
        Ok(found)
    }

    async fn ask_record(&self, seq: u64) -> Result<(u64, Vec<Version>), S3Error> {
        let key = layout::commit_key(self.location.prefix, self.id, seq);
        Ok((seq, self.location.versions(self.listing, &key).await?))
    }

    async fn read_record<'v>(
        &self,
        seq: u64,
        version: &'v Version,
    ) -> Result<(u64, &'v Version, Result<Counted, String>), S3Error> {
        let key = layout::commit_key(self.location.prefix, self.id, seq);
        let bytes = self.get(&key, version, MAX_RECORD_BYTES).await?;
        Ok((seq, version, self.record(seq, &bytes.unwrap_or_default())))
    }

    fn record(&self, seq: u64, bytes: &[u8]) -> Result<Counted, String> {
        let keys = self.trust.commit_keys.iter();
        let verified = keys.filter_map(|key| CommitRecord::open(bytes, key).ok()).next();
        let is_verified = verified.is_some();
        let record = match verified {
            Some(record) => record,
            None => {
                let record = CommitRecord::read(bytes).map_err(|error| error.to_string())?;
                if !self.trust.any_commit_key {
                    return Err("none of the accepted keys has signed it".to_owned());
                }
                record
            }
        };
        if (record.source_id, record.seq) != (self.id, seq) {
            let (number, of) = (record.seq, record.source_id);
            return Err(format!("it is the commit record of snapshot {number} of {of}"));
        }
        Ok(Counted {
            record,
            object: ObjectRef {
                kind: ObjectKind::Commit,
                hash: repository::hash(bytes),
                size_bytes: bytes.len() as u64,
            },
            is_verified,
        })
    }
}
