//! Where the chunks of a snapshot lie, and how packs are opened.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::{Mutex, PoisonError},
};

use repository::{
    chunk::{ChunkId, ChunkKey},
    index,
    pack::{MAX_HEADER_BYTES, OpenPack, PackKey, PackLayout},
    recovery::RecoverySecret,
};
use shared::object::{ObjectKind, ObjectRef};

use super::RestoreError;
use crate::store::ObjectSource;

/// Opened packs of listings that are kept: the walk comes back to them.
const KEPT_PACKS: usize = 4;
/// Pieces of a pack that lie closer than this are read at once.
const GAP_BYTES: u64 = 128 * 1024;

/// All packs of a snapshot.
pub struct Library<'a> {
    source: &'a dyn ObjectSource,
    secret: &'a RecoverySecret,
    names: ChunkKey,
    packs: Vec<PackLayout>,
    places: HashMap<ChunkId, Place>,
    kept: Mutex<Vec<(usize, PackReader)>>,
}

/// Where a chunk lies.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Which pack of the library.
    pub(super) pack: usize,
    /// Its position in the pack.
    pub(super) position: u32,
}

impl<'a> Library<'a> {
    /// Reads the index segments among `objects`. Packs that no readable segment lists are asked for their footers.
    ///
    /// # Errors
    /// When something cannot be read or opened.
    pub fn open(
        source: &'a dyn ObjectSource,
        objects: &[ObjectRef],
        secret: &'a RecoverySecret,
        names: ChunkKey,
    ) -> Result<Self, RestoreError> {
        let mut missing: HashSet<ObjectRef> = objects
            .iter()
            .filter(|object| object.kind != ObjectKind::Index)
            .copied()
            .collect();
        let mut packs = Vec::new();
        for segment in objects.iter().filter(|object| object.kind == ObjectKind::Index) {
            let layouts = source
                .read(&segment.hash, None)
                .map_err(RestoreError::from)
                .and_then(|bytes| Ok(index::open_with_kit(&bytes, secret)?));
            match layouts {
                Ok(layouts) => packs.extend(
                    layouts
                        .into_iter()
                        .filter(|layout| missing.remove(&layout.object)),
                ),
                Err(error) => {
                    tracing::warn!(segment = %segment.hash, %error, "an index segment is lost; reading the packs' own lists");
                }
            }
        }
        for object in missing {
            packs.push(layout_from_footer(source, object, secret)?);
        }
        let places = packs
            .iter()
            .enumerate()
            .flat_map(|(pack, layout)| {
                layout
                    .places()
                    .map(move |(position, _, entry)| (entry.id, Place { pack, position }))
            })
            .collect();
        Ok(Self {
            source,
            secret,
            names,
            packs,
            places,
            kept: Mutex::default(),
        })
    }

    pub(super) fn place(&self, chunk: &ChunkId) -> Result<Place, RestoreError> {
        self.places.get(chunk).copied().ok_or(RestoreError::MissingChunk)
    }

    /// A chunk of a listing. The pack is read whole and kept for the next.
    pub(super) fn tree_chunk(&self, chunk: &ChunkId) -> Result<Vec<u8>, RestoreError> {
        let place = self.place(chunk)?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = match kept.iter().position(|(pack, _)| *pack == place.pack) {
            Some(at) => at,
            None => {
                let reader = self.read_pack(place.pack, None)?;
                if kept.len() >= KEPT_PACKS {
                    kept.remove(0);
                }
                kept.push((place.pack, reader));
                kept.len() - 1
            }
        };
        self.chunk(place.pack, &kept[at].1, place.position)
    }

    /// Reads the pieces of a pack that hold these positions (ascending), or all of it.
    pub(super) fn read_pack(
        &self,
        pack: usize,
        positions: Option<&[u32]>,
    ) -> Result<PackReader, RestoreError> {
        let layout = &self.packs[pack];
        let offsets: Vec<u64> = layout.places().map(|(_, offset, _)| offset).collect();
        let header = 0..u64::from(layout.body_offset);
        let mut ranges: Vec<Range<u64>> = vec![header];
        let mut wanted = 0;
        for position in positions.unwrap_or_default() {
            let at = usize::try_from(*position).unwrap_or(usize::MAX);
            let begin = offsets[at];
            let end = begin + layout.entries[at].sealed_len();
            wanted += end - begin;
            match ranges.last_mut() {
                Some(last) if begin.saturating_sub(last.end) <= GAP_BYTES => last.end = end,
                _ => ranges.push(begin..end),
            }
        }
        let all = positions.is_none() || wanted * 2 >= layout.object.size_bytes;
        let parts = if all {
            vec![(0, self.source.read(&layout.object.hash, None)?)]
        } else {
            ranges
                .into_iter()
                .map(|range| Ok((range.start, self.source.read(&layout.object.hash, Some(range))?)))
                .collect::<Result<Vec<_>, RestoreError>>()?
        };
        // The first part begins with the header, whatever was asked for.
        let begin = parts.first().map_or(&[][..], |(_, bytes)| bytes.as_slice());
        let key = PackKey::open(layout.object.kind, begin, self.secret)?;
        let opened = OpenPack::new(layout.object.kind, begin, &key)?;
        Ok(PackReader {
            opened,
            offsets,
            parts,
        })
    }

    /// Opens one chunk of a pack.
    pub(super) fn chunk(
        &self,
        pack: usize,
        reader: &PackReader,
        position: u32,
    ) -> Result<Vec<u8>, RestoreError> {
        let at = usize::try_from(position).unwrap_or(usize::MAX);
        let entry = &self.packs[pack].entries[at];
        let mut sealed = reader.slice(reader.offsets[at], entry.sealed_len())?.to_vec();
        Ok(reader.opened.chunk(position, entry, &mut sealed, &self.names)?)
    }
}

/// A pack, or the parts of one, in memory.
pub(super) struct PackReader {
    opened: OpenPack,
    offsets: Vec<u64>,
    parts: Vec<(u64, Vec<u8>)>,
}

impl PackReader {
    fn slice(&self, begin: u64, len: u64) -> Result<&[u8], RestoreError> {
        self.parts
            .iter()
            .find_map(|(start, bytes)| {
                let from = usize::try_from(begin.checked_sub(*start)?).ok()?;
                bytes.get(from..from.checked_add(usize::try_from(len).ok()?)?)
            })
            .ok_or(RestoreError::MissingChunk)
    }
}

fn layout_from_footer(
    source: &dyn ObjectSource,
    object: ObjectRef,
    secret: &RecoverySecret,
) -> Result<PackLayout, RestoreError> {
    let end = object.size_bytes.min(MAX_HEADER_BYTES as u64);
    let begin = source.read(&object.hash, Some(0..end))?;
    let key = PackKey::open(object.kind, &begin, secret)?;
    let opened = OpenPack::new(object.kind, &begin, &key)?;
    let range = opened.footer_range();
    if range.end > object.size_bytes {
        return Err(repository::pack::PackError::BadLayout.into());
    }
    let entries = opened.footer(&source.read(&object.hash, Some(range))?)?;
    let layout = PackLayout {
        object,
        body_offset: opened.body_offset(),
        entries,
    };
    layout.check()?;
    Ok(layout)
}
