//! Packs that the snapshot does not need, and that hold some of its chunks all the same: a file that was sent again
//! because its pack was lost has the same chunks as before. They are looked for when something is lost, and not before.

use std::collections::HashSet;

use repository::pack::PackLayout;
use shared::{
    api::agent::Part,
    limits::Limit,
    object::{ObjectHash, ObjectKind, ObjectRef},
};

use super::{
    chunk_index::{ChunkIndex, head},
    damage::Failure,
    error::SnapshotError,
    location::{ChunkLocation, OtherPacks},
    opened::READERS,
};
use crate::parallel;

/// Parts that are asked for: as many later snapshots as the server lets a restore read.
const MAX_PARTS: usize = Limit::LaterSnapshots.max();

impl ChunkIndex<'_> {
    /// Looks through what the source has besides the index's own packs. What cannot be read there is passed over.
    pub(super) fn look_elsewhere(&self, lost: &[ObjectHash]) -> OtherPacks {
        let mut others = OtherPacks::default();
        for nth in (0..).take(MAX_PARTS) {
            let read = match self.source.others(lost, nth) {
                Ok(None) => break,
                Ok(Some(objects)) => others.fill(self, lost, objects),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = read {
                tracing::warn!(%error, "packs of another snapshot cannot be looked through");
                others.problem = Some(error);
            }
        }
        others
    }
}

impl OtherPacks {
    fn fill(
        &mut self,
        index: &ChunkIndex<'_>,
        lost: &[ObjectHash],
        objects: Vec<ObjectRef>,
    ) -> Result<(), SnapshotError> {
        let is_lost: HashSet<&ObjectHash> = lost.iter().collect();
        let (segments, packs): (Vec<ObjectRef>, Vec<ObjectRef>) = objects
            .into_iter()
            .filter(|object| !matches!(object.kind, ObjectKind::ListPage | ObjectKind::Manifest))
            .partition(|object| object.kind == ObjectKind::Index);
        let mut wanted: HashSet<ObjectRef> = packs
            .into_iter()
            .filter(|pack| !self.known.contains(&pack.hash))
            .collect();
        wanted.retain(|pack| index.layout(pack).is_none() && !is_lost.contains(&pack.hash));
        if wanted.is_empty() {
            return Ok(());
        }
        let expect = |parts: Vec<Part>| index.source.expect(&parts);
        expect(segments.iter().map(Part::whole).collect());
        let opened = parallel::map(READERS, &segments, |segment| index.segment(segment));
        for layouts in opened {
            for layout in readable(layouts)?.unwrap_or_default() {
                if wanted.remove(&layout.object) {
                    self.add(index, layout);
                }
            }
        }
        let mut unlisted: Vec<ObjectRef> = wanted.into_iter().collect();
        unlisted.sort_unstable();
        expect(unlisted.iter().map(head).collect());
        let asked = parallel::map(READERS, &unlisted, |pack| index.own_list(pack));
        for layout in asked {
            if let Some(layout) = readable(layout)? {
                self.add(index, layout);
            }
        }
        Ok(())
    }

    fn add(&mut self, index: &ChunkIndex<'_>, layout: PackLayout) {
        let pack = index.packs.len() + self.packs.len();
        self.known.insert(layout.object.hash);
        for (position, entry) in layout.entries.iter().enumerate() {
            let places = self.places.entry(entry.id).or_default();
            places.push(ChunkLocation { pack, position });
        }
        self.packs.push(layout);
    }
}

fn readable<T, F>(read: Result<T, Failure<F>>) -> Result<Option<T>, SnapshotError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(Failure::One(_)) => Ok(None),
        Err(Failure::All(error)) => Err(error),
    }
}
