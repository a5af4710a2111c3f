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

use crate::snapshot::{Item, Tree};

/// What the names of unfinished files begin with. They stand beside the finished ones.
pub(crate) const TEMPORARY: &str = ".holdfast-restore-";
/// Folders that are kept open.
const OPEN_FOLDERS: usize = 128;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const WRITE: OFlags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Which file it is, whatever it is called.
pub(crate) type FileId = (u64, u64);

/// The folder below which everything is put.
pub(crate) struct Target<'p> {
    root: Arc<OwnedFd>,
    plan: &'p Tree,
    open: Mutex<HashMap<usize, Arc<OwnedFd>>>,
}

impl<'p> Target<'p> {
    /// Opens the folder, and makes it if it is missing and `make` says so. It may be named through a link: that is
    /// its owner's choice.
    pub(crate) fn open(folder: &Path, plan: &'p Tree, make: bool) -> io::Result<Option<Self>> {
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
    pub(crate) fn name(&self, item: usize) -> &'p [u8] {
        &self.item(item).name
    }

    /// Opens the folder that an item is in.
    pub(crate) fn parent(&self, item: usize) -> io::Result<Arc<OwnedFd>> {
        match self.item(item).parent {
            None => Ok(self.root.clone()),
            Some(folder) => self.folder(folder),
        }
    }

