//! Questions about single objects of the storage, asked without and with reading them. Two answers: from a listing of the bucket
//! ([`BucketListing`](super::bucket_listing::BucketListing)), and through addresses that the server signs ([`DirectLookup`]).

use std::ops::Range;

use jiff::Timestamp;
use shared::object::ObjectRef;

use crate::{
    snapshot::Defect,
    store::{ObjectSource, ReadError},
};

/// What a verification asks of the storage.
pub(super) trait ObjectLookup: Sync {
    /// Reads objects.
    fn source(&self) -> &dyn ObjectSource;

    /// Whether an object is there in its length, without reading it.
    fn is_there(&self, object: &ObjectRef) -> Result<Option<Defect>, ReadError>;

    /// What is wrong with an object whose content is not what its name says.
    fn diagnose(&self, object: &ObjectRef) -> Result<Defect, ReadError>;

    /// What stands in an object's place: something of it may still open.
    fn remains(&self, object: &ObjectRef) -> Option<Vec<u8>>;

    /// Whether others wrote under its key, so that only reading it tells whether it is there.
    fn is_ambiguous(&self, object: &ObjectRef) -> bool;

    /// How long it is locked; `None` when the lookup cannot tell, or nothing of its length is there.
    fn lock(&self, object: &ObjectRef) -> Result<Option<Lock>, ReadError>;
}

/// How long an object is locked.
pub(super) enum Lock {
    /// Not at all.
    None,
    /// Until then.
    Until(Timestamp),
}

/// Asks for objects one at a time, by reads alone.
pub(super) struct DirectLookup<'s>(pub(super) &'s dyn ObjectSource);

impl ObjectLookup for DirectLookup<'_> {
    fn source(&self) -> &dyn ObjectSource {
        self.0
    }

    /// Its last byte says that it is long enough.
    fn is_there(&self, object: &ObjectRef) -> Result<Option<Defect>, ReadError> {
        match self.0.read(object, Some(last_byte(object))) {
            Ok(byte) if byte.len() == 1 => Ok(None),
            Ok(_) => self.diagnose(object).map(Some),
            Err(error) => defect_of(error).map(Some),
        }
    }

    fn diagnose(&self, object: &ObjectRef) -> Result<Defect, ReadError> {
        match self.0.read(object, Some(0..object.size_bytes)) {
            Ok(content) if content.len() as u64 == object.size_bytes => Ok(Defect::Changed),
            Ok(content) => Ok(Defect::Resized {
                expected_bytes: object.size_bytes,
                found_bytes: content.len() as u64,
            }),
            Err(error) => defect_of(error),
        }
    }

    fn remains(&self, object: &ObjectRef) -> Option<Vec<u8>> {
        self.0.read(object, Some(0..object.size_bytes)).ok()
    }

    fn is_ambiguous(&self, _object: &ObjectRef) -> bool {
        false
    }

    fn lock(&self, _object: &ObjectRef) -> Result<Option<Lock>, ReadError> {
        Ok(None)
    }
}

/// Where an object's last byte is.
pub(super) const fn last_byte(object: &ObjectRef) -> Range<u64> {
    object.size_bytes.saturating_sub(1)..object.size_bytes
}

/// What a failed read says of one object; an error when it says nothing of it.
pub(super) fn defect_of(error: ReadError) -> Result<Defect, ReadError> {
    match error {
        ReadError::Storage {
            status: 404 | 410, ..
        } => Ok(Defect::Missing),
        ReadError::Wrong { .. } => Ok(Defect::Changed),
        ReadError::Storage { .. } | ReadError::Garbled { .. } => Ok(Defect::Unreadable {
            error: error.to_string(),
        }),
        ReadError::Client(_) | ReadError::Bucket(_) => Err(error),
    }
}
