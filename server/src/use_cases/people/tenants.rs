//! Tenants, and how well each is protected.

mod folder;
mod health;

use jiff::Timestamp;
use shared::{
    api::{agent::RunState, request::NewTenant, view::TenantSummary},
    ids::TenantId,
};

use self::folder::Folder;
use crate::{
    app::App,
    db::{self, TenantTx, tenants::Tenant},
    error::ApiError,
    random,
    scope::{Operator, Person, Viewer},
    use_cases::input::{name, or_taken},
};

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
        summaries.push(summary(app, &actor).await?);
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
    summary(app, &actor).await
}

/// One tenant and how well it is protected.
///
/// # Errors
/// When the database does not answer.
pub async fn summary(app: &App, actor: &Viewer) -> Result<TenantSummary, ApiError> {
    let tx = app.db.tenant(&actor.scope).await?;
    let folder = Folder::load(&tx, app).await?;
    summary_of(&folder, &tx, app.clock.now()).await
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
