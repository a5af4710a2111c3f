//! A bucket in memory, with lists that are long enough to have pages, listings that come page by page, and losses.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{Mutex, PoisonError},
};

use agent::random::draw;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use repository::{
    chunk::SourceSecret,
    commit::{CommitSigningKey, CommitVerifyingKey, Tier},
    identity::{AgentPublicKey, AgentSigningKey},
    manifest::{ManifestContent, ManifestParent, NewManifest},
    object_list::{self, Delta, ObjectList},
    recovery::{RecoverySecret, RecoverySeed},
};
use shared::{
    ids::{AgentId, SnapshotId},
    retention::LockMode,
};
use uuid::Uuid;

use super::*;
use crate::s3::{
    Bounds, BucketState, Conditional, Deletion, Listed, Lock, ObjectStore, PageMarker, SignPut, Signed,
    VersionHead, VersionName, VersionPage,
};

/// Entries of one page of a listing.
const LISTED: usize = 7;

/// Versions by key, the earliest first; a version's id is its place.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Vec<Vec<u8>>>>);

impl Memory {
    fn put(&self, key: String, bytes: Vec<u8>) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.entry(key).or_default().push(bytes);
    }

    fn lose(&self, key: &str) {
        assert!(self.0.lock().unwrap().remove(key).is_some(), "{key} is there");
    }
}

fn unasked() -> S3Error {
    S3Error::Malformed("a scan asks for no such thing".into())
}

#[async_trait]
impl ObjectStore for Memory {
    async fn get(&self, _: &str, key: &str, version: &str, limit: u64) -> Result<Vec<u8>, S3Error> {
        let keys = self.0.lock().unwrap();
        let bytes = keys[key][version.parse::<usize>().unwrap()].clone();
        assert!(bytes.len() as u64 <= limit, "{key} is longer than {limit}");
        Ok(bytes)
    }

    async fn list_versions(
        &self,
        _: &str,
        prefix: &str,
        from: Option<&PageMarker>,
    ) -> Result<VersionPage, S3Error> {
        let keys = self.0.lock().unwrap();
        let mut all = Vec::new();
        for (key, versions) in keys.iter().filter(|(key, _)| key.starts_with(prefix)) {
            for (place, bytes) in versions.iter().enumerate().rev() {
                let is_behind = from.is_none_or(|from| match &from.version_id {
                    _ if *key != from.key => *key > from.key,
                    Some(version) => place < version.parse::<usize>().unwrap(),
                    None => false,
                });
                if is_behind {
                    all.push(Listed::Version {
                        key: key.clone(),
                        version_id: place.to_string(),
                        size_bytes: bytes.len() as u64,
                        modified: None,
                    });
                }
            }
        }
        let is_cut = all.len() > LISTED;
        all.truncate(LISTED);
        let next = match all.last() {
            Some(Listed::Version { key, version_id, .. }) if is_cut => Some(PageMarker {
                key: key.clone(),
                version_id: Some(version_id.clone()),
            }),
            _ => None,
        };
        Ok(VersionPage {
            entries: all,
            folders: Vec::new(),
            next,
        })
    }

