//! Where sealed objects go to and come from: the bucket, or memory in tests.

use std::ops::Range;

use shared::object::{ObjectHash, ObjectRef};

/// Takes sealed objects.
pub trait ObjectSink: Send + Sync {
    /// Hands an object over; waits while too many are under way.
    ///
    /// # Errors
    /// When no more can be stored; why is known to whoever made the sink.
    fn put(&self, object: ObjectRef, bytes: Vec<u8>) -> Result<(), Stopped>;

    /// Waits until everything handed over is stored.
    ///
    /// # Errors
    /// When something could not be stored.
    fn flush(&self) -> Result<(), Stopped>;
}

/// The sink takes nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upload stopped")]
pub struct Stopped;

/// Gives sealed objects, or parts of them.
pub trait ObjectSource: Send + Sync {
    /// Reads an object, or a part of it. Waits.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, object: &ObjectHash, range: Option<Range<u64>>) -> Result<Vec<u8>, ReadError>;
}

/// Why an object cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The server would not sign.
    #[error(transparent)]
    Client(#[from] crate::client::ClientError),
    /// The storage said no.
    #[error("the storage answered {status} for object {object}")]
    Storage {
        /// Which object.
        object: ObjectHash,
        /// The HTTP status.
        status: u16,
    },
    /// The storage gave something else.
    #[error("object {object} is not what its name says: {what}")]
    Wrong {
        /// Which object.
        object: ObjectHash,
        /// What is wrong.
        what: String,
    },
}
