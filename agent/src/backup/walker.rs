//! What the threads of a walk share, and what every stage may do with it: store a chunk, warn, note.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError, atomic::Ordering::Relaxed},
};

use jiff::SignedDuration;
use repository::{
    chunk::{self, ChunkKey, Chunker, SourceSecret},
    compress::Compressor,
    manifest::{MAX_WARNING_BYTES, MAX_WARNINGS, Warning, WarningKind},
    tree::{Entry, Xattr},
};
use shared::{
    api::{agent::SnapshotTotals, report::ReadAgain},
    object::ObjectKind,
};

use super::{
    devices::Devices,
    error::BackupError,
    file_read::FileRead,
    filter::Filter,
    known::{Claim, Known},
    pack::Packs,
    piece::{Piece, Stored},
    queue::Queue,
    task::Task,
};
use crate::{
    escape::escaped,
    owners::Owners,
    platform::Mounts,
    progress::{Event, Observer, RunCounters},
    reading::Reading,
};

/// Warnings, or notes, that take more memory than this are counted, not listed.
const LISTED_BYTES: usize = MAX_WARNING_BYTES;
/// More warnings, or notes, than this are counted, not listed.
const LISTED: usize = MAX_WARNINGS;
/// More extended attributes than this on one file are left out, with a warning.
const MAX_XATTR_BYTES: usize = 1024 * 1024;
/// What all threads of a walk share.
pub(super) struct Walk<'a, 't> {
    pub(super) secret: &'a SourceSecret,
    pub(super) names: ChunkKey,
    pub(super) chunker: Chunker,
    pub(super) roots: &'a [WalkedRoot],
    pub(super) filter: &'a Filter,
    pub(super) known: &'a Known<'t>,
    pub(super) packs: &'a Packs<'a, 't>,
    pub(super) queue: Queue<Task, Piece>,
    pub(super) devices: Devices,
    /// What was mounted when the walk began.
    pub(super) mounts: Mounts,
    /// Files with several names that were read.
    pub(super) linked: Mutex<HashMap<(u64, u64), FileRead>>,
    pub(super) settle: SignedDuration,
    pub(super) counters: &'a RunCounters,
    pub(super) observer: &'a dyn Observer,
    pub(super) found: Mutex<WalkResult>,
    pub(super) zeros: OnceLock<Stored>,
}

/// A path of the source.
pub(super) struct WalkedRoot {
    /// As the source has it.
    pub(super) path: PathBuf,
    /// With links resolved: where the walk begins.
    pub(super) walked: PathBuf,
}

/// What one thread has to itself.
#[derive(Default)]
pub(super) struct Worker {
    /// Where its calls into file systems are noted.
    pub(super) slot: usize,
    pub(super) buffer: Vec<u8>,
    pub(super) compressor: Compressor,
    /// Packs that the snapshot needs.
    pub(super) used: HashSet<u64>,
    /// Folders whose records stay.
    pub(super) seen: HashSet<u64>,
    /// Chunks of files that are not trusted and so stand in no record, by their short hashes.
    pub(super) loose: HashSet<u64>,
    pub(super) totals: SnapshotTotals,
    /// Files and their bytes below each path of the source.
    pub(super) by_root: Vec<(u64, u64)>,
    /// Files, folders and mounts that exclude lines and options left out.
    pub(super) left_out: u64,
    pub(super) read_again: ReadAgain,
    /// Who owns what was met.
    pub(super) owners: Owners,
}

#[derive(Default)]
pub(super) struct WalkResult {
    pub(super) roots: Vec<Option<Entry>>,
    pub(super) warnings: Found,
    pub(super) notes: Found,
    pub(super) failure: Option<BackupError>,
}

impl Worker {
    /// One that has found nothing yet, of a source with so many paths, on the thread that has this slot.
    pub(super) fn new(roots: usize, slot: usize) -> Self {
        Self {
            slot,
            by_root: vec![(0, 0); roots],
            ..Self::default()
        }
    }

    /// A file was taken below a path of the source.
    pub(super) fn count_file(&mut self, root: usize, size_bytes: u64) {
        self.totals.files += 1;
        self.totals.bytes += size_bytes;
        let (files, bytes) = &mut self.by_root[root];
        *files += 1;
        *bytes += size_bytes;
    }
}

