//! Why a restore ended early.

use std::{io, path::PathBuf};

use rustix::io::Errno;

use super::in_place::LinkInTheWay;
use crate::snapshot::{Failure, Reason, SnapshotError};

/// Why a restore ended early. One file's loss is not among it: see [`Loss`](crate::snapshot::Loss).
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The snapshot cannot be opened or read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The target's disk takes nothing more.
    #[error(
        "the target's disk takes nothing more: {0}. What was written stays; restore again with `--overwrite \
         if-different` to go on"
    )]
    Unwritable(io::Error),
    /// A link where a path of the source leads, other than at the backup.
    #[error(transparent)]
    Link(#[from] LinkInTheWay),
    /// A thread could not run.
    #[error("a thread of the restore failed")]
    Thread,
}

/// The target folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}")]
pub struct TargetError {
    /// Which folder.
    pub path: PathBuf,
    /// What the system says.
    pub error: io::Error,
}

impl RestoreError {
    /// What the server may know: no names of files.
    pub(super) fn public(&self) -> String {
        match self {
            Self::Snapshot(error) => error.public(),
            Self::Link(_) => "a link on the endpoint stands in the way, and nothing was restored".to_owned(),
            Self::Target(_) => "the target folder cannot be written".to_owned(),
            Self::Unwritable(_) => "the target's disk takes nothing more".to_owned(),
            Self::Thread => self.to_string(),
        }
    }
}

impl From<io::Error> for Failure<Reason, RestoreError> {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | ReadOnlyFilesystem => Self::All(RestoreError::Unwritable(error)),
            _ => Self::One(Reason::Target {
                error: error.to_string(),
            }),
        }
    }
}

impl From<Errno> for Failure<Reason, RestoreError> {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}
