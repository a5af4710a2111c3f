//! Why a lockbox cannot start or had to stop, and how failures inside become S3 errors.

use std::io;
use std::path::PathBuf;

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode, s3_error};

/// Why a lockbox cannot start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the folder open.
    #[error("the data folder {} is in use by another lockbox process", path.display())]
    FolderInUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder was written by a newer lockbox.
    #[error("the data folder {} has format {found}, this lockbox knows up to {known}", path.display())]
    FolderFormat {
        /// The folder.
        path: PathBuf,
        /// What the folder says.
        found: u64,
        /// The newest that this version can read.
        known: u64,
    },
    /// The folder cannot be made, read or written.
    #[error("cannot use {}", path.display())]
    Folder {
        /// The file or folder in question.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The index cannot be opened or read.
    #[error("the index cannot be used")]
    Index(#[source] redb::Error),
    /// No one could ever sign a request.
    #[error("at least one pair of credentials is needed")]
    NoCredentials,
    /// The address cannot be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address in question.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The background task ended by a panic or was cancelled.
    #[error("the server's task did not end as it should")]
    Task(#[from] tokio::task::JoinError),
}

/// Why one change of the index was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// A rule of S3 forbids it; nothing was written.
    #[error(transparent)]
    Refused(#[from] S3Error),
    /// The index failed; the whole transaction is given up.
    #[error(transparent)]
    Index(#[from] redb::Error),
    /// A record in the index cannot be read.
    #[error("a record of the index cannot be decoded")]
    Record(#[from] serde_json::Error),
}

macro_rules! fault_from {
    ($($source:ty),*) => {$(
        impl From<$source> for Fault {
            fn from(error: $source) -> Self {
                Self::Index(error.into())
            }
        }
    )*};
}
fault_from!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError
);

impl From<Fault> for S3Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(error) => error,
            other => internal(other),
        }
    }
}

/// A 500 whose cause goes to the log, not to the client.
pub(crate) fn internal(error: impl std::error::Error + Send + Sync + 'static) -> S3Error {
    tracing::error!(%error, "internal error");
    S3Error::internal_error(error)
}

/// An error whose code s3s has no name for.
pub(crate) fn custom(code: &'static str, status: StatusCode, message: &'static str) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(status);
    error
}

/// Form uploads are turned away.
pub(crate) fn no_forms() -> S3Error {
    s3_error!(MethodNotAllowed, "Form uploads are not supported")
}
