//! The wanted part of a snapshot's tree: its listings, flattened.

use repository::{
    chunk::ChunkRef,
    tree::{OwnerNames, UnixTime, Xattr},
};

use super::damage::Loss;
use crate::escape::escaped;

/// Everything to put back. Folders come before what is in them.
#[derive(Debug, Default)]
pub struct Tree {
    /// The items.
    pub items: Vec<Item>,
    /// What cannot be told from the listings that are left.
    pub losses: Vec<Loss>,
    /// Files of which this system has no place for everything: named streams, or what makes them a link elsewhere.
    pub foreign: u64,
}

/// One name to put back.
#[derive(Debug)]
pub struct Item {
    /// The folder that it is in; `None` for the target itself.
    pub parent: Option<usize>,
    /// Its name: checked to be a plain one.
    pub name: Vec<u8>,
    /// What it is.
    pub what: What,
    /// How it looked; `None` for a folder that only leads to a path of the source.
    pub looks: Option<Metadata>,
}

/// What an item is.
#[derive(Debug)]
pub enum What {
    /// A folder.
    Folder,
    /// A regular file.
    File {
        /// Its length.
        size_bytes: u64,
        /// Its chunks.
        chunks: Vec<ChunkRef>,
        /// Its group of hard links.
        hard_link: Option<u64>,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: Vec<u8>,
    },
}

/// Metadata to put back.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// 12 permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time.
    pub mtime: UnixTime,
    /// Extended attributes.
    pub xattrs: Vec<Xattr>,
    /// The names of owner and group, where the entry has its own.
    pub owner: Option<Box<OwnerNames>>,
}

impl Tree {
    /// An item's path on the endpoint, for messages.
    #[must_use]
    pub fn path(&self, item: usize) -> String {
        escaped(&self.path_bytes(item))
    }

    /// An item's path on the endpoint.
    #[must_use]
    pub fn path_bytes(&self, item: usize) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = Some(item);
        while let Some(index) = at {
            names.push(self.items[index].name.as_slice());
            names.push(b"/");
            at = self.items[index].parent;
        }
        names.reverse();
        names.concat()
    }

    /// Bytes of file contents, those of hard links counted once for each name.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(Item::size_bytes).sum()
    }
}

impl Item {
    /// A file's length; 0 for anything else.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        match &self.what {
            What::File { size_bytes, .. } => *size_bytes,
            _ => 0,
        }
    }
}
