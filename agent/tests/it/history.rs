//! Random trees and random edits: whatever happened to the files between the backups, every snapshot comes back as the
//! files were when it was made. `cargo xtask test --long` runs more of them.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use proptest::{prelude::*, sample::Index};

use crate::rounds::rounds;
use crate::support::endpoint::Endpoint;
use crate::support::tree::{Node, describe, entries, make, name, node, noise, set_time};

/// Something that happens to a tree. Which path it happens to is chosen among those that are there by then.
#[derive(Debug, Clone)]
enum Edit {
    /// A file, or whatever stands there, becomes this.
    Become(Index, Node),
    /// Something new in a folder.
    Add(Index, Vec<u8>, Node),
    Remove(Index),
    /// Into a folder, under another name.
    Move(Index, Index, Vec<u8>),
    /// Another name of a file.
    Link(Index, Index, Vec<u8>),
    /// Bytes in the middle or behind the end.
    Write(Index, u32, Vec<u8>),
    Truncate(Index, u32),
    /// A file with holes: data of this length at each of these places.
    Sparse(Index, Vec<u8>, Vec<u32>, u16),
    Mode(Index, u32),
    Time(Index, i64, u32),
    Attribute(Index, Option<Vec<u8>>),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    let place = 0u32..10_000_000;
    prop_oneof![
        (at(), node()).prop_map(|(at, node)| Edit::Become(at, node)),
        (at(), name(), node()).prop_map(|(at, name, node)| Edit::Add(at, name, node)),
        at().prop_map(Edit::Remove),
        (at(), at(), name()).prop_map(|(at, to, name)| Edit::Move(at, to, name)),
        (at(), at(), name()).prop_map(|(at, to, name)| Edit::Link(at, to, name)),
        (at(), place.clone(), prop::collection::vec(any::<u8>(), 1..3000))
            .prop_map(|(at, place, bytes)| Edit::Write(at, place, bytes)),
        (at(), 0u32..3_000_000).prop_map(|(at, size)| Edit::Truncate(at, size)),
        (
            at(),
            name(),
            prop::collection::vec(0u32..40_000_000, 0..3),
            any::<u16>()
        )
            .prop_map(|(at, name, places, size)| Edit::Sparse(at, name, places, size)),
        (at(), 0u32..=0o7777).prop_map(|(at, mode)| Edit::Mode(at, mode)),
        (at(), -2_000_000_000i64..5_000_000_000, 0u32..1_000_000_000)
            .prop_map(|(at, seconds, nanoseconds)| Edit::Time(at, seconds, nanoseconds)),
        (at(), prop::option::of(prop::collection::vec(any::<u8>(), 0..300)))
            .prop_map(|(at, value)| Edit::Attribute(at, value)),
    ]
}

/// Whatever is there, the root left out.
fn all(root: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name();
    walk.into_iter().map(|entry| entry.unwrap().into_path()).collect()
}

fn any_of(root: &Path, at: &Index, fits: impl Fn(&fs::Metadata) -> bool) -> Option<PathBuf> {
    let mut found = all(root);
    found.retain(|path| fits(&fs::symlink_metadata(path).unwrap()));
    (!found.is_empty()).then(|| at.get(&found).clone())
}

fn folder_of(root: &Path, at: &Index) -> PathBuf {
    any_of(root, at, fs::Metadata::is_dir).unwrap_or_else(|| root.to_owned())
}

/// A name in a folder that nothing has.
fn free(root: &Path, at: &Index, name: &[u8]) -> Option<PathBuf> {
    let path = folder_of(root, at).join(OsStr::from_bytes(name));
    fs::symlink_metadata(&path).is_err().then_some(path)
}

