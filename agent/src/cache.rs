//! The cache of one source: what is in the bucket and what the files looked like when they were last read. It may
//! be lost at any time: the index segments in the bucket rebuild the first part, reading everything again the second.
//!
//! A run works in one transaction that is committed after its snapshot is complete, so that a crash leaves the
//! cache as the last complete snapshot left it.

use std::{collections::HashMap, fs, io, path::Path};

use minicbor::{Decode, Encode};
use redb::{Database, DatabaseError, ReadableTable, StorageError, Table, TableDefinition, WriteTransaction};
use repository::{
    chunk::{ChunkId, ChunkRef},
    pack::{PackEntry, PackLayout},
    tree::Entry,
};
use shared::object::{ObjectHash, ObjectKind, ObjectRef};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const PACKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("packs");
const LAYOUTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("layouts");
const CHUNKS: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("chunks");
const FOLDERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("folders");

const HEAD: &str = "head";
/// Another version's cache is thrown away, not migrated.
const VERSION: u32 = 1;

/// The cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The database.
    #[error("the agent's cache: {0}")]
    Database(Box<redb::Error>),
    /// A record that does not read.
    #[error("the agent's cache holds a damaged record; remove the file `cache` in the source's state folder")]
    Damaged,
}

fn db(error: impl Into<redb::Error>) -> CacheError {
    CacheError::Database(Box::new(error.into()))
}

/// Which snapshot the cache describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub seq: u64,
    /// Its manifest.
    pub manifest: ObjectHash,
    /// The agent's state that wrote it.
    pub instance_id: String,
}

#[derive(Encode, Decode)]
struct HeadRecord {
    #[n(0)]
    version: u32,
    #[n(1)]
    seq: u64,
    #[cbor(n(2), with = "minicbor::bytes")]
    manifest: [u8; 32],
    #[n(3)]
    instance_id: String,
}

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

#[derive(Encode, Decode)]
struct LayoutRecord {
    #[n(0)]
    body_offset: u32,
    #[n(1)]
    entries: Vec<PackEntry>,
}

/// What a regular file looked like when its content was read.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FileRecord {
    /// As the listing has it.
    #[n(0)]
    pub entry: Entry,
    /// Its inode.
    #[n(1)]
    pub inode: u64,
    /// Its chunks, where the entry only names pages of them.
    #[n(2)]
    pub chunks: Option<Vec<ChunkRef>>,
}

#[derive(Encode, Decode)]
struct FolderRecord {
    #[n(0)]
    files: Vec<FileRecord>,
}

fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    // Into memory: cannot fail.
    minicbor::to_vec(value).unwrap_or_default()
}

fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, CacheError> {
    minicbor::decode(bytes).map_err(|_| CacheError::Damaged)
}

/// The cache of one source.
#[derive(Debug)]
pub struct Cache(Database);

impl Cache {
    /// Opens the cache. A damaged one is replaced by an empty one.
    ///
    /// # Errors
    /// When not even an empty one can be made.
    pub fn open(path: &Path) -> Result<Self, CacheError> {
        let error = match Database::create(path) {
            Ok(database) => return Ok(Self(database)),
            Err(error) => error,
        };
        let is_damage = match &error {
            DatabaseError::DatabaseAlreadyOpen => false,
            DatabaseError::Storage(StorageError::Io(error)) => error.kind() == io::ErrorKind::InvalidData,
            _ => true,
        };
        if !is_damage {
            return Err(db(error));
        }
        tracing::warn!(%error, "the cache does not open; starting with an empty one");
        let _ = fs::remove_file(path);
        Database::create(path).map(Self).map_err(db)
    }

    /// Begins a run.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin(&self) -> Result<CacheRun, CacheError> {
        self.0.begin_write().map(CacheRun).map_err(db)
    }
}

/// One run's view: dropped, it changes nothing.
pub struct CacheRun(WriteTransaction);

