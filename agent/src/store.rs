//! Where sealed objects go to and come from: the bucket, or memory in tests.

use std::ops::Range;

use bytes::Bytes;
use repository::pack::PackLayout;
use shared::{
    api::agent::Part,
    object::{ObjectHash, ObjectRef},
    s3_refusal::Refusal,
};

/// Takes sealed objects.
pub trait ObjectSink: Send + Sync {
    /// Hands an object over; waits while too many are under way. Whoever keeps `bytes` for long must copy them: the
    /// engine has few buffers, and waits for them.
    ///
    /// # Errors
    /// When no more can be stored; why is known to whoever made the sink.
    fn put(&self, object: ObjectRef, bytes: Bytes) -> Result<(), Stopped>;

    /// Like [`Self::put`], of a pack whose chunks lie as `layout` says: for whoever keeps a journal of what is sent.
    ///
    /// # Errors
    /// As for [`Self::put`].
    fn put_pack(&self, layout: &PackLayout, bytes: Bytes) -> Result<(), Stopped> {
        self.put(layout.object, bytes)
    }

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
    /// Reads an object whole, its hash checked; or a part of it, which proves itself when it is opened. A part of an
    /// object that is shorter than it should be comes back shorter, or empty. Waits.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, object: &ObjectRef, range: Option<Range<u64>>) -> Result<Vec<u8>, ReadError>;

    /// Says what will be read next, in this order and before what was named earlier, so that many can be prepared at a time. A
    /// read of a whole object is a read of all its bytes.
    fn expect(&self, parts: &[Part]) {
        let _ = parts;
    }

    /// Says that what was read of an object was not what it should be. Whether there is another copy, which is then read
    /// from now on.
    fn another(&self, object: &ObjectRef) -> bool {
        let _ = object;
        false
    }

    /// Packs and index segments of the source's other snapshots, in which chunks of the snapshot may lie as well: part `nth`,
    /// counted from 0; `None` when there are no more. Asked for when objects that the snapshot needs are lost.
    ///
    /// # Errors
    /// When this part cannot be told; the next one may.
    fn others(&self, lost: &[ObjectHash], nth: u32) -> Result<Option<Vec<ObjectRef>>, ReadError> {
        let _ = (lost, nth);
        Ok(None)
    }

    /// Every pack and index segment of the snapshot's source, needed or not, if that can be told without the snapshot's
    /// list.
    fn everything(&self) -> Vec<ObjectRef> {
        Vec::new()
    }
}

/// Why an object cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The server would not sign.
    #[error(transparent)]
    Client(#[from] crate::client::ClientError),
    /// The bucket cannot be asked.
    #[error(transparent)]
    Bucket(#[from] crate::recover::BucketError),
    /// The storage said no.
    #[error("the storage refused object {object}: {}", Refusal { code, status: *status, message: "" })]
    Storage {
        /// Which object.
        object: ObjectHash,
        /// The HTTP status.
        status: u16,
        /// S3's error code; empty where it gave none.
        code: String,
    },
    /// The storage answered, again and again, with something that is no answer to what was asked: it says nothing of the
    /// object.
    #[error("the storage does not answer what it is asked about object {object}: {what}")]
    Garbled {
        /// Which object.
        object: ObjectHash,
        /// What came.
        what: String,
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

impl ReadError {
    /// Whether the storage has the object, as far as it says, and does not give it.
    #[must_use]
    pub const fn is_withheld(&self) -> bool {
        match self {
            Self::Storage { status, .. } => !matches!(*status, 404 | 410),
            Self::Garbled { .. } => true,
            _ => false,
        }
    }
}