    async fn try_keys(&self) -> Result<(), S3Error> {
        Err(unasked())
    }
    async fn bucket_state(&self, _: &str) -> Result<BucketState, S3Error> {
        Err(unasked())
    }
    async fn create_bucket(&self, _: &str) -> Result<(), S3Error> {
        Err(unasked())
    }
    async fn sign_put(&self, _: SignPut<'_>, _: SignedDuration) -> Result<Signed, S3Error> {
        Err(unasked())
    }
    async fn sign_get(
        &self,
        _: &str,
        _: &str,
        _: &str,
        _: Range<u64>,
        _: SignedDuration,
    ) -> Result<String, S3Error> {
        Err(unasked())
    }
    async fn put_locked(&self, _: SignPut<'_>, _: Vec<u8>) -> Result<(), S3Error> {
        Err(unasked())
    }
    async fn put_if_absent(&self, _: SignPut<'_>, _: Vec<u8>) -> Result<Conditional, S3Error> {
        Err(unasked())
    }
    async fn head(&self, _: &str, key: &str, version: Option<&str>) -> Result<Option<VersionHead>, S3Error> {
        assert_eq!(version, None, "only what is not listed is asked for, by its key");
        let keys = self.0.lock().unwrap();
        let versions = keys.get(key).map_or(&[][..], Vec::as_slice);
        Ok(versions.last().map(|bytes| VersionHead {
            version_id: (versions.len() - 1).to_string(),
            size_bytes: bytes.len() as u64,
            etag: String::new(),
            kms: false,
            lock: None,
        }))
    }
    async fn extend_lock(&self, _: &str, _: &str, _: &str, _: Lock) -> Result<(), S3Error> {
        Err(unasked())
    }
    async fn time(&self, _: &str) -> Result<Timestamp, S3Error> {
        Err(unasked())
    }
    async fn delete_versions(&self, _: &str, versions: &[VersionName]) -> Vec<Result<Deletion, S3Error>> {
        versions.iter().map(|_| Err(unasked())).collect()
    }
}

const PREFIX: &str = "acme/";

/// A source that writes snapshots as an agent and a server do, but for the packs themselves.
struct Writer {
    bucket: Memory,
    id: SourceId,
    kit: RecoverySecret,
    key: CommitSigningKey,
    list: ObjectList,
    parent: Option<ManifestParent>,
    manifests: Vec<ObjectRef>,
    before: Vec<ObjectRef>,
    /// What the ledger expects: nothing, unless a test says so.
    expected: Expected,
}

fn pack(number: u32) -> ObjectRef {
    ObjectRef {
        kind: ObjectKind::Pack,
        hash: repository::hash(&number.to_be_bytes()),
        size_bytes: u64::from(number) + 1,
    }
}

impl Writer {
    fn new() -> Self {
        Self {
            bucket: Memory::default(),
            id: SourceId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0007)),
            kit: RecoverySeed::from_bytes([3; 32]).secret(),
            key: CommitSigningKey::from_seed([4; 32]),
            list: ObjectList::default(),
            parent: None,
            manifests: Vec::new(),
            before: Vec::new(),
            expected: Expected {
                bounds: Bounds::unknown(),
                complete: BTreeSet::new(),
            },
        }
    }

    fn key_of(&self, object: &ObjectRef) -> String {
        layout::object_key(PREFIX, self.id, object.kind, &object.hash)
    }

    /// The next snapshot, which needs these packs.
    fn commit(&mut self, now: impl IntoIterator<Item = u32>) {
        let seq = self.manifests.len() as u64 + 1;
        let now: Vec<ObjectRef> = now.into_iter().map(pack).collect();
        let added = now.iter().filter(|object| !self.before.contains(object)).copied();
        let dropped = self.before.iter().filter(|object| !now.contains(object));
        let change = Delta::new(added.collect(), dropped.map(|object| object.hash).collect()).unwrap();
        let plan = object_list::plan(&self.list, seq, change, &now, |_| None).unwrap();
        for (page, bytes) in &plan.write {
            self.bucket.put(self.key_of(page), bytes.clone());
        }
        let run_id = RunId::from_uuid(Uuid::from_u128(100 + u128::from(seq)));
        let manifest = NewManifest {
            agent_id: AgentId::from_uuid(Uuid::from_u128(5)),
            source_id: self.id,
            run_id,
            parent: self.parent,
            created_at: Timestamp::UNIX_EPOCH,
            totals: SnapshotTotals::default(),
            objects: now.clone(),
            list: plan.list.clone(),
            certificate: None,
            content: ManifestContent::new(
                "files".into(),
                "host".into(),
                Vec::new(),
                SourceSecret::from_bytes([6; 32]).chunk_key(),
            ),
        };
        let signer = AgentSigningKey::from_seed([8; 32]);
        let (manifest, bytes) = manifest
            .seal(self.kit.public(), &signer, &mut draw().unwrap())
            .unwrap();
        self.bucket.put(self.key_of(&manifest), bytes);
        let record = CommitRecord {
            source_id: self.id,
            snapshot_id: SnapshotId::from_uuid(Uuid::from_u128(u128::from(seq))),
            run_id,
            seq,
            parent_manifest: self.parent.map(|parent| parent.manifest),
            manifest,
            received_at: Timestamp::UNIX_EPOCH,
            protected_until: Timestamp::UNIX_EPOCH,
            mode: LockMode::Compliance,
            tiers: vec![Tier::Week],
        };
        let key = layout::commit_key(PREFIX, self.id, seq);
        self.bucket.put(key, record.sign(&self.key));
        self.parent = Some(ManifestParent {
            seq,
            manifest: manifest.hash,
        });
        (self.list, self.before) = (plan.list, now);
        self.manifests.push(manifest);
    }

    async fn scan(&self, any_commit_key: bool, keys: &[CommitVerifyingKey]) -> Found {
        self.scan_for(None, any_commit_key, keys).await
    }

    /// The same, where the database knows the agent's key.
    async fn scan_for(
        &self,
        signer: Option<AgentPublicKey>,
        any_commit_key: bool,
        keys: &[CommitVerifyingKey],
    ) -> Found {
        let location = SetLocation {
            store: &self.bucket,
            bucket: "bucket",
            prefix: PREFIX,
        };
        assert_eq!(location.sources().await.unwrap(), [self.id]);
        let trust = Trust {
            commit_keys: keys,
            any_commit_key,
            signer,
            recovery: self.kit.public().fingerprint(),
        };
        source(location, self.id, trust, &self.expected).await.unwrap()
    }
}

