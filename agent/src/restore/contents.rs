//! Putting file contents back: pack by pack, each read once, several at a time, whatever files its chunks belong to.

use std::{
    collections::HashMap,
    io,
    ops::Range,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use super::{error::RestoreError, files::Files, inspect::Inspection};
use crate::{
    platform::target::Target,
    progress::RestoreCounters,
    snapshot::{ChunkIndex, Failure, Fault, Loss, Reason, Tree, What},
};

/// Packs read at the same time. Each is in memory meanwhile: some 16 MiB, 32 MiB at most.
const WORKERS: usize = 6;

/// One chunk's place in one file.
#[derive(Clone, Copy)]
struct Piece {
    position: usize,
    item: usize,
    /// Which chunk of the file.
    number: usize,
    offset: u64,
    /// Places of the chunk that were no use.
    tried: usize,
}

/// What is needed of one pack.
struct Batch {
    pack: usize,
    pieces: Vec<Piece>,
}

/// The contents that are to be fetched.
pub(super) struct Contents<'a> {
    index: &'a ChunkIndex<'a>,
    plan: &'a Tree,
    batches: Vec<Batch>,
    /// Files without content, and files that an earlier restore has written whole.
    ready: Vec<usize>,
    /// For each file of several chunks: how many are to come, and whether a part of it is there.
    begun: Vec<(usize, usize, bool)>,
    /// Bytes of those parts.
    there_bytes: u64,
    losses: Vec<(usize, Reason)>,
}

impl<'a> Contents<'a> {
    /// Lays out what is to be fetched for these items.
    pub(super) fn of(
        index: &'a ChunkIndex<'a>,
        plan: &'a Tree,
        inspection: &Inspection,
        items: impl Iterator<Item = usize>,
    ) -> Self {
        let mut contents = Self {
            index,
            plan,
            batches: Vec::new(),
            ready: Vec::new(),
            begun: Vec::new(),
            there_bytes: 0,
            losses: Vec::new(),
        };
        let mut batches = Batches::default();
        for item in items {
            let What::File { chunks, .. } = &plan.items[item].what else {
                continue;
            };
            let good = inspection.begun.get(&item);
            let is_good = |number: usize| good.is_some_and(|good| good[number]);
            let missing: Vec<usize> = (0..chunks.len()).filter(|number| !is_good(*number)).collect();
            let nowhere = missing
                .iter()
                .any(|number| index.place(&chunks[*number].id, 0).is_none());
            if nowhere {
                contents.losses.push((item, index.nowhere()));
                continue;
            }
            if missing.is_empty() {
                contents.ready.push(item);
            } else if chunks.len() > 1 {
                contents.begun.push((item, missing.len(), good.is_some()));
            }
            let mut offset = 0;
            for (number, chunk) in chunks.iter().enumerate() {
                if is_good(number) && !missing.is_empty() {
                    contents.there_bytes += u64::from(chunk.raw_len);
                }
                if let (false, Some(place)) = (is_good(number), index.place(&chunk.id, 0)) {
                    let piece = Piece {
                        position: place.position,
                        item,
                        number,
                        offset,
                        tried: 0,
                    };
                    batches.add(place.pack, piece);
                }
                offset += u64::from(chunk.raw_len);
            }
        }
        contents.batches = batches.done();
        contents
    }

    /// Bytes that will be asked for, and from how many packs.
    pub(super) fn to_fetch(&self) -> (u64, u64) {
        let bytes = self
            .batches
            .iter()
            .flat_map(|batch| self.index.ranges(batch.pack, &batch.positions()))
            .map(|range| range.end - range.start)
            .sum();
        (bytes, self.batches.len() as u64)
    }

    /// Files whose data has no place at all.
    pub(super) fn losses(&self) -> impl Iterator<Item = Loss> {
        self.losses.iter().map(|(item, reason)| Loss {
            path: self.plan.path(*item),
            reason: reason.clone(),
        })
    }

