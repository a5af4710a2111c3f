//! A snapshot's page.

use shared::{api::view::SnapshotPage, ids::SnapshotId};

use crate::{
    app::App,
    db,
    error::ApiError,
    scope::Viewer,
    use_cases::{
        system::restores::{set_of, with_source},
        views,
    },
};

/// Restores that a snapshot's page has; the tenant's list has all.
const RESTORES_SHOWN: u64 = 20;

/// A snapshot's page.
///
/// # Errors
/// `NotFound` when the tenant has no such snapshot.
pub async fn page(app: &App, actor: &Viewer, id: SnapshotId) -> Result<SnapshotPage, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&actor.scope).await?;
    let (snapshot, source) = with_source(&tx, id).await?;
    let set = set_of(&tx, &source).await?;
    let account = db::storage_accounts::find(&tx, set.storage_account_id).await?;
    let agent = db::agents::find(&tx, source.agent_id)
        .await?
        .ok_or(ApiError::NotFound("agent"))?;
    let needs = db::due::needs(&tx, source.id, snapshot.seq).await?;
    let restores = db::restores::newest_of_snapshot(&tx, snapshot.id, RESTORES_SHOWN).await?;
    let mut view = views::snapshot(&snapshot, &source, &agent.hostname);
    view.damage = db::absence::damage(&tx, Some(&[snapshot.id]))
        .await?
        .remove(&snapshot.id);
    Ok(SnapshotPage {
        snapshot: view,
        backup_set: views::backup_set(&set, account.as_ref().map_or("", |account| &account.name)),
        objects: needs.objects,
        stored_bytes: needs.bytes,
        earliest_lock: needs.earliest_lock,
        latest_lock: needs.latest_lock,
        oldest_confirmation: db::absence::oldest_confirmation(&tx, source.id, snapshot.seq).await?,
        restore_command: format!(
            "holdfast-agent restore --snapshot {id} --seq {} --expect-source {} --to /path/to/empty/folder \
             --kit recovery-kit.txt",
            snapshot.seq, source.id
        ),
        report: db::runs::reports(&tx, [snapshot.run_id])
            .await?
            .remove(&snapshot.run_id),
        restores: restores
            .iter()
            .map(|restore| views::restore(restore, &snapshot, &source, now))
            .collect(),
    })
}
