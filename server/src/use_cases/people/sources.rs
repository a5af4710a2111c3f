//! Sources: paths of an agent and when they are backed up.

use std::collections::HashMap;

use jiff::Timestamp;
use shared::{
    api::{
        agent::SourceOptions,
        request::NewSource,
        view::{SourceName, SourceView},
    },
    ids::{AgentId, SourceId},
    limits::Limit,
    schedule::Schedule,
    source_paths::SourcePaths,
};

use crate::{
    app::App,
    db::{self, agents::Agent, sources::Source},
    error::ApiError,
    random,
    scope::{Manager, Viewer},
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
    let now = app.clock.now();
    let agent_id = request.agent_id;
    let draft = Draft::of(request, now)?;
    let tx = app.db.tenant(&actor.scope).await?;
    let agent = db::agents::find(&tx, agent_id)
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
    let source = draft.source(SourceId::from_uuid(random::uuid(now)), &agent, now);
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
        // All that says what is backed up, and what is not.
        detail: serde_json::json!({
            "agent": agent.id, "paths": source.paths, "schedule": source.schedule, "excludes": source.excludes,
            "options": source.options,
        }),
    };
    db::audit::add(&tx, event, now).await?;
    tx.commit().await?;
    let state = views::SourceState::default();
    Ok(views::source(&source, &agent, &set.name, state, now))
}

/// The names of every source.
///
/// # Errors
/// When the database does not answer.
pub async fn names(app: &App, actor: &Viewer) -> Result<Vec<SourceName>, ApiError> {
    let tx = app.db.tenant(&actor.scope).await?;
    let agents = db::agents::all(&tx).await?.into_iter();
    let hostnames: HashMap<AgentId, String> = agents.map(|agent| (agent.id, agent.hostname)).collect();
    let sources = db::sources::all(&tx).await?;
    let name = |source: &Source| views::source_name(source, hostnames.get(&source.agent_id).cloned());
    Ok(sources.iter().map(name).collect())
}

/// What a request for a new source asks for, checked.
#[derive(Debug)]
struct Draft {
    name: String,
    paths: SourcePaths,
    options: SourceOptions,
    schedule: Schedule,
    next_due: Option<Timestamp>,
}

impl Draft {
    /// Checks the request. Errors name the first field that is wrong.
    fn of(request: NewSource, now: Timestamp) -> Result<Self, ApiError> {
        let name = name("name", &request.name)?;
        let paths = SourcePaths::read(request.paths, request.excludes)
            .map_err(|error| ApiError::invalid(error.field(), format!("{error}.")))?;
        bounded("time_zone", request.schedule.time_zone.len(), Limit::TimeZone)?;
        request.schedule.validate()?;
        let next_due = request.schedule.next_after(now)?;
        Ok(Self {
            name,
            paths,
            options: request.limits.options(),
            schedule: request.schedule,
            next_due,
        })
    }

    /// The source of an agent, in the agent's backup set.
    fn source(self, id: SourceId, agent: &Agent, now: Timestamp) -> Source {
        let SourcePaths { paths, excludes } = self.paths;
        Source {
            id,
            agent_id: agent.id,
            backup_set_id: agent.backup_set_id,
            name: self.name,
            paths,
            excludes,
            options: self.options,
            schedule: self.schedule,
            next_due: self.next_due,
            newest_seq: 0,
            retired_at: None,
            next_sweep_at: None,
            lock_ahead_days: None,
            created_at: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::{api::request::SourceLimits, ids::AgentId, schedule::Recurrence};

    use super::*;

    fn request() -> NewSource {
        NewSource {
            agent_id: AgentId::from_uuid(uuid::Uuid::from_u128(1)),
            name: " files ".to_owned(),
            paths: vec!["/srv".to_owned()],
            excludes: vec!["*.tmp".to_owned()],
            limits: SourceLimits::default(),
            schedule: Schedule {
                recurrence: Recurrence::Day { hour: 3, minute: 30 },
                time_zone: "Europe/Berlin".to_owned(),
            },
        }
    }

    fn now() -> Timestamp {
        "2026-05-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_sound_request_is_due_at_its_next_occurrence() {
        let draft = Draft::of(request(), now()).unwrap();
        assert_eq!(draft.name, "files");
        assert_eq!(draft.paths.paths, ["/srv"]);
        assert_eq!(draft.paths.excludes, ["*.tmp"]);
        // What is not asked for is left out, and all else is taken.
        let options = SourceOptions {
            leave_out_network_mounts: true,
            ..SourceOptions::default()
        };
        assert_eq!(draft.options, options);
        assert_eq!(draft.next_due, Some("2026-05-02T01:30:00Z".parse().unwrap()));
    }

    #[test]
    fn the_first_field_that_is_wrong_is_named() {
        type Change = fn(&mut NewSource);
        let cases: [(&str, Change); 4] = [
            ("name", |request| request.name = "  ".to_owned()),
            ("paths", |request| request.paths = Vec::new()),
            ("time_zone", |request| {
                request.schedule.time_zone = "Z".repeat(Limit::TimeZone.max() + 1);
            }),
            ("schedule", |request| {
                request.schedule.time_zone = "Nowhere/At_all".to_owned();
            }),
        ];
        for (field, change) in cases {
            let mut request = request();
            change(&mut request);
            match Draft::of(request, now()) {
                Err(ApiError::Invalid { code, .. }) => assert_eq!(code, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }
}
