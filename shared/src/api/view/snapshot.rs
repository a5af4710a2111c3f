//! Snapshots.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    anomaly::Anomaly,
    api::agent::SnapshotTotals,
    ids::{SnapshotId, SourceId},
    retention::{LockMode, Period, Soundness},
};

/// Where a snapshot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotState {
    /// Committed; what fell short is being extended.
    Locking,
    /// Everything it needs is locked until `protected_until`, confirmed by S3.
    Complete,
    /// Given up when its protection had ended. Final: what it needed may be gone, so it can not be restored.
    Expired,
    /// Something that it needs vanished between its number and its commit record: it keeps its number and was never promised
    /// anything. The next run builds on it.
    Broken,
}

/// What a complete snapshot has lost from the bucket. It keeps its date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Objects that are gone.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotView {
    /// The snapshot.
    pub id: SnapshotId,
    /// The source.
    pub source_id: SourceId,
    /// The source's name.
    pub source_name: String,
    /// The endpoint's host name.
    pub hostname: String,
    /// Its number in the source.
    pub seq: u64,
    /// Where it stands.
    pub state: SnapshotState,
    /// When the server had the commit.
    pub received_at: Timestamp,
    /// *Locked until*: the promise, confirmed by S3 when the snapshot is complete.
    pub protected_until: Timestamp,
    /// The periods whose first snapshot it is: it is kept longer for them.
    pub tiers: Vec<Period>,
    /// The lock mode.
    pub mode: LockMode,
    /// Totals.
    pub totals: SnapshotTotals,
    /// Whether it may stand for the source's data.
    #[serde(default)]
    pub soundness: Soundness,
    /// What of it differs from the newest sound snapshot before.
    #[serde(default)]
    pub anomalies: Vec<Anomaly>,
    /// When a person decided on it.
    #[serde(default)]
    pub judged_at: Option<Timestamp>,
    /// What it has lost; only the server's lists of snapshots and their pages have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<Damage>,
}
