//! Where the chunks of a snapshot lie: what its index segments and the packs' own lists say.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use repository::{
    chunk::{ChunkId, ChunkKey},
    index,
    pack::{MAX_HEADER_BYTES, OpenPack, PackError, PackKey, PackLayout},
    recovery::RecoverySecret,
};
use shared::{
    api::agent::Part,
    object::{ObjectHash, ObjectKind, ObjectRef},
    words::counted,
};

use super::{
    damage::{Failure, Fault, Reason},
    error::SnapshotError,
    location::{ChunkLocation, OtherPacks},
    opened::{READERS, Snapshot},
};
use crate::{parallel, store::ObjectSource};

/// Packs that are no use are named up to this many.
const NAMED: usize = 10;
/// So many objects in a row that the storage has and does not give are no accident.
const WITHHELD_IN_A_ROW_MAX: u32 = 16;

/// All packs of a snapshot.
pub struct ChunkIndex<'a> {
    pub(super) source: &'a dyn ObjectSource,
    pub(super) secret: &'a RecoverySecret,
    /// Names chunks.
    pub(super) names: ChunkKey,
    pub(super) packs: Vec<PackLayout>,
    by_hash: HashMap<ObjectHash, usize>,
    places: HashMap<ChunkId, ChunkLocation>,
    /// Further places of chunks that lie in several packs.
    spare: HashMap<ChunkId, Vec<ChunkLocation>>,
    /// Objects that are no use: index segments, and packs of which nobody knows what is in them.
    unusable: Vec<(ObjectRef, Fault)>,
    /// Packs that no index segment lists.
    unlisted: Vec<ObjectRef>,
    withheld: AtomicU32,
    /// Packs that turned out to be no use, wholly or in part.
    lost: Mutex<BTreeMap<ObjectHash, Fault>>,
    /// Packs of other snapshots, once something is lost.
    others: OnceLock<OtherPacks>,
}

impl<'a> ChunkIndex<'a> {
    /// Reads the snapshot's index segments. Packs that no usable segment lists are asked for their own lists.
    ///
    /// # Errors
    /// When the storage cannot be asked. Damage is no error: what it costs shows later.
    pub fn open(
        source: &'a dyn ObjectSource,
        snapshot: &Snapshot,
        secret: &'a RecoverySecret,
    ) -> Result<Self, SnapshotError> {
        let mut index = Self {
            source,
            secret,
            names: snapshot.content.chunk_key.clone(),
            packs: Vec::new(),
            by_hash: HashMap::new(),
            places: HashMap::new(),
            spare: HashMap::new(),
            unusable: Vec::new(),
            unlisted: Vec::new(),
            withheld: AtomicU32::new(0),
            lost: Mutex::default(),
            others: OnceLock::new(),
        };
        let of_kinds = |kinds: &[ObjectKind]| -> Vec<ObjectRef> {
            let objects = snapshot.objects.iter().copied();
            objects.filter(|object| kinds.contains(&object.kind)).collect()
        };
        let segments = of_kinds(&[ObjectKind::Index]);
        let packs = of_kinds(&[ObjectKind::Pack, ObjectKind::TreePack]);
        let mut unlisted: HashSet<ObjectRef> = packs.into_iter().collect();
        let mut seen = HashSet::new();
        source.expect(&segments.iter().map(Part::whole).collect::<Vec<_>>());
        let opened = parallel::map(READERS, &segments, |segment| index.segment(segment));
        for (segment, layouts) in segments.iter().zip(opened) {
            for layout in index.usable(segment, layouts)?.unwrap_or_default() {
                // When the list has gaps, a segment may know packs that it does not.
                let is_needed = unlisted.remove(&layout.object) || !snapshot.lost_pages.is_empty();
                if is_needed && seen.insert(layout.object) {
                    index.add(layout);
                }
            }
        }
        let mut unlisted: Vec<ObjectRef> = unlisted.into_iter().collect();
        unlisted.sort_unstable();
        source.expect(&unlisted.iter().map(head).collect::<Vec<_>>());
        let asked = parallel::map(READERS, &unlisted, |pack| {
            loop {
                match index.own_list(pack) {
                    Err(Failure::One(_)) if source.another(pack) => {}
                    done => return done,
                }
            }
        });
        for (pack, layout) in unlisted.iter().zip(asked) {
            if let Some(layout) = index.usable(pack, layout)? {
                index.add(layout);
            }
        }
        index.unlisted = unlisted;
        Ok(index)
    }