impl CacheRun {
    /// Which snapshot the cache describes; `None` when it is empty.
    ///
    /// # Errors
    /// When the database fails.
    pub fn head(&self) -> Result<Option<Head>, CacheError> {
        let meta = self.0.open_table(META).map_err(db)?;
        let Some(bytes) = meta.get(HEAD).map_err(db)? else {
            return Ok(None);
        };
        let Ok(record) = decode::<HeadRecord>(bytes.value()) else {
            return Ok(None);
        };
        Ok((record.version == VERSION).then(|| Head {
            seq: record.seq,
            manifest: ObjectHash::from_bytes(record.manifest),
            instance_id: record.instance_id,
        }))
    }

    /// Says which snapshot the cache now describes.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_head(&self, head: &Head) -> Result<(), CacheError> {
        let mut meta = self.0.open_table(META).map_err(db)?;
        let record = encode(&HeadRecord {
            version: VERSION,
            seq: head.seq,
            manifest: *head.manifest.as_bytes(),
            instance_id: head.instance_id.clone(),
        });
        meta.insert(HEAD, record.as_slice()).map_err(db)?;
        Ok(())
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// When the database fails.
    pub fn clear(&self) -> Result<(), CacheError> {
        self.0.delete_table(META).map_err(db)?;
        self.0.delete_table(PACKS).map_err(db)?;
        self.0.delete_table(LAYOUTS).map_err(db)?;
        self.0.delete_table(CHUNKS).map_err(db)?;
        self.0.delete_table(FOLDERS).map_err(db)?;
        Ok(())
    }

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
        let mut packs = self.0.open_table(PACKS).map_err(db)?;
        let mut table = self.0.open_table(LAYOUTS).map_err(db)?;
        let mut chunks = self.0.open_table(CHUNKS).map_err(db)?;
        let first = packs
            .last()
            .map_err(db)?
            .map_or(0, |(number, _)| number.value() + 1);
        for (next, layout) in (first..).zip(layouts) {
            packs
                .insert(next, encode(&record(layout.object, segment)).as_slice())
                .map_err(db)?;
            let entries = encode(&LayoutRecord {
                body_offset: layout.body_offset,
                entries: layout.entries.clone(),
            });
            table.insert(next, entries.as_slice()).map_err(db)?;
            for entry in &layout.entries {
                chunks.insert(entry.id.as_bytes(), next).map_err(db)?;
            }
        }
        Ok(())
    }

    /// Notes that another segment lists these packs now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn move_packs(&self, moved: &[(u64, ObjectRef)], segment: ObjectRef) -> Result<(), CacheError> {
        let mut packs = self.0.open_table(PACKS).map_err(db)?;
        for (number, object) in moved {
            packs
                .insert(*number, encode(&record(*object, segment)).as_slice())
                .map_err(db)?;
        }
        Ok(())
    }

    /// Forgets packs that no snapshot of this source's newest needs: the server may delete them.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove_packs(&self, numbers: &[u64]) -> Result<(), CacheError> {
        let mut packs = self.0.open_table(PACKS).map_err(db)?;
        let mut layouts = self.0.open_table(LAYOUTS).map_err(db)?;
        let mut chunks = self.0.open_table(CHUNKS).map_err(db)?;
        for number in numbers {
            packs.remove(*number).map_err(db)?;
            let Some(bytes) = layouts.remove(*number).map_err(db)? else {
                continue;
            };
            let record: LayoutRecord = decode(bytes.value())?;
            drop(bytes);
            for entry in record.entries {
                let id = *entry.id.as_bytes();
                let here = chunks
                    .get(&id)
                    .map_err(db)?
                    .is_some_and(|found| found.value() == *number);
                if here {
                    chunks.remove(&id).map_err(db)?;
                }
            }
        }
        Ok(())
    }

    /// The tables that a scan works on.
    ///
    /// # Errors
    /// When the database fails.
    pub fn tables(&self) -> Result<Tables<'_>, CacheError> {
        Ok(Tables {
            chunks: self.0.open_table(CHUNKS).map_err(db)?,
            folders: self.0.open_table(FOLDERS).map_err(db)?,
        })
    }

    /// Makes the run's changes last.
    ///
    /// # Errors
    /// When the database fails.
    pub fn commit(self) -> Result<(), CacheError> {
        self.0.commit().map_err(db)
    }
}

