//! Compresses fresh chunks, fills packs, seals them and hands them over: on a thread beside the walk.

use std::sync::mpsc::Receiver;

use repository::{
    compress::Compressor,
    pack::{PackBuilder, PackLayout},
    recovery::RecoveryPublicKey,
};

use super::{BackupError, scan::FreshChunk};
use crate::{random, store::ObjectSink};

/// Runs until the walk has ended, then seals what is left. Gives where every chunk lies.
pub(super) fn pack_all(
    chunks: &Receiver<FreshChunk>,
    recovery: &RecoveryPublicKey,
    sink: &dyn ObjectSink,
) -> Result<Vec<PackLayout>, BackupError> {
    let mut packer = Packer {
        recovery,
        sink,
        sealed: Vec::new(),
    };
    let mut compressor = Compressor::new();
    let mut files = PackBuilder::files();
    let mut trees = PackBuilder::trees();
    for FreshChunk { id, raw, is_tree } in chunks {
        let (compression, stored) = compressor.compress(&raw);
        let builder = if is_tree { &mut trees } else { &mut files };
        if !builder.fits(stored.len()) {
            let empty = if is_tree {
                PackBuilder::trees()
            } else {
                PackBuilder::files()
            };
            packer.seal(std::mem::replace(builder, empty))?;
        }
        // A chunk is at most 4 MiB.
        builder.add(
            id,
            u32::try_from(raw.len()).unwrap_or(u32::MAX),
            compression,
            &stored,
        )?;
    }
    packer.seal(files)?;
    packer.seal(trees)?;
    Ok(packer.sealed)
}

struct Packer<'a> {
    recovery: &'a RecoveryPublicKey,
    sink: &'a dyn ObjectSink,
    sealed: Vec<PackLayout>,
}

impl Packer<'_> {
    fn seal(&mut self, builder: PackBuilder) -> Result<(), BackupError> {
        if builder.is_empty() {
            return Ok(());
        }
        let pack = builder.seal(self.recovery, &mut random::draw()?)?;
        self.sink.put(pack.layout.object, pack.bytes)?;
        self.sealed.push(pack.layout);
        Ok(())
    }
}
