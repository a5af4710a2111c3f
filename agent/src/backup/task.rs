//! What the threads of a walk do: one task for a folder, one for a batch of its files.

use std::sync::Arc;

use repository::tree::Entry;

use super::node::{Above, Node};
use crate::{
    cache::Trust,
    platform::{Folder, Stat},
};

/// A batch ends with so many files, or so many bytes.
const BATCH_FILES: usize = 64;
const BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// Something to do.
pub(super) enum Task {
    Folder(FolderTask),
    Files(FilesTask),
}

/// A folder to be walked.
pub(super) struct FolderTask {
    pub(super) above: Above,
    pub(super) root: usize,
    /// The folder that it is in; `None` for a path of the source.
    pub(super) within: Option<Arc<Folder>>,
    pub(super) name: Vec<u8>,
}

/// Files of one folder that are to be read.
pub(super) struct FilesTask {
    pub(super) node: Arc<Node>,
    pub(super) folder: Arc<Folder>,
    pub(super) files: Vec<Seen>,
}

/// A file that was seen and is not known to be as it was.
pub(super) struct Seen {
    /// Its place in the folder.
    pub(super) slot: usize,
    pub(super) name: Vec<u8>,
    pub(super) stat: Stat,
    /// What is known of it all the same.
    pub(super) record: Option<Record>,
}

/// What is known of a file that is to be read, or looked into.
pub(super) struct Record {
    pub(super) entry: Entry,
    pub(super) trust: Trust,
    pub(super) why: Why,
}

/// Why a file is read of which something is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It looks as it did, but its chunks are to be sent again.
    Unwanted,
    /// It has its size and modification time, and another inode number.
    Inode,
    /// It has its size, modification time and inode number, and another change time, owner or mode.
    ChangeTime,
}

/// Shares a folder's files out.
pub(super) fn batches(node: &Arc<Node>, folder: &Arc<Folder>, files: Vec<Seen>) -> Vec<Task> {
    let mut batches = Vec::new();
    let mut batch = Vec::new();
    let mut bytes = 0;
    let mut close = |batch: &mut Vec<Seen>| {
        if !batch.is_empty() {
            batches.push(Task::Files(FilesTask {
                node: node.clone(),
                folder: folder.clone(),
                files: std::mem::take(batch),
            }));
        }
    };
    for file in files {
        bytes += file.stat.size_bytes;
        batch.push(file);
        if batch.len() == BATCH_FILES || bytes >= BATCH_BYTES {
            close(&mut batch);
            bytes = 0;
        }
    }
    close(&mut batch);
    batches
}
