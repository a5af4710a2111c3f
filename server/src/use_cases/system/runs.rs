//! Runs, whoever asked for them: queued, shown, announced.

use jiff::Timestamp;
use shared::{
    api::{
        agent::RunState,
        view::{LiveEvent, RunView},
    },
    ids::RunId,
};

use crate::{
    app::App,
    db::{self, DbError, TenantTx, runs::Run, sources::Source},
    error::ApiError,
    random,
    scope::TenantScope,
    use_cases::views,
};

/// Refuses for a source that is no longer backed up.
///
/// # Errors
/// `Conflict`.
pub fn must_not_be_retired(source: &Source) -> Result<(), ApiError> {
    if source.retired_at.is_none() {
        return Ok(());
    }
    Err(ApiError::conflict(
        "retired",
        "This source was retired: its snapshots run out, and no new ones are made.",
    ))
}

/// Queues a run unless one is open. The source's row must be locked. Gives the run, and whether it is new or one that waited to be
/// tried again and now need not.
///
/// # Errors
/// When the database does not answer.
pub async fn queue(tx: &TenantTx, source: &Source, now: Timestamp) -> Result<(Run, bool), DbError> {
    if let Some(mut open) = db::runs::open_of_source(tx, source.id).await? {
        let waits = open.state == RunState::Queued && open.not_before.is_some();
        if waits {
            // Somebody asks for it, or it is due: what failed before does not count any more.
            (open.not_before, open.retries, open.error) = (None, 0, None);
            db::runs::save(tx, &open).await?;
        }
        return Ok((open, waits));
    }
    let run = Run::queued(RunId::from_uuid(random::uuid(now)), source.id, now);
    db::runs::add(tx, &run).await?;
    Ok((run, true))
}

/// A run with the names that people know it by.
///
/// # Errors
/// When the database does not answer.
pub async fn view(tx: &TenantTx, run: &Run, source: &Source) -> Result<RunView, DbError> {
    let agent = db::agents::of_source(tx, source).await?;
    Ok(views::run(run, source, &agent.hostname))
}

/// Tells browsers that a run moved on.
pub fn announce(app: &App, scope: &TenantScope, view: RunView) {
    app.live.send(scope.tenant(), LiveEvent::Run(Box::new(view)));
}
