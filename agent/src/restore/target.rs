//! Writing below one folder and nowhere else: every step is taken from an open folder to a plain name, and no
//! link is ever followed.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Stat},
    io::Errno,
};

use super::plan::{Item, Plan};

/// What the names of unfinished files begin with. They stand beside the finished ones.
pub(super) const TEMPORARY: &str = ".holdfast-restore-";
/// Folders that are kept open.
const OPEN_FOLDERS: usize = 128;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const WRITE: OFlags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Which file it is, whatever it is called.
pub(super) type Identity = (u64, u64);

/// The folder below which everything is put.
pub(super) struct Target<'p> {
    root: Arc<OwnedFd>,
    plan: &'p Plan,
    open: Mutex<HashMap<usize, Arc<OwnedFd>>>,
}

impl<'p> Target<'p> {
    /// Opens the folder, and makes it if it is missing and `make` says so. It may be named through a link: that is
    /// its owner's choice.
    pub(super) fn open(folder: &Path, plan: &'p Plan, make: bool) -> io::Result<Option<Self>> {
        if !folder.is_dir() {
            if !make {
                return Ok(None);
            }
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, folder, flags, Mode::empty())?;
        Ok(Some(Self {
            root: Arc::new(root),
            plan,
            open: Mutex::default(),
        }))
    }

