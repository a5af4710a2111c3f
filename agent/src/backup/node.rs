//! A folder that is being walked: it waits for what is in it, and then becomes an entry of the folder above.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize},
    },
};

use repository::tree::{Entry, Xattr};

use crate::{
    cache::Trust,
    platform::{self, Stat},
};

/// Longer paths are cut, and told apart by a hash.
const KEY_BYTES: usize = 1024;

/// A folder under way.
pub(super) struct Node {
    pub(super) above: Above,
    /// Which path of the source it belongs to.
    pub(super) root: usize,
    /// Its name; of the first one, its whole path.
    pub(super) name: Vec<u8>,
    pub(super) stat: Stat,
    pub(super) xattrs: Vec<Xattr>,
    /// A number for its device that lasts: see [`super::devices`].
    pub(super) device: u64,
    /// Whether an include pattern took it, or something above.
    pub(super) is_included: bool,
    /// What the cache knows it by.
    pub(super) key: Vec<u8>,
    /// What is in it, in ascending order of the names; `None` for what is left out, or not there yet.
    pub(super) children: Mutex<Vec<Option<Child>>>,
    /// Folders and batches of files that it waits for, and one for the listing itself.
    pub(super) waiting: AtomicUsize,
    /// Whether the cache knows something else of its files.
    pub(super) is_renewed: AtomicBool,
}

/// Where a folder's entry goes.
pub(super) enum Above {
    /// It is a path of the source.
    Nothing,
    /// Another folder, and its place there.
    Folder(Arc<Node>, usize),
    /// It is only walked for the one file in it that is a path of the source.
    OneFile,
}

/// Something in a folder.
pub(super) struct Child {
    pub(super) entry: Entry,
    /// What the next run may believe of it.
    pub(super) trust: Option<Trust>,
}

impl Node {
    /// The path of something in it.
    pub(super) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let mut path = self.path();
        if path != b"/" {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }

    /// Its path.
    pub(super) fn path(&self) -> Vec<u8> {
        let mut names = vec![self.name.as_slice()];
        let mut node = self;
        while let Above::Folder(above, _) = &node.above {
            node = above;
            names.push(&node.name);
        }
        if names.len() > 1 && names.last() == Some(&b"/".as_slice()) {
            // The first name is a slash itself.
            names.pop();
            names.push(b"");
        }
        names.reverse();
        names.join(&b'/')
    }
}

/// What the cache knows a folder by.
pub(super) fn folder_key(path: &[u8]) -> Vec<u8> {
    if path.len() <= KEY_BYTES {
        return path.to_vec();
    }
    [&path[..KEY_BYTES - 32], blake3::hash(path).as_bytes()].concat()
}

/// The part of a path below `root`.
pub(super) fn below<'p>(path: &'p [u8], root: &Path) -> &'p Path {
    let path = Path::new(platform::os(path));
    path.strip_prefix(root).unwrap_or(path)
}