    /// Opens a folder that was made or found before.
    pub(crate) fn folder(&self, item: usize) -> io::Result<Arc<OwnedFd>> {
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
    pub(crate) fn own_folder(&self, item: usize) -> io::Result<File> {
        Ok(File::from(self.folder(item)?.try_clone()?))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Arc<OwnedFd>>> {
        // The map is whole after every statement that changes it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands under a name, if anything.
    pub(crate) fn look(&self, folder: &OwnedFd, name: &[u8]) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a folder. One that only leads to others is nobody's secret; any other is private until it is finished.
    pub(crate) fn make_folder(&self, item: usize) -> io::Result<()> {
        let mode = if self.item(item).looks.is_some() {
            Mode::RWXU
        } else {
            Mode::from_raw_mode(0o755)
        };
        Ok(rustix::fs::mkdirat(self.parent(item)?, self.name(item), mode)?)
    }

    /// Where a file stands until it is finished. The same for every restore: what one left behind, the next one
    /// finds.
    pub(crate) fn temporary(&self, item: usize) -> String {
        let name = blake3::hash(self.name(item)).to_hex();
        format!("{TEMPORARY}{}", &name[..16])
    }

    /// Begins a file under its temporary name: a new one, whatever stands there.
    pub(crate) fn create(&self, folder: &OwnedFd, item: usize) -> io::Result<File> {
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
    pub(crate) fn leftover(&self, folder: &OwnedFd, item: usize) -> Option<File> {
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
    pub(crate) fn reopen(&self, folder: &OwnedFd, item: usize, identity: FileId) -> io::Result<File> {
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
    pub(crate) fn put_in_place(&self, folder: &OwnedFd, item: usize, replace: bool) -> io::Result<()> {
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
    pub(crate) fn discard(&self, item: usize) {
        if let Ok(folder) = self.parent(item) {
            let _ = rustix::fs::unlinkat(&folder, self.temporary(item), AtFlags::empty());
        }
    }

    /// Removes what an earlier restore left of a file that needs nothing any more.
    pub(crate) fn tidy(&self, folder: &OwnedFd, item: usize) {
        if self.leftover(folder, item).is_some() {
            self.discard(item);
        }
    }

    /// Opens a finished or found file for reading, if it is one.
    pub(crate) fn open_file(&self, folder: &OwnedFd, item: usize) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(folder, self.name(item), flags, Mode::empty())?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::other("no regular file stands there"))
        }
    }

    /// Opens a file that was looked at before, if it is still the same.
    pub(crate) fn open_found(&self, item: usize, found: Option<FileId>) -> io::Result<File> {
        let file = self.open_file(&*self.parent(item)?, item)?;
        let opened = identity(&rustix::fs::fstat(&file)?);
        if found.is_some_and(|found| found != opened) {
            return Err(io::Error::other("another file was put in its place"));
        }
        Ok(file)
    }

    /// Gives the file `first`, which must be the one that is meant, its second name.
    pub(crate) fn link(&self, first: usize, meant: FileId, item: usize, replace: bool) -> io::Result<()> {
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

    /// Makes a symbolic link under the temporary name, and gives a handle of it.
    pub(crate) fn make_symlink(&self, folder: &OwnedFd, item: usize, to: &[u8]) -> io::Result<OwnedFd> {
        let temporary = self.temporary(item);
        match rustix::fs::symlinkat(to, folder, &temporary) {
            Err(Errno::EXIST) => {
                rustix::fs::unlinkat(folder, &temporary, AtFlags::empty())?;
                rustix::fs::symlinkat(to, folder, &temporary)?;
            }
            made => made?,
        }
        open_symlink(folder, temporary.as_bytes(), to, None)
    }

    /// A handle of the symbolic link that was found under an item's name: the one that points to `to`, and that was looked at
    /// before.
    pub(crate) fn open_symlink(&self, item: usize, to: &[u8], found: Option<FileId>) -> io::Result<OwnedFd> {
        open_symlink(&*self.parent(item)?, self.name(item), to, found)
    }

    /// Gives the symbolic link under the temporary name its own, if it is still the one of the handle: whoever may write in the
    /// folder may have put another file in its place, which must not pass for the restored one.
    pub(crate) fn put_symlink_in_place(
        &self,
        folder: &OwnedFd,
        item: usize,
        link: &OwnedFd,
        replace: bool,
    ) -> io::Result<()> {
        let meant = identity(&rustix::fs::fstat(link)?);
        let there = self.look(folder, self.temporary(item).as_bytes())?;
        if there.as_ref().map(identity) != Some(meant) {
            return Err(replaced());
        }
        self.put_in_place(folder, item, replace)
    }

    /// Asks the system to write everything to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&*self.root)?)
    }
}

/// Which file a look was at.
pub(crate) fn identity(stat: &Stat) -> FileId {
    (stat.st_dev, stat.st_ino)
}

/// A handle of a symbolic link, for its looks alone: what is changed by it is the link that was looked at, whatever its name
/// stands for by then.
fn open_symlink(folder: &OwnedFd, name: &[u8], to: &[u8], found: Option<FileId>) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let link = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&link)?;
    let is_meant = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
        && found.is_none_or(|found| found == identity(&stat))
        && rustix::fs::readlinkat(&link, c"", Vec::new())?.as_bytes() == to;
    if is_meant { Ok(link) } else { Err(replaced()) }
}

fn replaced() -> io::Error {
    io::Error::other("another file was put in the place of the symbolic link")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use repository::tree::UnixTime;

    use super::{super::metadata::MetadataWriter, *};
    use crate::snapshot::{Metadata, What};

    /// A target with one symbolic link in its plan, and a victim beside it.
    fn scene() -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("target")).unwrap();
        fs::write(folder.path().join("victim"), b"victim").unwrap();
        symlink("elsewhere", folder.path().join("another-link")).unwrap();
        let item = Item {
            parent: None,
            name: b"link".to_vec(),
            what: What::Symlink {
                target: b"../victim".to_vec(),
            },
            looks: None,
        };
        let plan = Tree {
            items: vec![item],
            ..Tree::default()
        };
        (folder, plan)
    }

    fn looks() -> Metadata {
        Metadata {
            mode: 0o777,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mtime: UnixTime {
                seconds: 1_000_000_000,
                nanoseconds: 7,
            },
            xattrs: vec![],
            owner: None,
        }
    }

