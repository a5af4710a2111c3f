//! Restores.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    api::agent::{RestoreProgress, RestorePurpose},
    ids::{RestoreId, SnapshotId},
};

/// Where a restore stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreState {
    /// Allowed: of permissions only.
    Authorised,
    /// The agent works on it.
    Running,
    /// Everything asked for is back.
    Succeeded,
    /// It ended otherwise.
    Failed,
    /// The permission ran out.
    Expired,
    /// A person ended the permission.
    Ended,
}

/// A permission to restore, or a restore under one. `POST /api/v1/tenants/{tenant}/snapshots/{snapshot}/restores` makes one; also the `restore` event
/// of the live stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreView {
    /// The restore.
    pub id: RestoreId,
    /// The snapshot.
    pub snapshot_id: SnapshotId,
    /// The source's name.
    pub source_name: String,
    /// The snapshot's number.
    pub seq: u64,
    /// Where it stands.
    pub state: RestoreState,
    /// Who allowed it.
    pub authorised_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when the agent may read.
    pub expires_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The last report.
    pub progress: Option<RestoreProgress>,
    /// Why it failed.
    pub error: Option<String>,
    /// The permission that it is a use of; `None` for permissions, and for what was begun when they were one with their use.
    #[serde(default)]
    pub permission_id: Option<RestoreId>,
    /// What a use is for.
    #[serde(default)]
    pub purpose: RestorePurpose,
}

impl RestoreView {
    /// Whether it is a permission, and not a use of one.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        let states = [
            RestoreState::Authorised,
            RestoreState::Expired,
            RestoreState::Ended,
        ];
        self.permission_id.is_none() && states.contains(&self.state)
    }
}