/// What is told of files, as far as it is listed.
#[derive(Default)]
pub(super) struct Found {
    pub(super) listed: Vec<Warning>,
    bytes: usize,
}

impl Found {
    fn add(&mut self, path: Vec<u8>, kind: WarningKind, detail: String) {
        let bytes = self.bytes + path.len() + detail.len();
        if self.listed.len() < LISTED && bytes <= LISTED_BYTES {
            self.bytes = bytes;
            self.listed.push(Warning { path, kind, detail });
        }
    }
}

impl Walk<'_, '_> {
    /// An error when the run is to stop.
    pub(super) fn must_go_on(&self) -> Result<(), BackupError> {
        if self.counters.stopped() {
            return Err(BackupError::Interrupted);
        }
        Ok(())
    }

    /// Notes that a call into the file system of a path of the source begins.
    pub(super) fn reading(&self, worker: &Worker, root: usize) -> Reading<'_> {
        self.counters.readings.begin(worker.slot, root)
    }

    /// A path of the source is done.
    pub(super) fn found_root(&self, at: usize, entry: Option<Entry>) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.roots[at] = entry;
    }

    /// Sees to it that a chunk is in the bucket, or on its way.
    pub(super) fn store(
        &self,
        worker: &mut Worker,
        raw: &[u8],
        kind: ObjectKind,
    ) -> Result<Stored, BackupError> {
        let id = self.names.id(raw);
        let stopped = || self.counters.stopped() || self.queue.is_stopped();
        let pack = match self.known.claim(&id, stopped)? {
            Claim::Held(pack) => pack,
            Claim::Mine => {
                let (compression, stored) = worker.compressor.compress(raw);
                let pack = self.packs.add(kind, id, raw.len(), compression, stored)?;
                self.known.settle(&id, pack);
                pack
            }
        };
        worker.used.insert(pack);
        Ok(Stored { id, pack })
    }

    /// The chunk that a hole is made of, and its length.
    pub(super) fn zeros(&self, worker: &mut Worker) -> Result<(Stored, usize), BackupError> {
        let stored = match self.zeros.get() {
            Some(stored) => *stored,
            None => {
                let stored = self.store(worker, &vec![0; chunk::MAX_BYTES], ObjectKind::Pack)?;
                *self.zeros.get_or_init(|| stored)
            }
        };
        worker.used.insert(stored.pack);
        Ok((stored, chunk::MAX_BYTES))
    }

    /// Attributes, or none, with a warning, when there is more than what can be kept; and whether that is all.
    pub(super) fn bounded(&self, xattrs: Vec<Xattr>, path: &dyn Fn() -> Vec<u8>) -> (Vec<Xattr>, bool) {
        let size: usize = xattrs.iter().map(|a| a.name.len() + a.value.len()).sum();
        if size <= MAX_XATTR_BYTES {
            return (xattrs, true);
        }
        let detail = "more than 1 MiB of extended attributes";
        self.warn(path(), WarningKind::MetadataIncomplete, &detail);
        (Vec::new(), false)
    }

    /// Tells of something that is not backed up whole.
    pub(super) fn warn(&self, path: Vec<u8>, kind: WarningKind, detail: &dyn std::fmt::Display) {
        self.counters.warnings.fetch_add(1, Relaxed);
        let detail = detail.to_string();
        self.observer.event(&Event::Warning {
            path: escaped(&path),
            message: detail.clone(),
        });
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.warnings.add(path, kind, detail);
    }

    /// Tells of something that no backup holds, and that is no fault of this one.
    pub(super) fn note(&self, worker: &mut Worker, path: Vec<u8>, kind: WarningKind, detail: &str) {
        worker.totals.notes += 1;
        self.observer.event(&Event::Note {
            path: escaped(&path),
            message: detail.to_owned(),
        });
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.notes.add(path, kind, detail.to_owned());
    }
}

/// Why a name could not be looked at or read.
pub(super) fn unreadable(error: &std::io::Error) -> WarningKind {
    if error.kind() == std::io::ErrorKind::NotFound {
        WarningKind::Vanished
    } else {
        WarningKind::Unreadable
    }
}
