//! What is in the bucket: packs by their number in the cache, where their chunks lie, and which pack holds a chunk.

use std::collections::HashMap;

use minicbor::{Decode, Encode};
use redb::{ReadableTable, Table};
use repository::{
    chunk::ChunkId,
    pack::{PackEntry, PackLayout},
};
use shared::object::{ObjectHash, ObjectKind, ObjectRef};

use super::{CHUNKS, CacheError, CacheRun, LAYOUTS, META, NEXT_PACK, PACKS, db, decode, encode};

/// A pack that the head needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackInfo {
    /// The pack.
    pub object: ObjectRef,
    /// The index segment that lists it.
    pub segment: ObjectRef,
}

#[derive(Encode, Decode)]
struct PackRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    hash: [u8; 32],
    #[n(1)]
    kind: u8,
    #[n(2)]
    size_bytes: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    segment: [u8; 32],
    #[n(4)]
    segment_size_bytes: u64,
}

impl PackRecord {
    fn new(object: ObjectRef, segment: ObjectRef) -> Self {
        Self {
            hash: *object.hash.as_bytes(),
            kind: object.kind.tag(),
            size_bytes: object.size_bytes,
            segment: *segment.hash.as_bytes(),
            segment_size_bytes: segment.size_bytes,
        }
    }
}

#[derive(Encode, Decode)]
struct LayoutRecord {
    #[n(0)]
    body_offset: u32,
    #[n(1)]
    entries: Vec<PackEntry>,
}

impl CacheRun {
    /// Every pack, by its number in the cache.
    ///
    /// # Errors
    /// When the database fails.
    pub fn packs(&self) -> Result<HashMap<u64, PackInfo>, CacheError> {
        let table = self.0.open_table(PACKS).map_err(db)?;
        let mut packs = HashMap::new();
        for row in table.iter().map_err(db)? {
            let (number, bytes) = row.map_err(db)?;
            let record: PackRecord = decode(bytes.value())?;
            let info = PackInfo {
                object: ObjectRef {
                    kind: ObjectKind::from_tag(record.kind).ok_or(CacheError::Damaged)?,
                    hash: ObjectHash::from_bytes(record.hash),
                    size_bytes: record.size_bytes,
                },
                segment: ObjectRef {
                    kind: ObjectKind::Index,
                    hash: ObjectHash::from_bytes(record.segment),
                    size_bytes: record.segment_size_bytes,
                },
            };
            packs.insert(number.value(), info);
        }
        Ok(packs)
    }

    /// The number of the next new pack. No number is used twice, so that nothing old can point to a new pack.
    ///
    /// # Errors
    /// When the database fails.
    pub fn next_pack(&self) -> Result<u64, CacheError> {
        let meta = self.0.open_table(META).map_err(db)?;
        let next = meta.get(NEXT_PACK).map_err(db)?;
        next.map_or(Ok(0), |bytes| decode(bytes.value()))
    }

    /// Where the chunks of a pack lie.
    ///
    /// # Errors
    /// When the database fails.
    pub fn layout(&self, number: u64, object: ObjectRef) -> Result<PackLayout, CacheError> {
        let table = self.0.open_table(LAYOUTS).map_err(db)?;
        let bytes = table.get(number).map_err(db)?.ok_or(CacheError::Damaged)?;
        let record: LayoutRecord = decode(bytes.value())?;
        Ok(PackLayout {
            object,
            body_offset: record.body_offset,
            entries: record.entries,
        })
    }

    /// Adds packs that `segment` lists.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_packs(&self, layouts: &[PackLayout], segment: ObjectRef) -> Result<(), CacheError> {
        let first = self.next_pack()?;
        for (number, layout) in (first..).zip(layouts) {
            self.chunks()?.add(number, &layout.entries)?;
            self.list_pack(number, layout, segment)?;
        }
        Ok(())
    }

    /// Notes that `segment` lists this pack now. Its chunks are known already.
    ///
    /// # Errors
    /// When the database fails.
    pub fn list_pack(&self, number: u64, layout: &PackLayout, segment: ObjectRef) -> Result<(), CacheError> {
        let next = self.next_pack()?.max(number + 1);
        let mut meta = self.0.open_table(META).map_err(db)?;
        meta.insert(NEXT_PACK, encode(&next).as_slice()).map_err(db)?;
        let mut packs = self.0.open_table(PACKS).map_err(db)?;
        let record = PackRecord::new(layout.object, segment);
        packs.insert(number, encode(&record).as_slice()).map_err(db)?;
        let mut layouts = self.0.open_table(LAYOUTS).map_err(db)?;
        let record = LayoutRecord {
            body_offset: layout.body_offset,
            entries: layout.entries.clone(),
        };
        layouts.insert(number, encode(&record).as_slice()).map_err(db)?;
        Ok(())
    }

    /// Forgets packs that the newest snapshot does not need: the server may delete them.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove_packs(&self, numbers: &[u64]) -> Result<(), CacheError> {
        let mut packs = self.0.open_table(PACKS).map_err(db)?;
        let mut layouts = self.0.open_table(LAYOUTS).map_err(db)?;
        let mut chunks = self.chunks()?;
        for number in numbers {
            packs.remove(*number).map_err(db)?;
            let Some(bytes) = layouts.remove(*number).map_err(db)? else {
                continue;
            };
            let record: LayoutRecord = decode(bytes.value())?;
            drop(bytes);
            chunks.remove(*number, &record.entries)?;
        }
        Ok(())
    }

    /// Which pack holds a chunk.
    ///
    /// # Errors
    /// When the database fails.
    pub fn chunks(&self) -> Result<Chunks<'_>, CacheError> {
        Ok(Chunks(self.0.open_table(CHUNKS).map_err(db)?))
    }
}

/// Which pack holds a chunk, by the pack's number.
pub struct Chunks<'t>(Table<'t, &'static [u8; 32], u64>);

impl Chunks<'_> {
    /// The pack that holds a chunk.
    ///
    /// # Errors
    /// When the database fails.
    pub fn pack_of(&self, chunk: &ChunkId) -> Result<Option<u64>, CacheError> {
        let found = self.0.get(chunk.as_bytes()).map_err(db)?;
        Ok(found.map(|found| found.value()))
    }

    /// Notes what a pack holds. A chunk that another pack holds too is found here from now on.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add(&mut self, number: u64, entries: &[PackEntry]) -> Result<(), CacheError> {
        for entry in entries {
            self.0.insert(entry.id.as_bytes(), number).map_err(db)?;
        }
        Ok(())
    }

    /// Forgets what a pack holds, but for what is found elsewhere by now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove(&mut self, number: u64, entries: &[PackEntry]) -> Result<(), CacheError> {
        for entry in entries {
            if self.pack_of(&entry.id)? == Some(number) {
                self.0.remove(entry.id.as_bytes()).map_err(db)?;
            }
        }
        Ok(())
    }
}
