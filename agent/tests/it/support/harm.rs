//! A bucket with two snapshots, and what may happen to it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::PathBuf,
};

use agent::store::ObjectSink;
use agent::{
    progress::RestoreCounters,
    recover::Reading,
    restore::{Order, Outcome},
    verify::{Defect, Depth, Finding, Options, Report, verify_source},
};
use repository::{
    layout,
    pack::PackLayout,
    recovery::{RecoverySecret, RecoverySeed},
};
use shared::object::{ObjectHash, ObjectKind, ObjectRef};
use tempfile::TempDir;

use super::{
    endpoint::Endpoint,
    tree::{describe, noise},
    versions::Versioned,
};

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    Delete,
    Truncate,
    Flip,
    Swap,
    Duplicate,
}

pub const HARMS: [Harm; 5] = [
    Harm::Delete,
    Harm::Truncate,
    Harm::Flip,
    Harm::Swap,
    Harm::Duplicate,
];

/// Two snapshots, the second of which needs so many packs that its list does not fit its manifest.
pub struct World {
    _folder: TempDir,
    pub root: PathBuf,
    pub bucket: Versioned,
    pub kit: RecoverySecret,
    pub endpoint: Endpoint,
    /// Keys and objects.
    pub objects: Vec<(String, ObjectRef)>,
    /// What the files looked like at each snapshot.
    pub looks: Vec<BTreeMap<Vec<u8>, String>>,
}

/// A world, as far as a case changes it.
pub struct Saved {
    versions: Vec<(agent::recover::Version, Vec<u8>)>,
    objects: HashMap<ObjectHash, (ObjectRef, Vec<u8>)>,
    cache: Vec<u8>,
    seq: u64,
    manifest: Option<ObjectHash>,
    looks: Vec<BTreeMap<Vec<u8>, String>>,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("data");
        for i in 0..24u8 {
            let path = root.join(format!("d{}/f{i}", i % 4));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, noise(900_000 + usize::from(i), i * 3)).unwrap();
        }
        // Files that were changed just now are read again: these were not.
        std::thread::sleep(std::time::Duration::from_millis(60));
        let mut world = Self {
            looks: Vec::new(),
            bucket: Versioned::default(),
            kit: RecoverySeed::from_bytes([9; 32]).secret(),
            endpoint: Endpoint::new(&[&root], &[]),
            objects: Vec::new(),
            _folder: folder,
            root,
        };
        world.backup();
        world.endpoint.adopted = world.small_packs();
        fs::write(world.root.join("d0/later"), noise(500_000, 3)).unwrap();
        world.backup();
        world.endpoint.adopted.clear();
        world.objects = world
            .bucket
            .keys()
            .into_iter()
            .filter_map(|key| {
                let (folder, name) = key.rsplit_once('/')?;
                let kind = match folder.rsplit('/').next()? {
                    "packs" => ObjectKind::Pack,
                    "trees" => ObjectKind::TreePack,
                    "index" => ObjectKind::Index,
                    "lists" => ObjectKind::ListPage,
                    "manifests" => ObjectKind::Manifest,
                    _ => return None,
                };
                let size_bytes = world.bucket.content(&key).len() as u64;
                let hash = name.parse().unwrap();
                Some((
                    key,
                    ObjectRef {
                        kind,
                        hash,
                        size_bytes,
                    },
                ))
            })
            .collect();
        world
    }

    /// One snapshot more, of the files as they are.
    pub fn backup(&mut self) -> (ObjectRef, Vec<ObjectRef>) {
        self.looks.push(describe(&self.root));
        let before: BTreeSet<ObjectHash> = self
            .endpoint
            .bucket
            .objects
            .lock()
            .unwrap()
            .keys()
            .copied()
            .collect();
        let (figures, header) = self.endpoint.backup();
        let all = self.endpoint.bucket.objects.lock().unwrap().clone();
        for (object, bytes) in all.values().filter(|(object, _)| !before.contains(&object.hash)) {
            self.put(object, bytes);
        }
        self.bucket.commit("", figures.manifest, &header);
        (figures.manifest, self.endpoint.objects(&header))
    }

    fn put(&self, object: &ObjectRef, bytes: &[u8]) {
        let key = layout::object_key("", self.endpoint.spec.id, object.kind, &object.hash);
        self.bucket.put(&key, bytes);
    }

    /// What a case changes.
    pub fn save(&self) -> Saved {
        Saved {
            versions: keep(&self.bucket),
            objects: self.endpoint.bucket.objects.lock().unwrap().clone(),
            cache: fs::read(self.endpoint.cache.path().join("cache")).unwrap(),
            seq: self.endpoint.seq,
            manifest: self.endpoint.manifest,
            looks: self.looks.clone(),
        }
    }

    /// As it was.
    pub fn rewind(&mut self, saved: &Saved) {
        self.bucket = Versioned::default();
        self.bucket.versions.lock().unwrap().clone_from(&saved.versions);
        let endpoint = &mut self.endpoint;
        endpoint.bucket.objects.lock().unwrap().clone_from(&saved.objects);
        fs::write(endpoint.cache.path().join("cache"), &saved.cache).unwrap();
        (endpoint.seq, endpoint.manifest) = (saved.seq, saved.manifest);
        endpoint.do_not_reuse.clear();
        self.looks.clone_from(&saved.looks);
    }

    /// Files of which each has a pack of its own, as if a run had broken off after each.
    fn small_packs(&self) -> Vec<PackLayout> {
        fs::create_dir(self.root.join("many")).unwrap();
        let pack = |number: u16| {
            let content = format!("file number {number}").into_bytes();
            fs::write(self.root.join(format!("many/{number}")), &content).unwrap();
            let mut pack = repository::pack::PackBuilder::files();
            let id = self.endpoint.secret.chunk_key().id(&content);
            let length = u32::try_from(content.len()).unwrap();
            pack.add(id, length, repository::compress::Compression::None, &content)
                .unwrap();
            let pack = pack
                .seal(self.kit.public(), &mut agent::random::draw().unwrap())
                .unwrap();
            self.put(&pack.layout.object, &pack.bytes);
            self.endpoint
                .bucket
                .put(pack.layout.object, pack.bytes.into())
                .unwrap();
            pack.layout
        };
        (0..260).map(pack).collect()
    }

    pub fn reading<'a>(&'a self, secret: Option<&'a RecoverySecret>) -> Reading<'a> {
        Reading {
            bucket: &self.bucket,
            prefix: "",
            secret,
            commit_key: None,
            signers: &[],
        }
    }

    pub fn verify(&self, with_kit: bool, depth: Depth) -> Report {
        let options = Options {
            depth,
            locks: true,
            newest_only: false,
        };
        let reading = self.reading(with_kit.then_some(&self.kit));
        verify_source(&reading, self.endpoint.spec.id, &options).unwrap()
    }

    /// Restores a snapshot; gives what was lost, after comparing what was not.
    pub fn restore(&self, seq: u64) -> Outcome {
        let reading = self.reading(Some(&self.kit));
        let found = reading.choose(None, &seq.to_string()).unwrap();
        let target = tempfile::tempdir().unwrap();
        let order = Order {
            target: target.path().to_owned(),
            ..Order::default()
        };
        let outcome = reading
            .restore(&found, &[], &order, &RestoreCounters::default())
            .unwrap();
        let restored = describe(&target.path().join(self.root.strip_prefix("/").unwrap()));
        let lost: Vec<&str> = outcome.losses.iter().map(|loss| loss.path.as_str()).collect();
        for (path, looks) in &self.looks[usize::try_from(seq).unwrap() - 1] {
            let text = self.root.join(std::str::from_utf8(path).unwrap());
            let is_lost = lost.iter().any(|lost| text.starts_with(lost));
            match restored.get(path) {
                Some(found) if looks.starts_with("file") => assert_eq!(found, looks),
                Some(_) => {}
                None => assert!(is_lost, "{text:?} is missing, and nobody says so"),
            }
        }
        outcome
    }
}

