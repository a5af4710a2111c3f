//! Random trees, and the comparison of two trees.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::Path,
};

use proptest::prelude::*;

/// Something to make.
#[derive(Debug, Clone)]
pub enum Node {
    File {
        size: usize,
        seed: u8,
        mode: u32,
        xattr: bool,
    },
    Folder {
        mode: u32,
        entries: BTreeMap<Vec<u8>, Node>,
    },
    Symlink(Vec<u8>),
    /// Another name of the first file made, if any.
    HardLink,
}

pub fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-z]{1,8}(\\.[a-z]{1,3})?".prop_map(String::into_bytes),
        "[ -.0-~äß漢\\n]{1,12}".prop_map(String::into_bytes),
        prop::collection::vec((1u8..=255).prop_filter("a slash", |byte| *byte != b'/'), 1..10),
    ]
    .prop_filter("dots", |name| name != b"." && name != b"..")
}

pub fn node() -> impl Strategy<Value = Node> {
    let size = prop_oneof![6 => 0usize..2000, 1 => Just(0), 1 => 200_000usize..400_000, 1 => 1_000_000usize..6_000_000];
    let file = (size, any::<u8>(), 0o400u32..=0o777, any::<bool>()).prop_map(|(size, seed, mode, xattr)| {
        Node::File {
            size,
            seed,
            mode: mode | 0o400,
            xattr,
        }
    });
    let link = "[a-z./]{1,20}".prop_map(|target| Node::Symlink(target.into_bytes()));
    let leaf = prop_oneof![8 => file, 2 => link, 1 => Just(Node::HardLink)];
    leaf.prop_recursive(4, 40, 8, |inner| {
        (0o700u32..=0o777, prop::collection::btree_map(name(), inner, 0..8))
            .prop_map(|(mode, entries)| Node::Folder { mode, entries })
    })
}

pub fn entries() -> impl Strategy<Value = BTreeMap<Vec<u8>, Node>> {
    prop::collection::btree_map(name(), node(), 0..10)
}

pub fn noise(size: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; size];
    // Some compressible, some zero, some not.
    match seed % 3 {
        0 => blake3::Hasher::new()
            .update(&[seed])
            .finalize_xof()
            .fill(&mut bytes),
        1 => bytes
            .iter_mut()
            .zip(0u32..)
            .for_each(|(byte, i)| *byte = seed.wrapping_add((i / 997).to_le_bytes()[0])),
        _ => {}
    }
    bytes
}

pub fn make(folder: &Path, entries: &BTreeMap<Vec<u8>, Node>, first: &mut Option<std::path::PathBuf>) {
    for (name, node) in entries {
        let path = folder.join(OsStr::from_bytes(name));
        match node {
            Node::File {
                size,
                seed,
                mode,
                xattr,
            } => {
                fs::write(&path, noise(*size, *seed)).unwrap();
                if *xattr {
                    // Not every file system has them.
                    let _ = xattr::set(&path, "user.holdfast.test", &[*seed, 0, 255]);
                }
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
                set_time(
                    &path,
                    i64::from(*seed) * 10_000_000 - 1_000_000,
                    u32::from(*seed) * 3_000_001,
                );
                first.get_or_insert(path);
            }
            Node::Folder { mode, entries } => {
                fs::create_dir(&path).unwrap();
                make(&path, entries, first);
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
                set_time(&path, i64::from(*mode) * 1_000_000, *mode);
            }
            Node::Symlink(target) => symlink(OsStr::from_bytes(target), &path).unwrap(),
            Node::HardLink => {
                if let Some(first) = first {
                    fs::hard_link(first, &path).unwrap();
                }
            }
        }
    }
}

pub fn set_time(path: &Path, seconds: i64, nanoseconds: u32) {
    let at = rustix::fs::Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.into(),
    };
    let times = rustix::fs::Timestamps {
        last_access: at,
        last_modification: at,
    };
    rustix::fs::utimensat(
        rustix::fs::CWD,
        path,
        &times,
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )
    .unwrap();
}

/// Everything that a restore must bring back, by path: kind, mode, owner, time, attributes, content.
pub fn describe(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut inodes: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    walkdir::WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| {
            let entry = entry.unwrap();
            let path = entry.path();
            let relative = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            let metadata = fs::symlink_metadata(path).unwrap();
            let kind = metadata.file_type();
            let content = if kind.is_file() {
                let link = if metadata.nlink() > 1 {
                    inodes
                        .entry(metadata.ino())
                        .or_insert_with(|| relative.clone())
                        .clone()
                } else {
                    Vec::new()
                };
                format!("file {} link {link:?}", blake3::hash(&fs::read(path).unwrap()))
            } else if kind.is_symlink() {
                format!("symlink {:?}", fs::read_link(path).unwrap())
            } else {
                "folder".to_owned()
            };
            let attributes: BTreeMap<_, _> = xattr::list(path)
                .map(|names| {
                    names
                        .filter(|name| name.as_bytes().starts_with(b"user."))
                        .map(|name| (name.clone(), xattr::get(path, name).unwrap()))
                        .collect()
                })
                .unwrap_or_default();
            let text = format!(
                "{content} mode {:o} owner {}:{} mtime {}.{:09} xattrs {attributes:?}",
                metadata.mode(),
                metadata.uid(),
                metadata.gid(),
                metadata.mtime(),
                metadata.mtime_nsec(),
            );
            (relative, text)
        })
        .collect()
}
