//! A snapshot's page.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::{
    report::RunReport,
    view::{backup_set::BackupSetView, restore::RestoreView, snapshot::SnapshotView},
};

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
    /// What its run said of the source.
    #[serde(default)]
    pub report: Option<RunReport>,
    /// The command to paste on the endpoint.
    pub restore_command: String,
    /// Its newest restores, newest first, at most 20: the list of the tenant's restores has all.
    pub restores: Vec<RestoreView>,
}