    /// Fetches and writes. What cannot be had is added to `losses`.
    pub(super) fn write(
        self,
        files: &mut Files<'_>,
        target: &Target<'_>,
        counters: &RestoreCounters,
        losses: &mut Vec<Loss>,
    ) -> Result<(), RestoreError> {
        losses.extend(self.losses());
        counters.bytes_done.fetch_add(self.there_bytes, Relaxed);
        for (item, chunks, adopted) in &self.begun {
            files.announce(*item, *chunks, *adopted);
        }
        let work = Work {
            index: self.index,
            plan: self.plan,
            files,
            target,
            counters,
            stop: AtomicBool::new(false),
            again: Mutex::default(),
            losses: Mutex::new(Vec::new()),
        };
        let mut result = work.ready(&self.ready);
        let mut batches = self.batches;
        while result.is_ok() && !batches.is_empty() {
            result = work.run(&batches);
            batches = std::mem::take(&mut *lock(&work.again)).done();
        }
        losses.append(&mut lock(&work.losses));
        if result.is_err() {
            tracing::warn!("the restore stops; unfinished files stay for the next one");
        }
        result
    }
}

/// Pieces by pack, in the order in which packs are first needed.
#[derive(Default)]
struct Batches {
    batches: Vec<Batch>,
    of_pack: HashMap<usize, usize>,
}

impl Batches {
    fn add(&mut self, pack: usize, piece: Piece) {
        let next = self.batches.len();
        let at = *self.of_pack.entry(pack).or_insert(next);
        if at == next {
            self.batches.push(Batch {
                pack,
                pieces: Vec::new(),
            });
        }
        self.batches[at].pieces.push(piece);
    }

    fn done(mut self) -> Vec<Batch> {
        for batch in &mut self.batches {
            // One chunk after the other; within a chunk, one file after the other.
            batch
                .pieces
                .sort_unstable_by_key(|piece| (piece.position, piece.item, piece.number));
        }
        self.batches
    }
}

impl Batch {
    fn positions(&self) -> Vec<usize> {
        let mut positions: Vec<usize> = self.pieces.iter().map(|piece| piece.position).collect();
        positions.dedup();
        positions
    }
}

struct Work<'a> {
    index: &'a ChunkIndex<'a>,
    plan: &'a Tree,
    files: &'a Files<'a>,
    target: &'a Target<'a>,
    counters: &'a RestoreCounters,
    stop: AtomicBool,
    /// Pieces to look for in another pack.
    again: Mutex<Batches>,
    losses: Mutex<Vec<Loss>>,
}

