//! The cache of one source: what is in the bucket and what the files looked like when they were last read. It may
//! be lost at any time: the index segments in the bucket rebuild the first part, reading everything again the second.
//!
//! A run works in one transaction that is committed after its snapshot is complete, so that a crash leaves the
//! cache as the last complete snapshot left it. Every page of the file is checked when it is opened: what a disk
//! has damaged is never believed.

mod check;
mod folders;
mod packs;

pub use folders::{Folders, Trust, decode_files, encode_files};
pub use packs::{Chunks, PackInfo};

use std::{fs, io, path::Path};

use minicbor::{Decode, Encode};
use redb::{
    Builder, Database, DatabaseError, ReadableTable, StorageError, TableDefinition, WriteTransaction,
};
use repository::object_list::ObjectList;
use shared::object::ObjectHash;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const PACKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("packs");
const LAYOUTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("layouts");
const CHUNKS: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("chunks");
const FOLDERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("folders");
const LIST_PAGES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("list pages");

const HEAD: &str = "head";
const LIST: &str = "list";
const TOTALS: &str = "totals";
const NEXT_PACK: &str = "next pack";
/// Another version's cache is thrown away, not migrated.
const VERSION: u32 = 2;
/// Memory for pages of the database, read and written.
const PAGES_BYTES: usize = 16 * 1024 * 1024;

/// The cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The database.
    #[error("the agent's cache: {0}")]
    Database(Box<redb::Error>),
    /// A run before this one has it open.
    #[error(
        "the run before this one still waits for a read below this source to come back, such as one of a mount whose other side is \
         gone. Mend or take off the mount, or start the agent again"
    )]
    InUse,
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
        let error = match create(path) {
            Ok(database) => return Ok(Self(database)),
            Err(error) => error,
        };
        let is_damage = match &error {
            DatabaseError::DatabaseAlreadyOpen => return Err(CacheError::InUse),
            DatabaseError::Storage(StorageError::Io(error)) => error.kind() == io::ErrorKind::InvalidData,
            _ => true,
        };
        if !is_damage {
            return Err(db(error));
        }
        tracing::warn!(%error, "the cache is damaged; starting with an empty one");
        let _ = fs::remove_file(path);
        create(path).map(Self).map_err(db)
    }

    /// Begins a run.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin(&self) -> Result<CacheRun, CacheError> {
        self.0.begin_write().map(CacheRun).map_err(db)
    }
}

fn create(path: &Path) -> Result<Database, DatabaseError> {
    Builder::new()
        .set_cache_size(PAGES_BYTES)
        .set_check_integrity_on_open(true)
        .create(path)
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

    /// The object list of the snapshot that the cache describes; `None` when it is not known.
    ///
    /// # Errors
    /// When the database fails.
    pub fn list(&self) -> Result<Option<ObjectList>, CacheError> {
        let meta = self.0.open_table(META).map_err(db)?;
        let bytes = meta.get(LIST).map_err(db)?;
        Ok(bytes.and_then(|bytes| ObjectList::from_bytes(bytes.value()).ok()))
    }

    /// Says what the object list is now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_list(&self, list: &ObjectList) -> Result<(), CacheError> {
        let mut meta = self.0.open_table(META).map_err(db)?;
        meta.insert(LIST, list.to_bytes().as_slice()).map_err(db)?;
        Ok(())
    }

    /// A page of the object list; `None` when it is not here.
    ///
    /// # Errors
    /// When the database fails.
    pub fn list_page(&self, page: &ObjectHash) -> Result<Option<Vec<u8>>, CacheError> {
        let pages = self.0.open_table(LIST_PAGES).map_err(db)?;
        let bytes = pages.get(page.as_bytes()).map_err(db)?;
        Ok(bytes.map(|bytes| bytes.value().to_vec()))
    }

    /// Keeps a page of the object list.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_list_page(&self, page: &ObjectHash, bytes: &[u8]) -> Result<(), CacheError> {
        let mut pages = self.0.open_table(LIST_PAGES).map_err(db)?;
        pages.insert(page.as_bytes(), bytes).map_err(db)?;
        Ok(())
    }

    /// Forgets a page of the object list.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remove_list_page(&self, page: &ObjectHash) -> Result<(), CacheError> {
        let mut pages = self.0.open_table(LIST_PAGES).map_err(db)?;
        pages.remove(page.as_bytes()).map_err(db)?;
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
        self.0.delete_table(LIST_PAGES).map_err(db)?;
        Ok(())
    }

    /// Files and bytes of the head; `None` when they are not known.
    ///
    /// # Errors
    /// When the database fails.
    pub fn totals(&self) -> Result<Option<(u64, u64)>, CacheError> {
        let meta = self.0.open_table(META).map_err(db)?;
        let bytes = meta.get(TOTALS).map_err(db)?;
        Ok(bytes.and_then(|bytes| decode(bytes.value()).ok()))
    }

    /// Says how many files and bytes the head has.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_totals(&self, files: u64, bytes: u64) -> Result<(), CacheError> {
        let mut meta = self.0.open_table(META).map_err(db)?;
        meta.insert(TOTALS, encode(&(files, bytes)).as_slice())
            .map_err(db)?;
        Ok(())
    }

    /// Makes the run's changes last.
    ///
    /// # Errors
    /// When the database fails.
    pub fn commit(self) -> Result<(), CacheError> {
        self.0.commit().map_err(db)
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
            matches!(Cache::open(&path), Err(CacheError::InUse)),
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
        run.folders().unwrap().set(b"/a", b"record").unwrap();
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
