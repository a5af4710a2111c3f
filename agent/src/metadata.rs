//! What the operating system knows of files: the one module with platform code of the backup. Unix for now.

use std::{
    ffi::OsStr,
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::Path,
};

use repository::tree::{UnixTime, Xattr};
use rustix::fs::{CWD, Dir, Mode, OFlags};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A device, pipe or socket.
    Other,
}

/// What `stat` says, without following a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Its length.
    pub size_bytes: u64,
    /// 12 permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Content changed.
    pub mtime: UnixTime,
    /// Anything changed.
    pub ctime: UnixTime,
    /// The device.
    pub device: u64,
    /// The inode.
    pub inode: u64,
    /// Names of this inode.
    pub links: u64,
}

impl From<&Metadata> for Stat {
    fn from(metadata: &Metadata) -> Self {
        let kind = metadata.file_type();
        Self {
            kind: if kind.is_file() {
                Kind::File
            } else if kind.is_dir() {
                Kind::Folder
            } else if kind.is_symlink() {
                Kind::Symlink
            } else {
                Kind::Other
            },
            size_bytes: metadata.len(),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime: time(metadata.mtime(), metadata.mtime_nsec()),
            ctime: time(metadata.ctime(), metadata.ctime_nsec()),
            device: metadata.dev(),
            inode: metadata.ino(),
            links: metadata.nlink(),
        }
    }
}

impl Stat {
    /// Whether a file that looked like `self` and now looks like `later` was not changed in between.
    #[must_use]
    pub fn same_content(&self, later: &Self) -> bool {
        let key = |stat: &Self| (stat.device, stat.inode, stat.size_bytes, stat.mtime, stat.ctime);
        key(self) == key(later)
    }
}

fn time(seconds: i64, nanoseconds: i64) -> UnixTime {
    UnixTime {
        seconds,
        nanoseconds: u32::try_from(nanoseconds).unwrap_or_default(),
    }
}

/// Looks at a path without following a link.
///
/// # Errors
/// What the system says.
pub fn stat(path: &Path) -> io::Result<Stat> {
    fs::symlink_metadata(path).map(|metadata| Stat::from(&metadata))
}

/// Looks at an open file.
///
/// # Errors
/// What the system says.
pub fn stat_open(file: &File) -> io::Result<Stat> {
    file.metadata().map(|metadata| Stat::from(&metadata))
}

/// The names in a folder, in ascending order of their bytes. A link in the folder's place is not followed.
///
/// # Errors
/// What the system says.
pub fn names(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(CWD, folder, flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::new(fd)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    // A folder that changes while it is listed may give a name twice.
    names.dedup();
    Ok(names)
}

/// Opens a file for reading. A link in its place is not followed, and a pipe in its place does not block.
///
/// # Errors
/// What the system says.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
        .open(path)
}

/// Where a symbolic link points.
///
/// # Errors
/// What the system says.
pub fn read_link(path: &Path) -> io::Result<Vec<u8>> {
    fs::read_link(path).map(|target| target.into_os_string().into_vec())
}

/// Extended attributes, ascending by name, of a path without following a link.
///
/// # Errors
/// What the system says; a file system without attributes has none.
pub fn xattrs(path: &Path) -> io::Result<Vec<Xattr>> {
    let unsupported = |error: &io::Error| error.kind() == io::ErrorKind::Unsupported;
    let names = match xattr::list(path) {
        Ok(names) => names,
        Err(error) if unsupported(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut attributes = Vec::new();
    for name in names {
        // `None`: it vanished between the two calls.
        if let Some(value) = xattr::get(path, &name)? {
            attributes.push(Xattr {
                name: name.as_bytes().to_vec(),
                value,
            });
        }
    }
    attributes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(attributes)
}

/// A name or path from bytes.
#[must_use]
pub fn os(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

/// The bytes of a path.
#[must_use]
pub fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