    fn item(&self, item: usize) -> &'p Item {
        &self.plan.items[item]
    }

    /// An item's name in its folder.
    pub(super) fn name(&self, item: usize) -> &'p [u8] {
        &self.item(item).name
    }

    /// Opens the folder that an item is in.
    pub(super) fn parent(&self, item: usize) -> io::Result<Arc<OwnedFd>> {
        match self.item(item).parent {
            None => Ok(self.root.clone()),
            Some(folder) => self.folder(folder),
        }
    }

    /// Opens a folder that was made or found before.
    pub(super) fn folder(&self, item: usize) -> io::Result<Arc<OwnedFd>> {
        // Up to the nearest folder that is open, and down again.
        let mut way = Vec::new();
        let mut at = self.root.clone();
        let mut up = Some(item);
        while let Some(step) = up {
            if let Some(open) = self.lock().get(&step) {
                at = open.clone();
                break;
            }
            way.push(step);
            up = self.item(step).parent;
        }
        for step in way.into_iter().rev() {
            at = Arc::new(rustix::fs::openat(&at, self.name(step), FOLDER, Mode::empty())?);
            let mut open = self.lock();
            if open.len() >= OPEN_FOLDERS {
                open.clear();
            }
            open.insert(step, at.clone());
        }
        Ok(at)
    }

    /// Opens a folder for a change of its looks.
    pub(super) fn own_folder(&self, item: usize) -> io::Result<File> {
        Ok(File::from(self.folder(item)?.try_clone()?))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Arc<OwnedFd>>> {
        // The map is whole after every statement that changes it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands under a name, if anything.
    pub(super) fn look(&self, folder: &OwnedFd, name: &[u8]) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a folder. One that only leads to others is nobody's secret; any other is private until it is finished.
    pub(super) fn make_folder(&self, item: usize) -> io::Result<()> {
        let mode = if self.item(item).looks.is_some() {
            Mode::RWXU
        } else {
            Mode::from_raw_mode(0o755)
        };
        Ok(rustix::fs::mkdirat(self.parent(item)?, self.name(item), mode)?)
    }

    /// Where a file stands until it is finished. The same for every restore: what one left behind, the next one
    /// finds.
    pub(super) fn temporary(&self, item: usize) -> String {
        let name = blake3::hash(self.name(item)).to_hex();
        format!("{TEMPORARY}{}", &name[..16])
    }

    /// Begins a file under its temporary name: a new one, whatever stands there.
    pub(super) fn create(&self, folder: &OwnedFd, item: usize) -> io::Result<File> {
        let temporary = self.temporary(item);
        let create =
            || rustix::fs::openat(folder, &temporary, WRITE | OFlags::CREATE | OFlags::EXCL, PRIVATE);
        match create() {
            Err(Errno::EXIST) => {
                rustix::fs::unlinkat(folder, &temporary, AtFlags::empty())?;
                Ok(File::from(create()?))
            }
            created => Ok(File::from(created?)),
        }
    }

    /// Opens what an earlier restore left of a file: only a private file of our own that has no other name.
    pub(super) fn leftover(&self, folder: &OwnedFd, item: usize) -> Option<File> {
        let flags = WRITE | OFlags::NONBLOCK;
        let file = rustix::fs::openat(folder, self.temporary(item), flags, Mode::empty()).ok()?;
        let stat = rustix::fs::fstat(&file).ok()?;
        let is_ours = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_uid == rustix::process::geteuid().as_raw()
            && stat.st_nlink == 1
            && Mode::from_raw_mode(stat.st_mode) == PRIVATE;
        is_ours.then(|| File::from(file))
    }

    /// Opens an unfinished file again, if it is still the same.
    pub(super) fn reopen(&self, folder: &OwnedFd, item: usize, identity: Identity) -> io::Result<File> {
        let file = rustix::fs::openat(
            folder,
            self.temporary(item),
            WRITE | OFlags::NONBLOCK,
            Mode::empty(),
        )?;
        if self::identity(&rustix::fs::fstat(&file)?) == identity {
            Ok(File::from(file))
        } else {
            Err(io::Error::other(
                "another file was put in the place of the unfinished one",
            ))
        }
    }

    /// Gives what stands under the temporary name its own. In the way may only be what `replace` allows to replace.
    pub(super) fn put_in_place(&self, folder: &OwnedFd, item: usize, replace: bool) -> io::Result<()> {
        let (from, to) = (self.temporary(item), self.name(item));
        if replace {
            return Ok(rustix::fs::renameat(folder, &from, folder, to)?);
        }
        match rustix::fs::renameat_with(folder, &from, folder, to, RenameFlags::NOREPLACE) {
            // A file system without that: a link fails likewise when something is in the way.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                rustix::fs::linkat(folder, &from, folder, to, AtFlags::empty())?;
                Ok(rustix::fs::unlinkat(folder, &from, AtFlags::empty())?)
            }
            done => Ok(done?),
        }
    }

    /// Removes what is left of an unfinished file.
    pub(super) fn discard(&self, item: usize) {
        if let Ok(folder) = self.parent(item) {
            let _ = rustix::fs::unlinkat(&folder, self.temporary(item), AtFlags::empty());
        }
    }

    /// Removes what an earlier restore left of a file that needs nothing any more.
    pub(super) fn tidy(&self, folder: &OwnedFd, item: usize) {
        if self.leftover(folder, item).is_some() {
            self.discard(item);
        }
    }

    /// Opens a finished or found file for reading, if it is one.
    pub(super) fn open_file(&self, folder: &OwnedFd, item: usize) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(folder, self.name(item), flags, Mode::empty())?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::other("no regular file stands there"))
        }
    }

    /// Gives the file `first`, which must be the one that is meant, its second name.
    pub(super) fn link(&self, first: usize, meant: Identity, item: usize, replace: bool) -> io::Result<()> {
        let (from, to) = (self.parent(first)?, self.parent(item)?);
        let name = if replace {
            self.temporary(item).into_bytes()
        } else {
            self.name(item).to_vec()
        };
        rustix::fs::linkat(&from, self.name(first), &to, &*name, AtFlags::empty())?;
        let made = rustix::fs::statat(&to, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
        if identity(&made) != meant {
            rustix::fs::unlinkat(&to, &*name, AtFlags::empty())?;
            return Err(io::Error::other(
                "another file was put in the place of its first name",
            ));
        }
        if replace {
            self.put_in_place(&to, item, true)?;
            // Two names of one file do not replace each other: then the temporary one is still there.
            let _ = rustix::fs::unlinkat(&to, &*name, AtFlags::empty());
        }
        Ok(())
    }

    /// Makes a symbolic link under the temporary name.
    pub(super) fn make_symlink(&self, folder: &OwnedFd, item: usize, to: &[u8]) -> io::Result<()> {
        let temporary = self.temporary(item);
        match rustix::fs::symlinkat(to, folder, &temporary) {
            Err(Errno::EXIST) => {
                rustix::fs::unlinkat(folder, &temporary, AtFlags::empty())?;
                Ok(rustix::fs::symlinkat(to, folder, &temporary)?)
            }
            made => Ok(made?),
        }
    }

    /// Asks the system to write everything to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&*self.root)?)
    }
}

/// Which file a look was at.
pub(super) fn identity(stat: &Stat) -> Identity {
    (stat.st_dev, stat.st_ino)
}
