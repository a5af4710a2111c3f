//! The chunks of a large file, shared out among the threads and gathered again in order.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use repository::chunk::ChunkRef;
use shared::object::ObjectKind;

use super::{
    BackupError,
    walk::{Stored, Walk, Worker},
};

/// How often one that waits looks whether there is something to help with.
const LOOK_UP: Duration = Duration::from_millis(20);

/// The pieces of one file.
#[derive(Default)]
pub(super) struct Pieces {
    inner: Mutex<Inner>,
    settled: Condvar,
}

#[derive(Default)]
struct Inner {
    done: Vec<Option<(Stored, usize)>>,
    offered: usize,
}

/// A piece that another thread may store.
pub(super) struct Piece {
    raw: Vec<u8>,
    of: Arc<Pieces>,
    index: usize,
}

impl Piece {
    pub(super) fn new(raw: Vec<u8>, of: &Arc<Pieces>, index: usize) -> Self {
        of.lock().offered += 1;
        Self {
            raw,
            of: of.clone(),
            index,
        }
    }
}

impl Pieces {
    /// A piece and its length.
    pub(super) fn set(&self, index: usize, piece: (Stored, usize)) {
        let done = &mut self.lock().done;
        if done.len() <= index {
            done.resize(index + 1, None);
        }
        done[index] = Some(piece);
    }

    /// The first `count` pieces in order, all of which are there, and their packs.
    pub(super) fn collect(&self, count: usize) -> (Vec<ChunkRef>, Vec<u64>) {
        let done = std::mem::take(&mut self.lock().done);
        debug_assert_eq!(done.iter().flatten().count(), count);
        let mut packs: Vec<u64> = Vec::new();
        let chunks = done
            .into_iter()
            .flatten()
            .map(|(stored, length)| {
                if packs.last() != Some(&stored.pack) {
                    packs.push(stored.pack);
                }
                ChunkRef {
                    id: stored.id,
                    // A chunk is at most 4 MiB.
                    raw_len: u32::try_from(length).unwrap_or(u32::MAX),
                }
            })
            .collect();
        (chunks, packs)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Walk<'_, '_> {
    /// Stores a piece that was offered.
    pub(super) fn piece(&self, worker: &mut Worker, piece: Piece) -> Result<(), BackupError> {
        let stored = self.store(worker, &piece.raw, ObjectKind::Pack)?;
        piece.of.set(piece.index, (stored, piece.raw.len()));
        piece.of.lock().offered -= 1;
        piece.of.settled.notify_all();
        Ok(())
    }

    /// Waits until every piece that was offered is stored, and helps.
    pub(super) fn wait_for(&self, worker: &mut Worker, pieces: &Pieces) -> Result<(), BackupError> {
        while pieces.lock().offered > 0 {
            if let Some(task) = self.queue.take_back() {
                self.run(worker, task)?;
                continue;
            }
            if self.queue.is_stopped() {
                return Err(BackupError::Stopped);
            }
            let inner = pieces.lock();
            if inner.offered > 0 {
                let _ = pieces.settled.wait_timeout(inner, LOOK_UP);
            }
        }
        Ok(())
    }
}
