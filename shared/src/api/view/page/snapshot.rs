//! A snapshot's page.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    api::{
        report::RunReport,
        view::{backup_set::BackupSetView, restore::RestoreView, snapshot::SnapshotView},
    },
    ids::SnapshotId,
};

/// What hangs on the decision on a snapshot that is not sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotReview {
    /// Until when nothing of the source is given up or deleted, unless somebody decides before; `None` when that has passed, or a
    /// later sound snapshot has settled it.
    pub frozen_until: Option<Timestamp>,
    /// The newest sound snapshot before it: it stays locked for as long as it is the newest one.
    pub sound: Option<SoundSnapshot>,
}

/// A sound snapshot that is held because a later one is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundSnapshot {
    /// The snapshot.
    pub id: SnapshotId,
    /// Its number.
    pub seq: u64,
    /// When the server had its commit.
    pub received_at: Timestamp,
    /// Until when it was promised.
    pub protected_until: Timestamp,
}

/// A snapshot's page. `GET /api/v1/tenants/{tenant}/snapshots/{snapshot}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPage {
    /// The snapshot.
    pub snapshot: SnapshotView,
    /// The backup set that it is in.
    pub backup_set: BackupSetView,
    /// Objects that it needs.
    pub objects: u64,
    /// Their bytes in the bucket.
    pub stored_bytes: u64,
    /// The earliest lock among them, as S3 last confirmed it: never before `protected_until` once complete.
    pub earliest_lock: Option<Timestamp>,
    /// The latest lock among them: nothing of it can be deleted later than that.
    pub latest_lock: Option<Timestamp>,
    /// When the lock was shown that S3 was asked for longest ago, among them.
    #[serde(default)]
    pub oldest_confirmation: Option<Timestamp>,
    /// What a decision on it would change; `None` when there is none to be made.
    #[serde(default)]
    pub review: Option<SnapshotReview>,
    /// What its run said of the source.
    #[serde(default)]
    pub report: Option<RunReport>,
    /// The command to paste on the endpoint.
    pub restore_command: String,
    /// Its newest restores, newest first, at most 20: the list of the tenant's restores has all.
    pub restores: Vec<RestoreView>,
}