    fn looks_of(path: &Path) -> (u32, i64, i64) {
        let found = fs::symlink_metadata(path).unwrap();
        (found.uid(), found.mtime(), found.mtime_nsec())
    }

    /// While a link is dressed, its name becomes another file's: that file keeps its looks, and does not take the link's place.
    #[test]
    fn a_link_is_dressed_by_its_handle() {
        let (folder, plan) = scene();
        let target = Target::open(&folder.path().join("target"), &plan, false)
            .unwrap()
            .unwrap();
        let root = target.parent(0).unwrap();
        let temporary = folder.path().join("target").join(target.temporary(0));
        for planted in ["victim", "another-link"] {
            let planted = folder.path().join(planted);
            let before = looks_of(&planted);
            let link = target.make_symlink(&root, 0, b"../victim").unwrap();
            fs::remove_file(&temporary).unwrap();
            fs::hard_link(&planted, &temporary).unwrap();
            MetadataWriter::new()
                .apply_to_link(&link, &looks(), String::new)
                .unwrap();
            assert_eq!(looks_of(&planted), before);
            let refused = target.put_symlink_in_place(&root, 0, &link, false).unwrap_err();
            assert!(refused.to_string().contains("in the place"), "{refused}");
            assert!(!folder.path().join("target/link").exists());
            fs::remove_file(&temporary).unwrap();
        }
        // Undisturbed, it gets its looks and its name; what it points to does not.
        let before = looks_of(&folder.path().join("victim"));
        let link = target.make_symlink(&root, 0, b"../victim").unwrap();
        let mut looks = looks();
        if rustix::process::geteuid().is_root() {
            looks.uid = 4711;
            looks.xattrs = vec![repository::tree::Xattr {
                name: b"trusted.holdfast".to_vec(),
                value: b"x".to_vec(),
            }];
        }
        MetadataWriter::new()
            .apply_to_link(&link, &looks, String::new)
            .unwrap();
        target.put_symlink_in_place(&root, 0, &link, false).unwrap();
        let restored = folder.path().join("target/link");
        assert_eq!(looks_of(&restored), (looks.uid, 1_000_000_000, 7));
        assert_eq!(looks_of(&folder.path().join("victim")), before);
        let attribute = xattr::get(&restored, "trusted.holdfast").unwrap_or_default();
        let of_victim =
            xattr::get_deref(folder.path().join("victim"), "trusted.holdfast").unwrap_or_default();
        // Not every file system has attributes of links.
        assert!(attribute.is_none_or(|value| value == b"x") && of_victim.is_none());
    }

    /// Between the look and the change of looks the link or file was exchanged.
    #[test]
    fn what_was_not_looked_at_is_not_refreshed() {
        let (folder, plan) = scene();
        let target = Target::open(&folder.path().join("target"), &plan, false)
            .unwrap()
            .unwrap();
        let place = folder.path().join("target/link");
        symlink("../victim", &place).unwrap();
        let found = target.look(&target.parent(0).unwrap(), b"link").unwrap();
        let found = found.as_ref().map(identity);
        target.open_symlink(0, b"../victim", found).unwrap();
        assert!(target.open_symlink(0, b"../other", found).is_err());
        // Another link to the same place, made while the first still exists: the system gives it another inode.
        fs::rename(&place, folder.path().join("kept")).unwrap();
        symlink("../victim", &place).unwrap();
        assert!(target.open_symlink(0, b"../victim", found).is_err());
        fs::remove_file(&place).unwrap();
        fs::hard_link(folder.path().join("victim"), &place).unwrap();
        assert!(target.open_symlink(0, b"../victim", found).is_err());

        let found = target.look(&target.parent(0).unwrap(), b"link").unwrap();
        let found = found.as_ref().map(identity);
        target.open_found(0, found).unwrap();
        fs::remove_file(&place).unwrap();
        fs::write(&place, b"victim").unwrap();
        assert!(target.open_found(0, found).is_err());
    }
}
