//! Linux. A walk goes from folder to folder by open handles and single names: no path is ever resolved twice, so that
//! nobody who may rename or swap a folder above can lead it elsewhere, and no path is too long.

pub(crate) mod metadata;
pub(crate) mod mounts;
pub(crate) mod target;
pub(crate) mod users;
pub(crate) mod volumes;

use std::{
    ffi::OsStr,
    fs::{File, Metadata},
    io::{self, Read},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{FileExt, MetadataExt},
        },
    },
    path::Path,
};

use repository::tree::{UnixTime, Xattr};
use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, SeekFrom, Statx, StatxFlags},
    io::Errno,
    process::{Resource, Rlimit},
};

use super::{Kind, Name, Stat};

/// Room for the names that one call lists.
const LISTING_BYTES: usize = 32 * 1024;
/// What the system counts allocated blocks in.
const BLOCK_BYTES: u64 = 512;
/// The system's limit of a list of names, and of one value.
const MAX_XATTR_BYTES: usize = 64 * 1024;

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
            is_sparse: metadata.blocks() < metadata.len() / BLOCK_BYTES,
        }
    }
}

impl From<rustix::fs::Stat> for Stat {
    // The fields' types differ between architectures.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    fn from(stat: rustix::fs::Stat) -> Self {
        Self {
            kind: kind(FileType::from_raw_mode(stat.st_mode)),
            size_bytes: u64::try_from(stat.st_size).unwrap_or_default(),
            mode: u32::from(stat.st_mode) & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: time(stat.st_mtime.into(), stat.st_mtime_nsec as i64),
            ctime: time(stat.st_ctime.into(), stat.st_ctime_nsec as i64),
            device: stat.st_dev.into(),
            inode: stat.st_ino.into(),
            links: stat.st_nlink.into(),
            is_sparse: (stat.st_blocks as i64) < stat.st_size as i64 / BLOCK_BYTES as i64,
        }
    }
}

impl From<Statx> for Stat {
    fn from(stat: Statx) -> Self {
        Self {
            kind: kind(FileType::from_raw_mode(stat.stx_mode.into())),
            size_bytes: stat.stx_size,
            mode: u32::from(stat.stx_mode) & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            mtime: time(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec.into()),
            ctime: time(stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec.into()),
            device: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            links: stat.stx_nlink.into(),
            is_sparse: stat.stx_blocks < stat.stx_size / BLOCK_BYTES,
        }
    }
}

fn kind(kind: FileType) -> Kind {
    match kind {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Symlink,
        _ => Kind::Other,
    }
}

fn time(seconds: i64, nanoseconds: i64) -> UnixTime {
    UnixTime {
        seconds,
        nanoseconds: u32::try_from(nanoseconds).unwrap_or_default(),
    }
}

/// Looks at a path without following a link at its end.
///
/// # Errors
/// What the system says.
pub fn stat(path: &Path) -> io::Result<Stat> {
    std::fs::symlink_metadata(path).map(|metadata| Stat::from(&metadata))
}

/// An open folder. What is in it is reached by name alone, and a link in a name's place is never followed.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl Folder {
    /// Opens the folder where a walk begins.
    ///
    /// # Errors
    /// What the system says; so for all below.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::at(CWD, path.as_os_str().as_bytes())
    }

    /// Opens a folder in this one.
    #[expect(clippy::missing_errors_doc, reason = "as for `open`")]
    pub fn folder(&self, name: &[u8]) -> io::Result<Self> {
        Self::at(&self.0, name)
    }

    fn at(parent: impl std::os::fd::AsFd, name: &[u8]) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::openat(parent, name, flags, Mode::empty())?))
    }

    /// Looks at the folder itself.
    #[expect(clippy::missing_errors_doc, reason = "as for `open`")]
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(&self.0)?.into())
    }

    /// Looks at a name in the folder.
    #[expect(clippy::missing_errors_doc, reason = "as for `open`")]
    pub fn stat_of(&self, name: &[u8]) -> io::Result<Stat> {
        Ok(rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?.into())
    }

    /// Looks at a name in the folder as far as the system remembers it: a server that does not answer is not waited for.
    #[expect(clippy::missing_errors_doc, reason = "as for `open`")]
    pub fn remembered_stat_of(&self, name: &[u8]) -> io::Result<Stat> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_DONT_SYNC;
        Ok(rustix::fs::statx(&self.0, name, flags, StatxFlags::BASIC_STATS)?.into())
    }

    /// The names in the folder, in ascending order of their bytes.
    #[expect(clippy::missing_errors_doc, reason = "as for `open`")]
    pub fn names(&self) -> io::Result<Vec<Name>> {
        let mut buffer = Vec::with_capacity(LISTING_BYTES);
        let mut listing = RawDir::new(&self.0, buffer.spare_capacity_mut());
        let mut names = Vec::new();
        while let Some(entry) = listing.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(Name {
                    bytes: name.to_vec(),
                    is_folder: entry.file_type() == FileType::Directory,
                });
            }
        }
        names.sort_unstable();
        // A folder that changes while it is listed may give a name twice.
        names.dedup_by(|a, b| a.bytes == b.bytes);
        Ok(names)
    }

    /// Opens a file in the folder for reading. A pipe in its place does not block.
    #[expect(clippy::missing_errors_doc, reason = "as for `open`")]
    pub fn file(&self, name: &[u8]) -> io::Result<OpenFile> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let quiet = flags | OFlags::NOATIME;
        let file = match rustix::fs::openat(&self.0, name, quiet, Mode::empty()) {
            // Only a file's owner, and root, may read without leaving a trace.
            Err(Errno::PERM) => rustix::fs::openat(&self.0, name, flags, Mode::empty())?,
            other => other?,
        };
        Ok(OpenFile(file.into()))
    }

    /// Where a symbolic link in the folder points.
    #[expect(clippy::missing_errors_doc, reason = "as for `open`")]
    pub fn read_link(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.0, name, Vec::new())?.into_bytes())
    }

    /// The folder's own extended attributes, ascending by name.
    #[expect(clippy::missing_errors_doc, reason = "as for `open`")]
    pub fn xattrs(&self) -> io::Result<Vec<Xattr>> {
        xattrs(
            |list| rustix::fs::flistxattr(&self.0, list),
            |name, value| rustix::fs::fgetxattr(&self.0, name, value),
        )
    }

    /// The extended attributes of a symbolic link in the folder, which cannot be opened. They are reached through
    /// `/proc`, which names the open folder itself; without `/proc` there are none.
    #[expect(clippy::missing_errors_doc, reason = "as for `open`")]
    pub fn xattrs_of_link(&self, name: &[u8]) -> io::Result<Vec<Xattr>> {
        match xattrs_of_name(&self.0, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other,
        }
    }
}

