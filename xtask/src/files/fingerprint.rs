//! The fingerprint of a folder: names, types, hashes of contents and metadata, so that two folders can be compared.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// The fingerprint of a folder.
pub struct TreeFingerprint {
    entries: BTreeMap<PathBuf, Entry>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Regular files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Symbolic links.
    pub links: u64,
    /// Extended attributes.
    pub xattrs: u64,
    /// Bytes of contents.
    pub bytes: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    kind: Kind,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: (i64, i64),
    xattrs: BTreeMap<OsString, Vec<u8>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    File { size_bytes: u64, hash: [u8; 32] },
    Folder,
    Link { target: PathBuf },
    Other,
}

impl TreeFingerprint {
    /// Looks at a folder, itself included.
    pub fn of(root: &Path) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for entry in walkdir::WalkDir::new(root) {
            let entry = entry?;
            let path = entry.path();
            let look = Entry::of(path).with_context(|| path.display().to_string())?;
            entries.insert(path.strip_prefix(root)?.to_owned(), look);
        }
        Ok(Self { entries })
    }

    /// How much there is.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for entry in self.entries.values() {
            totals.xattrs += entry.xattrs.len() as u64;
            match &entry.kind {
                Kind::File { size_bytes, .. } => {
                    totals.files += 1;
                    totals.bytes += size_bytes;
                }
                Kind::Folder => totals.folders += 1,
                Kind::Link { .. } => totals.links += 1,
                Kind::Other => {}
            }
        }
        totals
    }

    /// What is not as in `expected`, a line each.
    pub fn differences(&self, expected: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (path, wanted) in &expected.entries {
            match self.entries.get(path) {
                None => found.push(format!("{path:?}: missing")),
                Some(entry) if entry != wanted => {
                    let what = entry.differs_in(wanted);
                    found.push(format!("{path:?}: {}", what.join(", ")));
                }
                Some(_) => {}
            }
        }
        for path in self.entries.keys() {
            if !expected.entries.contains_key(path) {
                found.push(format!("{path:?}: was not there"));
            }
        }
        found
    }
}

impl Entry {
    fn of(path: &Path) -> Result<Self> {
        let meta = fs::symlink_metadata(path)?;
        let file_type = meta.file_type();
        let kind = if file_type.is_file() {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(File::open(path)?)?;
            Kind::File {
                size_bytes: meta.len(),
                hash: *hasher.finalize().as_bytes(),
            }
        } else if file_type.is_dir() {
            Kind::Folder
        } else if file_type.is_symlink() {
            Kind::Link {
                target: fs::read_link(path)?,
            }
        } else {
            debug_assert!(file_type.is_fifo() || file_type.is_socket() || file_type.is_block_device());
            Kind::Other
        };
        let mut xattrs = BTreeMap::new();
        // The other name spaces belong to the system, not to the folder's owner.
        for name in xattr::list(path).into_iter().flatten() {
            if name.as_encoded_bytes().starts_with(b"user.")
                && let Some(value) = xattr::get(path, &name)?
            {
                xattrs.insert(name, value);
            }
        }
        Ok(Self {
            kind,
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            xattrs,
        })
    }

    fn differs_in(&self, wanted: &Self) -> Vec<String> {
        let mut what = Vec::new();
        if self.kind != wanted.kind {
            what.push(match (&self.kind, &wanted.kind) {
                (Kind::File { size_bytes: is, .. }, Kind::File { size_bytes: was, .. }) if is == was => {
                    "other contents".to_owned()
                }
                (Kind::File { size_bytes: is, .. }, Kind::File { size_bytes: was, .. }) => {
                    format!("{is} bytes instead of {was}")
                }
                (Kind::Link { target: is }, Kind::Link { target: was }) => {
                    format!("points to {is:?} instead of {was:?}")
                }
                (is, was) => format!("{is:?} instead of {was:?}"),
            });
        }
        if self.mode != wanted.mode {
            what.push(format!("mode {:o} instead of {:o}", self.mode, wanted.mode));
        }
        if (self.uid, self.gid) != (wanted.uid, wanted.gid) {
            what.push(format!(
                "owner {}:{} instead of {}:{}",
                self.uid, self.gid, wanted.uid, wanted.gid
            ));
        }
        if self.mtime != wanted.mtime {
            what.push(format!(
                "time {}.{:09} instead of {}.{:09}",
                self.mtime.0, self.mtime.1, wanted.mtime.0, wanted.mtime.1
            ));
        }
        if self.xattrs != wanted.xattrs {
            what.push(format!("xattrs {:?} instead of {:?}", self.xattrs, wanted.xattrs));
        }
        what
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn each_kind_of_difference_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("file"), "one").unwrap();
        symlink("here", root.join("link")).unwrap();
        let first = TreeFingerprint::of(root).unwrap();
        let differs = |what: &str| {
            let found = TreeFingerprint::of(root).unwrap().differences(&first);
            assert!(found.iter().any(|line| line.contains(what)), "{what}: {found:?}");
        };
        assert!(TreeFingerprint::of(root).unwrap().differences(&first).is_empty());
        fs::write(root.join("file"), "two").unwrap();
        differs("other contents");
        differs("time");
        fs::set_permissions(root.join("file"), fs::Permissions::from_mode(0o600)).unwrap();
        differs("mode 600 instead of");
        fs::remove_file(root.join("link")).unwrap();
        differs("missing");
        symlink("there", root.join("link")).unwrap();
        differs("points to");
        fs::write(root.join("extra"), "").unwrap();
        differs("was not there");
    }
}
