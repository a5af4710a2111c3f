//! A tenant's first page.

use serde::{Deserialize, Serialize};

use crate::{
    api::view::{run::RunView, snapshot::SnapshotView, source::SourceView},
    ids::BackupSetId,
};

/// A tenant's first page: what is set up, its sources and its newest snapshots. `GET /api/v1/tenants/{tenant}/overview`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantOverview {
    /// How many storage accounts there are.
    pub storage_accounts: u32,
    /// The oldest backup set, if there is one.
    pub backup_set_id: Option<BackupSetId>,
    /// How many agents are enrolled.
    pub agents: u32,
    /// The sources.
    pub sources: Vec<SourceView>,
    /// The runs that are queued or under way.
    pub runs: Vec<RunView>,
    /// The newest snapshots that have not expired, newest first, at most 5. `GET …/snapshots` has all.
    pub snapshots: Vec<SnapshotView>,
    /// Whether there are more snapshots that have not expired.
    pub has_more_snapshots: bool,
}
