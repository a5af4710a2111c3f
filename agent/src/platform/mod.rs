//! What differs from one operating system to the next: how files are listed, looked at, opened and read, and what is
//! known of each. Everything else of the agent is the same everywhere.
//!
//! A platform gives [`Folder`], [`OpenFile`], [`Stat`] and the few functions below. Linux for now; the
//! format has room for what Windows and macOS add.

mod linux;

pub use linux::{Folder, OpenFile, bytes, lift_file_limit, os, stat};
pub(crate) use linux::{metadata, mounts::Mounts, target, users::SystemUsers, volumes::Volumes};

use repository::tree::UnixTime;

/// Who has which number on a machine.
pub trait UserDatabase: Send + Sync {
    /// The name of the user with this number.
    fn user_name(&self, id: u32) -> Option<Vec<u8>>;
    /// The name of the group with this number.
    fn group_name(&self, id: u32) -> Option<Vec<u8>>;
    /// The number of the user with this name.
    fn user_id(&self, name: &[u8]) -> Option<u32>;
    /// The number of the group with this name.
    fn group_id(&self, name: &[u8]) -> Option<u32>;
}

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

/// What sort of file system is mounted somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSystemKind {
    /// Files: on a disk or in memory.
    Disk,
    /// Files of another machine.
    Network,
    /// The kernel's own state in the form of files.
    Kernel,
    /// Files that other folders hold, shown once more.
    Merged,
}

/// What the system says of a name, without following a link.
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
    /// Whether less is allocated than its length: it may have holes.
    pub is_sparse: bool,
}

impl Stat {
    /// Whether a file that looked like `self` and now looks like `later` was not changed in between.
    #[must_use]
    pub fn same_content(&self, later: &Self) -> bool {
        let key = |stat: &Self| (stat.device, stat.inode, stat.size_bytes, stat.mtime, stat.ctime);
        key(self) == key(later)
    }
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The name.
    pub bytes: Vec<u8>,
    /// Whether the listing itself says that it is a folder; if not, it may be one.
    pub is_folder: bool,
}
