//! Giving what was written its owner, permissions, attributes and times.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::{Mutex, PoisonError},
};

use rustix::{
    fs::{AtFlags, CWD, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
    process::{getegid, geteuid},
};
use xattr::FileExt as _;

use repository::tree::Xattr;

use super::{grown, os, xattrs_of_name};
use crate::{acl, escape::escaped, snapshot::Metadata};
use shared::words::counted;

/// How many files, and the path of one, by what was not possible, the attribute and the system's reason.
type Misses = BTreeMap<(Miss, String, String), (u64, String)>;

/// Sets the metadata of files, and gathers what could not be set.
pub(crate) struct MetadataWriter {
    as_root: bool,
    /// Whoever the restore runs as.
    own: (u32, u32),
    misses: Mutex<Misses>,
}

/// What was not possible with an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Miss {
    /// It is in the backup.
    Set,
    /// It is not in the backup, and stays.
    Remove,
}

impl MetadataWriter {
    pub(crate) fn new() -> Self {
        Self {
            as_root: geteuid().is_root(),
            own: (geteuid().as_raw(), getegid().as_raw()),
            misses: Mutex::default(),
        }
    }

    /// Whether owners can be set.
    pub(crate) const fn as_root(&self) -> bool {
        self.as_root
    }

    /// First what the backup does not have goes: an inherited access control list must not come into force with the
    /// permissions. Then the owner: a change of owner takes set-user-id bits and capabilities away. Times last. `path` is
    /// for notes.
    pub(crate) fn apply(&self, file: &File, looks: &Metadata, path: impl Fn() -> String) -> io::Result<()> {
        self.strip(file, looks, &path)?;
        if self.as_root {
            let (uid, gid) = owner(looks);
            rustix::fs::fchown(file, uid, gid)?;
        }
        self.apply_owned(file, looks, path)
    }

    /// Takes away the attributes that the backup does not have, access control lists among them.
    fn strip(&self, file: &File, looks: &Metadata, path: &impl Fn() -> String) -> io::Result<()> {
        let names = match grown(|list| rustix::fs::flistxattr(file, list)) {
            // A file system without attributes.
            Err(Errno::NOTSUP) => return Ok(()),
            names => names?,
        };
        for name in foreign(&names, looks) {
            if name == acl::ACCESS {
                // The list's mask stands where the group's permissions do, and would pass for them.
                let mode = rustix::fs::fstat(file)?.st_mode & looks.mode & 0o777;
                rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
            }
            let removed = rustix::fs::fremovexattr(file, name);
            self.removed(name, removed, path);
        }
        Ok(())
    }

    fn removed(&self, name: &[u8], removed: rustix::io::Result<()>, path: &impl Fn() -> String) {
        match removed {
            // It was gone already.
            Ok(()) | Err(Errno::NODATA) => {}
            Err(error) => self.miss(Miss::Remove, name, &error.into(), path),
        }
    }

    /// The same for a file of this restore's own making, which has nothing that a change of owner would take away. Most are
    /// root's, as what root makes is: to look costs less than to give a file to whoever has it.
    pub(crate) fn apply_new(
        &self,
        file: &File,
        looks: &Metadata,
        path: impl Fn() -> String,
    ) -> io::Result<()> {
        if self.as_root && !is_owned(&rustix::fs::fstat(file)?, looks) {
            return self.apply(file, looks, path);
        }
        self.strip(file, looks, &path)?;
        self.apply_owned(file, looks, path)
    }

