//! The periodic check of a bucket.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::SourceId;

/// The server's periodic comparison of a backup set's bucket with the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketCheckView {
    /// When the last one began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it counted.
    #[serde(flatten)]
    pub report: BucketCheckReport,
    /// What is not as it should be, the worst first; a page's worth.
    pub findings: Vec<BucketFindingView>,
}

/// What a check counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BucketCheckReport {
    /// Objects of the ledger that were looked for in the listing, by version and size.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects of which S3 was asked for the lock this time.
    pub locks_asked: u64,
    /// The part of the ledger whose locks were asked for, from 0.
    pub slice: u32,
    /// How many parts there are: after so many checks every lock was asked for.
    pub slices: u32,
    /// Objects that are gone.
    pub missing: u64,
    /// Those of them that a kept snapshot needs.
    pub needed_missing: u64,
    /// Objects of another size.
    pub other_size: u64,
    /// Objects whose lock is weaker, shorter, or gone.
    pub weak_lock: u64,
    /// Versions that nobody signed.
    pub unknown_versions: u64,
    /// Delete markers.
    pub delete_markers: u64,
    /// Why it broke off; then the counts are not of the whole.
    pub refused: Option<String>,
    /// When the last whole check ended.
    pub whole_at: Option<Timestamp>,
}

impl BucketCheckReport {
    /// Whether everything that the ledger knows is there and locked, and nothing else is.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let counts = [
            self.missing,
            self.other_size,
            self.weak_lock,
            self.unknown_versions,
            self.delete_markers,
        ];
        self.refused.is_none() && counts.iter().all(|count| *count == 0)
    }
}

/// What is not as it should be in a bucket. The worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BucketFindingKind {
    /// The version that the ledger knows is gone.
    Missing,
    /// It has another size.
    OtherSize,
    /// Its lock is weaker or shorter than S3 had confirmed, or gone.
    WeakLock,
    /// A version that nobody signed.
    UnknownVersion,
    /// A delete marker.
    DeleteMarker,
}

/// One thing that is not as it should be in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketFindingView {
    /// What it is.
    pub kind: BucketFindingKind,
    /// The source.
    pub source_id: SourceId,
    /// The key.
    pub key: String,
    /// The version.
    pub version_id: String,
    /// Whether a kept snapshot needs the object.
    pub needed: bool,
    /// Particulars, for people.
    pub detail: String,
    /// When it was first found.
    pub first_seen_at: Timestamp,
    /// When it was last found.
    pub last_seen_at: Timestamp,
}
