//! Writing below one folder and nowhere else: every step is taken from an open folder to a plain name, and no
//! link is ever followed.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{DirBuilderExt, FileExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid},
    io::Errno,
};

use super::plan::{Item, Looks, Plan, What};
use crate::metadata;

/// Why something cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Something stands where a restored name belongs.
    #[error("`{0}` exists already: a restore never overwrites. Choose an empty folder")]
    Collision(String),
    /// The system said no.
    #[error("{path}: {error}")]
    Io {
        /// Where.
        path: String,
        /// What the system says.
        error: io::Error,
    },
}

impl TargetError {
    /// What the server may know.
    pub(super) fn public(&self) -> &'static str {
        match self {
            Self::Collision(_) => "something exists already where a restored name belongs",
            Self::Io { error, .. } if error.kind() == io::ErrorKind::StorageFull => {
                "the target's disk is full"
            }
            Self::Io { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                "the target may not be written"
            }
            Self::Io { .. } => "the target cannot be written",
        }
    }
}

/// The folder below which everything is put.
pub(super) struct Target<'p> {
    root: OwnedFd,
    folder: PathBuf,
    plan: &'p Plan,
    as_root: bool,
    temporary: String,
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl<'p> Target<'p> {
    pub(super) fn open(folder: &Path, plan: &'p Plan, token: [u8; 8]) -> Result<Self, TargetError> {
        let failed = |error: io::Error| TargetError::Io {
            path: folder.display().to_string(),
            error,
        };
        if !folder.is_dir() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(failed)?;
        }
        // The target itself may be named through a link: that is its owner's choice.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root =
            rustix::fs::openat(CWD, folder, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        Ok(Self {
            root,
            folder: folder.to_owned(),
            plan,
            as_root: rustix::process::geteuid().is_root(),
            temporary: format!(".holdfast-{}", data_encoding::HEXLOWER.encode(&token)),
        })
    }

    pub(super) const fn as_root(&self) -> bool {
        self.as_root
    }

    fn item(&self, item: usize) -> &'p Item {
        &self.plan.items[item]
    }

    pub(super) fn failed(&self, item: usize, error: impl Into<io::Error>) -> TargetError {
        TargetError::Io {
            path: self.folder.join(self.plan.path(item)).display().to_string(),
            error: error.into(),
        }
    }

    /// Opens the folder that an item is in.
    pub(super) fn parent(&self, item: usize) -> Result<OwnedFd, TargetError> {
        match self.item(item).parent {
            None => self.root.try_clone().map_err(|error| self.failed(item, error)),
            Some(folder) => self.folder(folder),
        }
    }

    /// Opens a folder that was made or found before.
    pub(super) fn folder(&self, item: usize) -> Result<OwnedFd, TargetError> {
        let mut way = vec![item];
        while let Some(parent) = self.item(way[way.len() - 1]).parent {
            way.push(parent);
        }
        let mut at: Option<OwnedFd> = None;
        for step in way.into_iter().rev() {
            let from = at.as_ref().unwrap_or(&self.root);
            let next = rustix::fs::openat(from, self.item(step).name.as_slice(), FOLDER, Mode::empty())
                .map_err(|error| self.failed(step, error))?;
            at = Some(next);
        }
        match at {
            Some(fd) => Ok(fd),
            None => self.root.try_clone().map_err(|error| self.failed(item, error)),
        }
    }

    /// Looks for what is in the way, before anything is written. Says for each item whether it is a folder that
    /// exists.
    pub(super) fn check(&self) -> Result<Vec<bool>, TargetError> {
        let mut exists = vec![false; self.plan.items.len()];
        let mut open: Option<(Option<usize>, OwnedFd)> = None;
        for (index, item) in self.plan.items.iter().enumerate() {
            if item.parent.is_some_and(|parent| !exists[parent]) {
                continue;
            }
            let folder = match open.take() {
                Some((parent, fd)) if parent == item.parent => fd,
                _ => self.parent(index)?,
            };
            let found = rustix::fs::statat(&folder, item.name.as_slice(), AtFlags::SYMLINK_NOFOLLOW);
            match found {
                Err(Errno::NOENT) => {}
                Err(error) => return Err(self.failed(index, error)),
                Ok(stat) => {
                    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                    if !(is_folder && matches!(item.what, What::Folder)) {
                        let path = self.folder.join(self.plan.path(index));
                        return Err(TargetError::Collision(path.display().to_string()));
                    }
                    exists[index] = true;
                }
            }
            open = Some((item.parent, folder));
        }
        Ok(exists)
    }

    pub(super) fn make_folder(&self, item: usize) -> Result<(), TargetError> {
        let parent = self.parent(item)?;
        rustix::fs::mkdirat(&parent, self.item(item).name.as_slice(), Mode::RWXU)
            .map_err(|error| self.failed(item, error))
    }

    /// Whether two items are in one folder.
    pub(super) fn same_folder(&self, a: usize, b: usize) -> bool {
        self.item(a).parent == self.item(b).parent
    }

    fn temporary_name(&self, item: usize) -> String {
        format!("{}-{item}", self.temporary)
    }

    /// Opens a file's temporary name for writing.
    pub(super) fn open_file(&self, folder: &OwnedFd, item: usize) -> Result<File, TargetError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(folder, self.temporary_name(item), flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(|error| self.failed(item, error))
    }

    pub(super) fn write(
        &self,
        file: &File,
        item: usize,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), TargetError> {
        file.write_all_at(bytes, offset)
            .map_err(|error| self.failed(item, error))
    }

    /// Gives a written file its length, its looks and its name.
    pub(super) fn finish_file(
        &self,
        folder: &OwnedFd,
        file: &File,
        item: usize,
        notes: &mut Vec<String>,
    ) -> Result<(), TargetError> {
        let What::File { size_bytes, .. } = &self.item(item).what else {
            return Ok(());
        };
        file.set_len(*size_bytes)
            .map_err(|error| self.failed(item, error))?;
        if let Some(looks) = &self.item(item).looks {
            self.apply(file, item, looks, notes)?;
        }
        let (from, to) = (self.temporary_name(item), self.item(item).name.as_slice());
        match rustix::fs::renameat_with(folder, &from, folder, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            // A file system without that: a link fails likewise when something is in the way.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                rustix::fs::linkat(folder, &from, folder, to, AtFlags::empty())
                    .and_then(|()| rustix::fs::unlinkat(folder, &from, AtFlags::empty()))
                    .map_err(|error| self.failed(item, error))
            }
            Err(error) => Err(self.failed(item, error)),
        }
    }

    /// Removes what a failed restore left of a file.
    pub(super) fn discard(&self, item: usize) {
        if let Ok(folder) = self.parent(item) {
            let _ = rustix::fs::unlinkat(&folder, self.temporary_name(item), AtFlags::empty());
        }
    }

    /// Gives a file its second name.
    pub(super) fn link(&self, first: usize, item: usize) -> Result<(), TargetError> {
        let (from, to) = (self.parent(first)?, self.parent(item)?);
        rustix::fs::linkat(
            &from,
            self.item(first).name.as_slice(),
            &to,
            self.item(item).name.as_slice(),
            AtFlags::empty(),
        )
        .map_err(|error| self.failed(item, error))
    }

    pub(super) fn make_symlink(
        &self,
        item: usize,
        target: &[u8],
        notes: &mut Vec<String>,
    ) -> Result<(), TargetError> {
        let folder = self.parent(item)?;
        let name = self.item(item).name.as_slice();
        rustix::fs::symlinkat(target, &folder, name).map_err(|error| self.failed(item, error))?;
        let Some(looks) = &self.item(item).looks else {
            return Ok(());
        };
        if self.as_root {
            let (uid, gid) = owner(looks);
            rustix::fs::chownat(&folder, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| self.failed(item, error))?;
        }
        // The folder is pinned by its descriptor, and the last step follows no link.
        let path = Path::new("/proc/self/fd")
            .join(folder.as_raw_fd().to_string())
            .join(metadata::os(name));
        for attribute in &looks.xattrs {
            if let Err(error) = xattr::set(&path, metadata::os(&attribute.name), &attribute.value) {
                notes.push(self.attribute_note(item, &attribute.name, &error));
            }
        }
        rustix::fs::utimensat(&folder, name, &times(looks), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.failed(item, error))
    }

    pub(super) fn finish_folder(
        &self,
        item: usize,
        looks: &Looks,
        notes: &mut Vec<String>,
    ) -> Result<(), TargetError> {
        let folder = File::from(self.folder(item)?);
        self.apply(&folder, item, looks, notes)
    }

    /// Owner first: a change of owner takes set-user-id bits and capabilities away. Times last.
    fn apply(
        &self,
        file: &File,
        item: usize,
        looks: &Looks,
        notes: &mut Vec<String>,
    ) -> Result<(), TargetError> {
        let mut mode = looks.mode;
        if self.as_root {
            let (uid, gid) = owner(looks);
            rustix::fs::fchown(file, uid, gid).map_err(|error| self.failed(item, error))?;
        } else {
            // Another owner's set-user-id program must not become ours.
            let mine = (
                rustix::process::geteuid().as_raw(),
                rustix::process::getegid().as_raw(),
            );
            if mine != (looks.uid, looks.gid) {
                mode &= !0o6000;
            }
        }
        for attribute in &looks.xattrs {
            use xattr::FileExt;
            if let Err(error) = file.set_xattr(metadata::os(&attribute.name), &attribute.value) {
                notes.push(self.attribute_note(item, &attribute.name, &error));
            }
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode)).map_err(|error| self.failed(item, error))?;
        rustix::fs::futimens(file, &times(looks)).map_err(|error| self.failed(item, error))
    }

    fn attribute_note(&self, item: usize, name: &[u8], error: &io::Error) -> String {
        format!(
            "{}: the attribute {} could not be set: {error}",
            self.plan.path(item),
            String::from_utf8_lossy(name)
        )
    }

    /// Asks the system to write everything to the disk.
    pub(super) fn sync(&self) -> Result<(), TargetError> {
        rustix::fs::syncfs(&self.root).map_err(|error| TargetError::Io {
            path: self.folder.display().to_string(),
            error: error.into(),
        })
    }
}

fn owner(looks: &Looks) -> (Option<Uid>, Option<Gid>) {
    // The largest number means "leave it" to the system: nobody owns with it.
    let real = |id: u32| (id != u32::MAX).then_some(id);
    (
        real(looks.uid).map(Uid::from_raw),
        real(looks.gid).map(Gid::from_raw),
    )
}

fn times(looks: &Looks) -> Timestamps {
    let at = Timespec {
        tv_sec: looks.mtime.seconds,
        tv_nsec: looks.mtime.nanoseconds.into(),
    };
    Timestamps {
        last_access: at,
        last_modification: at,
    }
}
