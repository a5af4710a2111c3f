//! Where chunks lie.

use std::collections::{HashMap, HashSet};

use repository::{chunk::ChunkId, pack::PackLayout};
use shared::object::ObjectHash;

use super::error::SnapshotError;

/// Where a chunk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkLocation {
    /// Which pack of the index.
    pub(crate) pack: usize,
    /// Its position in the pack.
    pub(crate) position: usize,
}

/// Packs of other snapshots of the source.
#[derive(Default)]
pub(super) struct OtherPacks {
    /// Their numbers follow those of the index's own packs.
    pub(super) packs: Vec<PackLayout>,
    pub(super) places: HashMap<ChunkId, Vec<ChunkLocation>>,
    pub(super) known: HashSet<ObjectHash>,
    /// Why there may be more.
    pub(super) problem: Option<SnapshotError>,
}

impl OtherPacks {
    /// Where a chunk lies, after so many places that were no use.
    pub(super) fn place(&self, chunk: &ChunkId, tried: usize) -> Option<ChunkLocation> {
        self.places.get(chunk)?.get(tried).copied()
    }
}
