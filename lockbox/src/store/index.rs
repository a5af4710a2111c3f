//! The index: tables in redb, and the thread that writes them.
//!
//! All changes go through one thread, which gathers what is waiting into one transaction with one
//! fsync (group commit). So a change sees all earlier ones, racing conditional writes are decided in
//! order, and nobody is answered before the commit is on the disk.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase as _, ReadableTable, Table, TableDefinition,
    WriteTransaction,
};
use tokio::sync::oneshot;

use super::blob::{BlobId, Folder, Staged};
use super::record::{Bucket, Part, Piece, Upload, Version};
use crate::error::{Fault, internal};
use crate::version::Seq;
use s3s::{S3Result, s3_error};

/// Bucket, key, and the sequence number counted down, so that the newest version comes first.
pub(crate) type VersionKey = (&'static str, &'static str, u64);
/// Bucket, key, upload id.
pub(crate) type UploadKey = (&'static str, &'static str, &'static str);
/// Upload id, part number.
pub(crate) type PartKey = (&'static str, u32);
type Record = &'static [u8];

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const BUCKETS: TableDefinition<'_, &str, Record> = TableDefinition::new("buckets");
const VERSIONS: TableDefinition<'_, VersionKey, Record> = TableDefinition::new("versions");
/// Every blob that is in use: empty for a file, or [`INLINE`] and the bytes.
const BLOBS: TableDefinition<'_, u128, Record> = TableDefinition::new("blobs");
const UPLOADS: TableDefinition<'_, UploadKey, Record> = TableDefinition::new("uploads");
const PARTS: TableDefinition<'_, PartKey, Record> = TableDefinition::new("parts");

const NEXT_SEQ: &str = "next_seq";
const FORMAT_ROW: &str = "format";
const INLINE: u8 = 1;
/// At most so many changes share a transaction.
const BATCH: usize = 256;

/// The tables as one read transaction sees them.
pub(crate) struct View {
    pub(crate) buckets: ReadOnlyTable<&'static str, Record>,
    pub(crate) versions: ReadOnlyTable<VersionKey, Record>,
    pub(crate) blobs: ReadOnlyTable<u128, Record>,
    pub(crate) uploads: ReadOnlyTable<UploadKey, Record>,
    pub(crate) parts: ReadOnlyTable<PartKey, Record>,
}

/// The tables within the transaction of the writing thread.
///
/// A change makes all its checks before its first write: a refused one leaves nothing behind, while
/// an error of the index gives up the whole transaction with all that share it.
pub(crate) struct Tx<'t> {
    pub(crate) buckets: Table<'t, &'static str, Record>,
    pub(crate) versions: Table<'t, VersionKey, Record>,
    pub(crate) blobs: Table<'t, u128, Record>,
    pub(crate) uploads: Table<'t, UploadKey, Record>,
    pub(crate) parts: Table<'t, PartKey, Record>,
    meta: Table<'t, &'static str, u64>,
    /// Files to remove once the commit is on the disk.
    unlinked: Vec<BlobId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Commit {
    Done,
    /// Nothing of the transaction will ever be seen.
    GivenUp,
    /// The commit itself failed: it may or may not have reached the disk.
    Unknown,
}

type Notify = Box<dyn FnOnce(Commit) + Send>;
type Job = Box<dyn for<'t> FnOnce(&mut Tx<'t>) -> Result<Notify, Notify> + Send>;

/// The write side of the index.
#[derive(Debug)]
pub(crate) struct Writer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) fn create_tables(db: &Database) -> Result<(), redb::Error> {
    let txn = db.begin_write()?;
    drop(Tx::open(&txn)?);
    txn.commit()?;
    Ok(())
}

/// The format that the folder was written in; a new folder gets `known`.
pub(crate) fn format(db: &Database, known: u64) -> Result<u64, redb::Error> {
    let txn = db.begin_write()?;
    let format = {
        let mut meta = txn.open_table(META)?;
        let found = meta.get(FORMAT_ROW)?.map(|row| row.value());
        match found {
            Some(format) => format,
            None => {
                meta.insert(FORMAT_ROW, known)?;
                known
            }
        }
    };
    txn.commit()?;
    Ok(format)
}

