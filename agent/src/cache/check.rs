//! Reading all of a cache, to see whether it reads.

use std::{io::ErrorKind, path::Path};

use redb::{Builder, DatabaseError, ReadableTable, StorageError};
use repository::tree::Entry;

use super::{CHUNKS, Cache, CacheError, CacheRun, FOLDERS, LIST_PAGES, PAGES_BYTES, Trust, db, decode};

impl Cache {
    /// Opens a cache that is there; a damaged one stays as it is. `None` when there is none.
    ///
    /// # Errors
    /// When it is damaged, or in use.
    pub fn open_existing(path: &Path) -> Result<Option<Self>, CacheError> {
        let opened = Builder::new()
            .set_cache_size(PAGES_BYTES)
            .set_check_integrity_on_open(true)
            .open(path);
        match opened {
            Ok(database) => Ok(Some(Self(database))),
            Err(DatabaseError::Storage(StorageError::Io(error))) if error.kind() == ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error) => Err(db(error)),
        }
    }
}

impl CacheRun {
    /// Reads every record.
    ///
    /// # Errors
    /// When one does not read.
    pub fn check(&self) -> Result<(), CacheError> {
        self.head()?;
        self.totals()?;
        self.next_pack()?;
        for (number, info) in self.packs()? {
            let layout = self.layout(number, info.object)?;
            layout.check().map_err(|_| CacheError::Damaged)?;
        }
        if let Some(list) = self.list()? {
            // Not every page is kept: only those that a later plan may merge.
            for page in list.pages() {
                if let Some(bytes) = self.list_page(&page.hash)?
                    && repository::hash(&bytes) != page.hash
                {
                    return Err(CacheError::Damaged);
                }
            }
        }
        for row in self.0.open_table(CHUNKS).map_err(db)?.iter().map_err(db)? {
            row.map_err(db)?;
        }
        for row in self.0.open_table(LIST_PAGES).map_err(db)?.iter().map_err(db)? {
            row.map_err(db)?;
        }
        for row in self.0.open_table(FOLDERS).map_err(db)?.iter().map_err(db)? {
            let (_, record) = row.map_err(db)?;
            decode::<Vec<(Entry, Trust)>>(record.value())?;
        }
        Ok(())
    }
}