/// Does it, to the key; `other` is what it is swapped with.
pub fn harm(bucket: &Versioned, harm: Harm, key: &str, other: &str) {
    let content = bucket.content(key);
    match harm {
        Harm::Delete => bucket.delete(key),
        Harm::Truncate => bucket.rot(key, |bytes| bytes.truncate(bytes.len() * 2 / 3)),
        Harm::Flip => bucket.rot(key, |bytes| {
            let at = bytes.len() * 2 / 3;
            bytes[at] ^= 0x10;
        }),
        Harm::Swap => {
            let others = bucket.content(other);
            bucket.rot(key, |bytes| bytes.clone_from(&others));
            bucket.rot(other, |bytes| bytes.clone_from(&content));
        }
        Harm::Duplicate => bucket.put(key, &content),
    }
}

pub fn about(report: &Report, hash: ObjectHash) -> Vec<&Finding> {
    report
        .findings
        .iter()
        .filter(|finding| finding.hash() == Some(hash))
        .collect()
}

/// Whether the defect is what one would call the harm.
pub fn names(harm: Harm, defect: &Defect, other: &ObjectRef) -> bool {
    match harm {
        Harm::Delete => *defect == Defect::Missing,
        Harm::Truncate => matches!(defect, Defect::Resized { .. }),
        Harm::Flip => *defect == Defect::Changed,
        Harm::Swap => matches!(defect, Defect::Swapped { hash, .. } if *hash == other.hash),
        Harm::Duplicate => matches!(defect, Defect::Versions { versions: 2 }),
    }
}

pub fn keep(bucket: &Versioned) -> Vec<(agent::recover::Version, Vec<u8>)> {
    bucket.versions.lock().unwrap().clone()
}
