//! Which index segments a snapshot needs, and what goes into new ones.

use std::collections::{HashMap, HashSet};

use repository::{index, pack::PackLayout};
use shared::object::ObjectRef;

use super::BackupError;
use crate::cache::{CacheRun, PackInfo};

/// More segments than this are merged.
const MAX_SEGMENTS: usize = 16;
/// Merging leaves at least this many of the largest alone.
const KEEP_SEGMENTS: usize = 8;
/// Merging rewrites at most this much of old segments.
const MERGE_BYTES: u64 = 8 * 1024 * 1024;

/// A pack and its number in the cache; `None` for one of this run.
pub(super) type Listed = (Option<u64>, PackLayout);
pub(super) type Moved = Vec<(ObjectRef, Vec<(u64, ObjectRef)>)>;
pub(super) type Fresh = Vec<(ObjectRef, Vec<PackLayout>)>;

pub(super) struct SegmentPlan {
    /// Old segments that the snapshot needs.
    pub(super) keep: Vec<ObjectRef>,
    /// Segments to write.
    pub(super) write: Vec<Vec<Listed>>,
}

/// Which segments stay, and what goes into new ones: the run's packs, and those of the smallest old segments when
/// there are too many.
pub(super) fn plan_segments(
    run: &CacheRun,
    packs: &HashMap<u64, PackInfo>,
    used: &HashSet<u64>,
    fresh: Vec<PackLayout>,
) -> Result<SegmentPlan, BackupError> {
    let mut old: HashMap<ObjectRef, Vec<u64>> = HashMap::new();
    for number in used {
        old.entry(packs[number].segment).or_default().push(*number);
    }
    let mut old: Vec<(ObjectRef, Vec<u64>)> = old.into_iter().collect();
    old.sort_unstable_by_key(|(segment, _)| (segment.size_bytes, segment.hash));
    let mut listed: Vec<Listed> = fresh.into_iter().map(|layout| (None, layout)).collect();
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
                listed.push((Some(*number), run.layout(*number, packs[number].object)?));
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

pub(super) fn split_written(written: Vec<(ObjectRef, Vec<Listed>)>) -> (Moved, Fresh) {
    let mut moved = Vec::new();
    let mut fresh = Vec::new();
    for (segment, layouts) in written {
        let mut old = Vec::new();
        let mut new = Vec::new();
        for (number, layout) in layouts {
            match number {
                Some(number) => old.push((number, layout.object)),
                None => new.push(layout),
            }
        }
        moved.push((segment, old));
        fresh.push((segment, new));
    }
    (moved, fresh)
}
