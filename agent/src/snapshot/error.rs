//! Why a snapshot cannot be opened or read.

use repository::{
    commit::{CommitError, CommitVerifyingKey},
    manifest::ManifestError,
    object_list::ListError,
    recovery::Fingerprint,
};
use shared::ids::SnapshotId;

use super::origin::Unexpected;
use crate::{
    client::ClientError, enroll::EnrollError, keygen::KeygenError, state::StateError, store::ReadError,
};

/// Why a snapshot cannot be opened or read. One file's damage is not among it: see [`super::Loss`].
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The kit.
    #[error(transparent)]
    Kit(#[from] KeygenError),
    /// Another backup set's kit.
    #[error("this kit has the fingerprint {kit}, but this endpoint's backups are sealed to {expected}")]
    WrongKit {
        /// The kit's.
        kit: Fingerprint,
        /// The one that is needed.
        expected: Fingerprint,
    },
    /// The server's key.
    #[error(transparent)]
    Enroll(#[from] EnrollError),
    /// A call to the server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// An object without which nothing can be restored cannot be read, or the storage does not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The manifest's object list.
    #[error(transparent)]
    List(#[from] ListError),
    /// The manifest is of another source or snapshot than the server says.
    #[error("the server gave the manifest of another source or snapshot: do not trust it")]
    OtherSnapshot,
    /// Neither this endpoint nor the kit vouches for who signed the manifest.
    #[error(
        "the snapshot is signed by agent {0} with a key that neither this endpoint nor the recovery kit vouches for: \
         do not trust it"
    )]
    UnknownSigner(shared::ids::AgentId),
    /// The snapshot is not the one that was expected.
    #[error(transparent)]
    Unexpected(#[from] Unexpected),
    /// The commit record is none, or not of this manifest.
    #[error("the server's commit record of the snapshot is not to be trusted: {0}; nothing was written")]
    Record(#[from] CommitError),
    /// The commit record is another snapshot's.
    #[error(
        "the server answers with another snapshot: {asked} was asked for, and the commit record is of {found}, number \
         {seq}; nothing was written"
    )]
    OtherRecord {
        /// What was asked for.
        asked: SnapshotId,
        /// What the record is of.
        found: SnapshotId,
        /// Its number.
        seq: u64,
    },
    /// The commit record is signed by another key than the pinned one.
    #[error(
        "the snapshot's commit record is not signed by the server that this endpoint was enrolled with, whose key is \
         {pinned}; nothing was written. Either somebody stands in the server's place, or it has another master key now: \
         then its log names the new key, which --commit-key takes once you have compared it"
    )]
    OtherCommitKey {
        /// The key that enrollment left behind.
        pinned: Box<CommitVerifyingKey>,
    },
    /// Nothing binds the id.
    #[error(
        "the snapshot's commit record cannot be had ({why}), and so only the server's word says which snapshot this is; \
         nothing was written. To restore it all the same, name the number that you mean with --seq"
    )]
    NoRecord {
        /// Why not.
        why: String,
    },
    /// A path that is not in the snapshot.
    #[error("`{0}` is not in the snapshot; `--path` takes an absolute path as it was on the endpoint")]
    NotInSnapshot(String),
    /// A thread could not run.
    #[error("a thread failed")]
    Thread,
}

impl SnapshotError {
    /// What the server may know: no names of files.
    pub(crate) fn public(&self) -> String {
        match self {
            Self::State(_) => "the agent's state folder cannot be read".to_owned(),
            Self::Kit(_) => "the recovery kit cannot be read".to_owned(),
            Self::Unexpected(_) => "the snapshot is not the one that was expected".to_owned(),
            Self::NotInSnapshot(_) => "a path that was asked for is not in the snapshot".to_owned(),
            other => other.to_string(),
        }
    }
}
