//! Agents.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, BackupSetId};

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentView {
    /// The agent.
    pub id: AgentId,
    /// The endpoint's host name.
    pub hostname: String,
    /// Its operating system.
    pub os: String,
    /// The agent's version.
    pub version: String,
    /// The backup set that it was enrolled for.
    pub backup_set_id: BackupSetId,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// When it last asked for work or reported.
    pub last_seen_at: Option<Timestamp>,
    /// Whether it was seen in the last two minutes.
    pub online: bool,
    /// Why it is held: two machines use its state folder.
    #[serde(default)]
    pub held: Option<String>,
}
