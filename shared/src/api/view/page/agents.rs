//! The page of a tenant's agents.

use serde::{Deserialize, Serialize};

use crate::api::view::{agent::AgentView, backup_set::BackupSetName};

/// The page of a tenant's agents. `GET /api/v1/tenants/{tenant}/agents`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantAgents {
    /// The agents.
    pub agents: Vec<AgentView>,
    /// The backup sets that an endpoint can be enrolled for.
    pub backup_sets: Vec<BackupSetName>,
}
