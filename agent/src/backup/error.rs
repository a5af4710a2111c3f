//! Why a backup ended without a snapshot.

use repository::{
    index::IndexError, manifest::ManifestError, object_list::ListError, pack::PackError, tree::TreeError,
};

use super::upload::UploadError;
use crate::{
    cache::CacheError, client::ClientError, enroll::EnrollError, random::RandomError, state::StateError,
    store::Stopped,
};

/// Why a backup ended without a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The server swapped the recovery key, or its key does not read.
    #[error(transparent)]
    Enroll(#[from] EnrollError),
    /// A call to the server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// An upload.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A listing.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A pack.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// An index segment.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The object list.
    #[error(transparent)]
    List(#[from] ListError),
    /// A pattern that does not parse.
    #[error("the pattern `{pattern}` does not parse: {error}")]
    Pattern {
        /// Which.
        pattern: String,
        /// What is wrong.
        error: String,
    },
    /// A path that cannot be backed up.
    #[error("the source's path `{0}` is not an absolute path without `..`")]
    Path(String),
    /// The newest snapshot's manifest or list, for another reason than that it is lost.
    #[error("the newest snapshot's list cannot be read, so nothing was sent: {0}")]
    ParentUnreadable(String),
    /// What the server says the newest snapshot needs.
    #[error(
        "the server's list of what the newest snapshot needs is out of order or has no end, so nothing was sent"
    )]
    ParentList,
    /// Nothing of the source is there.
    #[error("none of the source's paths exists on this endpoint; is a disk not mounted?")]
    NothingThere,
    /// The agent's own keys.
    #[error("a path of the source is the agent's own state folder, which is never backed up")]
    OwnState,
    /// The server ended the run.
    #[error("the run failed: {0}")]
    Failed(String),
    /// The server gave the snapshot its number, and something it needs vanished before it was complete. The next run builds
    /// on it.
    #[error("the run failed: {reason}")]
    Broken {
        /// The snapshot's number.
        seq: u64,
        /// Why.
        reason: String,
    },
    /// More objects than a commit may name.
    #[error("the source needs more objects than one backup can add; divide it into several sources")]
    TooMuch,
    /// Everything is sent, and kept here; the commit is not with the server yet.
    #[error("everything was sent; the commit goes on when this agent runs again: {reason}")]
    Uncommitted {
        /// Why it did not go on now.
        reason: String,
    },
    /// The commit is durable; how it ended is not known here.
    #[error("the server has the commit and goes on confirming it without this agent: {reason}")]
    Unconfirmed {
        /// Why the agent stopped waiting.
        reason: String,
    },
    /// Asked to stop.
    #[error("the agent was stopped")]
    Interrupted,
    /// The other side of a channel is gone; the cause is reported there.
    #[error("the backup stopped")]
    Stopped,
    /// No such source.
    #[error("this agent has no source `{0}`: name one of those that the console shows, or its id")]
    NoSource(String),
    /// No source at all.
    #[error("this agent has no sources yet: add one in the console")]
    NoSources,
    /// A thread of the backup could not run.
    #[error("a thread of the backup failed: {0}")]
    Thread(String),
}

impl From<Stopped> for BackupError {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopped
    }
}
