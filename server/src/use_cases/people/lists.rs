//! A tenant's snapshots, runs and restores, a page at a time.

use std::collections::{HashMap, hash_map::Entry};

use jiff::Timestamp;
use shared::{
    api::{
        list::{ListQuery, Page, Place},
        view::{RestoreView, RunView, SnapshotView},
    },
    ids::{AgentId, SnapshotId, SourceId},
};
use uuid::Uuid;

use crate::{
    app::App,
    db::{
        self, TenantTx,
        lists::{Begin, Entries, Part},
        snapshots::Snapshot,
        sources::Source,
    },
    error::ApiError,
    scope::Viewer,
    use_cases::views,
};

/// Snapshots, the newest first.
///
/// # Errors
/// `Invalid` when the query contradicts itself; likewise below.
pub async fn snapshots(app: &App, actor: &Viewer, query: &ListQuery) -> Result<Page<SnapshotView>, ApiError> {
    let part = part(query)?;
    let tx = app.db.tenant(&actor.scope).await?;
    let found = db::lists::snapshots(&tx, part, query.expired).await?;
    let ids: Vec<SnapshotId> = found.items.iter().map(|snapshot| snapshot.id).collect();
    let mut damage = db::absence::damage(&tx, Some(&ids)).await?;
    let mut owners = Owners::default();
    let mut items = Vec::with_capacity(found.items.len());
    for snapshot in &found.items {
        let (source, hostname) = owners.of(&tx, snapshot.source_id).await?;
        let mut view = views::snapshot(snapshot, source, hostname);
        view.damage = damage.remove(&snapshot.id);
        items.push(view);
    }
    Ok(page(&found, items, part, |snapshot| {
        (snapshot.received_at, snapshot.id.as_uuid())
    }))
}

/// Runs, the newest first, with those that are under way.
///
/// # Errors
/// See [`snapshots`].
pub async fn runs(app: &App, actor: &Viewer, query: &ListQuery) -> Result<Page<RunView>, ApiError> {
    let part = part(query)?;
    let tx = app.db.tenant(&actor.scope).await?;
    let found = db::lists::runs(&tx, part).await?;
    let mut owners = Owners::default();
    let mut items = Vec::with_capacity(found.items.len());
    for run in &found.items {
        let (source, hostname) = owners.of(&tx, run.source_id).await?;
        items.push(views::run(run, source, hostname));
    }
    Ok(page(&found, items, part, |run| {
        (run.created_at, run.id.as_uuid())
    }))
}

/// Restores, the newest first.
///
/// # Errors
/// See [`snapshots`].
pub async fn restores(app: &App, actor: &Viewer, query: &ListQuery) -> Result<Page<RestoreView>, ApiError> {
    let part = part(query)?;
    let now = app.clock.now();
    let tx = app.db.tenant(&actor.scope).await?;
    let found = db::lists::restores(&tx, part).await?;
    let mut owners = Owners::default();
    let mut items = Vec::with_capacity(found.items.len());
    for restore in &found.items {
        let snapshot: Snapshot = db::snapshots::find(&tx, restore.snapshot_id)
            .await?
            .ok_or(ApiError::NotFound("snapshot"))?;
        let (source, _) = owners.of(&tx, snapshot.source_id).await?;
        items.push(views::restore(restore, &snapshot, source, now));
    }
    Ok(page(&found, items, part, |restore| {
        (restore.created_at, restore.id.as_uuid())
    }))
}

fn part(query: &ListQuery) -> Result<Part, ApiError> {
    query
        .validate()
        .map_err(|error| ApiError::invalid(error.field(), error.to_string()))?;
    let from = match (query.older, query.newer) {
        (Some(place), _) => Begin::Older(place),
        (None, Some(place)) => Begin::Newer(place),
        (None, None) => Begin::Newest,
    };
    Ok(Part {
        source: query.source,
        begin: query.begin(),
        end: query.end(),
        from,
        limit: query.limit(),
    })
}

/// The page, and the places from where it goes on.
fn page<T, V>(
    found: &Entries<T>,
    items: Vec<V>,
    part: Part,
    key: impl Fn(&T) -> (Timestamp, Uuid),
) -> Page<V> {
    let place = |entry: Option<&T>| {
        let (at, id) = entry.map(&key)?;
        Some(Place { at, id })
    };
    let (first, last) = (place(found.items.first()), place(found.items.last()));
    let (older, newer) = match part.from {
        Begin::Newest => (last.filter(|_| found.more), None),
        // What the place before was named by lies in the other direction.
        Begin::Older(_) => (last.filter(|_| found.more), first),
        Begin::Newer(_) => (last, first.filter(|_| found.more)),
    };
    Page { items, older, newer }
}

/// The sources of a page's entries and the host names of their agents, each looked up once.
#[derive(Default)]
struct Owners {
    sources: HashMap<SourceId, Source>,
    hostnames: HashMap<AgentId, String>,
}

impl Owners {
    async fn of(&mut self, tx: &TenantTx, id: SourceId) -> Result<(&Source, &str), ApiError> {
        let source = match self.sources.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let source = db::sources::find(tx, id).await?;
                unknown.insert(source.ok_or(ApiError::NotFound("source"))?)
            }
        };
        let hostname = match self.hostnames.entry(source.agent_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let agent = db::agents::find(tx, source.agent_id).await?;
                unknown.insert(agent.map(|agent| agent.hostname).unwrap_or_default())
            }
        };
        Ok((source, hostname))
    }
}
