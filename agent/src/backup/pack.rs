//! Packs under way: the threads of the walk fill one pack of contents and one of listings together; whoever fills one up
//! seals it and hands it over.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use repository::{
    chunk::ChunkId,
    compress::Compression,
    pack::{PackBuilder, PackLayout},
    recovery::RecoveryPublicKey,
};
use shared::object::ObjectKind;

use super::{buffers::Buffers, error::BackupError, known::Known};
use crate::{progress::RunCounters, random, store::ObjectSink};

/// The packs of one run.
pub(super) struct Packs<'a, 't> {
    contents: Mutex<Option<Open>>,
    listings: Mutex<Option<Open>>,
    next: AtomicU64,
    buffers: Buffers,
    sealed: Mutex<Vec<(u64, PackLayout)>>,
    known: &'a Known<'t>,
    recovery: &'a RecoveryPublicKey,
    sink: &'a dyn ObjectSink,
    counters: &'a RunCounters,
}

struct Open {
    builder: PackBuilder,
    number: u64,
}

impl<'a, 't> Packs<'a, 't> {
    pub(super) fn new(
        first: u64,
        known: &'a Known<'t>,
        recovery: &'a RecoveryPublicKey,
        sink: &'a dyn ObjectSink,
        counters: &'a RunCounters,
    ) -> Self {
        Self {
            contents: Mutex::new(None),
            listings: Mutex::new(None),
            next: AtomicU64::new(first),
            buffers: Buffers::default(),
            sealed: Mutex::default(),
            known,
            recovery,
            sink,
            counters,
        }
    }

    /// Adds a chunk; gives the number of its pack.
    pub(super) fn add(
        &self,
        kind: ObjectKind,
        id: ChunkId,
        raw_len: usize,
        compression: Compression,
        stored: &[u8],
    ) -> Result<u64, BackupError> {
        let place = match kind {
            ObjectKind::Pack => &self.contents,
            _ => &self.listings,
        };
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        let full = match &*place {
            Some(open) if !open.builder.fits(stored.len()) => place.take(),
            _ => None,
        };
        let open = match &mut *place {
            Some(open) => open,
            none => none.insert(Open {
                builder: PackBuilder::new(kind, self.buffers.take(|| self.counters.stopped())?),
                number: self.next.fetch_add(1, Relaxed),
            }),
        };
        // A chunk is at most 4 MiB.
        let raw_len = u32::try_from(raw_len).unwrap_or(u32::MAX);
        open.builder.add(id, raw_len, compression, stored)?;
        let number = open.number;
        drop(place);
        if let Some(full) = full {
            self.seal(full)?;
        }
        Ok(number)
    }

    /// Seals what is left. Gives where every chunk of the run lies, by the packs' numbers.
    pub(super) fn finish(self) -> Result<Vec<(u64, PackLayout)>, BackupError> {
        for place in [&self.contents, &self.listings] {
            let open = place.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(open) = open {
                self.seal(open)?;
            }
        }
        let mut sealed = self.sealed.into_inner().unwrap_or_else(PoisonError::into_inner);
        sealed.sort_unstable_by_key(|(number, _)| *number);
        Ok(sealed)
    }

    fn seal(&self, Open { builder, number }: Open) -> Result<(), BackupError> {
        let pack = builder.seal(self.recovery, &mut random::draw()?)?;
        self.known.sealed(number, &pack.layout.entries)?;
        self.sink.put_pack(&pack.layout, self.buffers.lend(pack.bytes))?;
        self.sealed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((number, pack.layout));
        Ok(())
    }
}
