//! A source, one backup of it, and restores.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use agent::restore::{Order, Outcome, Overwrite};
use repository::index;
use shared::object::{ObjectHash, ObjectKind, ObjectRef};
use tempfile::TempDir;

use super::{
    endpoint::Endpoint,
    tree::{describe, set_time},
};

/// When every file was last changed.
pub const TIME: i64 = 1_000_000_000;

/// A source with one backup of what `fill` makes.
pub struct World {
    _folder: TempDir,
    pub root: PathBuf,
    pub endpoint: Endpoint,
    pub manifest: ObjectRef,
    pub objects: Vec<ObjectRef>,
}

impl World {
    pub fn new(fill: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("data");
        fs::create_dir(&root).unwrap();
        fill(&root);
        let mut endpoint = Endpoint::new(&[&root], &[]);
        let (figures, header) = endpoint.backup();
        let objects = endpoint.objects(&header);
        Self {
            _folder: folder,
            root,
            endpoint,
            manifest: figures.manifest,
            objects,
        }
    }

    pub fn restore(&self, target: &Path, overwrite: Overwrite) -> Outcome {
        let order = Order {
            target: target.to_owned(),
            overwrite,
            ..Order::default()
        };
        self.endpoint
            .restore_as(&self.manifest.hash, &order, &[])
            .unwrap()
    }

    pub fn below(&self, target: &Path, name: &str) -> PathBuf {
        target.join(self.root.strip_prefix("/").unwrap()).join(name)
    }

    pub fn same(&self, target: &Path) -> bool {
        describe(&self.below(target, "")) == describe(&self.root)
    }

    /// The packs that hold a file's chunks.
    pub fn packs_of(&self, name: &str) -> BTreeSet<ObjectHash> {
        let names = self.endpoint.secret.chunk_key();
        let content = fs::read(self.root.join(name)).unwrap();
        let chunker = self.endpoint.secret.chunker();
        let mut ids = BTreeSet::new();
        let mut rest = content.as_slice();
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(chunker.cut(&rest[..rest.len().min(4 << 20)]));
            ids.insert(names.id(chunk));
            rest = after;
        }
        let objects = self.endpoint.bucket.objects.lock().unwrap();
        self.objects
            .iter()
            .filter(|object| object.kind == ObjectKind::Index)
            .flat_map(|segment| index::open_with_kit(&objects[&segment.hash].1, &self.endpoint.kit).unwrap())
            .filter(|layout| layout.entries.iter().any(|entry| ids.contains(&entry.id)))
            .map(|layout| layout.object.hash)
            .collect()
    }
}

pub fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    set_time(path, TIME, 0);
}

/// Where a file stands until it is finished.
pub fn temporary(path: &Path) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    let name = blake3::hash(path.file_name().unwrap().as_bytes()).to_hex();
    path.with_file_name(format!(".holdfast-restore-{}", &name[..16]))
}

pub fn paths(outcome: &Outcome) -> Vec<String> {
    let mut paths: Vec<_> = outcome.losses.iter().map(|loss| loss.path.clone()).collect();
    paths.sort();
    paths
}