impl Work<'_> {
    fn ready(&self, items: &[usize]) -> Result<(), RestoreError> {
        for item in items {
            let done = if self.plan.items[*item].size_bytes() == 0 {
                self.target
                    .parent(*item)
                    .and_then(|folder| self.files.whole(&folder, *item, &[]))
            } else {
                self.files.adopt(*item)
            };
            match done {
                Ok(()) => self.count(*item),
                Err(error) => self.failed(*item, error)?,
            }
        }
        Ok(())
    }

    fn run(&self, batches: &[Batch]) -> Result<(), RestoreError> {
        let ranges = |batch: &Batch| self.index.ranges(batch.pack, &batch.positions());
        self.index
            .expect(batches.iter().map(|batch| (batch.pack, ranges(batch))));
        let next = AtomicUsize::new(0);
        let worker = || -> Result<(), RestoreError> {
            while let Some(batch) = batches.get(next.fetch_add(1, Relaxed)) {
                if self.stop.load(Relaxed) {
                    return Ok(());
                }
                if let Err(error) = self.batch(batch) {
                    self.stop.store(true, Relaxed);
                    return Err(error);
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS.min(batches.len()))
                .map(|_| scope.spawn(worker))
                .collect();
            let mut result = Ok(());
            for worker in workers {
                let done = worker.join().unwrap_or(Err(RestoreError::Thread));
                result = result.and(done);
            }
            result
        })
    }

    fn batch(&self, batch: &Batch) -> Result<(), RestoreError> {
        let ranges: Vec<Range<u64>> = self.index.ranges(batch.pack, &batch.positions());
        let (mut sealed, reader) = match self.index.visit(batch.pack, &ranges) {
            Ok(opened) => opened,
            Err(Failure::All(error)) => return Err(error.into()),
            Err(Failure::One(fault)) => {
                self.look_elsewhere(batch.pack, &batch.pieces, &fault, false);
                return Ok(());
            }
        };
        // Whether there is another copy of the pack, once this one turned out to be damaged.
        let mut other = None;
        let mut folder: Option<(Option<usize>, Arc<OwnedFd>)> = None;
        for same in batch.pieces.chunk_by(|a, b| a.position == b.position) {
            let Some(first) = same.first() else { continue };
            match self.index.chunk(batch.pack, &reader, &mut sealed, first.position) {
                Ok(raw) => {
                    for piece in same {
                        self.piece(piece, &raw, &mut folder)?;
                    }
                }
                Err(fault) => {
                    let other = *other.get_or_insert_with(|| self.index.another(batch.pack));
                    self.look_elsewhere(batch.pack, same, &fault, other);
                }
            }
        }
        Ok(())
    }

    /// The chunks may lie in another copy of the pack, or in another pack as well; if not, the files are lost.
    fn look_elsewhere(&self, pack: usize, pieces: &[Piece], fault: &Fault, other_copy: bool) {
        for piece in pieces {
            let What::File { chunks, .. } = &self.plan.items[piece.item].what else {
                continue;
            };
            let tried = piece.tried + usize::from(!other_copy);
            match self.index.place(&chunks[piece.number].id, tried) {
                Some(place) => {
                    let piece = Piece {
                        position: place.position,
                        tried,
                        ..*piece
                    };
                    lock(&self.again).add(place.pack, piece);
                }
                None => {
                    let object = &self.index.pack(pack).object;
                    self.lose(piece.item, Reason::data(object, fault.clone()));
                }
            }
        }
    }

    fn piece(
        &self,
        piece: &Piece,
        raw: &[u8],
        kept: &mut Option<(Option<usize>, Arc<OwnedFd>)>,
    ) -> Result<(), RestoreError> {
        let item = &self.plan.items[piece.item];
        let What::File { chunks, .. } = &item.what else {
            return Ok(());
        };
        // The listing was believed when the pieces were laid out: a wrong length would make a wrong file.
        if raw.len() as u64 != u64::from(chunks[piece.number].raw_len) {
            let what = "a chunk has another length than the listing says".to_owned();
            self.lose(piece.item, Reason::Refused { what });
            return Ok(());
        }
        // The folder of the last piece is mostly this one's as well.
        let folder = match kept {
            Some((parent, folder)) if *parent == item.parent => Ok(folder.clone()),
            _ => self.target.parent(piece.item),
        };
        let written = folder.and_then(|folder| {
            *kept = Some((item.parent, folder.clone()));
            if chunks.len() == 1 {
                self.files.whole(&folder, piece.item, raw).map(|()| true)
            } else {
                self.files.part(&folder, piece.item, piece.offset, raw)
            }
        });
        match written {
            Ok(finished) => {
                self.counters.bytes_done.fetch_add(raw.len() as u64, Relaxed);
                if finished {
                    self.counters.files_done.fetch_add(1, Relaxed);
                }
                Ok(())
            }
            Err(error) => self.failed(piece.item, error),
        }
    }

    fn count(&self, item: usize) {
        self.counters.files_done.fetch_add(1, Relaxed);
        let bytes = self.plan.items[item].size_bytes();
        self.counters.bytes_done.fetch_add(bytes, Relaxed);
    }

    /// A full disk ends the restore and leaves what is there for the next one; anything else costs this file.
    fn failed(&self, item: usize, error: io::Error) -> Result<(), RestoreError> {
        match Failure::<Reason, RestoreError>::from(error) {
            Failure::All(error) => Err(error),
            Failure::One(reason) => {
                self.lose(item, reason);
                Ok(())
            }
        }
    }

    fn lose(&self, item: usize, reason: Reason) {
        if self.files.lose(item) {
            let path = self.plan.path(item);
            lock(&self.losses).push(Loss { path, reason });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is behind it is whole after every statement that changes it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
