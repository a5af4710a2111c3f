//! A tenant's first page.

use std::collections::{HashMap, HashSet};

use shared::{
    api::view::{SnapshotView, TenantOverview},
    ids::{AgentId, BackupSetId, SourceId},
};

use crate::{
    app::App,
    db::{
        self,
        agents::Agent,
        lists::{Begin, Part},
        snapshots::Snapshot,
        sources::Source,
    },
    error::ApiError,
    scope::Viewer,
    use_cases::views::{self, SourceState},
};

/// Snapshots that the page shows.
const SNAPSHOTS_SHOWN: u32 = 5;

/// What is set up, the sources with their open runs and last sweeps, and the newest snapshots.
///
/// # Errors
/// When the database does not answer.
pub async fn page(app: &App, actor: &Viewer) -> Result<TenantOverview, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&actor.scope).await?;
    let agents = db::agents::all(&tx).await?.into_iter();
    let agents: HashMap<AgentId, Agent> = agents.map(|agent| (agent.id, agent)).collect();
    let sets = db::backup_sets::all(&tx).await?.into_iter();
    let set_names: HashMap<BackupSetId, String> = sets.map(|set| (set.id, set.name)).collect();
    let sources = db::sources::all(&tx).await?;
    let open_runs = db::runs::open(&tx).await?;
    let sweeps = db::sweeps::newest(&tx).await?;
    let mut newest: HashMap<SourceId, Snapshot> = HashMap::new();
    for source in &sources {
        let found = db::snapshots::newest_complete(&tx, source.id).await?;
        newest.extend(found.map(|found| (source.id, found)));
    }
    let reports = db::runs::reports(&tx, newest.values().map(|found| found.run_id)).await?;
    let first = Part {
        source: None,
        begin: None,
        end: None,
        from: Begin::Newest,
        limit: SNAPSHOTS_SHOWN,
    };
    let list = db::lists::snapshots(&tx, first, false).await?;
    let shown: HashSet<_> = newest
        .values()
        .chain(&list.items)
        .map(|snapshot| snapshot.id)
        .collect();
    let shown: Vec<_> = shown.into_iter().collect();
    let damage = db::absence::damage(&tx, Some(&shown)).await?;

    let by_id: HashMap<SourceId, &Source> = sources.iter().map(|source| (source.id, source)).collect();
    let owner = |id: SourceId| {
        let source = *by_id.get(&id)?;
        Some((source, agents.get(&source.agent_id)?))
    };
    let snapshot_view = |snapshot: &Snapshot| -> Option<SnapshotView> {
        let (source, agent) = owner(snapshot.source_id)?;
        let mut view = views::snapshot(snapshot, source, &agent.hostname);
        view.damage = damage.get(&snapshot.id).copied();
        Some(view)
    };
    let source_views = sources.iter().filter_map(|source| {
        Some(views::source(
            source,
            agents.get(&source.agent_id)?,
            set_names.get(&source.backup_set_id).map_or("", String::as_str),
            SourceState {
                newest_snapshot: newest.get(&source.id).and_then(snapshot_view),
                report: newest
                    .get(&source.id)
                    .and_then(|found| reports.get(&found.run_id)),
                active_run: open_runs.iter().find(|run| run.source_id == source.id),
                last_sweep: sweeps.get(&source.id),
            },
            now,
        ))
    });
    let run_views = open_runs.iter().filter_map(|run| {
        let (source, agent) = owner(run.source_id)?;
        Some(views::run(run, source, &agent.hostname))
    });
    let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    Ok(TenantOverview {
        storage_accounts: count(db::storage_accounts::count(&tx).await?),
        backup_set_id: set_names.keys().min().copied(),
        agents: count(agents.len() as u64),
        sources: source_views.collect(),
        runs: run_views.collect(),
        snapshots: list.items.iter().filter_map(snapshot_view).collect(),
        has_more_snapshots: list.more,
    })
}