    /// What names chunks.
    pub(crate) const fn names(&self) -> &ChunkKey {
        &self.names
    }

    /// Packs that only their own lists tell of.
    pub(crate) fn unlisted(&self) -> &[ObjectRef] {
        &self.unlisted
    }

    /// Every place of a chunk: which pack, and the chunk's position in it.
    pub(crate) fn places(&self, chunk: &ChunkId) -> impl Iterator<Item = (&PackLayout, usize)> {
        (0..)
            .map_while(|tried| self.place(chunk, tried))
            .map(|place| (self.pack(place.pack), place.position))
    }

    /// Where the chunks of a pack lie that the snapshot needs.
    pub(crate) fn layout(&self, pack: &ObjectRef) -> Option<&PackLayout> {
        self.by_hash.get(&pack.hash).map(|at| &self.packs[*at])
    }

    /// One of the index's packs, or of those of other snapshots.
    pub(crate) fn pack(&self, at: usize) -> &PackLayout {
        match (at.checked_sub(self.packs.len()), self.others.get()) {
            (Some(at), Some(others)) => &others.packs[at],
            _ => &self.packs[at],
        }
    }

    /// Notes that a pack is no use, wholly or in part.
    pub(crate) fn lose(&self, pack: &ObjectRef, fault: &Fault) {
        self.lost().entry(pack.hash).or_insert_with(|| fault.clone());
    }

    /// Which packs turned out to be no use, and where else what they held was looked for.
    pub(crate) fn lost_note(&self) -> Option<String> {
        let others = self.others.get()?;
        let lost = self.lost();
        let mut named: Vec<String> = lost
            .iter()
            .take(NAMED)
            .map(|(hash, fault)| format!("pack {hash} {fault}"))
            .collect();
        if lost.len() > NAMED {
            named.push(format!(
                "and {} no use",
                counted((lost.len() - NAMED) as u64, "more pack is", "more packs are")
            ));
        }
        let elsewhere = match &others.problem {
            None => counted(
                others.packs.len() as u64,
                "pack of another snapshot",
                "packs of other snapshots",
            ),
            Some(error) => format!(
                "{} (not all of them: {error})",
                counted(
                    others.packs.len() as u64,
                    "pack of another snapshot",
                    "packs of other snapshots"
                )
            ),
        };
        Some(format!(
            "{}; {elsewhere} were looked through instead",
            named.join(", ")
        ))
    }

    fn lost(&self) -> MutexGuard<'_, BTreeMap<ObjectHash, Fault>> {
        // The map is whole after every statement that changes it.
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Packs of other snapshots. Nobody is asked for them while nothing is lost.
    fn others(&self) -> Option<&OtherPacks> {
        if let Some(others) = self.others.get() {
            return Some(others);
        }
        let lost: Vec<ObjectHash> = self.lost().keys().copied().collect();
        (!lost.is_empty()).then(|| self.others.get_or_init(|| self.look_elsewhere(&lost)))
    }

    /// Index segments that are no use. Nothing is lost with them while the packs' own lists can be read.
    pub fn lost_segments(&self) -> impl Iterator<Item = &(ObjectRef, Fault)> {
        self.unusable
            .iter()
            .filter(|(object, _)| object.kind == ObjectKind::Index)
    }

