//! Reading packs: the ranges that hold what is wanted, joined where they lie close together.

use std::ops::Range;

use repository::pack::{OpenPack, PackKey};
use shared::api::agent::Part;

use super::{
    chunk_index::ChunkIndex,
    damage::{Failure, Fault},
};

/// Pieces of a pack that lie closer than this are read at once: a request costs more than so many bytes.
const GAP_BYTES: u64 = 128 * 1024;

/// A pack's sealed bytes, or the parts of them that are wanted.
pub(crate) struct Sealed {
    parts: Vec<(u64, Vec<u8>)>,
}

impl Sealed {
    /// The bytes at an offset of the pack.
    fn at(&mut self, begin: u64, len: u64) -> Result<&mut [u8], Fault> {
        self.parts
            .iter_mut()
            .find_map(|(start, bytes)| bytes.get_mut(within(*start, begin, len)?))
            .ok_or(Fault::Short)
    }

    fn copy(&self, begin: u64, len: u64) -> Result<Vec<u8>, Fault> {
        self.parts
            .iter()
            .find_map(|(start, bytes)| bytes.get(within(*start, begin, len)?))
            .map(<[u8]>::to_vec)
            .ok_or(Fault::Short)
    }

    fn header(&self) -> &[u8] {
        self.parts.first().map_or(&[], |(_, bytes)| bytes)
    }
}

fn within(start: u64, begin: u64, len: u64) -> Option<Range<usize>> {
    let from = usize::try_from(begin.checked_sub(start)?).ok()?;
    Some(from..from.checked_add(usize::try_from(len).ok()?)?)
}

/// A pack whose key is known, and the places of its chunks.
pub(crate) struct Reader {
    opened: OpenPack,
    offsets: Vec<u64>,
}

impl ChunkIndex<'_> {
    /// The ranges of a pack that hold its header and the chunks at these positions (ascending).
    pub(crate) fn ranges(&self, pack: usize, positions: &[usize]) -> Vec<Range<u64>> {
        let layout = self.pack(pack);
        let places: Vec<Range<u64>> = layout
            .places()
            .map(|(_, begin, entry)| begin..begin + entry.sealed_len())
            .collect();
        let header = 0..u64::from(layout.body_offset);
        let mut ranges: Vec<Range<u64>> = Vec::from([header]);
        for place in positions.iter().filter_map(|position| places.get(*position)) {
            match ranges.last_mut() {
                Some(last) if place.start.saturating_sub(last.end) <= GAP_BYTES => last.end = place.end,
                _ => ranges.push(place.clone()),
            }
        }
        ranges
    }

    /// Says which ranges of which packs will be read next.
    pub(crate) fn expect(&self, packs: impl Iterator<Item = (usize, Vec<Range<u64>>)>) {
        let parts: Vec<Part> = packs
            .flat_map(|(pack, ranges)| {
                let object = self.pack(pack).object.hash;
                ranges.into_iter().map(move |range| Part::of(object, &range))
            })
            .collect();
        self.source.expect(&parts);
    }

    /// Reads ranges of a pack, the first of which holds its header, and opens it.
    pub(crate) fn visit(
        &self,
        pack: usize,
        ranges: &[Range<u64>],
    ) -> Result<(Sealed, Reader), Failure<Fault>> {
        loop {
            match self.visit_once(pack, ranges) {
                Err(Failure::One(_)) if self.another(pack) => {}
                Err(Failure::One(fault)) => {
                    self.lose(&self.pack(pack).object, &fault);
                    return Err(Failure::One(fault));
                }
                done => return done,
            }
        }
    }

    /// Whether there is another copy of a pack, after one was no use.
    pub(crate) fn another(&self, pack: usize) -> bool {
        self.source.another(&self.pack(pack).object)
    }

    fn visit_once(&self, pack: usize, ranges: &[Range<u64>]) -> Result<(Sealed, Reader), Failure<Fault>> {
        let layout = self.pack(pack);
        let parts = ranges
            .iter()
            .map(|range| Ok((range.start, self.read(&layout.object, Some(range.clone()))?)))
            .collect::<Result<_, Failure<Fault>>>()?;
        let sealed = Sealed { parts };
        if sealed.header().is_empty() {
            return Err(Fault::Short.into());
        }
        let key = PackKey::open(layout.object.kind, sealed.header(), self.secret)?;
        let reader = Reader {
            opened: OpenPack::new(layout.object.kind, sealed.header(), &key)?,
            offsets: layout.places().map(|(_, begin, _)| begin).collect(),
        };
        Ok((sealed, reader))
    }

    /// Opens one chunk and checks its id. Its sealed bytes are used up.
    pub(crate) fn chunk(
        &self,
        pack: usize,
        reader: &Reader,
        sealed: &mut Sealed,
        position: usize,
    ) -> Result<Vec<u8>, Fault> {
        let len = self.pack(pack).entries[position].sealed_len();
        let opened = sealed
            .at(reader.offsets[position], len)
            .and_then(|bytes| self.open_chunk(pack, reader, bytes, position));
        opened.inspect_err(|fault| self.lose(&self.pack(pack).object, fault))
    }

    /// The same, and the sealed bytes stay.
    pub(super) fn chunk_again(
        &self,
        pack: usize,
        reader: &Reader,
        sealed: &Sealed,
        position: usize,
    ) -> Result<Vec<u8>, Fault> {
        let len = self.pack(pack).entries[position].sealed_len();
        let opened = sealed
            .copy(reader.offsets[position], len)
            .and_then(|mut bytes| self.open_chunk(pack, reader, &mut bytes, position));
        opened.inspect_err(|fault| self.lose(&self.pack(pack).object, fault))
    }

    fn open_chunk(
        &self,
        pack: usize,
        reader: &Reader,
        bytes: &mut [u8],
        position: usize,
    ) -> Result<Vec<u8>, Fault> {
        let entry = &self.pack(pack).entries[position];
        let number = u32::try_from(position).unwrap_or(u32::MAX);
        Ok(reader.opened.chunk(number, entry, bytes, &self.names)?)
    }
}
