//! Runs: *back up now*, look, cancel.

use shared::{
    api::{agent::RunState, view::RunView},
    ids::{RunId, SourceId},
};

use crate::{
    app::App,
    db,
    error::ApiError,
    scope::{Manager, Viewer},
    use_cases::system::runs,
};

/// *Back up now*: queues a run, or gives the one that is queued or under way.
///
/// # Errors
/// `NotFound` when the tenant has no such source.
pub async fn run_now(app: &App, actor: &Manager, source: SourceId) -> Result<RunView, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&actor.scope).await?;
    let source = db::sources::lock(&tx, source)
        .await?
        .ok_or(ApiError::NotFound("source"))?;
    runs::must_not_be_retired(&source)?;
    let (run, queued) = runs::queue(&tx, &source, now).await?;
    if queued {
        let event = db::audit::Event {
            actor: &actor.user.email,
            action: "run.queue",
            subject: run.id.to_string(),
            detail: serde_json::json!({ "source": source.id }),
        };
        db::audit::add(&tx, event, now).await?;
    }
    let view = runs::view(&tx, &run, &source).await?;
    tx.commit().await?;
    runs::announce(app, &actor.scope, view.clone());
    app.polls.wake(source.agent_id);
    Ok(view)
}

/// One run.
///
/// # Errors
/// `NotFound` when the tenant has no such run.
pub async fn view(app: &App, actor: &Viewer, run: RunId) -> Result<RunView, ApiError> {
    let tx = app.db.tenant(&actor.scope).await?;
    let run = db::runs::find(&tx, run).await?.ok_or(ApiError::NotFound("run"))?;
    let source = db::sources::find(&tx, run.source_id)
        .await?
        .ok_or(ApiError::NotFound("source"))?;
    runs::view(&tx, &run, &source).await
}

/// Cancels a run that has no snapshot yet. A commit is cancelled while nobody is at work on it, also between two tries.
///
/// # Errors
/// `NotFound` when the tenant has no such run; `Conflict` when it is too late.
pub async fn cancel(app: &App, actor: &Manager, id: RunId) -> Result<RunView, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&actor.scope).await?;
    let found = db::runs::find(&tx, id).await?.ok_or(ApiError::NotFound("run"))?;
    let source = db::sources::lock(&tx, found.source_id)
        .await?
        .ok_or(ApiError::NotFound("source"))?;
    let mut run = db::runs::lock(&tx, id).await?.ok_or(ApiError::NotFound("run"))?;
    let was = run.state;
    match was {
        RunState::Queued | RunState::Running | RunState::Committing => {}
        RunState::Locking => {
            return Err(ApiError::conflict(
                "run_locking",
                "The snapshot of this run has its number already: it will be complete in a moment.",
            ));
        }
        RunState::Succeeded | RunState::Failed => {
            return Err(ApiError::conflict("run_over", "This run has ended already."));
        }
    }
    run.fail(format!("Cancelled by {}.", actor.user.email), now);
    db::runs::save(&tx, &run).await?;
    // Jobs come last in the order of locks; without the commit everything above is rolled back.
    if was == RunState::Committing
        && !db::jobs::withdraw(&tx, db::jobs::JobKind::Commit, id.as_uuid(), now).await?
    {
        return Err(ApiError::conflict(
            "run_committing",
            "The server is confirming the locks of this run at this moment. Try again in a minute.",
        ));
    }
    let event = db::audit::Event {
        actor: &actor.user.email,
        action: "run.cancel",
        subject: id.to_string(),
        detail: serde_json::json!({ "source": source.id, "was": was }),
    };
    db::audit::add(&tx, event, now).await?;
    let view = runs::view(&tx, &run, &source).await?;
    tx.commit().await?;
    runs::announce(app, &actor.scope, view.clone());
    Ok(view)
}
