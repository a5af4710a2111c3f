//! Storing pieces of large files that a thread has handed to others.

use std::time::Duration;

use shared::object::ObjectKind;

use super::{
    error::BackupError,
    piece::{Piece, Pieces},
    walker::{Walk, Worker},
};

/// How often a waiting thread checks whether a piece is left that it can store itself.
const RECHECK_INTERVAL: Duration = Duration::from_millis(20);

impl Walk<'_, '_> {
    /// Stores a piece that was offered.
    pub(super) fn piece(&self, worker: &mut Worker, piece: Piece) -> Result<(), BackupError> {
        let stored = self.store(worker, piece.raw(), ObjectKind::Pack)?;
        piece.stored_as(stored);
        self.queue.done();
        Ok(())
    }

    /// Waits until every piece that was offered is stored, and helps.
    pub(super) fn wait_for(&self, worker: &mut Worker, pieces: &Pieces) -> Result<(), BackupError> {
        while pieces.are_open() {
            self.must_go_on()?;
            if let Some(piece) = self.queue.take_back() {
                self.piece(worker, piece)?;
                continue;
            }
            if self.queue.is_stopped() {
                return Err(BackupError::Stopped);
            }
            pieces.wait(RECHECK_INTERVAL);
        }
        Ok(())
    }
}
