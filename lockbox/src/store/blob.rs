//! Blobs: the bytes of objects and parts, each written once.
//!
//! Small ones live inside the index, so that a small PUT costs one shared commit; larger ones are
//! files. A file gets its final name only when all its bytes are on the disk.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::digest::Hashes;

/// Blobs up to this size are kept in the index.
const INLINE_BYTES: usize = 8 * 1024;
/// So much is gathered before it is hashed and written in one go off the async threads.
const FLUSH_BYTES: usize = 512 * 1024;

/// The name of a blob: random, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct BlobId(u128);

/// The folders of the blobs.
#[derive(Debug)]
pub(crate) struct Folder {
    blobs: PathBuf,
    staging: PathBuf,
}

/// A blob that is being written.
#[derive(Debug)]
pub(crate) struct BlobWriter {
    folder: Arc<Folder>,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    size: u64,
    /// Away while a blocking thread works with it, and after that thread failed.
    sink: Option<Sink>,
}

#[derive(Debug)]
struct Sink {
    hashes: Hashes,
    file: Option<File>,
    staged: Staged,
}

/// A blob that is whole and on the disk, but not in the index yet. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct Staged {
    folder: Arc<Folder>,
    pub(crate) id: BlobId,
    pub(crate) size: u64,
    /// The bytes, when they go into the index.
    pub(crate) inline: Option<Vec<u8>>,
    on_disk: Option<PathBuf>,
}

impl BlobId {
    fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(u128::from_le_bytes(bytes)))
    }

    pub(crate) fn get(self) -> u128 {
        self.0
    }
}

impl From<u128> for BlobId {
    fn from(id: u128) -> Self {
        Self(id)
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Folder {
    /// Makes what is missing, durably, and empties the staging folder.
    pub(crate) fn open(data: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let this = Self {
            blobs: data.join("blobs"),
            staging: data.join("staging"),
        };
        this.prepare(data).map_err(|e| (data.to_owned(), e))?;
        Ok(this)
    }

    fn prepare(&self, data: &Path) -> io::Result<()> {
        fs::create_dir_all(&self.staging)?;
        for entry in fs::read_dir(&self.staging)? {
            fs::remove_file(entry?.path())?;
        }
        for shard in 0..=u8::MAX {
            fs::create_dir_all(self.blobs.join(format!("{shard:02x}")))?;
        }
        sync_dir(&self.blobs)?;
        sync_dir(data)
    }

    pub(crate) fn path(&self, id: BlobId) -> PathBuf {
        let name = id.to_string();
        self.blobs.join(&name[..2]).join(name)
    }

    /// Lists all blob files. Other files are logged as a warning and left alone.
    pub(crate) fn list(&self) -> io::Result<Vec<BlobId>> {
        let mut found = Vec::new();
        for shard in fs::read_dir(&self.blobs)? {
            for entry in fs::read_dir(shard?.path())? {
                let entry = entry?;
                let name = entry.file_name();
                match name.to_str().and_then(|n| u128::from_str_radix(n, 16).ok()) {
                    Some(id) => found.push(BlobId(id)),
                    None => tracing::warn!(path = %entry.path().display(), "not a blob; left alone"),
                }
            }
        }
        Ok(found)
    }

    pub(crate) fn remove(&self, id: BlobId) {
        let path = self.path(id);
        if let Err(error) = fs::remove_file(&path) {
            // It is out of the index already; the sweep at the next start tries again.
            tracing::warn!(path = %path.display(), %error, "blob could not be removed");
        }
    }

    /// Opens a blob file for reading.
    pub(crate) async fn open_blob(self: &Arc<Self>, id: BlobId) -> io::Result<File> {
        let path = self.path(id);
        unblock(move || File::open(path)).await
    }
}

impl BlobWriter {
    pub(crate) fn new(folder: Arc<Folder>, hashes: Hashes) -> io::Result<Self> {
        let staged = Staged {
            folder: Arc::clone(&folder),
            id: BlobId::random()?,
            size: 0,
            inline: None,
            on_disk: None,
        };
        let sink = Some(Sink {
            hashes,
            file: None,
            staged,
        });
        Ok(Self {
            folder,
            pending: Vec::new(),
            pending_bytes: 0,
            size: 0,
            sink,
        })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        self.size += bytes.len() as u64;
        self.pending_bytes += bytes.len();
        self.pending.push(bytes);
        if self.pending_bytes >= FLUSH_BYTES {
            self.flush().await
        } else {
            Ok(())
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        let mut sink = self.sink.take().ok_or_else(failed_before)?;
        let sink = unblock(move || {
            sink.append(&pending)?;
            Ok(sink)
        })
        .await?;
        self.sink = Some(sink);
        Ok(())
    }

    /// Brings all bytes to the disk, under the final name, and gives the hashes to compare.
    pub(crate) async fn finish(mut self) -> io::Result<(Staged, Hashes)> {
        let pending = std::mem::take(&mut self.pending);
        let mut sink = self.sink.take().ok_or_else(failed_before)?;
        sink.staged.size = self.size;
        if sink.file.is_none() && self.pending_bytes <= INLINE_BYTES {
            let bytes = pending.concat();
            sink.hashes.update(&bytes);
            sink.staged.inline = Some(bytes);
            return Ok((sink.staged, sink.hashes));
        }
        let folder = Arc::clone(&self.folder);
        unblock(move || {
            sink.append(&pending)?;
            sink.settle(&folder)?;
            Ok((sink.staged, sink.hashes))
        })
        .await
    }
}

fn failed_before() -> io::Error {
    io::Error::other("an earlier write of this blob failed")
}

impl Sink {
    fn append(&mut self, pending: &[Bytes]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let path = self.staged.folder.staging.join(self.staged.id.to_string());
                let file = File::create_new(&path)?;
                self.staged.on_disk = Some(path);
                self.file.insert(file)
            }
        };
        for bytes in pending {
            self.hashes.update(bytes);
            file.write_all(bytes)?;
        }
        Ok(())
    }

    /// Data, then name, then the folder that holds the name: after this the blob survives a crash.
    fn settle(&mut self, folder: &Folder) -> io::Result<()> {
        if let (Some(file), Some(from)) = (self.file.take(), self.staged.on_disk.take()) {
            // Until the rename has worked, the staged name is the one to remove.
            self.staged.on_disk = Some(from.clone());
            file.sync_all()?;
            let to = folder.path(self.staged.id);
            fs::rename(&from, &to)?;
            self.staged.on_disk = Some(to.clone());
            sync_dir(to.parent().unwrap_or(&folder.blobs))?;
        }
        Ok(())
    }
}

impl Staged {
    /// The index has the blob now (or may have it): it stays.
    pub(crate) fn keep(mut self) {
        self.on_disk = None;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(path) = self.on_disk.take()
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(path = %path.display(), %error, "unused blob could not be removed");
        }
    }
}

pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Runs file work on a thread where it may block.
pub(crate) async fn unblock<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
