//! Sources: paths of an agent and when they are backed up.

use shared::{
    api::{request::NewSource, view::SourceView},
    ids::SourceId,
    limits::Limit,
    source_paths::SourcePaths,
};

use crate::{
    app::App,
    db::{self, sources::Source},
    error::ApiError,
    random,
    scope::Manager,
    use_cases::{
        input::{bounded, name, or_taken, room_for_one},
        views,
    },
};

/// Makes a source.
///
/// # Errors
/// `Invalid` when paths or schedule are malformed; `NotFound` when the tenant has no such agent; `Conflict` when
/// the agent has a source of that name.
pub async fn create(app: &App, actor: &Manager, request: NewSource) -> Result<SourceView, ApiError> {
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
