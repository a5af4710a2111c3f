//! Why a recovery does not go on.

use repository::{manifest::ManifestError, object_list::ListError};

use super::bucket::BucketError;
use crate::{restore::RestoreError, snapshot::SnapshotError, store::ReadError};

/// Why a recovery does not go on.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A manifest of another source.
    #[error("it is another source's")]
    OtherSource,
    /// A manifest that is larger than any can be.
    #[error("it is larger than any manifest can be")]
    TooLarge,
    /// No kit.
    #[error("this needs the recovery kit")]
    NoKit,
    /// The restore.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A snapshot, or an object of it, cannot be opened or read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Nothing there.
    #[error("there is no source below `{prefix}sources/` in the bucket: are bucket and prefix right?")]
    Empty {
        /// The prefix.
        prefix: String,
    },
    /// The source is not named well enough.
    #[error("`{wanted}` names {found} of the sources here; name one by its id: {}", ids.join(", "))]
    WhichSource {
        /// What was asked for.
        wanted: String,
        /// How many it fits.
        found: usize,
        /// The sources here.
        ids: Vec<String>,
    },
    /// No such snapshot.
    #[error("the source has no snapshot `{0}`; `recover list` shows what there is")]
    NoSnapshot(String),
    /// Several snapshots claim to be it.
    #[error("`{wanted}` fits several snapshots; name one by its manifest: {}", manifests.join(", "))]
    WhichSnapshot {
        /// What was asked for.
        wanted: String,
        /// Their manifests.
        manifests: Vec<String>,
    },
    /// Whom to trust is for a person to say.
    #[error(
        "manifests of this source are signed by several keys and the recovery kit vouches for none: somebody may have put \
         forged ones there. Name the agent's own with --signer: {}", signers.join(", ")
    )]
    WhoSigned {
        /// The keys.
        signers: Vec<String>,
    },
}

impl From<ReadError> for RecoverError {
    fn from(error: ReadError) -> Self {
        SnapshotError::from(error).into()
    }
}

impl From<ManifestError> for RecoverError {
    fn from(error: ManifestError) -> Self {
        SnapshotError::from(error).into()
    }
}

impl From<ListError> for RecoverError {
    fn from(error: ListError) -> Self {
        SnapshotError::from(error).into()
    }
}
