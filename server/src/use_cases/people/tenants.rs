//! The overview and a tenant's page.

mod folder;
mod health;

use std::collections::HashMap;

use jiff::Timestamp;
use shared::{
    api::{
        agent::RunState,
        request::NewTenant,
        view::{TenantPage, TenantSummary},
    },
    ids::{SnapshotId, TenantId},
};

use self::folder::Folder;
use crate::{
    app::App,
    db::{self, TenantTx, backup_sets::BackupSet, snapshots::Snapshot, tenants::Tenant},
    error::ApiError,
    random,
    scope::{Operator, Person, TenantScope, Viewer},
    use_cases::{
        input::{name, or_taken},
        views,
    },
};

/// Findings of a bucket's check that a page shows.
const FINDINGS_SHOWN: u64 = 50;

/// Every tenant that the user may see, the worst first.
///
/// # Errors
/// When the database does not answer.
pub async fn list(app: &App, person: &Person) -> Result<Vec<TenantSummary>, ApiError> {
    let tenants = if person.operator {
        db::tenants::all(&app.db.instance().await?).await?
    } else {
        db::tenants::of_user(&app.db.user(person.id).await?).await?
    };
    let mut summaries = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        let actor = Viewer::authorise(&app.db, person.clone(), tenant.id).await?;
        summaries.push(summary(app, &actor.scope).await?);
    }
    summaries.sort_by(|a, b| a.health.cmp(&b.health).then_with(|| a.name.cmp(&b.name)));
    Ok(summaries)
}

/// Makes a tenant.
///
/// # Errors
/// `Conflict` when the name is taken.
pub async fn create(app: &App, operator: &Operator, request: NewTenant) -> Result<TenantSummary, ApiError> {
    let now = app.clock.now();
    let tenant = Tenant {
        id: TenantId::from_uuid(random::uuid(now)),
        name: name("name", &request.name)?,
    };
    let tx = app.db.instance().await?;
    let taken = |error| {
        or_taken(
            error,
            "name_taken",
            "A customer of this name exists: choose another name.",
        )
    };
    db::tenants::add(&tx, &tenant, now).await.map_err(taken)?;
    let event = db::audit::Event {
        actor: &operator.email,
        action: "tenant.create",
        subject: tenant.id.to_string(),
        detail: serde_json::json!({ "name": tenant.name }),
    };
    db::audit::add_instance(&tx, event, now).await?;
    tx.commit().await?;
    let actor = Viewer::authorise(&app.db, Person::clone(operator), tenant.id).await?;
    summary(app, &actor.scope).await
}

async fn summary(app: &App, scope: &TenantScope) -> Result<TenantSummary, ApiError> {
    let tx = app.db.tenant(scope).await?;
    let folder = Folder::load(&tx, app).await?;
    summary_of(&folder, &tx, app.clock.now()).await
}

/// A tenant's page.
///
/// # Errors
/// When the database does not answer.
pub async fn page(app: &App, actor: &Viewer) -> Result<TenantPage, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&actor.scope).await?;
    let folder = Folder::load(&tx, app).await?;
    let accounts = &folder.accounts;
    let snapshots = db::snapshots::newest(&tx, 50).await?;
    let mut runs = folder.open_runs.clone();
    let ended = db::runs::newest_ended(&tx, 20).await?;
    runs.extend(
        ended
            .into_iter()
            .take(20_usize.saturating_sub(folder.open_runs.len())),
    );

    let account_name = |set: &BackupSet| {
        accounts
            .iter()
            .find(|account| account.id == set.storage_account_id)
            .map_or("", |account| &account.name)
    };
    let mut restores = Vec::new();
    let mut known: HashMap<SnapshotId, Snapshot> = snapshots
        .iter()
        .map(|snapshot| (snapshot.id, snapshot.clone()))
        .collect();
    for restore in db::restores::newest(&tx, 10).await? {
        if let std::collections::hash_map::Entry::Vacant(entry) = known.entry(restore.snapshot_id)
            && let Some(snapshot) = db::snapshots::find(&tx, restore.snapshot_id).await?
        {
            entry.insert(snapshot);
        }
        if let Some((snapshot, source)) = known.get(&restore.snapshot_id).and_then(|snapshot| {
            Some((
                snapshot,
                folder.sources.iter().find(|s| s.id == snapshot.source_id)?,
            ))
        }) {
            restores.push(views::restore(&restore, snapshot, source, now));
        }
    }
    let mut backup_sets = Vec::with_capacity(folder.sets.len());
    for set in folder.sets.values() {
        let mut view = views::backup_set(set, account_name(set));
        if let Some(check) = folder.checks.get(&set.id) {
            let findings = db::checks::findings(&tx, set.id, Some(FINDINGS_SHOWN)).await?;
            view.check = Some(views::bucket_check(check, findings));
        }
        let silence = folder.silences.get(&set.storage_account_id);
        view.silence = silence.copied().map(views::silence);
        backup_sets.push(view);
    }
    Ok(TenantPage {
        storage_accounts: accounts
            .iter()
            .map(|account| views::storage_account(account, folder.silences.get(&account.id).copied()))
            .collect(),
        backup_sets,
        agents: folder
            .agents
            .values()
            .map(|agent| views::agent(agent, now))
            .collect(),
        sources: folder
            .sources
            .iter()
            .map(|source| {
                let newest = folder
                    .newest
                    .get(&source.id)
                    .and_then(|newest| folder.snapshot_view(newest));
                let active = folder.open_runs.iter().find(|run| run.source_id == source.id);
                views::source(
                    source,
                    folder.hostname(source),
                    folder.set_name(source),
                    newest,
                    active,
                    folder.sweeps.get(&source.id),
                )
            })
            .collect(),
        runs: runs.iter().filter_map(|run| folder.run_view(run)).collect(),
        snapshots: snapshots
            .iter()
            .filter_map(|snapshot| folder.snapshot_view(snapshot))
            .collect(),
        restores,
        summary: summary_of(&folder, &tx, now).await?,
    })
}

/// What the overview shows of a tenant.
async fn summary_of(folder: &Folder, tx: &TenantTx, now: Timestamp) -> Result<TenantSummary, ApiError> {
    let (health, reasons) = health::of(folder, now);
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let snapshots = db::snapshots::count_complete(tx).await?;
    Ok(TenantSummary {
        id: folder.tenant.id,
        name: folder.tenant.name.clone(),
        health,
        reasons,
        agents: count(folder.agents.len()),
        sources: count(folder.sources.len()),
        snapshots: u32::try_from(snapshots).unwrap_or(u32::MAX),
        newest_snapshot_at: folder.newest.values().map(|snapshot| snapshot.received_at).max(),
        active_runs: count(
            folder
                .open_runs
                .iter()
                .filter(|run| run.state != RunState::Queued)
                .count(),
        ),
    })
}
