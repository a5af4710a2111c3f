//! Sources, and *back up now*.

use shared::{
    api::{
        agent::RunState,
        request::NewSource,
        view::{LiveEvent, RunView, SourceView},
    },
    ids::{RunId, SourceId},
    limits::Limit,
    source_paths::SourcePaths,
};

use super::{bounded, name, or_taken, room_for_one, views};
use crate::{
    app::App,
    db::{self, TenantTx, runs::Run, sources::Source},
    error::ApiError,
    random,
    scope::{Actor, TenantScope},
};

/// Makes a source.
///
/// # Errors
/// `Invalid` when paths or schedule are malformed; `NotFound` when the tenant has no such agent; `Conflict` when
/// the agent has a source of that name.
pub async fn create(app: &App, actor: &Actor, request: NewSource) -> Result<SourceView, ApiError> {
    let name = name("name", &request.name)?;
    let SourcePaths { paths, excludes } = SourcePaths::read(request.paths, request.excludes)
        .map_err(|error| ApiError::invalid(error.field(), format!("{error}.")))?;
    bounded("time_zone", request.schedule.time_zone.len(), Limit::TimeZone)?;
    let now = app.clock.now();
    let next_due = request.schedule.next_after(now)?;

    let tx = app.db.tenant(&actor.scope).await?;
    let agent = db::agents::find(&tx, request.agent_id)
        .await?
        .ok_or(ApiError::NotFound("agent"))?;
    let set = db::backup_sets::find(&tx, agent.backup_set_id)
        .await?
        .ok_or(ApiError::NotFound("backup set"))?;
    room_for_one(
        db::sources::count_of_agent(&tx, agent.id).await?,
        Limit::SourcesPerAgent,
        "too_many_sources",
        "Put more paths into one source, or retire one that is not needed.",
    )?;
    let source = Source {
        id: SourceId::from_uuid(random::uuid(now)),
        agent_id: agent.id,
        backup_set_id: set.id,
        name,
        paths,
        excludes,
        schedule: request.schedule,
        next_due,
        newest_seq: 0,
        retired_at: None,
        next_sweep_at: None,
        lock_ahead_days: None,
        created_at: now,
    };
    let taken = |error| {
        or_taken(
            error,
            "name_taken",
            "This agent has a source of that name: choose another name.",
        )
    };
    db::sources::add(&tx, &source).await.map_err(taken)?;
    let event = db::audit::Event {
        actor: &actor.user.email,
        action: "source.create",
        subject: source.id.to_string(),
        detail: serde_json::json!({ "agent": agent.id, "paths": source.paths, "schedule": source.schedule }),
    };
    db::audit::add(&tx, event, now).await?;
    tx.commit().await?;
    Ok(views::source(
        &source,
        &agent.hostname,
        &set.name,
        None,
        None,
        None,
    ))
}

/// *Back up now*: queues a run, or gives the one that is queued or under way.
///
/// # Errors
/// `NotFound` when the tenant has no such source.
pub async fn run_now(app: &App, actor: &Actor, source: SourceId) -> Result<RunView, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&actor.scope).await?;
    let source = db::sources::lock(&tx, source)
        .await?
        .ok_or(ApiError::NotFound("source"))?;
    must_not_be_retired(&source)?;
    let (run, queued) = queue(&tx, &source, now).await?;
    if queued {
        let event = db::audit::Event {
            actor: &actor.user.email,
            action: "run.queue",
            subject: run.id.to_string(),
            detail: serde_json::json!({ "source": source.id }),
        };
        db::audit::add(&tx, event, now).await?;
    }
    let view = run_view(&tx, &run, &source).await?;
    tx.commit().await?;
    announce(app, &actor.scope, view.clone());
    app.polls.wake(source.agent_id);
    Ok(view)
}

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

/// Queues a run unless one is open. The source's row must be locked. Gives the run and whether it is new.
///
/// # Errors
/// When the database does not answer.
pub async fn queue(tx: &TenantTx, source: &Source, now: jiff::Timestamp) -> Result<(Run, bool), ApiError> {
    if let Some(open) = db::runs::open_of_source(tx, source.id).await? {
        return Ok((open, false));
    }
    let run = Run::queued(RunId::from_uuid(random::uuid(now)), source.id, now);
    db::runs::add(tx, &run).await?;
    Ok((run, true))
}

/// One run.
///
/// # Errors
/// `NotFound` when the tenant has no such run.
pub async fn run(app: &App, actor: &Actor, run: RunId) -> Result<RunView, ApiError> {
    let tx = app.db.tenant(&actor.scope).await?;
    let run = db::runs::find(&tx, run).await?.ok_or(ApiError::NotFound("run"))?;
    let source = db::sources::find(&tx, run.source_id)
        .await?
        .ok_or(ApiError::NotFound("source"))?;
    run_view(&tx, &run, &source).await
}

/// Cancels a run that has no snapshot yet. A commit is cancelled while nobody is at work on it, also between two tries.
///
/// # Errors
/// `NotFound` when the tenant has no such run; `Conflict` when it is too late.
pub async fn cancel_run(app: &App, actor: &Actor, id: RunId) -> Result<RunView, ApiError> {
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
    let view = run_view(&tx, &run, &source).await?;
    tx.commit().await?;
    announce(app, &actor.scope, view.clone());
    Ok(view)
}

/// A run with the names that people know it by.
///
/// # Errors
/// When the database does not answer.
pub async fn run_view(tx: &TenantTx, run: &Run, source: &Source) -> Result<RunView, ApiError> {
    let agent = db::agents::find(tx, source.agent_id)
        .await?
        .ok_or(ApiError::NotFound("agent"))?;
    Ok(views::run(run, source, &agent.hostname))
}

/// Tells browsers that a run moved on.
pub fn announce(app: &App, scope: &TenantScope, view: RunView) {
    app.live.send(scope.tenant(), LiveEvent::Run(Box::new(view)));
}