fn record(object: ObjectRef, segment: ObjectRef) -> PackRecord {
    PackRecord {
        hash: *object.hash.as_bytes(),
        kind: object.kind.tag(),
        size_bytes: object.size_bytes,
        segment: *segment.hash.as_bytes(),
        segment_size_bytes: segment.size_bytes,
    }
}

/// What a scan looks up and renews.
pub struct Tables<'t> {
    chunks: Table<'t, &'static [u8; 32], u64>,
    folders: Table<'t, &'static [u8], &'static [u8]>,
}

impl Tables<'_> {
    /// The pack that holds a chunk.
    ///
    /// # Errors
    /// When the database fails.
    pub fn pack_of(&self, chunk: &ChunkId) -> Result<Option<u64>, CacheError> {
        Ok(self
            .chunks
            .get(chunk.as_bytes())
            .map_err(db)?
            .map(|found| found.value()))
    }

    /// The files of a folder as they were last read, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn files(&self, folder: &[u8]) -> Result<Vec<FileRecord>, CacheError> {
        match self.folders.get(folder).map_err(db)? {
            None => Ok(Vec::new()),
            // A record of another version is as good as none.
            Some(bytes) => Ok(decode::<FolderRecord>(bytes.value())
                .map(|record| record.files)
                .unwrap_or_default()),
        }
    }

    /// Renews a folder's record where it changed.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_files(&mut self, folder: &[u8], files: Vec<FileRecord>) -> Result<(), CacheError> {
        let bytes = encode(&FolderRecord { files });
        let same = self
            .folders
            .get(folder)
            .map_err(db)?
            .is_some_and(|found| found.value() == bytes.as_slice());
        if !same {
            self.folders.insert(folder, bytes.as_slice()).map_err(db)?;
        }
        Ok(())
    }

    /// Forgets the folders that `seen` does not know.
    ///
    /// # Errors
    /// When the database fails.
    pub fn retain_folders(&mut self, seen: impl Fn(&[u8]) -> bool) -> Result<(), CacheError> {
        self.folders.retain(|folder, _| seen(folder)).map_err(db)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_cache_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let head = Head {
            seq: 3,
            manifest: ObjectHash::from_bytes([1; 32]),
            instance_id: "here".into(),
        };
        let cache = Cache::open(&path).unwrap();
        let run = cache.begin().unwrap();
        run.set_head(&head).unwrap();
        run.commit().unwrap();
        assert!(
            matches!(Cache::open(&path), Err(CacheError::Database(_))),
            "two at a time"
        );
        drop(cache);
        assert_eq!(
            Cache::open(&path).unwrap().begin().unwrap().head().unwrap(),
            Some(head)
        );

        for damage in [&b"not a database"[..], &[0; 10_000], b""] {
            fs::write(&path, damage).unwrap();
            let cache = Cache::open(&path).unwrap();
            assert_eq!(cache.begin().unwrap().head().unwrap(), None);
        }
    }

    #[test]
    fn a_run_that_is_dropped_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        let run = cache.begin().unwrap();
        run.tables().unwrap().set_files(b"/a", Vec::new()).unwrap();
        run.set_head(&Head {
            seq: 1,
            manifest: ObjectHash::from_bytes([1; 32]),
            instance_id: String::new(),
        })
        .unwrap();
        drop(run);
        assert_eq!(cache.begin().unwrap().head().unwrap(), None);
    }
}
