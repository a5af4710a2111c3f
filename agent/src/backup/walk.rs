//! The walk of one run: few threads look at every file, read those that changed, and build the listings. What one thread begins
//! with a piece of a file it brings to the end while the piece is in its core's cache: read, cut, named, compressed, packed.
//!
//! The stages of a task lie below and know nothing of each other's order: [`folder`](super::folder) lists and compares,
//! [`files`](super::files) and [`read`](super::read) take contents, [`pieces`](super::pieces) stores those of large files,
//! [`listing`](super::listing) closes a folder.

use std::{
    collections::HashSet,
    sync::{Mutex, OnceLock, PoisonError, atomic::Ordering::Relaxed},
};

use jiff::SignedDuration;
use repository::{
    chunk::{ChunkId, SourceSecret},
    manifest::{self, Root},
};
use shared::{api::agent::SnapshotTotals, object::ObjectKind};

use super::{
    devices::Devices,
    error::BackupError,
    filter::Filter,
    known::Known,
    pack::Packs,
    queue::{Next, Queue},
    task::Task,
    walker::{Walk, WalkedRoot, Worker},
};
use crate::{
    owners::Owners,
    platform::{self, Mounts},
    progress::{Observer, RunCounters},
};

/// More threads than this would take more memory than they save time.
const MAX_THREADS: usize = 8;

/// What a walk found.
pub(super) struct Scanned {
    pub(super) roots: Vec<Root>,
    /// The pages of what was not backed up whole.
    pub(super) warnings: Vec<ChunkId>,
    /// Who owns what was met.
    pub(super) owners: Owners,
    pub(super) totals: SnapshotTotals,
    /// Packs that the snapshot needs, by their numbers in the cache.
    pub(super) used: HashSet<u64>,
    /// Chunks of files that no record tells of, by their short hashes.
    pub(super) loose: HashSet<u64>,
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
        // Without the list every file system counts as one on a disk.
        mounts: Mounts::read().unwrap_or_default(),
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
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| walk.work())).collect();
        threads
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect()
    });
    let mut found = std::mem::take(&mut *walk.found.lock().unwrap_or_else(PoisonError::into_inner));
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
        all.owners.extend(worker.owners);
    }
    found
        .roots
        .iter()
        .flatten()
        .for_each(|entry| all.owners.add(entry));
    means.known.retain_folders(&all.seen)?;
    all.totals.warnings = means.counters.warnings.load(Relaxed);
    let mut listed = found.warnings.listed;
    listed.append(&mut found.notes.listed);
    let mut warnings = Vec::new();
    for page in manifest::encode_warnings(&listed, &walk.names) {
        warnings.push(walk.store(&mut all, &page, ObjectKind::TreePack)?.id);
    }
    let entries = roots.iter().zip(found.roots);
    Ok(Scanned {
        roots: entries
            .filter_map(|(root, entry)| {
                let (path, walked) = (platform::bytes(&root.path), platform::bytes(&root.walked));
                Some(Root {
                    path: path.to_vec(),
                    entry: entry?,
                    walked: (walked != path).then(|| walked.to_vec().into()),
                })
            })
            .collect(),
        warnings,
        owners: all.owners,
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
        while let Some(next) = self.queue.next() {
            let done = match next {
                Next::Task(task) => self.run(&mut worker, task),
                Next::Part(piece) => self.must_go_on().and_then(|()| self.piece(&mut worker, piece)),
            };
            if let Err(error) = done {
                self.fail(error);
                break;
            }
        }
        worker
    }

    fn run(&self, worker: &mut Worker, task: Task) -> Result<(), BackupError> {
        self.must_go_on()?;
        match task {
            Task::Folder(task) => self.folder(worker, task)?,
            Task::Files(task) => self.files(worker, task)?,
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
}

struct StopOnPanic<'w, 'a, 't>(&'w Walk<'a, 't>);

impl Drop for StopOnPanic<'_, '_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue.stop();
        }
    }
}
