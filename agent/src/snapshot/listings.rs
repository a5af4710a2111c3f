//! Reading listings, many pages at a time: a level of the tree costs each pack one visit, not one for every folder.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
};

use repository::{chunk::ChunkId, tree::TreeError};

use super::{
    chunk_index::ChunkIndex,
    damage::{Failure, Fault, Reason},
    error::SnapshotError,
    opened::READERS,
    pack_reads::{Reader, Sealed},
};
use crate::parallel;

/// Tree packs that are read whole and kept take so much memory at most.
const KEPT_BYTES: u64 = 64 * 1024 * 1024;

/// Gives pages of listings.
pub(crate) struct Listings<'l, 'a> {
    index: &'l ChunkIndex<'a>,
    /// The whole tree will be read: then tree packs are read whole, as long as there is room for them.
    everything: bool,
    kept: HashMap<usize, (Sealed, Reader)>,
    room_bytes: u64,
}

/// A page that is still to be read.
struct Wanted {
    id: ChunkId,
    pack: usize,
    position: usize,
    tried: usize,
}

impl<'l, 'a> Listings<'l, 'a> {
    pub(crate) fn new(index: &'l ChunkIndex<'a>, everything: bool) -> Self {
        Self {
            index,
            everything,
            kept: HashMap::new(),
            room_bytes: KEPT_BYTES,
        }
    }

    /// Reads and decodes pages. Each page has its own result: what is damaged costs that page.
    pub(crate) fn read<T: Send>(
        &mut self,
        ids: impl IntoIterator<Item = ChunkId>,
        decode: impl Fn(&[u8]) -> Result<T, TreeError> + Sync,
    ) -> Result<HashMap<ChunkId, Result<T, Reason>>, SnapshotError> {
        let mut done = HashMap::new();
        let mut wanted = Vec::new();
        for id in ids.into_iter().collect::<HashSet<_>>() {
            if !self.want(&mut wanted, id, 0) {
                done.insert(id, Err(self.index.nowhere()));
            }
        }
        while !wanted.is_empty() {
            wanted = self.round(&mut done, wanted, &decode)?;
        }
        Ok(done)
    }

    /// Whether there is a place to look for it.
    fn want(&self, wanted: &mut Vec<Wanted>, id: ChunkId, tried: usize) -> bool {
        let place = self.index.place(&id, tried);
        wanted.extend(place.map(|place| Wanted {
            id,
            pack: place.pack,
            position: place.position,
            tried,
        }));
        place.is_some()
    }

    /// Visits every pack that holds a wanted page. Gives the pages that must be looked for in another pack.
    fn round<T: Send>(
        &mut self,
        done: &mut HashMap<ChunkId, Result<T, Reason>>,
        mut wanted: Vec<Wanted>,
        decode: &(impl Fn(&[u8]) -> Result<T, TreeError> + Sync),
    ) -> Result<Vec<Wanted>, SnapshotError> {
        wanted.sort_unstable_by_key(|page| (page.pack, page.position));
        let mut positions: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for page in &wanted {
            positions.entry(page.pack).or_default().push(page.position);
        }
        let (whole, passing) = self.fetch(&positions)?;
        let index = self.index;
        let open = |page: &Wanted| -> Result<T, Fault> {
            let (sealed, reader) = match (self.kept.get(&page.pack), passing.get(&page.pack)) {
                (Some(kept), _) | (None, Some(Ok(kept))) => kept,
                (None, Some(Err(fault))) => return Err(fault.clone()),
                (None, None) => return Err(Fault::Missing),
            };
            let raw = index.chunk_again(page.pack, reader, sealed, page.position)?;
            Ok(decode(&raw)?)
        };
        let opened = parallel::map(parallel::cores(), &wanted, open);
        let mut again = Vec::new();
        // Whether there is another copy of a pack that was no use: asked once.
        let mut others: HashMap<usize, bool> = HashMap::new();
        for (page, result) in wanted.into_iter().zip(opened) {
            let result = result.map_err(|fault| {
                let other = others
                    .entry(page.pack)
                    .or_insert_with(|| index.another(page.pack));
                self.want(&mut again, page.id, page.tried + usize::from(!*other));
                Reason::data(&index.pack(page.pack).object, fault)
            });
            done.insert(page.id, result);
        }
        self.kept.retain(|pack, _| !others.contains_key(pack));
        for (pack, parts) in passing {
            if let (true, false, Ok(parts)) = (whole.contains(&pack), others.contains_key(&pack), parts) {
                self.room_bytes = self.room_bytes.saturating_sub(index.pack(pack).object.size_bytes);
                self.kept.insert(pack, parts);
            }
        }
        Ok(again)
    }

    /// Fetches packs that are not kept. Gives those that were read whole, too.
    #[expect(clippy::type_complexity, reason = "each part is plain")]
    fn fetch(
        &self,
        positions: &BTreeMap<usize, Vec<usize>>,
    ) -> Result<(Vec<usize>, HashMap<usize, Result<(Sealed, Reader), Fault>>), SnapshotError> {
        let mut room = self.room_bytes;
        let mut whole = Vec::new();
        let mut jobs: Vec<(usize, Vec<Range<u64>>)> = Vec::new();
        for (pack, positions) in positions {
            if self.kept.contains_key(pack) {
                continue;
            }
            let layout = self.index.pack(*pack);
            let left = room.checked_sub(layout.object.size_bytes);
            match left {
                Some(left) if self.everything => {
                    room = left;
                    whole.push(*pack);
                    let all: Vec<usize> = (0..layout.entries.len()).collect();
                    jobs.push((*pack, self.index.ranges(*pack, &all)));
                }
                _ => jobs.push((*pack, self.index.ranges(*pack, positions))),
            }
        }
        self.index.expect(jobs.iter().cloned());
        let fetched = parallel::map(READERS, &jobs, |(pack, ranges)| self.index.visit(*pack, ranges));
        let mut parts = HashMap::new();
        for ((pack, _), fetched) in jobs.into_iter().zip(fetched) {
            let fetched = match fetched {
                Ok(fetched) => Ok(fetched),
                Err(Failure::One(fault)) => Err(fault),
                Err(Failure::All(error)) => return Err(error),
            };
            parts.insert(pack, fetched);
        }
        Ok((whole, parts))
    }
}