fn remove(path: &Path) {
    if fs::symlink_metadata(path).unwrap().is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

fn put(path: &Path, node: &Node) {
    let name = path.file_name().unwrap().as_bytes().to_vec();
    let one = BTreeMap::from([(name, node.clone())]);
    make(path.parent().unwrap(), &one, &mut None);
}

fn apply(root: &Path, edit: &Edit) {
    let file = |at| any_of(root, at, fs::Metadata::is_file);
    match edit {
        Edit::Become(at, node) => {
            if let Some(path) = any_of(root, at, |_| true) {
                remove(&path);
                put(&path, node);
            }
        }
        Edit::Add(at, name, node) => {
            if let Some(path) = free(root, at, name) {
                put(&path, node);
            }
        }
        Edit::Remove(at) => {
            if let Some(path) = any_of(root, at, |_| true) {
                remove(&path);
            }
        }
        Edit::Move(at, to, name) => {
            if let (Some(from), Some(to)) = (any_of(root, at, |_| true), free(root, to, name))
                && !to.starts_with(&from)
            {
                fs::rename(from, to).unwrap();
            }
        }
        Edit::Link(at, to, name) => {
            if let (Some(from), Some(to)) = (file(at), free(root, to, name)) {
                fs::hard_link(from, to).unwrap();
            }
        }
        Edit::Write(at, place, bytes) => {
            if let Some(path) = file(at) {
                let file = OpenOptions::new().write(true).open(path).unwrap();
                let size = file.metadata().unwrap().len();
                file.write_all_at(bytes, u64::from(*place).min(size)).unwrap();
            }
        }
        Edit::Truncate(at, size) => {
            if let Some(path) = file(at) {
                let file = OpenOptions::new().write(true).open(path).unwrap();
                file.set_len((*size).into()).unwrap();
            }
        }
        Edit::Sparse(at, name, places, size) => {
            if let Some(path) = free(root, at, name) {
                let file = File::create(path).unwrap();
                for place in places {
                    file.write_all_at(&noise((*size).into(), 3), (*place).into())
                        .unwrap();
                }
                let end = file.metadata().unwrap().len();
                file.set_len(end + 1_000_000).unwrap();
            }
        }
        Edit::Mode(at, mode) => {
            let is_no_link = |metadata: &fs::Metadata| !metadata.is_symlink();
            if let Some(path) = any_of(root, at, is_no_link) {
                // Of what nobody may read there is no backup, unless by root.
                let needed = if path.is_dir() { 0o700 } else { 0o400 };
                fs::set_permissions(path, fs::Permissions::from_mode(mode | needed)).unwrap();
            }
        }
        Edit::Time(at, seconds, nanoseconds) => {
            if let Some(path) = any_of(root, at, |_| true) {
                set_time(&path, *seconds, *nanoseconds);
            }
        }
        Edit::Attribute(at, value) => {
            let is_no_link = |metadata: &fs::Metadata| !metadata.is_symlink();
            if let Some(path) = any_of(root, at, is_no_link) {
                // Not every file system has them; nor is there always one to take away.
                let _ = match value {
                    Some(value) => xattr::set(path, "user.holdfast.edited", value),
                    None => xattr::remove(path, "user.holdfast.edited"),
                };
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: rounds(12), max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_snapshot_of_any_history_is_the_tree_of_its_time(
        first in entries(),
        history in prop::collection::vec(prop::collection::vec(edit(), 0..12), 2..5),
        unstable_inodes in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("data");
        fs::create_dir(&root).unwrap();
        make(&root, &first, &mut None);
        let mut endpoint = Endpoint::new(&[&root], &[]);
        endpoint.spec.options.unstable_inodes = unstable_inodes;
        let mut snapshots = Vec::new();
        for edits in std::iter::once(&Vec::new()).chain(&history) {
            for edit in edits {
                apply(&root, edit);
            }
            // So long that what is not changed any more is trusted, and not read again.
            std::thread::sleep(Duration::from_millis(60));
            let look = describe(&root);
            let (figures, _) = endpoint.backup();
            snapshots.push((figures.manifest.hash, look));
        }
        for (manifest, look) in snapshots {
            let target = tempfile::tempdir().unwrap();
            endpoint.restore(&manifest, target.path(), &[]).unwrap();
            let restored = target.path().join(root.strip_prefix("/").unwrap());
            prop_assert_eq!(describe(&restored), look);
        }
    }
}

type Maker = fn(&Path);

/// Each change of kind, by name: what a random history may miss.
#[test]
fn a_name_that_becomes_something_else_is_that_in_its_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("data");
    let makers: [(&str, Maker); 4] = [
        ("file", |path| fs::write(path, b"a file").unwrap()),
        ("folder", |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("in it"), b"below").unwrap();
        }),
        ("symlink", |path| symlink("somewhere", path).unwrap()),
        ("nothing", |_| {}),
    ];
    for (was, before) in makers {
        for (is, after) in makers {
            let _ = fs::remove_dir_all(&root);
            fs::create_dir(&root).unwrap();
            fs::write(root.join("beside"), b"it").unwrap();
            let mut endpoint = Endpoint::new(&[&root], &[]);
            let looks = [before, after].map(|make| {
                let path = root.join("name");
                if fs::symlink_metadata(&path).is_ok() {
                    remove(&path);
                }
                make(&path);
                (describe(&root), endpoint.backup().0.manifest.hash)
            });
            for (look, manifest) in looks {
                let target = tempfile::tempdir().unwrap();
                endpoint.restore(&manifest, target.path(), &[]).unwrap();
                let restored = target.path().join(root.strip_prefix("/").unwrap());
                assert_eq!(describe(&restored), look, "{was} becomes {is}");
            }
        }
    }
}

/// 50 GiB with data in a few places: read, stored and put back without its holes.
#[test]
fn a_file_of_50_gib_comes_back_with_its_holes() {
    use std::os::unix::fs::MetadataExt;
    const SIZE: u64 = 50 << 30;
    const DATA: usize = 5_000_000;
    let places = [0, (7 << 30) + 12_345, (41 << 30) + 1, SIZE - DATA as u64];
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("data");
    fs::create_dir(&root).unwrap();
    let file = File::create(root.join("disk.img")).unwrap();
    file.set_len(SIZE).unwrap();
    for (place, seed) in places.into_iter().zip(0u8..) {
        file.write_all_at(&noise(DATA, seed * 3), place).unwrap();
    }
    let mut endpoint = Endpoint::new(&[&root], &[]);
    let (figures, header) = endpoint.backup();
    assert_eq!(header.totals.bytes, SIZE);
    assert!(
        header.totals.bytes_sent < 25_000_000,
        "{}",
        header.totals.bytes_sent
    );

    let target = tempfile::tempdir().unwrap();
    endpoint
        .restore(&figures.manifest.hash, target.path(), &[])
        .unwrap();
    let path = target
        .path()
        .join(root.strip_prefix("/").unwrap())
        .join("disk.img");
    let restored = File::open(&path).unwrap();
    let metadata = restored.metadata().unwrap();
    assert_eq!(metadata.len(), SIZE);
    assert!(metadata.blocks() * 512 < 64 << 20, "{} blocks", metadata.blocks());
    let mut bytes = vec![0; DATA];
    for (place, seed) in places.into_iter().zip(0u8..) {
        restored.read_exact_at(&mut bytes, place).unwrap();
        assert!(bytes == noise(DATA, seed * 3), "at {place}");
    }
    // Between them there is nothing but zeros.
    let mut at = 0;
    while let Ok(data) = rustix::fs::seek(&restored, rustix::fs::SeekFrom::Data(at)) {
        let hole = rustix::fs::seek(&restored, rustix::fs::SeekFrom::Hole(data)).unwrap();
        let mut bytes = vec![0; usize::try_from(hole - data).unwrap()];
        restored.read_exact_at(&mut bytes, data).unwrap();
        for (byte, place) in bytes.into_iter().zip(data..) {
            let is_ours = places
                .iter()
                .any(|ours| (*ours..ours + DATA as u64).contains(&place));
            assert!(byte == 0 || is_ours, "at {place}");
        }
        at = hole;
    }
}
