//! Which index segments a snapshot needs, and what goes into new ones.

use std::collections::{HashMap, HashSet};

use repository::{index, pack::PackLayout};
use shared::object::{ObjectHash, ObjectRef};

use super::error::BackupError;
use crate::cache::{CacheRun, PackInfo};

/// More segments than this are merged.
const MAX_SEGMENTS: usize = 16;
/// Merging leaves at least this many of the largest alone.
const KEEP_SEGMENTS: usize = 8;
/// Merging rewrites at most this much of old segments.
const MERGE_BYTES: u64 = 8 * 1024 * 1024;

/// A pack and its number in the cache.
pub(super) type Listed = (u64, PackLayout);

pub(super) struct SegmentPlan {
    /// Old segments that the snapshot needs.
    pub(super) keep: Vec<ObjectRef>,
    /// Segments to write.
    pub(super) write: Vec<Vec<Listed>>,
}

/// Which segments stay, and what goes into new ones: the run's packs, those of segments that are lost (they are among
/// the unwanted), and those of the smallest old segments when there are too many.
pub(super) fn plan_segments(
    run: &CacheRun,
    packs: &HashMap<u64, PackInfo>,
    used: &HashSet<u64>,
    unwanted: &HashSet<&ObjectHash>,
    fresh: Vec<Listed>,
) -> Result<SegmentPlan, BackupError> {
    let mut old: HashMap<ObjectRef, Vec<u64>> = HashMap::new();
    for number in used.iter().filter(|number| packs.contains_key(number)) {
        old.entry(packs[number].segment).or_default().push(*number);
    }
    let (lost, mut old): (Vec<_>, Vec<_>) = old
        .into_iter()
        .partition(|(segment, _)| unwanted.contains(&segment.hash));
    old.sort_unstable_by_key(|(segment, _)| (segment.size_bytes, segment.hash));
    let mut listed = fresh;
    for number in lost.into_iter().flat_map(|(_, numbers)| numbers) {
        listed.push((number, run.layout(number, packs[&number].object)?));
    }
    if old.len() > MAX_SEGMENTS {
        let mut budget = MERGE_BYTES;
        let mut merged = 0;
        for (segment, numbers) in &old[..old.len() - KEEP_SEGMENTS] {
            let Some(left) = budget.checked_sub(segment.size_bytes) else {
                break;
            };
            budget = left;
            merged += 1;
            for number in numbers {
                listed.push((*number, run.layout(*number, packs[number].object)?));
            }
        }
        old.drain(..merged);
    }
    let mut write: Vec<Vec<Listed>> = Vec::new();
    let mut room = 0;
    for item in listed {
        let chunks = item.1.entries.len();
        match write.last_mut() {
            Some(segment) if chunks <= room => segment.push(item),
            _ => {
                write.push(vec![item]);
                room = index::TARGET_CHUNKS;
            }
        }
        room = room.saturating_sub(chunks);
    }
    Ok(SegmentPlan {
        keep: old.into_iter().map(|(segment, _)| segment).collect(),
        write,
    })
}
