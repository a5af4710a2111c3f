//! A file that was read.

use repository::{
    chunk::{ChunkId, ChunkRef},
    tree::{Content, Xattr},
};

use crate::platform::Stat;

/// A file that was read.
#[derive(Clone)]
pub(super) struct FileRead {
    pub(super) content: FileContent,
    pub(super) size_bytes: u64,
    pub(super) stat: Stat,
    pub(super) xattrs: Vec<Xattr>,
    /// Whether the next run may trust that equal times mean equal content.
    pub(super) is_settled: bool,
    /// What a sample of it comes to, where the source wants one.
    pub(super) sample: Option<ChunkId>,
}

/// A file's content as its entry has it, and what the cache keeps beside it.
#[derive(Clone)]
pub(super) struct FileContent {
    pub(super) content: Content,
    /// The chunks, where the entry only names pages of them.
    pub(super) chunks: Option<Vec<ChunkRef>>,
    /// The packs that hold all of it.
    pub(super) packs: Vec<u64>,
}
