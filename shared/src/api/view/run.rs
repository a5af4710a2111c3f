//! Runs.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    api::{
        agent::{RunProgress, RunState},
        report::RunReport,
    },
    ids::{RunId, SnapshotId, SourceId},
};

/// A run. `GET /api/v1/tenants/{tenant}/runs/{run}`; also the `run` event of the live stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    /// The run.
    pub id: RunId,
    /// The source.
    pub source_id: SourceId,
    /// The source's name.
    pub source_name: String,
    /// The endpoint's host name.
    pub hostname: String,
    /// Where it stands.
    pub state: RunState,
    /// When it was asked for or due.
    pub created_at: Timestamp,
    /// When the agent fetched it.
    pub started_at: Option<Timestamp>,
    /// When its agent last said how far it is.
    #[serde(default)]
    pub reported_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The last report.
    pub progress: Option<RunProgress>,
    /// Objects confirmed so far and to confirm, while committing and locking.
    pub confirmed: Option<(u64, u64)>,
    /// The snapshot it made.
    pub snapshot_id: Option<SnapshotId>,
    /// Why it failed.
    pub error: Option<String>,
    /// What its agent said of the source with the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<RunReport>,
    /// Of a queued run that is tried again: no agent takes it before.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// Runs before this one that failed in a row for the storage's or the network's sake and had it queued again.
    #[serde(default)]
    pub retries: u32,
    /// A read that has not come back for minutes.
    #[serde(default)]
    pub stuck: Option<StuckView>,
}

/// A read that does not come back, as below a mount whose other side is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StuckView {
    /// The path of the source below which it is.
    pub path: String,
    /// For how long, when the agent last reported.
    pub seconds: u64,
}

impl RunView {
    /// Agents report several times in a second: one that has said nothing for so long has lost its way to the server, or is gone.
    pub const SILENT_AFTER: SignedDuration = SignedDuration::from_secs(15);

    /// One that has said nothing for so long is shown as lost. The run goes on when the agent is back.
    pub const LOST_AFTER: SignedDuration = SignedDuration::from_mins(2);

    /// For how long nothing was heard of the agent, when that is long for a run that it works on.
    #[must_use]
    pub fn silent_for(&self, now: Timestamp) -> Option<SignedDuration> {
        if self.state != RunState::Running {
            return None;
        }
        let heard = self.reported_at.or(self.started_at)?;
        Some(now.duration_since(heard)).filter(|silent| *silent >= Self::SILENT_AFTER)
    }
}
