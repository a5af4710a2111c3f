//! Why a backup ended without a snapshot.

use std::io::ErrorKind;

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
    /// A call into a file system did not come back.
    #[error(
        "reading below {path} has not come back for {minutes} min, and the run was given up: is it a mount whose other side is gone? \
         Mend it or take it off; the next run goes on with what was sent"
    )]
    Hangs {
        /// The source's own path.
        path: String,
        /// For how long.
        minutes: u64,
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

impl BackupError {
    /// Whether the same run may succeed later, without anybody's doing: it failed for the sake of the storage or of the network.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Client(error) => !error.is_final(),
            Self::Upload(error) => error.may_pass(),
            Self::ParentUnreadable(_) | Self::Hangs { .. } | Self::Cache(CacheError::InUse) => true,
            _ => self.is_full(),
        }
    }

    /// Whether the disk of the state folder had no room.
    pub(super) fn is_full(&self) -> bool {
        let error = match self {
            Self::State(StateError::Io { error, .. }) => error,
            Self::Cache(CacheError::Database(error)) => match error.as_ref() {
                redb::Error::Io(error) => error,
                _ => return false,
            },
            _ => return false,
        };
        matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
        )
    }
}

impl From<Stopped> for BackupError {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopped
    }
}

#[cfg(test)]
mod tests {
    use std::{io, path::PathBuf};

    use super::*;

    /// What a disk without room says, and a disk that fails.
    const ENOSPC: i32 = 28;
    const EDQUOT: i32 = 122;
    const EIO: i32 = 5;

    #[test]
    fn a_full_disk_may_have_room_later_and_a_broken_one_needs_somebody() {
        for (code, full) in [(ENOSPC, true), (EDQUOT, true), (EIO, false)] {
            let error = || io::Error::from_raw_os_error(code);
            let path = PathBuf::from("journal");
            let of_state = BackupError::State(StateError::Io { path, error: error() });
            let of_cache = BackupError::Cache(CacheError::Database(Box::new(redb::Error::Io(error()))));
            for error in [of_state, of_cache] {
                assert_eq!((error.is_full(), error.may_pass()), (full, full), "{error}");
            }
        }
        assert!(!BackupError::NothingThere.may_pass());
        assert!(!BackupError::Interrupted.may_pass());
        assert!(BackupError::Cache(CacheError::InUse).may_pass());
    }
}