fn span(found: &Found, number: u32) -> (u64, Option<u64>) {
    let span = found.spans[&pack(number).hash];
    (span.born, span.dropped)
}

fn kinds(found: &Found) -> Vec<Kind> {
    found.findings.iter().map(|finding| finding.kind).collect()
}

/// A list of a thousand packs has pages; what comes, goes, and comes back is needed from its first to its last snapshot.
#[tokio::test]
async fn spans_follow_lists_with_pages() {
    let mut writer = Writer::new();
    writer.commit(0..1_000);
    writer.commit(300..1_100);
    writer.commit((0..10).chain(400..1_100));
    // Neither is a source's: another spelling of the id, and no id at all.
    let id = writer.id.as_uuid();
    writer.bucket.put(
        format!("{PREFIX}sources/{}/x", id.simple().to_string().to_uppercase()),
        vec![1],
    );
    writer.bucket.put(format!("{PREFIX}sources/strange/x"), vec![1]);
    let keys = [writer.key.verifying_key()];
    let found = writer.scan(false, &keys).await;
    assert_eq!(kinds(&found), []);
    assert!(writer.list.pages().count() > 0);
    assert_eq!(span(&found, 5), (1, None));
    assert_eq!(span(&found, 200), (1, Some(2)));
    assert_eq!(span(&found, 350), (1, Some(3)));
    assert_eq!(span(&found, 1_050), (2, None));
    assert_eq!(span(&found, 999), (1, None));
    let pages = writer.list.pages().map(|page| found.spans[&page.hash].dropped);
    assert!(pages.into_iter().all(|dropped| dropped.is_none()));
    let manifest = found.spans[&writer.manifests[1].hash];
    assert_eq!((manifest.born, manifest.dropped), (2, Some(3)));
    let runs: Vec<_> = found
        .snapshots
        .values()
        .map(|snapshot| snapshot.record.run_id)
        .collect();
    assert_eq!(found.spans[&pack(1_050).hash].run, runs[1]);
}