/// The attributes of what stands under a name in an open folder, ascending; a link is not followed.
fn xattrs_of_name(folder: &OwnedFd, name: &[u8]) -> io::Result<Vec<Xattr>> {
    let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    xattrs(
        |list| rustix::fs::llistxattr(path.as_slice(), list),
        |name, value| rustix::fs::lgetxattr(path.as_slice(), name, value),
    )
}

/// A file that is open for reading.
#[derive(Debug)]
pub struct OpenFile(File);

impl OpenFile {
    /// Looks at it.
    ///
    /// # Errors
    /// What the system says; so for all below.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(&self.0)?.into())
    }

    /// Its extended attributes, ascending by name.
    #[expect(clippy::missing_errors_doc, reason = "as for `stat`")]
    pub fn xattrs(&self) -> io::Result<Vec<Xattr>> {
        xattrs(
            |list| rustix::fs::flistxattr(&self.0, list),
            |name, value| rustix::fs::fgetxattr(&self.0, name, value),
        )
    }

    /// Reads until `buffer` is full, `expected` bytes are there, or the file ends.
    #[expect(clippy::missing_errors_doc, reason = "as for `stat`")]
    pub fn fill(&mut self, mut buffer: &mut [u8], expected: u64) -> io::Result<usize> {
        let mut total = 0;
        while !buffer.is_empty() {
            match self.0.read(buffer) {
                Ok(0) => break,
                Ok(more) => {
                    total += more;
                    if total as u64 == expected {
                        break;
                    }
                    buffer = &mut buffer[more..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    /// Fills `buffer` from `offset` on; where reading goes on is not changed.
    #[expect(clippy::missing_errors_doc, reason = "as for `stat`")]
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    /// How many bytes from `offset` on are a hole; zero where there is data, or where the file system cannot tell.
    /// Where reading goes on must be said afterwards: see [`Self::go_to`].
    #[must_use]
    pub fn hole_at(&self, offset: u64, size_bytes: u64) -> u64 {
        let data = match rustix::fs::seek(&self.0, SeekFrom::Data(offset)) {
            Ok(data) => data,
            // No data after it.
            Err(Errno::NXIO) => size_bytes,
            Err(_) => offset,
        };
        data.min(size_bytes).saturating_sub(offset)
    }

    /// Goes on reading at `offset`.
    #[expect(clippy::missing_errors_doc, reason = "as for `stat`")]
    pub fn go_to(&mut self, offset: u64) -> io::Result<()> {
        rustix::fs::seek(&self.0, SeekFrom::Start(offset))?;
        Ok(())
    }
}

fn xattrs(
    list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&[u8], &mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<Vec<Xattr>> {
    let names = match grown(list) {
        // A file system without attributes has none.
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        other => other?,
    };
    let mut attributes = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        match grown(|value| get(name, value)) {
            Ok(value) => attributes.push(Xattr {
                name: name.to_vec(),
                value,
            }),
            // It vanished between the two calls.
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error.into()),
        }
    }
    attributes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(attributes)
}

/// What a call gives that says `RANGE` when the buffer is too small.
fn grown(call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut small = [0; 256];
    match call(&mut small) {
        Err(Errno::RANGE) => {
            let mut large = vec![0; MAX_XATTR_BYTES];
            let len = call(&mut large)?;
            large.truncate(len);
            Ok(large)
        }
        result => result.map(|len| small[..len].to_vec()),
    }
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

/// Allows this process as many open files as the system lets it: a walk holds a handle for each folder above.
pub fn lift_file_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let lifted = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // What stays low is told by the folders that do not open.
    let _ = rustix::process::setrlimit(Resource::Nofile, lifted);
}
