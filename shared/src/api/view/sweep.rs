//! Sweeps.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A sweep: locks that fell short were refreshed, and what is neither needed nor locked was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepView {
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it did.
    #[serde(flatten)]
    pub report: SweepReport,
}

/// What a sweep did, what waits, and what was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SweepReport {
    /// Q, as it was used.
    pub lock_ahead_days: u32,
    /// Objects whose lock was extended, confirmed by S3.
    pub refreshed: u64,
    /// Objects that were put again as a new locked version, because the provider can not extend a lock.
    pub copied: u64,
    /// Packs that the next run is asked to add again.
    pub add_again: u64,
    /// Snapshots whose longer protection is now confirmed.
    pub promoted: u64,
    /// Snapshots that were given up.
    pub expired: u64,
    /// Object versions that were deleted.
    pub deleted_versions: u64,
    /// Their bytes.
    pub deleted_bytes: u64,
    /// Until when nothing is given up or deleted, because an anomaly waits for a decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen_until: Option<Timestamp>,
    /// What nobody needs and is still locked.
    pub awaiting: Vec<AwaitingUnlock>,
    /// What was not done, in sentences that say why.
    pub refused: Vec<String>,
}

impl SweepReport {
    /// Whether anything is different after it.
    #[must_use]
    pub fn changed_anything(&self) -> bool {
        let counts = [
            self.refreshed,
            self.copied,
            self.add_again,
            self.promoted,
            self.expired,
            self.deleted_versions,
        ];
        counts.iter().any(|count| *count > 0)
    }
}

/// Why something is stored that nobody needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwaitReason {
    /// No snapshot that is kept needs it any more.
    Dropped,
    /// A run that broke off had sent it.
    BrokenRun,
    /// A later version under the same key took its place.
    Superseded,
}

/// Objects that nobody needs and that are still locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitingUnlock {
    /// Why they are there.
    pub reason: AwaitReason,
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first of the locks ends.
    pub first: Timestamp,
    /// When the last does.
    pub last: Timestamp,
}