impl View {
    pub(crate) fn open(db: &Database) -> Result<Self, Fault> {
        let txn: ReadTransaction = db.begin_read()?;
        Ok(Self {
            buckets: txn.open_table(BUCKETS)?,
            versions: txn.open_table(VERSIONS)?,
            blobs: txn.open_table(BLOBS)?,
            uploads: txn.open_table(UPLOADS)?,
            parts: txn.open_table(PARTS)?,
        })
    }

    /// The bytes of a blob that is kept in the index; `None` when it is a file.
    pub(crate) fn inline(&self, blob: BlobId) -> Result<Option<Vec<u8>>, Fault> {
        let row = self.blobs.get(blob.get())?;
        Ok(row.and_then(|row| row.value().strip_prefix(&[INLINE]).map(<[u8]>::to_vec)))
    }

    /// All blobs that must exist as files.
    pub(crate) fn blob_files(&self) -> Result<std::collections::HashSet<BlobId>, Fault> {
        let mut files = std::collections::HashSet::new();
        for row in self.blobs.range::<u128>(..)? {
            let (id, value) = row?;
            if value.value().is_empty() {
                files.insert(BlobId::from(id.value()));
            }
        }
        Ok(files)
    }
}

impl<'t> Tx<'t> {
    fn open(txn: &'t WriteTransaction) -> Result<Self, redb::TableError> {
        Ok(Self {
            buckets: txn.open_table(BUCKETS)?,
            versions: txn.open_table(VERSIONS)?,
            blobs: txn.open_table(BLOBS)?,
            uploads: txn.open_table(UPLOADS)?,
            parts: txn.open_table(PARTS)?,
            meta: txn.open_table(META)?,
            unlinked: Vec::new(),
        })
    }

    /// The number of the next write. Never given twice, also after versions were deleted.
    pub(crate) fn next_seq(&mut self) -> Result<Seq, Fault> {
        let seq = self.meta.get(NEXT_SEQ)?.map_or(1, |row| row.value());
        self.meta.insert(NEXT_SEQ, seq + 1)?;
        Ok(Seq(seq))
    }

    pub(crate) fn put_bucket(&mut self, name: &str, bucket: &Bucket) -> Result<(), Fault> {
        self.buckets
            .insert(name, serde_json::to_vec(bucket)?.as_slice())?;
        Ok(())
    }

    pub(crate) fn put_version(&mut self, bucket: &str, key: &str, version: &Version) -> Result<(), Fault> {
        let record = serde_json::to_vec(version)?;
        self.versions
            .insert((bucket, key, version.seq.descending()), record.as_slice())?;
        Ok(())
    }

    pub(crate) fn remove_version(&mut self, bucket: &str, key: &str, version: &Version) -> Result<(), Fault> {
        self.versions.remove((bucket, key, version.seq.descending()))?;
        if let Some(object) = &version.object {
            for piece in &object.pieces {
                self.remove_piece(*piece)?;
            }
        }
        Ok(())
    }

    pub(crate) fn put_upload(&mut self, key: (&str, &str, &str), upload: &Upload) -> Result<(), Fault> {
        self.uploads.insert(key, serde_json::to_vec(upload)?.as_slice())?;
        Ok(())
    }

    pub(crate) fn put_part(&mut self, upload_id: &str, number: u32, part: &Part) -> Result<(), Fault> {
        self.parts
            .insert((upload_id, number), serde_json::to_vec(part)?.as_slice())?;
        Ok(())
    }

    fn add_blob(&mut self, staged: &Staged) -> Result<(), Fault> {
        let mut row = Vec::new();
        if let Some(bytes) = &staged.inline {
            row.push(INLINE);
            row.extend_from_slice(bytes);
        }
        self.blobs.insert(staged.id.get(), row.as_slice())?;
        Ok(())
    }

    pub(crate) fn remove_piece(&mut self, piece: Piece) -> Result<(), Fault> {
        let row = self.blobs.remove(piece.blob.get())?;
        if row.is_some_and(|row| row.value().is_empty()) {
            self.unlinked.push(piece.blob);
        }
        Ok(())
    }
}

