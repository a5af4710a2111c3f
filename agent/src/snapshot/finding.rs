//! What a verification finds: which object, what is wrong with it, and what that costs.

use jiff::Timestamp;
use serde::Serialize;
use shared::{
    object::{ObjectHash, ObjectKind, ObjectRef},
    words::counted,
};

use super::damage::kind_name;

/// Files that a finding lists by name; the rest is counted.
const LISTED_FILES: usize = 100;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    #[serde(flatten)]
    pub subject: Subject,
    /// What is wrong.
    #[serde(flatten)]
    pub defect: Defect,
    /// The numbers of the snapshots that need it.
    pub snapshots: Vec<u64>,
    /// Files and folders that cannot be restored because of it, in the newest snapshot that needs it, as far as the kit
    /// can tell: some of them.
    pub files: Vec<String>,
    /// How many there are.
    pub files_total: u64,
    /// In which snapshot.
    pub files_of: Option<u64>,
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "subject", rename_all = "snake_case")]
pub enum Subject {
    /// An object, by its name.
    Object {
        /// What it is.
        kind: ObjectKind,
        /// Which one.
        hash: ObjectHash,
    },
    /// A commit record, by its number.
    Record {
        /// The number.
        seq: u64,
    },
    /// A key in the bucket.
    Key {
        /// The key.
        key: String,
    },
    /// A file of the agent's state.
    State {
        /// Which one.
        path: String,
    },
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error, Serialize)]
#[serde(tag = "defect", rename_all = "snake_case")]
pub enum Defect {
    /// It is needed and not there.
    #[error("is missing")]
    Missing,
    /// It has another length.
    #[error("has {} instead of {expected_bytes}", counted(*found_bytes, "byte", "bytes"))]
    Resized {
        /// What it should have.
        expected_bytes: u64,
        /// What it has.
        found_bytes: u64,
    },
    /// Its content is not the one that its name says.
    #[error("was changed: its hash is another")]
    Changed,
    /// It holds the content of another object.
    #[error("holds the content of another object: {} {hash}", kind_name(*kind))]
    Swapped {
        /// What it holds.
        kind: ObjectKind,
        /// Which one.
        hash: ObjectHash,
    },
    /// The storage does not give it.
    #[error("cannot be read: {error}")]
    Unreadable {
        /// What the storage says.
        error: String,
    },
    /// It is what its name says, and no reader accepts it.
    #[error("does not read: {error}")]
    Malformed {
        /// What is wrong with it.
        error: String,
    },
    /// Some of its chunks do not open, or are not what they should be.
    #[error("has {}: {error}", counted(*chunks, "damaged chunk", "damaged chunks"))]
    Chunks {
        /// How many.
        chunks: u64,
        /// The first one's fault.
        error: String,
    },
    /// Snapshots need chunks that no pack is known to hold.
    #[error("needs {} in none of its packs", counted(*chunks, "chunk that is", "chunks that are"))]
    Dangling {
        /// How many.
        chunks: u64,
    },
    /// The snapshot has no commit record.
    #[error("has no commit record that fits: its run broke off, or the record is lost")]
    Uncommitted,
    /// It is not locked.
    #[error("is not locked, though its snapshots are promised until {promised}")]
    Unlocked {
        /// The promise.
        promised: Timestamp,
    },
    /// It is locked too short.
    #[error("is locked until {locked_until} only, though its snapshots are promised until {promised}")]
    ShortLock {
        /// The lock.
        locked_until: Timestamp,
        /// The promise.
        promised: Timestamp,
    },
    /// OtherPacks wrote under its key; one of the versions is right.
    #[error("has {} where one belongs; one of them is right", counted(*versions, "version", "versions"))]
    Versions {
        /// How many.
        versions: u64,
    },
    /// A delete marker hides it.
    #[error("is hidden by a delete marker; it is still there below it")]
    Hidden,
    /// Not one of our objects.
    #[error("is none of ours")]
    Foreign,
    /// No index segment lists the pack; its own list does.
    #[error("is in no index segment; its own list has to do")]
    Unlisted,
    /// A manifest of somebody else, beside others.
    #[error("is signed by {signer}, a key that nobody vouches for, beside manifests of other signers")]
    Stranger {
        /// The key.
        signer: String,
    },
    /// The agent keeps something else than the bucket has.
    #[error("does not fit the bucket: {what}")]
    Stale {
        /// What differs.
        what: String,
    },
}

impl Defect {
    /// The same, or another length where nothing is known yet.
    pub(crate) fn or_resized(self, expected_bytes: u64, found_bytes: u64) -> Self {
        match self {
            Self::Missing => Self::Resized {
                expected_bytes,
                found_bytes,
            },
            known => known,
        }
    }

    /// Whether something that is needed cannot be had, or may be lost early. Everything else is worth a look.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        !matches!(
            self,
            Self::Versions { .. }
                | Self::Hidden
                | Self::Foreign
                | Self::Unlisted
                | Self::Uncommitted
                | Self::Stranger { .. }
                | Self::Stale { .. }
        )
    }
}

impl Finding {
    /// A finding about an object.
    #[must_use]
    pub fn object(object: &ObjectRef, defect: Defect) -> Self {
        let (kind, hash) = (object.kind, object.hash);
        Self::new(Subject::Object { kind, hash }, defect)
    }

    /// A finding about anything.
    #[must_use]
    pub const fn new(subject: Subject, defect: Defect) -> Self {
        Self {
            subject,
            defect,
            snapshots: Vec::new(),
            files: Vec::new(),
            files_total: 0,
            files_of: None,
        }
    }

    /// The hash of the object that it is about.
    #[must_use]
    pub const fn hash(&self) -> Option<ObjectHash> {
        match &self.subject {
            Subject::Object { hash, .. } => Some(*hash),
            _ => None,
        }
    }

    /// Notes a file that it costs.
    pub(crate) fn costs(&mut self, file: String, snapshot: u64) {
        self.files_of = Some(snapshot);
        self.files_total += 1;
        if self.files.len() < LISTED_FILES {
            self.files.push(file);
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Object { kind, hash } => write!(f, "{} {hash}", kind_name(*kind)),
            Self::Record { seq } => write!(f, "commit record {seq}"),
            Self::Key { key } => write!(f, "{key}"),
            Self::State { path } => write!(f, "{path}"),
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.subject, self.defect)?;
        if !self.snapshots.is_empty() {
            let numbers: Vec<String> = self.snapshots.iter().map(u64::to_string).collect();
            write!(f, "; needed by snapshots {}", numbers.join(", "))?;
        }
        if let (Some(seq), Some(first)) = (self.files_of, self.files.first()) {
            let count = self.files_total;
            write!(
                f,
                "; costs {} of snapshot {seq}, such as {first}",
                counted(count, "file or folder", "files or folders")
            )?;
        }
        Ok(())
    }
}
