//! The chunks of one file, gathered in order whoever stores them.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use repository::chunk::{ChunkId, ChunkRef};

/// Where a chunk is.
#[derive(Clone, Copy)]
pub(super) struct Stored {
    pub(super) id: ChunkId,
    pub(super) pack: u64,
}

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

    /// What is to be stored.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// It is stored.
    pub(super) fn stored_as(self, stored: Stored) {
        self.of.set(self.index, (stored, self.raw.len()));
        self.of.lock().offered -= 1;
        self.of.settled.notify_all();
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

    /// Whether a piece that was offered is not stored yet.
    pub(super) fn are_open(&self) -> bool {
        self.lock().offered > 0
    }

    /// Waits until a piece is stored, for `timeout` at most.
    pub(super) fn wait(&self, timeout: Duration) {
        let inner = self.lock();
        if inner.offered > 0 {
            let _ = self.settled.wait_timeout(inner, timeout);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
