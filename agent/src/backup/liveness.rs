//! How much of each pack is still in use. A pack keeps its dead chunks until its last live one is gone; the server's planner
//! weighs whether it is cheaper to keep such a pack or to have its live chunks added again.

use std::collections::{HashMap, HashSet};

use repository::{chunk::ChunkRef, tree};
use shared::{
    api::commit::PackLiveness,
    object::{ObjectHash, ObjectKind},
};

use super::{error::BackupError, known::short_hash};
use crate::cache::{CacheRun, PackInfo, decode_files};

/// Counted for every so many snapshots: each chunk is looked at, and a pack's chunks die slowly.
const COUNT_EVERY_SNAPSHOTS: u64 = 4;

/// Whether the packs of this snapshot are counted.
pub(super) fn is_due(seq: u64) -> bool {
    seq.is_multiple_of(COUNT_EVERY_SNAPSHOTS)
}

/// The chunks that a file consists of.
pub(super) fn chunks_of<'a>(
    node: &'a tree::Node,
    paged: Option<&'a Vec<ChunkRef>>,
) -> impl Iterator<Item = u64> + 'a {
    let direct = match node {
        tree::Node::File {
            content: tree::Content::Direct(chunks),
            ..
        } => Some(chunks),
        _ => None,
    };
    // Two that share a short hash by chance make more of a pack seem live.
    direct
        .or(paged)
        .into_iter()
        .flatten()
        .map(|chunk| short_hash(chunk.id.as_bytes()))
}

/// The parent's data packs that this snapshot uses in part: what the files that the cache knows consist of, and the chunks
/// in `loose`, those of files that it does not trust.
pub(super) fn count(
    run: &CacheRun,
    packs: &HashMap<u64, PackInfo>,
    used: &HashSet<u64>,
    mut loose: HashSet<u64>,
) -> Result<Vec<PackLiveness>, BackupError> {
    run.folders()?.each(|record| {
        for (entry, trust) in decode_files(record) {
            loose.extend(chunks_of(&entry.node, trust.chunks.as_ref()));
        }
    })?;
    let chunks = run.chunks()?;
    let mut partly_used = Vec::new();
    for number in used {
        let Some(info) = packs
            .get(number)
            .filter(|info| info.object.kind == ObjectKind::Pack)
        else {
            continue;
        };
        let (mut live, mut all) = (0, 0);
        for entry in run.layout(*number, info.object)?.entries {
            all += entry.sealed_len();
            let is_used = loose.contains(&short_hash(entry.id.as_bytes()));
            // What was added again is found in its new pack, and is dead in this one.
            if is_used && chunks.pack_of(&entry.id)? == Some(*number) {
                live += entry.sealed_len();
            }
        }
        if live < all {
            partly_used.push(of_size(info.object.hash, info.object.size_bytes, live, all));
        }
    }
    partly_used.sort_unstable_by_key(|pack| pack.hash);
    Ok(partly_used)
}

/// The header and the padding wear out with the chunks.
fn of_size(hash: ObjectHash, size_bytes: u64, live: u64, all: u64) -> PackLiveness {
    let share = u128::from(size_bytes) * u128::from(live) / u128::from(all.max(1));
    PackLiveness {
        hash,
        live_bytes: u64::try_from(share).unwrap_or(size_bytes),
    }
}