    fn apply_owned(&self, file: &File, looks: &Metadata, path: impl Fn() -> String) -> io::Result<()> {
        for attribute in &looks.xattrs {
            if let Err(error) = file.set_xattr(os(&attribute.name), &attribute.value) {
                self.miss(Miss::Set, &attribute.name, &error, &path);
            }
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode(looks)))?;
        Ok(rustix::fs::futimens(file, &times(looks))?)
    }

    /// The same for a symbolic link, by a handle that nobody can read from: see [`Target::open_symlink`]. Its name may stand for
    /// another file by now.
    ///
    /// [`Target::open_symlink`]: super::target::Target::open_symlink
    pub(crate) fn apply_to_link(
        &self,
        link: &OwnedFd,
        looks: &Metadata,
        path: impl Fn() -> String,
    ) -> io::Result<()> {
        if self.as_root && !is_owned(&rustix::fs::fstat(link)?, looks) {
            let (uid, gid) = owner(looks);
            rustix::fs::chownat(link, c"", uid, gid, AtFlags::EMPTY_PATH)?;
        }
        // An error is that of a file system without attributes.
        let names = grown(|list| rustix::fs::listxattr(by_handle(link), list)).unwrap_or_default();
        for name in foreign(&names, looks) {
            let removed = rustix::fs::removexattr(by_handle(link), name);
            self.removed(name, removed, &path);
        }
        for attribute in &looks.xattrs {
            // No call sets attributes by such a handle. The system's own name of it stands for the link itself, and is
            // resolved no further.
            let set = rustix::fs::setxattr(
                by_handle(link),
                attribute.name.as_slice(),
                &attribute.value,
                XattrFlags::empty(),
            );
            if let Err(error) = set {
                self.miss(Miss::Set, &attribute.name, &error.into(), &path);
            }
        }
        let times = times(looks);
        match rustix::fs::utimensat(link, c"", &times, AtFlags::EMPTY_PATH) {
            // Linux before 5.8.
            Err(Errno::INVAL) => rustix::fs::utimensat(CWD, by_handle(link), &times, AtFlags::empty())?,
            done => done?,
        }
        Ok(())
    }

    /// Whether what was found under a name looks so already.
    pub(crate) fn fits(&self, folder: &OwnedFd, name: &[u8], stat: &Stat, looks: &Metadata) -> bool {
        let is_symlink = stat.st_mode & 0o170_000 == 0o120_000;
        let owned = !self.as_root || is_owned(stat, looks);
        owned
            && (is_symlink || stat.st_mode & 0o7777 == self.mode(looks))
            && same_time(stat, looks)
            && xattrs_of_name(folder, name).is_ok_and(|there| has_attributes(there, looks))
    }

    /// Another owner's set-user-id program must not become ours.
    fn mode(&self, looks: &Metadata) -> u32 {
        if self.as_root || self.own == (looks.uid, looks.gid) {
            looks.mode
        } else {
            looks.mode & !0o6000
        }
    }

    fn miss(&self, miss: Miss, attribute: &[u8], error: &io::Error, path: &impl Fn() -> String) {
        let mut misses = self.misses.lock().unwrap_or_else(PoisonError::into_inner);
        let miss = misses
            .entry((miss, escaped(attribute), error.to_string()))
            .or_insert_with(|| (0, path()));
        miss.0 += 1;
    }

    /// What could not be set, a sentence each.
    pub(crate) fn notes(self) -> Vec<String> {
        let misses = self.misses.into_inner().unwrap_or_else(PoisonError::into_inner);
        misses
            .into_iter()
            .map(|((miss, attribute, error), (count, example))| {
                let files = counted(count, "file", "files");
                match miss {
                    Miss::Set => format!(
                        "the attribute {attribute} could not be set on {files}, such as {example}: {error}"
                    ),
                    Miss::Remove => format!(
                        "the attribute {attribute}, which the backup does not have, stays on {files}, such as \
                         {example}: {error}"
                    ),
                }
            })
            .collect()
    }
}

/// Those of the names, each ended by a zero, that are not in the backup and can be taken away.
fn foreign<'n>(names: &'n [u8], looks: &Metadata) -> impl Iterator<Item = &'n [u8]> {
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.filter(|name| !is_label(name) && !looks.xattrs.iter().any(|kept| kept.name == *name))
}

/// What the system's own policy gives a file, on this machine and by its rules.
fn is_label(name: &[u8]) -> bool {
    name.starts_with(b"security.") && name != b"security.capability"
}

fn has_attributes(mut there: Vec<Xattr>, looks: &Metadata) -> bool {
    there.retain(|found| !is_label(&found.name) || looks.xattrs.iter().any(|kept| kept.name == found.name));
    there == looks.xattrs
}

/// Whether a file's modification time is the one in the backup.
pub(crate) fn same_time(stat: &Stat, looks: &Metadata) -> bool {
    stat.st_mtime == looks.mtime.seconds && u64::from(looks.mtime.nanoseconds) == stat.st_mtime_nsec
}

/// The name that the system gives an open handle.
fn by_handle(handle: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}

fn is_owned(stat: &Stat, looks: &Metadata) -> bool {
    (stat.st_uid, stat.st_gid) == (looks.uid, looks.gid)
}

fn owner(looks: &Metadata) -> (Option<Uid>, Option<Gid>) {
    // The largest number means "leave it" to the system: nobody owns with it.
    let real = |id: u32| (id != u32::MAX).then_some(id);
    (
        real(looks.uid).map(Uid::from_raw),
        real(looks.gid).map(Gid::from_raw),
    )
}

fn times(looks: &Metadata) -> Timestamps {
    let at = Timespec {
        tv_sec: looks.mtime.seconds,
        tv_nsec: looks.mtime.nanoseconds.into(),
    };
    Timestamps {
        last_access: at,
        last_modification: at,
    }
}