impl Writer {
    pub(crate) fn start(db: Arc<Database>, folder: Arc<Folder>) -> std::io::Result<Self> {
        let (jobs, waiting) = channel();
        let thread = thread::Builder::new()
            .name("lockbox-index".into())
            .spawn(move || run(&db, &folder, &waiting))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Makes a change and waits until it is on the disk. The blob that it may bring belongs to the
    /// change from here on, so that a client who hangs up cannot take it away from under the index.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        blob: Option<Staged>,
        change: impl for<'t> FnOnce(&mut Tx<'t>) -> Result<T, Fault> + Send + 'static,
    ) -> S3Result<T> {
        let (answer, outcome) = oneshot::channel::<S3Result<T>>();
        let job: Job = Box::new(move |tx| {
            let result = change(tx).and_then(|value| {
                if let Some(blob) = &blob {
                    tx.add_blob(blob)?;
                }
                Ok(value)
            });
            let failed = matches!(result, Err(Fault::Index(_) | Fault::Record(_)));
            let refused = result.is_err();
            let notify: Notify = Box::new(move |commit| {
                let result = match commit {
                    Commit::Done => result.map_err(Into::into),
                    Commit::GivenUp | Commit::Unknown => match result {
                        Err(fault) => Err(fault.into()),
                        Ok(_) => Err(s3_error!(InternalError, "the change could not be committed")),
                    },
                };
                // An unknown outcome keeps the file: if the index turns out not to have it, the
                // sweep at the next start removes it.
                if let Some(blob) = blob
                    && !refused
                    && commit != Commit::GivenUp
                {
                    blob.keep();
                }
                // Nobody waits any more when the client has hung up.
                let _ = answer.send(result);
            });
            if failed { Err(notify) } else { Ok(notify) }
        });
        let gone = || s3_error!(InternalError, "the index has stopped");
        self.jobs
            .as_ref()
            .ok_or_else(gone)?
            .send(job)
            .map_err(|_| gone())?;
        outcome.await.map_err(internal)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the index's thread panicked");
        }
    }
}

fn run(db: &Database, folder: &Folder, waiting: &Receiver<Job>) {
    while let Ok(first) = waiting.recv() {
        let mut notify = Vec::new();
        let (commit, unlinked) = match transaction(db, first, waiting, &mut notify) {
            Ok(unlinked) => (Commit::Done, unlinked),
            Err(commit) => (commit, Vec::new()),
        };
        for notify in notify {
            notify(commit);
        }
        for blob in unlinked {
            folder.remove(blob);
        }
    }
}

/// One transaction with all jobs that wait by now.
fn transaction(
    db: &Database,
    first: Job,
    waiting: &Receiver<Job>,
    notify: &mut Vec<Notify>,
) -> Result<Vec<BlobId>, Commit> {
    let given_up = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "the index could not be changed");
        Commit::GivenUp
    };
    let txn = db.begin_write().map_err(|e| given_up(&e))?;
    let unlinked = {
        let mut tx = Tx::open(&txn).map_err(|e| given_up(&e))?;
        let mut job = Some(first);
        while let Some(next) = job {
            match next(&mut tx) {
                Ok(done) => notify.push(done),
                Err(failed) => {
                    notify.push(failed);
                    return Err(given_up(&"a change failed"));
                }
            }
            job = if notify.len() < BATCH {
                waiting.try_recv().ok()
            } else {
                None
            };
        }
        tx.unlinked
    };
    match txn.commit() {
        Ok(()) => Ok(unlinked),
        Err(error) => {
            tracing::error!(%error, "a commit of the index failed");
            Err(Commit::Unknown)
        }
    }
}

/// Decodes a record of the index.
pub(crate) fn decode<T: serde::de::DeserializeOwned>(record: &[u8]) -> Result<T, Fault> {
    Ok(serde_json::from_slice(record)?)
}

/// Looks a bucket up.
pub(crate) fn bucket(
    buckets: &impl ReadableTable<&'static str, Record>,
    name: &str,
) -> Result<Option<Bucket>, Fault> {
    buckets.get(name)?.map(|row| decode(row.value())).transpose()
}
