//! Packs that the snapshot does not need, and that hold some of its chunks all the same: a file that was sent again
//! because its pack was lost has the same chunks as before. They are looked for when something is lost, and not before.

use std::collections::{HashMap, HashSet};

use repository::{chunk::ChunkId, pack::PackLayout};
use shared::{
    api::agent::Part,
    limits::Limit,
    object::{ObjectHash, ObjectKind, ObjectRef},
};

use super::{
    RestoreError,
    library::{Library, Place, READERS, head},
    loss::Trouble,
};
use crate::crew;

/// Parts that are asked for: as many later snapshots as the server lets a restore read.
const MOST_PARTS: usize = Limit::LaterSnapshots.max();

/// Packs of other snapshots of the source.
#[derive(Default)]
pub(super) struct Others {
    /// Their numbers follow those of the library's own packs.
    pub(super) packs: Vec<PackLayout>,
    places: HashMap<ChunkId, Vec<Place>>,
    known: HashSet<ObjectHash>,
    /// Why there may be more.
    pub(super) problem: Option<RestoreError>,
}

impl Others {
    /// Where a chunk lies, after so many places that were no use.
    pub(super) fn place(&self, chunk: &ChunkId, tried: usize) -> Option<Place> {
        self.places.get(chunk)?.get(tried).copied()
    }

    /// Looks through what the source has besides the library's own packs. What cannot be read there is passed over.
    pub(super) fn look(library: &Library<'_>, lost: &[ObjectHash]) -> Self {
        let mut others = Self::default();
        for nth in (0..).take(MOST_PARTS) {
            let read = match library.source.others(lost, nth) {
                Ok(None) => break,
                Ok(Some(objects)) => others.fill(library, lost, objects),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = read {
                tracing::warn!(%error, "packs of another snapshot cannot be looked through");
                others.problem = Some(error);
            }
        }
        others
    }

    fn fill(
        &mut self,
        library: &Library<'_>,
        lost: &[ObjectHash],
        objects: Vec<ObjectRef>,
    ) -> Result<(), RestoreError> {
        let is_lost: HashSet<&ObjectHash> = lost.iter().collect();
        let (segments, packs): (Vec<ObjectRef>, Vec<ObjectRef>) = objects
            .into_iter()
            .filter(|object| !matches!(object.kind, ObjectKind::ListPage | ObjectKind::Manifest))
            .partition(|object| object.kind == ObjectKind::Index);
        let mut wanted: HashSet<ObjectRef> = packs
            .into_iter()
            .filter(|pack| !self.known.contains(&pack.hash))
            .collect();
        wanted.retain(|pack| library.layout(pack).is_none() && !is_lost.contains(&pack.hash));
        if wanted.is_empty() {
            return Ok(());
        }
        let expect = |parts: Vec<Part>| library.source.expect(&parts);
        expect(segments.iter().map(Part::whole).collect());
        let opened = crew::each(READERS, &segments, |segment| library.segment(segment));
        for layouts in opened {
            for layout in readable(layouts)?.unwrap_or_default() {
                if wanted.remove(&layout.object) {
                    self.add(library, layout);
                }
            }
        }
        let mut unlisted: Vec<ObjectRef> = wanted.into_iter().collect();
        unlisted.sort_unstable();
        expect(unlisted.iter().map(head).collect());
        let asked = crew::each(READERS, &unlisted, |pack| library.own_list(pack));
        for layout in asked {
            if let Some(layout) = readable(layout)? {
                self.add(library, layout);
            }
        }
        Ok(())
    }

    fn add(&mut self, library: &Library<'_>, layout: PackLayout) {
        let pack = library.packs.len() + self.packs.len();
        self.known.insert(layout.object.hash);
        for (position, entry) in layout.entries.iter().enumerate() {
            let places = self.places.entry(entry.id).or_default();
            places.push(Place { pack, position });
        }
        self.packs.push(layout);
    }
}

fn readable<T, F>(read: Result<T, Trouble<F>>) -> Result<Option<T>, RestoreError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(Trouble::One(_)) => Ok(None),
        Err(Trouble::All(error)) => Err(error),
    }
}
