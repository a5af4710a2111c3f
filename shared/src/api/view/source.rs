//! Sources.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{snapshot::SnapshotView, sweep::SweepView};
use crate::{
    api::agent::SourceOptions,
    ids::{AgentId, BackupSetId, RunId, SourceId},
    schedule::Schedule,
};

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceView {
    /// The source.
    pub id: SourceId,
    /// Its name.
    pub name: String,
    /// The agent.
    pub agent_id: AgentId,
    /// The agent's host name.
    pub hostname: String,
    /// Whether the agent was seen in the last two minutes.
    pub online: bool,
    /// Why nothing is backed up, when the agent is held: two machines use its state folder.
    #[serde(default)]
    pub held: Option<String>,
    /// Where its backups go.
    pub backup_set_id: BackupSetId,
    /// The backup set's name.
    pub backup_set_name: String,
    /// What is backed up.
    pub paths: Vec<String>,
    /// What is left out.
    pub excludes: Vec<String>,
    /// What else limits it.
    #[serde(default)]
    pub options: SourceOptions,
    /// Exclude lines that matched nothing in the run of the newest snapshot.
    #[serde(default)]
    pub unmatched_excludes: Vec<String>,
    /// Exclude lines that its agent could not read then: they leave out nothing.
    #[serde(default)]
    pub unread_excludes: Vec<String>,
    /// Whether its newest snapshot has no file although there was something: lines and options left all of it out.
    #[serde(default)]
    pub took_nothing: bool,
    /// When.
    pub schedule: Schedule,
    /// The next scheduled run.
    pub next_due: Option<Timestamp>,
    /// The newest complete snapshot.
    pub newest_snapshot: Option<SnapshotView>,
    /// The run that is queued or under way.
    pub active_run: Option<RunId>,
    /// How its backups are kept protected between runs.
    pub protection: ProtectionView,
}

/// How a source's backups are kept protected between its runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionView {
    /// Since when nothing is backed up any more, and the snapshots run out.
    pub retired_at: Option<Timestamp>,
    /// The last sweep.
    pub last_sweep: Option<SweepView>,
    /// When the next one is due; `None` before the first.
    pub next_sweep_at: Option<Timestamp>,
}

/// A source's name, for lists of choices. `GET /api/v1/tenants/{tenant}/sources` lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceName {
    /// The source.
    pub id: SourceId,
    /// Its name.
    pub name: String,
    /// Its agent's host name.
    pub hostname: String,
}

/// How the backups of one source of a backup set are kept protected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceProtection {
    /// The source.
    #[serde(flatten)]
    pub source: SourceName,
    /// Its protection.
    pub protection: ProtectionView,
}
