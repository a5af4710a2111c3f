//! The commit records of a source, as a recovery reads them.

use std::collections::{BTreeMap, BTreeSet};

use repository::{commit::CommitRecord, layout};
use shared::{ids::SourceId, object::ObjectKind};

use super::{
    bucket::{BucketError, Version},
    error::RecoverError,
    reading::{READERS, Reading},
};
use crate::{
    parallel,
    snapshot::{Defect, Finding, Subject},
};

/// No commit record is longer.
const MAX_RECORD_BYTES: u64 = layout::max_object_bytes(ObjectKind::Commit);

/// Numbers without a listed commit record that are asked for by name, at most.
const ASKED_RECORDS: usize = 1_000;

/// Commit records by their numbers, the earliest version of each first.
pub(super) type Records = BTreeMap<u64, Vec<CommitRecord>>;
impl Reading<'_> {
    /// Every version of every commit record that reads, by its number.
    pub(super) fn records(
        &self,
        source: SourceId,
        problems: &mut Vec<Finding>,
    ) -> Result<Records, RecoverError> {
        let folder = format!("{}commits/", layout::source_prefix(self.prefix, source));
        let mut versions = self.bucket.versions(&folder)?;
        versions.retain(|version| !version.is_marker);
        versions.sort_by_key(|version| version.modified);
        let unlisted = self.unlisted_records(source, &folder, &versions)?;
        let number = |version: &Version| {
            let seq = version.key.strip_prefix(&folder)?.parse().ok()?;
            (layout::commit_key(self.prefix, source, seq) == version.key).then_some(seq)
        };
        // What was read is gone from memory before the next is: there may be any number of versions.
        let read = parallel::map(READERS, &versions, |version| {
            let Some(seq) = number(version) else {
                return Ok(None);
            };
            let bytes = self
                .bucket
                .get(&version.key, Some(&version.version_id), None, MAX_RECORD_BYTES);
            let record = match bytes {
                Ok(bytes) => self.record(source, seq, &bytes.unwrap_or_default()),
                Err(BucketError::TooLong { .. }) => Err("it is far too long".to_owned()),
                Err(error) => return Err(error),
            };
            Ok(Some((seq, record)))
        });
        let mut records = Records::new();
        let mut bad: BTreeMap<u64, String> = BTreeMap::new();
        for (version, read) in versions.iter().zip(read) {
            match read? {
                None => {
                    let key = version.key.clone();
                    problems.push(Finding::new(Subject::Key { key }, Defect::Foreign));
                }
                Some((seq, Ok(record))) => records.entry(seq).or_default().push(record),
                Some((seq, Err(error))) => drop(bad.entry(seq).or_insert(error)),
            }
        }
        for (seq, bytes) in unlisted {
            match self.record(source, seq, &bytes) {
                Ok(record) => records.entry(seq).or_default().push(record),
                Err(error) => drop(bad.entry(seq).or_insert(error)),
            }
        }
        for (seq, error) in bad {
            // Beside a record that reads, it is somebody's addition.
            if !records.contains_key(&seq) {
                let malformed = Finding::new(Subject::Record { seq }, Defect::Malformed { error });
                problems.push(Finding {
                    snapshots: vec![seq],
                    ..malformed
                });
            }
        }
        Ok(records)
    }

    /// Commit records that the listing lacks: those between others, and those behind the last, asked for by name. A listing
    /// that ends early would otherwise pass an old snapshot for the newest.
    fn unlisted_records(
        &self,
        source: SourceId,
        folder: &str,
        listed: &[Version],
    ) -> Result<BTreeMap<u64, Vec<u8>>, RecoverError> {
        let number = |version: &Version| version.key.strip_prefix(folder)?.parse::<u64>().ok();
        let numbers: BTreeSet<u64> = listed.iter().filter_map(number).collect();
        let ask = |seq: &u64| {
            let key = layout::commit_key(self.prefix, source, *seq);
            match self.bucket.get(&key, None, None, MAX_RECORD_BYTES) {
                Err(BucketError::TooLong { .. }) => Ok(Some(Vec::new())),
                read => read,
            }
        };
        let mut found = BTreeMap::new();
        let ends = numbers.first().zip(numbers.last());
        let between: Vec<u64> = ends
            .map_or(0..0, |(first, last)| *first..*last)
            .rev()
            .filter(|seq| !numbers.contains(seq))
            .take(ASKED_RECORDS)
            .collect();
        for (seq, bytes) in between.iter().zip(parallel::map(READERS, &between, ask)) {
            found.extend(bytes?.map(|bytes| (*seq, bytes)));
        }
        let next = numbers.last().map_or(1, |last| last.saturating_add(1));
        // Anybody may have put a record of the largest number there.
        for seq in (next..=u64::MAX).take(ASKED_RECORDS) {
            match ask(&seq)? {
                Some(bytes) => drop(found.insert(seq, bytes)),
                None => break,
            }
        }
        Ok(found)
    }

    fn record(&self, source: SourceId, seq: u64, bytes: &[u8]) -> Result<CommitRecord, String> {
        let record = match &self.commit_key {
            Some(key) => CommitRecord::open(bytes, key),
            None => CommitRecord::read(bytes),
        };
        let record = record.map_err(|error| error.to_string())?;
        if (record.source_id, record.seq) == (source, seq) {
            Ok(record)
        } else {
            let (number, of) = (record.seq, record.source_id);
            Err(format!("it is the commit record of number {number} of {of}"))
        }
    }
}