/// What cannot be read counts as needing what its neighbours need; what is not signed does not count.
#[tokio::test]
async fn losses_keep_more_and_forgeries_count_for_nothing() {
    let mut writer = Writer::new();
    writer.commit(0..20);
    writer.commit(5..25);
    writer.commit(10..30);
    writer.commit(10..40);
    let keys = [writer.key.verifying_key()];
    writer.bucket.lose(&writer.key_of(&writer.manifests[1].clone()));
    let found = writer.scan(false, &keys).await;
    assert_eq!(found.snapshots.len(), 4);
    assert!(found.snapshots[&2].unlisted.is_some() && found.snapshots[&2].totals.is_none());
    // Dropped by 2 or by 3, nobody knows: by 3. First in 2 or in 3: in 2.
    assert_eq!(span(&found, 3), (1, Some(3)));
    assert_eq!(span(&found, 22), (2, None));
    assert_eq!(span(&found, 35), (4, None));

    // Another key has signed: nothing counts, unless the operator takes that upon himself.
    let strangers = [CommitSigningKey::from_seed([9; 32]).verifying_key()];
    let found = writer.scan(false, &strangers).await;
    assert_eq!(kinds(&found), [Kind::UnverifiedRecord; 4]);
    assert!(found.snapshots.is_empty() && found.newest_header.is_none());
    // Then a record counts with the manifest that it fits, and only with it.
    let found = writer.scan(true, &strangers).await;
    assert_eq!(found.snapshots.keys().copied().collect::<Vec<_>>(), [1, 3, 4]);
    // Unless the database knows the agent, and another key has signed: who wrote the record wrote the manifest too.
    let of = |seed| Some(AgentSigningKey::from_seed([seed; 32]).public());
    assert_eq!(writer.scan_for(of(8), true, &strangers).await.snapshots.len(), 3);
    let found = writer.scan_for(of(7), true, &strangers).await;
    assert_eq!(
        (found.snapshots.len(), kinds(&found)),
        (0, vec![Kind::OtherManifest; 3])
    );
    // A commit key's word is enough: that server has compared the keys.
    assert_eq!(writer.scan_for(of(7), false, &keys).await.snapshots.len(), 4);
    // A forged record beside the right one is seen and passed over, also when it stands first under the key.
    let key = layout::commit_key(PREFIX, writer.id, 4);
    let right = writer.bucket.0.lock().unwrap().remove(&key).unwrap().remove(0);
    let mut record = CommitRecord::read(&right).unwrap();
    record.manifest = writer.manifests[0];
    writer
        .bucket
        .put(key.clone(), record.sign(&CommitSigningKey::from_seed([9; 32])));
    writer.bucket.put(key.clone(), right);
    let found = writer.scan(false, &keys).await;
    assert_eq!(kinds(&found), [Kind::UnverifiedRecord]);
    assert_eq!(found.snapshots[&4].record.manifest, writer.manifests[3]);
    let found = writer.scan(true, &strangers).await;
    assert_eq!(kinds(&found), [Kind::OtherManifest]);
    assert_eq!(found.snapshots[&4].record.manifest, writer.manifests[3]);

    // A commit record that is lost: its snapshot was committed, for another builds on it.
    writer.bucket.lose(&layout::commit_key(PREFIX, writer.id, 3));
    let found = writer.scan(false, &keys).await;
    assert!(kinds(&found).contains(&Kind::LostRecord));
    assert_eq!(found.snapshots.keys().copied().collect::<Vec<_>>(), [1, 2, 4]);
    // Another backup set's recovery key: none of it is this set's.
    writer.kit = RecoverySeed::from_bytes([30; 32]).secret();
    let found = writer.scan(false, &keys).await;
    assert_eq!(found.snapshots.keys().copied().collect::<Vec<_>>(), [2]);
    assert!(kinds(&found).contains(&Kind::OtherManifest));
}
