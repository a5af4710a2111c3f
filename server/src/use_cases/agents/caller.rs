//! What is an authorised agent's own.

use jiff::Timestamp;
use shared::{
    api::agent::RunState,
    ids::{RunId, SourceId},
};

use crate::{
    db::{self, TenantTx, runs::Run, sources::Source},
    error::ApiError,
    scope::Caller,
};

/// The agent's own source, its row locked.
///
/// # Errors
/// `NotFound` when it is not this agent's.
pub async fn own_source(tx: &TenantTx, caller: &Caller, id: SourceId) -> Result<Source, ApiError> {
    let source = db::sources::lock(tx, id).await?;
    source
        .filter(|source| source.agent_id == caller.agent.id)
        .ok_or(ApiError::NotFound("source"))
}

/// The agent's own run and its source, as they are now.
///
/// # Errors
/// `NotFound` when it is not this agent's.
pub async fn find_own_run(tx: &TenantTx, caller: &Caller, id: RunId) -> Result<(Run, Source), ApiError> {
    let run = db::runs::find(tx, id).await?.ok_or(ApiError::NotFound("run"))?;
    let source = db::sources::find(tx, run.source_id).await?;
    let source = source
        .filter(|source| source.agent_id == caller.agent.id)
        .ok_or(ApiError::NotFound("run"))?;
    Ok((run, source))
}

/// The same, both rows locked: the source's first, as everywhere.
///
/// # Errors
/// `NotFound` when it is not this agent's.
pub async fn own_run(tx: &TenantTx, caller: &Caller, id: RunId) -> Result<(Run, Source), ApiError> {
    let (_, source) = find_own_run(tx, caller, id).await?;
    let source = own_source(tx, caller, source.id).await?;
    let run = db::runs::lock(tx, id).await?.ok_or(ApiError::NotFound("run"))?;
    Ok((run, source))
}

/// Refuses unless the run is under way and before its deadline.
///
/// # Errors
/// `Conflict` otherwise, which tells the agent to give up.
pub fn must_run(run: &Run, now: Timestamp) -> Result<(), ApiError> {
    if run.state != RunState::Running {
        let reason = run.error.as_deref().unwrap_or("it has been committed or ended");
        return Err(ApiError::conflict(
            "run_over",
            format!("This run is no longer under way: {reason}"),
        ));
    }
    if run.deadline.is_none_or(|deadline| deadline <= now) {
        return Err(ApiError::conflict(
            "run_deadline",
            "This run has passed its deadline. Start another.",
        ));
    }
    Ok(())
}
