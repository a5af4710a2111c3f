//! Whether a chunk is in the bucket already, on its way there, or to be sent: asked by several threads at once, and
//! answered so that each chunk is sent once.

use std::{
    collections::{HashMap, HashSet},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use repository::{chunk::ChunkId, pack::PackEntry};

use super::error::BackupError;
use crate::cache::{Chunks, Folders, PackInfo};

/// How often a waiting thread checks whether the run was stopped.
const RECHECK_INTERVAL: Duration = Duration::from_millis(100);

/// What is known of the bucket and of the files of the last run.
pub(super) struct Known<'a> {
    inner: Mutex<Inner<'a>>,
    settled: Condvar,
    /// Packs that the parent needs.
    parents: &'a HashMap<u64, PackInfo>,
    /// Packs whose chunks count as absent.
    blocked: &'a HashSet<u64>,
    /// Numbers from here on are packs of this run, or adopted by it.
    first_new: u64,
}

struct Inner<'a> {
    chunks: Chunks<'a>,
    folders: Folders<'a>,
    /// Chunks of packs that are not sealed, with the pack's number once they are in it.
    underway: HashMap<ChunkId, Option<u64>>,
}

/// Whose chunk it is.
pub(super) enum Claim {
    /// It is in this pack.
    Held(u64),
    /// The caller is to put it into a pack, and to say which one: nobody else will.
    Mine,
}

impl<'a> Known<'a> {
    pub(super) fn new(
        chunks: Chunks<'a>,
        folders: Folders<'a>,
        parents: &'a HashMap<u64, PackInfo>,
        blocked: &'a HashSet<u64>,
        first_new: u64,
    ) -> Self {
        Self {
            inner: Mutex::new(Inner {
                chunks,
                folders,
                underway: HashMap::new(),
            }),
            settled: Condvar::new(),
            parents,
            blocked,
            first_new,
        }
    }

    /// Claims a chunk. Waits while another thread compresses the same one.
    pub(super) fn claim(&self, id: &ChunkId, stopped: impl Fn() -> bool) -> Result<Claim, BackupError> {
        let mut inner = self.lock();
        loop {
            match inner.underway.get(id) {
                Some(Some(pack)) => return Ok(Claim::Held(*pack)),
                Some(None) if stopped() => return Err(BackupError::Stopped),
                Some(None) => {
                    (inner, _) = self
                        .settled
                        .wait_timeout(inner, RECHECK_INTERVAL)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                None => break,
            }
        }
        if let Some(pack) = inner.chunks.pack_of(id)?
            && self.has(pack, false)
        {
            return Ok(Claim::Held(pack));
        }
        inner.underway.insert(*id, None);
        Ok(Claim::Mine)
    }

    /// A claimed chunk is in this pack now.
    pub(super) fn settle(&self, id: &ChunkId, pack: u64) {
        // It is gone already where another thread has sealed the pack meanwhile.
        if let Some(place) = self.lock().underway.get_mut(id) {
            *place = Some(pack);
        }
        self.settled.notify_all();
    }

    /// A pack is sealed: from now on the cache knows its chunks.
    pub(super) fn sealed(&self, pack: u64, entries: &[PackEntry]) -> Result<(), BackupError> {
        let mut inner = self.lock();
        inner.chunks.add(pack, entries)?;
        for entry in entries {
            inner.underway.remove(&entry.id);
        }
        drop(inner);
        self.settled.notify_all();
        Ok(())
    }

    /// A pack of an earlier run is there. What the parent has already stays where it is.
    pub(super) fn adopt(&self, pack: u64, entries: &[PackEntry]) -> Result<(), BackupError> {
        let mut inner = self.lock();
        for entry in entries {
            let held = inner.chunks.pack_of(&entry.id)?;
            if !held.is_some_and(|held| self.has(held, false)) {
                inner.chunks.add(pack, std::slice::from_ref(entry))?;
            }
        }
        Ok(())
    }

    /// Whether the new snapshot may need this pack.
    pub(super) fn has(&self, pack: u64, even_blocked: bool) -> bool {
        pack >= self.first_new
            || (self.parents.contains_key(&pack) && (even_blocked || !self.blocked.contains(&pack)))
    }

    /// What is known of a folder's files, as the cache has it.
    pub(super) fn folder(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BackupError> {
        Ok(self.lock().folders.get(key)?)
    }

    /// Renews what is known of a folder's files.
    pub(super) fn set_folder(&self, key: &[u8], record: &[u8]) -> Result<(), BackupError> {
        Ok(self.lock().folders.set(key, record)?)
    }

    /// Forgets the folders that are not among these.
    pub(super) fn retain_folders(&self, seen: &HashSet<u64>) -> Result<(), BackupError> {
        let count = seen.len() as u64;
        Ok(self
            .lock()
            .folders
            .retain(count, |key| seen.contains(&short_hash(key)))?)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<'a>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands for a folder's key among those seen. Two that share one by chance cost a record that is kept for nothing.
pub(super) fn short_hash(key: &[u8]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(key).as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