    /// Where a chunk lies: the first place, or the next one after so many that were no use.
    pub(crate) fn place(&self, chunk: &ChunkId, tried: usize) -> Option<ChunkLocation> {
        let Some(first) = self.places.get(chunk) else {
            return self.others()?.place(chunk, tried);
        };
        let spare = self.spare.get(chunk).map_or(&[][..], Vec::as_slice);
        match tried.checked_sub(1) {
            None => Some(*first),
            Some(next) if next < spare.len() => Some(spare[next]),
            Some(next) => self.others()?.place(chunk, next - spare.len()),
        }
    }

    /// Why a chunk has no place.
    pub(crate) fn nowhere(&self) -> Reason {
        let packs = |(object, _): &&(ObjectRef, Fault)| object.kind != ObjectKind::Index;
        Reason::Nowhere {
            suspects: self
                .unusable
                .iter()
                .filter(packs)
                .map(|(object, fault)| format!("{} ({fault})", object.hash))
                .collect(),
        }
    }

    /// Reads from the storage.
    pub(super) fn read(
        &self,
        object: &ObjectRef,
        range: Option<std::ops::Range<u64>>,
    ) -> Result<Vec<u8>, Failure<Fault>> {
        let result = self.source.read(object, range);
        let is_withheld = matches!(&result, Err(error) if error.is_withheld());
        if !is_withheld {
            self.withheld.store(0, Relaxed);
        } else if self.withheld.fetch_add(1, Relaxed) + 1 >= WITHHELD_IN_A_ROW_MAX {
            return Err(Failure::All(
                result.err().map_or(SnapshotError::Thread, Into::into),
            ));
        }
        Ok(result?)
    }

    fn add(&mut self, layout: PackLayout) {
        let pack = self.packs.len();
        for (position, entry) in layout.entries.iter().enumerate() {
            let place = ChunkLocation { pack, position };
            let first = *self.places.entry(entry.id).or_insert(place);
            if first != place {
                self.spare.entry(entry.id).or_default().push(place);
            }
        }
        self.by_hash.insert(layout.object.hash, pack);
        self.packs.push(layout);
    }

    fn usable<T>(
        &mut self,
        object: &ObjectRef,
        read: Result<T, Failure<Fault>>,
    ) -> Result<Option<T>, SnapshotError> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(Failure::One(fault)) => {
                tracing::warn!(%object.hash, %fault, "an object is no use");
                if object.kind != ObjectKind::Index {
                    self.lose(object, &fault);
                }
                self.unusable.push((*object, fault));
                Ok(None)
            }
            Err(Failure::All(error)) => Err(error),
        }
    }

    pub(super) fn segment(&self, segment: &ObjectRef) -> Result<Vec<PackLayout>, Failure<Fault>> {
        let bytes = self.read(segment, None)?;
        index::open_with_kit(&bytes, self.secret).map_err(|error| {
            Failure::One(Fault::Damaged {
                what: error.to_string(),
            })
        })
    }

    /// What a pack says that it holds.
    pub(super) fn own_list(&self, object: &ObjectRef) -> Result<PackLayout, Failure<Fault>> {
        let begin = self.read(object, Some(head(object).range()))?;
        let key = PackKey::open(object.kind, &begin, self.secret)?;
        let opened = OpenPack::new(object.kind, &begin, &key)?;
        let range = opened.footer_range();
        if range.end > object.size_bytes {
            return Err(PackError::BadLayout.into());
        }
        let layout = PackLayout {
            object: *object,
            body_offset: opened.body_offset(),
            entries: opened.footer(&self.read(object, Some(range))?)?,
        };
        layout.check()?;
        Ok(layout)
    }
}

/// The part of a pack that holds its header.
pub(super) fn head(pack: &ObjectRef) -> Part {
    Part::of(pack.hash, &(0..pack.size_bytes.min(MAX_HEADER_BYTES as u64)))
}
