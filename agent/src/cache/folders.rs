//! What the files looked like when they were last read: one record a folder, so that a folder in which nothing changed
//! costs one look-up.

use minicbor::{Decode, Encode};
use redb::{ReadableTable, ReadableTableMetadata, Table};
use repository::{
    chunk::{ChunkId, ChunkRef},
    tree::Entry,
};

use super::{CacheError, CacheRun, FOLDERS, db, decode, encode};

/// What is known, beside its entry in the listing, of a file or symbolic link that was read: as long as it looks the
/// same it need not be read again.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Trust {
    /// Its inode. Not its device: those are numbered anew at each start of a machine.
    #[n(0)]
    pub inode: u64,
    /// The packs that hold its content, by their numbers in the cache.
    #[n(1)]
    pub packs: Vec<u64>,
    /// Its chunks, where the entry only names pages of them.
    #[n(2)]
    pub chunks: Option<Vec<ChunkRef>>,
    /// What a sample of its content comes to, where the source goes by that.
    #[n(3)]
    pub sample: Option<ChunkId>,
}

/// A folder's record: what is known of those of its files that can be trusted, by name.
#[must_use]
pub fn encode_files(files: &[(&Entry, &Trust)]) -> Vec<u8> {
    encode(&files)
}

/// Reads a folder's record. One that does not read is as good as none.
#[must_use]
pub fn decode_files(record: &[u8]) -> Vec<(Entry, Trust)> {
    decode(record).unwrap_or_default()
}

impl CacheRun {
    /// The folders' records.
    ///
    /// # Errors
    /// When the database fails.
    pub fn folders(&self) -> Result<Folders<'_>, CacheError> {
        Ok(Folders(self.0.open_table(FOLDERS).map_err(db)?))
    }
}

/// The folders' records, by a key that stands for the folder's path.
pub struct Folders<'t>(Table<'t, &'static [u8], &'static [u8]>);

impl Folders<'_> {
    /// A folder's record.
    ///
    /// # Errors
    /// When the database fails.
    pub fn get(&self, folder: &[u8]) -> Result<Option<Vec<u8>>, CacheError> {
        let found = self.0.get(folder).map_err(db)?;
        Ok(found.map(|bytes| bytes.value().to_vec()))
    }

    /// Every folder's record, one after the other.
    ///
    /// # Errors
    /// When the database fails.
    pub fn each(&self, mut with: impl FnMut(&[u8])) -> Result<(), CacheError> {
        for row in self.0.iter().map_err(db)? {
            let (_, record) = row.map_err(db)?;
            with(record.value());
        }
        Ok(())
    }

    /// Renews a folder's record.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set(&mut self, folder: &[u8], record: &[u8]) -> Result<(), CacheError> {
        self.0.insert(folder, record).map_err(db)?;
        Ok(())
    }

    /// Forgets all folders but the `seen` ones, of which there are `count`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn retain(&mut self, count: u64, seen: impl Fn(&[u8]) -> bool) -> Result<(), CacheError> {
        if self.0.len().map_err(db)? == count {
            return Ok(());
        }
        self.0.retain(|folder, _| seen(folder)).map_err(db)
    }
}
