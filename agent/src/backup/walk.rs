//! The walk of one run: a small crew that looks at every file, reads those that changed, and builds the listings. What one
//! thread begins with a piece of a file it brings to the end while the piece is in its core's cache: read, cut, named,
//! compressed, packed.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError, atomic::Ordering::Relaxed},
};

use jiff::SignedDuration;
use repository::{
    chunk::{self, ChunkId, ChunkKey, Chunker, SourceSecret},
    compress::Compressor,
    manifest::{Root, Warning, WarningKind},
    tree::{Entry, Xattr},
};
use shared::{api::agent::SnapshotTotals, object::ObjectKind};

use super::{
    BackupError,
    devices::Devices,
    files::FilesTask,
    filter::Filter,
    folder::FolderTask,
    known::{Claim, Known},
    pack::Packs,
    pieces::Piece,
    queue::Queue,
    read::FileRead,
};
use crate::{
    platform,
    progress::{Event, Observer, RunCounters},
    shown::shown,
};

/// More warnings than this are counted, not listed.
const LISTED_WARNINGS: usize = 9_000;
/// More notes than this are counted, not listed.
const LISTED_NOTES: usize = 1_000;
/// More extended attributes than this on one file are left out, with a warning.
const MAX_XATTR_BYTES: usize = 1024 * 1024;
/// More threads than this would take more memory than they save time.
const MAX_THREADS: usize = 8;

/// What all threads of a walk share.
pub(super) struct Walk<'a, 't> {
    pub(super) secret: &'a SourceSecret,
    pub(super) names: ChunkKey,
    pub(super) chunker: Chunker,
    pub(super) roots: &'a [WalkedRoot],
    pub(super) filter: &'a Filter,
    pub(super) known: &'a Known<'t>,
    pub(super) packs: &'a Packs<'a, 't>,
    pub(super) queue: Queue<Task>,
    pub(super) devices: Devices,
    /// Files with several names that were read.
    pub(super) linked: Mutex<HashMap<(u64, u64), FileRead>>,
    pub(super) settle: SignedDuration,
    pub(super) counters: &'a RunCounters,
    observer: &'a dyn Observer,
    found: Mutex<Found>,
    zeros: OnceLock<Stored>,
}

/// A path of the source.
pub(super) struct WalkedRoot {
    /// As the source has it.
    pub(super) path: PathBuf,
    /// With links resolved: where the walk begins.
    pub(super) walked: PathBuf,
}

/// Something to do.
pub(super) enum Task {
    Folder(FolderTask),
    Files(FilesTask),
    Piece(Piece),
}

/// What one thread has to itself.
#[derive(Default)]
pub(super) struct Worker {
    pub(super) buffer: Vec<u8>,
    compressor: Compressor,
    /// Packs that the snapshot needs.
    pub(super) used: HashSet<u64>,
    /// Folders whose records stay.
    pub(super) seen: HashSet<u64>,
    /// Chunks of files that are not trusted and so stand in no record, by their short hashes.
    pub(super) loose: HashSet<u64>,
    pub(super) totals: SnapshotTotals,
}

#[derive(Default)]
struct Found {
    roots: Vec<Option<Entry>>,
    warnings: Vec<Warning>,
    notes: Vec<Warning>,
    failure: Option<BackupError>,
}

/// What a walk found.
pub(super) struct Scanned {
    pub(super) roots: Vec<Root>,
    /// And notes.
    pub(super) warnings: Vec<Warning>,
    pub(super) totals: SnapshotTotals,
    /// Packs that the snapshot needs, by their numbers in the cache.
    pub(super) used: HashSet<u64>,
    /// Chunks of files that no record tells of, by their short hashes.
    pub(super) loose: HashSet<u64>,
}

/// Where a chunk is.
#[derive(Clone, Copy)]
pub(super) struct Stored {
    pub(super) id: ChunkId,
    pub(super) pack: u64,
}

/// What a walk works with.
pub(super) struct Means<'a, 't> {
    pub(super) secret: &'a SourceSecret,
    pub(super) filter: &'a Filter,
    pub(super) known: &'a Known<'t>,
    pub(super) packs: &'a Packs<'a, 't>,
    pub(super) settle: SignedDuration,
    pub(super) counters: &'a RunCounters,
    pub(super) observer: &'a dyn Observer,
}

