//! A bucket in which somebody has put keys, versions and lengths of every size beside ours, or in their place.

use std::{fs, ops::Range};

use agent::{
    progress::RestoreCounters,
    recover::{Bucket, BucketError, Reading, Version},
    restore::Order,
    verify::{Defect, Depth, Options, verify_source},
};
use jiff::Timestamp;
use repository::{layout, recovery::RecoverySeed};
use shared::object::ObjectKind;

use crate::support::endpoint::Endpoint;
use crate::support::tree::noise;
use crate::support::versions::Versioned;

const PREFIX: &str = "acme/";
/// What listings say of an intruder's objects: as long as S3 has them.
const FIVE_TIB: u64 = 5 << 40;

/// A bucket that is asked for no more at once than an object can have.
struct Modest<'b>(&'b Versioned);

impl Bucket for Modest<'_> {
    fn folders(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        self.0.folders(prefix)
    }

    fn versions(&self, prefix: &str) -> Result<Vec<Version>, BucketError> {
        self.0.versions(prefix)
    }

    fn get(
        &self,
        key: &str,
        version: Option<&str>,
        range: Option<Range<u64>>,
        limit_bytes: u64,
    ) -> Result<Option<Vec<u8>>, BucketError> {
        let kind = match key.rsplit('/').nth(1).unwrap() {
            "packs" => ObjectKind::Pack,
            "trees" => ObjectKind::TreePack,
            "index" => ObjectKind::Index,
            "manifests" => ObjectKind::Manifest,
            "lists" => ObjectKind::ListPage,
            _ => ObjectKind::Commit,
        };
        let most = layout::max_object_bytes(kind);
        let asked = range
            .as_ref()
            .map_or(limit_bytes, |range| range.end - range.start);
        assert!(asked <= most, "{key}: up to {asked} bytes were asked for");
        // An intruder's object is as long as it says.
        let versions = self.0.versions.lock().unwrap();
        let found = versions
            .iter()
            .rev()
            .find(|(found, _)| found.key == key && version.is_none_or(|version| version == found.version_id));
        let is_long = found.is_some_and(|(found, _)| found.size_bytes == FIVE_TIB);
        drop(versions);
        if is_long && range.is_none() {
            let key = key.to_owned();
            return Err(BucketError::TooLong { key, limit_bytes });
        }
        self.0.get(key, version, range, limit_bytes)
    }

    fn locked_until(&self, key: &str, version: &str) -> Result<Option<Timestamp>, BucketError> {
        self.0.locked_until(key, version)
    }
}

/// One snapshot, and in its bucket a newer version of five tebibytes under every key.
fn flooded() -> (tempfile::TempDir, Endpoint, Versioned) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("data");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a"), noise(700_000, 1)).unwrap();
    let mut endpoint = Endpoint::new(&[&root], &[]);
    let (figures, header) = endpoint.backup();
    let bucket = Versioned::default();
    bucket.fill(PREFIX, endpoint.spec.id, &endpoint.bucket);
    bucket.commit(PREFIX, figures.manifest, &header);
    for key in bucket.keys() {
        bucket.put(&key, b"not what it says");
        bucket.versions.lock().unwrap().last_mut().unwrap().0.size_bytes = FIVE_TIB;
    }
    (folder, endpoint, bucket)
}

#[test]
fn no_length_of_a_listing_is_read_into_memory() {
    let (folder, endpoint, bucket) = flooded();
    let kit = RecoverySeed::from_bytes([9; 32]).secret();
    let modest = Modest(&bucket);
    let reading = Reading {
        bucket: &modest,
        prefix: PREFIX,
        secret: Some(&kit),
        commit_key: None,
        signers: &[],
    };
    let found = reading.choose(None, "latest").unwrap();
    let order = Order {
        target: folder.path().join("back"),
        ..Order::default()
    };
    let outcome = reading
        .restore(&found, &[], &order, &RestoreCounters::default())
        .unwrap();
    assert_eq!(outcome.losses, []);

    let options = Options {
        depth: Depth::Everything,
        locks: false,
        newest_only: false,
    };
    let report = verify_source(&reading, endpoint.spec.id, &options).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);

    // Now ours are gone, and the intruder's stand there alone.
    let kinds = ["packs/", "index/"];
    bucket.versions.lock().unwrap().retain(|(version, _)| {
        version.size_bytes == FIVE_TIB || !kinds.iter().any(|kind| version.key.contains(kind))
    });
    let report = verify_source(&reading, endpoint.spec.id, &options).unwrap();
    let resized = report
        .findings
        .iter()
        .filter(|finding| {
            matches!(
                finding.defect,
                Defect::Resized {
                    found_bytes: FIVE_TIB,
                    ..
                }
            )
        })
        .count();
    assert_eq!(resized, 2, "{:?}", report.findings);
}

/// The largest number of a commit record is a number like others: nothing comes after it.
#[test]
fn the_largest_number_of_a_record_is_no_trouble() {
    let (_folder, endpoint, bucket) = flooded();
    for seq in [u64::MAX, u64::MAX - 1, 4_000_000_000] {
        bucket.put(&layout::commit_key(PREFIX, endpoint.spec.id, seq), b"none");
    }
    let kit = RecoverySeed::from_bytes([9; 32]).secret();
    let modest = Modest(&bucket);
    let reading = Reading {
        bucket: &modest,
        prefix: PREFIX,
        secret: Some(&kit),
        commit_key: None,
        signers: &[],
    };
    let sources = reading.all().unwrap();
    assert_eq!(sources[0].snapshots.len(), 1);
    assert_eq!(reading.choose(None, "latest").unwrap().seq(), 1);
}
