//! The walk of one run: few threads look at every file, read those that changed, and build the listings. What one thread begins
//! with a piece of a file it brings to the end while the piece is in its core's cache: read, cut, named, compressed, packed.
//!
//! The stages of a task lie below and know nothing of each other's order: [`folder`](super::folder) lists and compares,
//! [`files`](super::files) and [`read`](super::read) take contents, [`pieces`](super::pieces) stores those of large files,
//! [`listing`](super::listing) closes a folder.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError, atomic::Ordering::Relaxed},
};

use jiff::SignedDuration;
use repository::{
    chunk::{ChunkId, SourceSecret},
    manifest::{self, Root, WarningKind},
    tree::Entry,
};
use shared::{
    api::{
        agent::{PathTotals, SnapshotTotals},
        report::RunReport,
    },
    object::ObjectKind,
    words::counted,
};

use super::{
    devices::Devices,
    error::BackupError,
    filter::Filter,
    known::{Known, short_hash},
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
    /// What lies below each path.
    pub(super) paths: Vec<(PathBuf, PathTotals)>,
    /// Packs that the snapshot needs, by their numbers in the cache.
    pub(super) used: HashSet<u64>,
    /// Chunks of files that no record tells of, by their short hashes.
    pub(super) loose: HashSet<u64>,
    pub(super) report: RunReport,
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
        let threads: Vec<_> = (0..threads)
            .map(|slot| {
                let walk = &walk;
                scope.spawn(move || walk.work(slot))
            })
            .collect();
        threads
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect()
    });
    let mut all = Worker::new(roots.len(), 0);
    let mut panicked = None;
    for worker in workers {
        match worker {
            Ok(worker) => all.add(worker),
            Err(_) => panicked = Some(BackupError::Thread("a thread of the walk panicked".to_owned())),
        }
    }
    let failure = walk
        .found
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .failure
        .take();
    if let Some(failure) = failure.or(panicked) {
        return Err(failure);
    }
    // It may warn of the whole.
    let report = walk.report(&all);
    let mut found = std::mem::take(&mut *walk.found.lock().unwrap_or_else(PoisonError::into_inner));
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
    let paths = path_totals(means, roots, &all.by_root, &found.roots);
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
        paths,
        used: all.used,
        loose: all.loose,
        report,
    })
}

/// What lies below each path. One that has no entry is gone, or could not be read.
fn path_totals(
    means: &Means<'_, '_>,
    roots: &[WalkedRoot],
    counted: &[(u64, u64)],
    entries: &[Option<Entry>],
) -> Vec<(PathBuf, PathTotals)> {
    let volumes = platform::Volumes::read();
    let name = means.secret.chunk_key();
    let of_root = |((root, (files, bytes)), entry): ((&WalkedRoot, &(u64, u64)), &Option<Entry>)| {
        let volume = volumes.of(&root.walked);
        let totals = PathTotals {
            files: *files,
            bytes: *bytes,
            is_gone: entry.is_none(),
            // With a key, so that the number stands for the file system in this source alone.
            file_system: volume.map(|volume| short_hash(name.id(&volume).as_bytes())),
        };
        (root.path.clone(), totals)
    };
    roots.iter().zip(counted).zip(entries).map(of_root).collect()
}

impl Walk<'_, '_> {
    fn begin(&self) -> Result<(), BackupError> {
        let lines = self.filter.lines();
        for (number, why) in lines.unread() {
            let line = lines.line(*number).as_bytes().to_vec();
            let detail = format!("this exclude line leaves out nothing: {why}");
            self.warn(line, WarningKind::ExcludeUnread, &detail);
        }
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

    /// What is said of the source besides; with a warning when nothing of it was taken.
    fn report(&self, all: &Worker) -> RunReport {
        let lines = self.filter.lines();
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let report = RunReport {
            unmatched_excludes: lines.unmatched().into_iter().map(number).collect(),
            unread_excludes: lines.unread().iter().map(|(line, _)| number(*line)).collect(),
            left_out: all.left_out,
            read_again: all.read_again,
        };
        if report.took_nothing(all.totals.files)
            && let Some(root) = self.roots.first()
        {
            let left_out = counted(
                report.left_out,
                "file, folder or mount is",
                "files, folders and mounts are",
            );
            let detail = format!(
                "0 files were taken: {left_out} there, and exclude lines or options of the source leave all of it out"
            );
            self.warn(
                platform::bytes(&root.path).to_vec(),
                WarningKind::NothingTaken,
                &detail,
            );
        }
        report
    }

    fn work(&self, slot: usize) -> Worker {
        // Also when a thread panics, the others must not wait for what it had in hand.
        let _stop = StopOnPanic(self);
        let mut worker = Worker::new(self.roots.len(), slot);
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

impl Worker {
    /// Takes over what another thread found.
    fn add(&mut self, other: Self) {
        self.used.extend(other.used);
        self.seen.extend(other.seen);
        self.loose.extend(other.loose);
        self.totals.files += other.totals.files;
        self.totals.folders += other.totals.folders;
        self.totals.bytes += other.totals.bytes;
        self.totals.notes += other.totals.notes;
        self.left_out += other.left_out;
        self.owners.extend(other.owners);
        self.read_again.add(other.read_again);
        for ((files, bytes), (more_files, more_bytes)) in self.by_root.iter_mut().zip(other.by_root) {
            *files += more_files;
            *bytes += more_bytes;
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
