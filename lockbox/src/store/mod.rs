//! The data folder: blobs and index, opened together.

pub(crate) mod blob;
pub(crate) mod find;
pub(crate) mod index;
pub(crate) mod record;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, DatabaseError};
use s3s::S3Result;

use crate::error::{Error, Fault, internal};
use blob::{Folder, Staged};
use index::{Tx, View, Writer};

/// The format of the folder that this version writes, and the newest that it reads.
pub(crate) const FORMAT: u64 = 1;

/// An open data folder.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) folder: Arc<Folder>,
    db: Arc<Database>,
    writer: Writer,
}

impl Store {
    /// Opens the folder, alone, and removes what a crash left over.
    pub(crate) fn open(data: &Path) -> Result<Self, Error> {
        fs::create_dir_all(data).map_err(|source| Error::Folder {
            path: data.to_owned(),
            source,
        })?;
        if let Some(parent) = data.canonicalize().ok().as_deref().and_then(Path::parent) {
            // The folder itself must survive, or all that is in it is lost.
            blob::sync_dir(parent).map_err(|source| Error::Folder {
                path: parent.to_owned(),
                source,
            })?;
        }
        let path = data.join("index.redb");
        // redb locks its file, so everything after this line has the folder for itself.
        let db = Database::create(&path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => Error::FolderInUse {
                path: data.to_owned(),
            },
            other => Error::Index(other.into()),
        })?;
        let found = index::format(&db, FORMAT).map_err(Error::Index)?;
        if found > FORMAT {
            return Err(Error::FolderFormat {
                path: data.to_owned(),
                found,
                known: FORMAT,
            });
        }
        index::create_tables(&db).map_err(Error::Index)?;
        let folder = Folder::open(data).map_err(|(path, source)| Error::Folder { path, source })?;
        sweep(&db, &folder, data)?;
        let (db, folder) = (Arc::new(db), Arc::new(folder));
        let writer = Writer::start(Arc::clone(&db), Arc::clone(&folder)).map_err(|source| Error::Folder {
            path: data.to_owned(),
            source,
        })?;
        Ok(Self { folder, db, writer })
    }

    /// Reads from one consistent state of the index.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&View) -> Result<T, Fault> + Send + 'static,
    ) -> S3Result<T> {
        let db = Arc::clone(&self.db);
        let read = move || look(&View::open(&db)?);
        Ok(tokio::task::spawn_blocking(read).await.map_err(internal)??)
    }

    /// Changes the index; returns when the change is on the disk.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        change: impl for<'t> FnOnce(&mut Tx<'t>) -> Result<T, Fault> + Send + 'static,
    ) -> S3Result<T> {
        self.writer.write(None, change).await
    }

    /// Changes the index with a new blob, which is removed when the change is refused.
    pub(crate) async fn write_with<T: Send + 'static>(
        &self,
        blob: Staged,
        change: impl for<'t> FnOnce(&mut Tx<'t>) -> Result<T, Fault> + Send + 'static,
    ) -> S3Result<T> {
        self.writer.write(Some(blob), change).await
    }
}

/// Removes blob files that the index does not know: uploads that were not acknowledged, and
/// deletions whose last step was missing. A file that the index misses is reported, not hidden.
fn sweep(db: &Database, folder: &Folder, data: &Path) -> Result<(), Error> {
    let fault = |fault: Fault| match fault {
        Fault::Index(error) => Error::Index(error),
        other => Error::Folder {
            path: data.to_owned(),
            source: std::io::Error::other(other),
        },
    };
    let mut known = View::open(db).and_then(|view| view.blob_files()).map_err(fault)?;
    let found = folder.list().map_err(|source| Error::Folder {
        path: data.to_owned(),
        source,
    })?;
    for id in found {
        if !known.remove(&id) {
            tracing::info!(blob = %id, "removing a blob that was never acknowledged or already deleted");
            folder.remove(id);
        }
    }
    for id in known {
        tracing::error!(blob = %id, path = %folder.path(id).display(), "a blob file is missing");
    }
    Ok(())
}
