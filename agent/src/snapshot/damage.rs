//! What cannot be had of a snapshot, and why: one file's damage must not become another's.

use repository::{pack::PackError, tree::TreeError};
use serde::Serialize;
use shared::{
    object::{ObjectHash, ObjectKind, ObjectRef},
    s3_refusal::Refusal,
};

use super::error::SnapshotError;
use crate::store::ReadError;

/// A file, folder or link that was not put back, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Its path on the endpoint, as it may be shown.
    pub path: String,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

/// Why something is lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// Its data cannot be had.
    #[error("its data is lost: {} {hash} {fault}", kind_name(*kind))]
    Data {
        /// What holds the data.
        kind: ObjectKind,
        /// Which one.
        hash: ObjectHash,
        /// What is wrong with it.
        fault: Fault,
    },
    /// What is in a folder cannot be had, or not all of it.
    #[error("what is in it is lost, or a part of that: {} {hash} {fault}", kind_name(*kind))]
    Listing {
        /// What holds the listing.
        kind: ObjectKind,
        /// Which one.
        hash: ObjectHash,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Neither an index segment nor the list of a pack that can be read names the data.
    #[error("no pack that can be read holds its data; unreadable are {}", suspects.join(", "))]
    Nowhere {
        /// Packs whose contents are not known.
        suspects: Vec<String>,
    },
    /// A listing that no honest agent writes.
    #[error("the backup's listing is refused: {what}")]
    Refused {
        /// What is wrong with it.
        what: String,
    },
    /// Something stands there that a restore does not take away.
    #[error("{what}")]
    Blocked {
        /// What stands there.
        what: String,
    },
    /// The system said no.
    #[error("it cannot be written: {error}")]
    Target {
        /// What the system said.
        error: String,
    },
    /// It was written, and could not be read again.
    #[error("it was written, but cannot be read again to compare: {error}")]
    Unread {
        /// What the system said.
        error: String,
    },
    /// Read again, the file was not what had been written.
    #[error("read back from the disk, it is not what was written")]
    Differs,
}

impl Reason {
    pub(crate) fn data(object: &ObjectRef, fault: Fault) -> Self {
        Self::Data {
            kind: object.kind,
            hash: object.hash,
            fault,
        }
    }

    /// The same, said of the folder that the data lists.
    pub(super) fn of_listing(self) -> Self {
        match self {
            Self::Data { kind, hash, fault } => Self::Listing { kind, hash, fault },
            other => other,
        }
    }
}

/// What is wrong with an object, or with the part of it that was needed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// No such object.
    #[error("is gone from the storage")]
    Missing,
    /// The storage has it and does not give it.
    #[error("cannot be read: the storage refuses it: {}", Refusal { code, status: *status, message: "" })]
    Withheld {
        /// The HTTP status.
        status: u16,
        /// S3's error code; empty where it gave none.
        code: String,
    },
    /// The storage answers something else than what it is asked.
    #[error("cannot be read: {what}")]
    Garbled {
        /// What came.
        what: String,
    },
    /// It ends too early.
    #[error("is cut off")]
    Short,
    /// It is not what its name says, or does not open.
    #[error("is damaged: {what}")]
    Damaged {
        /// What was found.
        what: String,
    },
}

impl From<PackError> for Fault {
    fn from(error: PackError) -> Self {
        Self::Damaged {
            what: error.to_string(),
        }
    }
}

impl From<TreeError> for Fault {
    fn from(error: TreeError) -> Self {
        Self::Damaged {
            what: error.to_string(),
        }
    }
}

/// What went wrong: with one thing, or with everything.
#[derive(Debug)]
pub(crate) enum Failure<R, E = SnapshotError> {
    /// With this object or item alone.
    One(R),
    /// Going on is useless.
    All(E),
}

impl<E: Into<Fault>> From<E> for Failure<Fault> {
    fn from(fault: E) -> Self {
        Self::One(fault.into())
    }
}

impl From<ReadError> for Failure<Fault> {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Storage {
                status: 404 | 410, ..
            } => Self::One(Fault::Missing),
            ReadError::Storage { status, code, .. } => Self::One(Fault::Withheld { status, code }),
            ReadError::Garbled { what, .. } => Self::One(Fault::Garbled { what }),
            ReadError::Wrong { what, .. } => Self::One(Fault::Damaged { what }),
            // It was tried several times: nothing else will be read either.
            error @ (ReadError::Client(_) | ReadError::Bucket(_)) => Self::All(error.into()),
        }
    }
}

/// An object's kind in a sentence.
pub(crate) const fn kind_name(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Pack => "pack",
        ObjectKind::TreePack => "tree pack",
        ObjectKind::Index => "index segment",
        ObjectKind::Manifest => "manifest",
        ObjectKind::Commit => "commit record",
        ObjectKind::ListPage => "list page",
    }
}