/// Walks all paths of a source.
pub(super) fn walk(means: &Means<'_, '_>, roots: &[WalkedRoot]) -> Result<Scanned, BackupError> {
    let walk = Walk {
        secret: means.secret,
        names: means.secret.chunk_key(),
        chunker: means.secret.chunker(),
        roots,
        filter: means.filter,
        known: means.known,
        packs: means.packs,
        queue: Queue::new(Vec::new()),
        devices: Devices::default(),
        linked: Mutex::default(),
        settle: means.settle,
        counters: means.counters,
        observer: means.observer,
        found: Mutex::default(),
        zeros: OnceLock::new(),
    };
    walk.begin()?;
    let threads = std::thread::available_parallelism().map_or(2, |cores| cores.get().min(MAX_THREADS));
    let workers: Vec<_> = std::thread::scope(|scope| {
        let crew: Vec<_> = (0..threads).map(|_| scope.spawn(|| walk.work())).collect();
        crew.into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect()
    });
    let mut found = walk.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(failure) = found.failure {
        return Err(failure);
    }
    let mut all = Worker::default();
    for worker in workers {
        let worker = worker.map_err(|_| BackupError::Thread("a thread of the walk panicked".to_owned()))?;
        all.used.extend(worker.used);
        all.seen.extend(worker.seen);
        all.loose.extend(worker.loose);
        all.totals.files += worker.totals.files;
        all.totals.folders += worker.totals.folders;
        all.totals.bytes += worker.totals.bytes;
        all.totals.notes += worker.totals.notes;
    }
    means.known.retain_folders(&all.seen)?;
    all.totals.warnings = means.counters.warnings.load(Relaxed);
    found.warnings.append(&mut found.notes);
    // Threads find them in any order.
    found.warnings.sort_by(|a, b| a.path.cmp(&b.path));
    let entries = roots.iter().zip(found.roots);
    Ok(Scanned {
        roots: entries
            .filter_map(|(root, entry)| {
                Some(Root {
                    path: platform::bytes(&root.path).to_vec(),
                    entry: entry?,
                })
            })
            .collect(),
        warnings: found.warnings,
        totals: all.totals,
        used: all.used,
        loose: all.loose,
    })
}

impl Walk<'_, '_> {
    fn begin(&self) -> Result<(), BackupError> {
        let mut tasks = Vec::new();
        for at in 0..self.roots.len() {
            tasks.extend(self.root(at)?);
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.roots.resize_with(self.roots.len(), || None);
        drop(found);
        // The last is done first.
        tasks.reverse();
        self.queue.push(tasks);
        Ok(())
    }

    fn work(&self) -> Worker {
        // Also when a thread panics, the others must not wait for what it had in hand.
        let _stop = StopOnPanic(self);
        let mut worker = Worker::default();
        while let Some(task) = self.queue.next() {
            if let Err(error) = self.run(&mut worker, task) {
                self.fail(error);
                break;
            }
        }
        worker
    }

    /// Does a task.
    pub(super) fn run(&self, worker: &mut Worker, task: Task) -> Result<(), BackupError> {
        if self.counters.stopped() {
            return Err(BackupError::Interrupted);
        }
        match task {
            Task::Folder(task) => self.folder(worker, task)?,
            Task::Files(task) => self.files(worker, task)?,
            Task::Piece(piece) => self.piece(worker, piece)?,
        }
        self.queue.done();
        Ok(())
    }

    fn fail(&self, error: BackupError) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        // That something else has stopped says nothing of the cause.
        if matches!(found.failure, None | Some(BackupError::Stopped)) {
            found.failure = Some(error);
        }
        drop(found);
        self.queue.stop();
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
            path: shown(&path),
            message: detail.clone(),
        });
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.warnings.len() < LISTED_WARNINGS {
            found.warnings.push(Warning { path, kind, detail });
        }
    }
}

impl Walk<'_, '_> {
    /// Tells of something that no backup holds, and that is no fault of this one.
    pub(super) fn note(&self, worker: &mut Worker, path: Vec<u8>, kind: WarningKind, detail: &str) {
        worker.totals.notes += 1;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.notes.len() < LISTED_NOTES {
            let detail = detail.to_owned();
            found.notes.push(Warning { path, kind, detail });
        }
    }
}

struct StopOnPanic<'w, 'a, 't>(&'w Walk<'a, 't>);

impl Drop for StopOnPanic<'_, '_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue.stop();
        }
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
