//! Restores: allowed by a person, done by the agent, with the kit that the server never has.

use jiff::SignedDuration;
use shared::{
    api::{
        agent::RestorePurpose,
        view::{RestoreView, SnapshotState},
    },
    ids::{RestoreId, SnapshotId},
};

use crate::{
    app::App,
    db::{
        self,
        restores::{Restore, StoredState},
    },
    error::ApiError,
    random,
    scope::{Manager, Viewer},
    use_cases::{
        system::restores::{announce, with_source},
        views,
    },
};

/// How long an allowed restore may read.
const RESTORE_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// Allows the snapshot's agent to read it for 24 hours, in as many restores as it wants; a permission that lasts is given again as it
/// is.
///
/// # Errors
/// `NotFound` when the tenant has no such snapshot; `Conflict` while it is not complete.
pub async fn authorise(app: &App, actor: &Manager, id: SnapshotId) -> Result<RestoreView, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&actor.scope).await?;
    let (_, source) = with_source(&tx, id).await?;
    // Snapshots expire under the source's row: what is found complete behind it stays so, held by this restore.
    db::sources::lock(&tx, source.id).await?;
    let (snapshot, source) = with_source(&tx, id).await?;
    match snapshot.state {
        SnapshotState::Complete => {}
        SnapshotState::Locking => {
            return Err(ApiError::conflict(
                "not_complete",
                "This snapshot's locks are still being confirmed.",
            ));
        }
        SnapshotState::Broken => {
            return Err(ApiError::conflict(
                "broken",
                "This snapshot lost objects before it was complete, so it can not be restored. Choose another one.",
            ));
        }
        SnapshotState::Expired => {
            return Err(ApiError::conflict(
                "expired",
                "This snapshot has expired: its protection ended, and what it needed may be deleted. Choose a newer one.",
            ));
        }
    }
    if let Some(open) = db::restores::open_permission(&tx, id, now).await? {
        return Ok(views::restore(&open, &snapshot, &source, now));
    }
    let restore = Restore {
        id: RestoreId::from_uuid(random::uuid(now)),
        snapshot_id: id,
        agent_id: source.agent_id,
        state: StoredState::Authorised,
        authorised_by: actor.user.email.clone(),
        created_at: now,
        expires_at: now + RESTORE_LIFE,
        finished_at: None,
        progress: None,
        error: None,
        later_snapshots: Vec::new(),
        permission_id: None,
        purpose: RestorePurpose::Restore,
    };
    db::restores::add(&tx, &restore).await?;
    let event = db::audit::Event {
        actor: &actor.user.email,
        action: "restore.authorise",
        subject: restore.id.to_string(),
        detail: serde_json::json!({ "snapshot": id, "agent": source.agent_id }),
    };
    db::audit::add(&tx, event, now).await?;
    tx.commit().await?;
    let view = views::restore(&restore, &snapshot, &source, now);
    announce(app, &actor.scope, view.clone());
    Ok(view)
}

/// Ends a permission before its time, and with it the restores under it that are under way: nothing more is signed for them.
///
/// # Errors
/// `NotFound` when the tenant has no such restore; `Conflict` when it is no permission, or has ended.
pub async fn end(app: &App, actor: &Manager, id: RestoreId) -> Result<RestoreView, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&actor.scope).await?;
    let found = db::restores::find(&tx, id)
        .await?
        .ok_or(ApiError::NotFound("restore"))?;
    let (snapshot, source) = with_source(&tx, found.snapshot_id).await?;
    db::sources::lock(&tx, source.id).await?;
    let mut permission = db::restores::lock(&tx, id)
        .await?
        .ok_or(ApiError::NotFound("restore"))?;
    if !permission.may_be_used(now) {
        return Err(ApiError::conflict(
            "restore_over",
            "This is no permission to restore that lasts: it has ended already.",
        ));
    }
    let mut stopped = db::restores::lock_running_uses(&tx, id).await?;
    // One of before is its own use.
    let why = format!("{} ended the permission.", actor.user.email);
    let own = (permission.state == StoredState::Running).then(|| why.clone());
    permission.end(own, now);
    db::restores::save(&tx, &permission).await?;
    for restore in &mut stopped {
        restore.end(Some(why.clone()), now);
        db::restores::save(&tx, restore).await?;
    }
    let event = db::audit::Event {
        actor: &actor.user.email,
        action: "restore.end",
        subject: id.to_string(),
        detail: serde_json::json!({
            "snapshot": snapshot.id, "agent": permission.agent_id, "stopped": stopped.len(),
        }),
    };
    db::audit::add(&tx, event, now).await?;
    tx.commit().await?;
    for restore in &stopped {
        announce(
            app,
            &actor.scope,
            views::restore(restore, &snapshot, &source, now),
        );
    }
    let view = views::restore(&permission, &snapshot, &source, now);
    announce(app, &actor.scope, view.clone());
    Ok(view)
}

/// One restore.
///
/// # Errors
/// `NotFound` when the tenant has no such restore.
pub async fn view(app: &App, actor: &Viewer, id: RestoreId) -> Result<RestoreView, ApiError> {
    let tx = app.db.tenant(&actor.scope).await?;
    let restore = db::restores::find(&tx, id)
        .await?
        .ok_or(ApiError::NotFound("restore"))?;
    let (snapshot, source) = with_source(&tx, restore.snapshot_id).await?;
    Ok(views::restore(&restore, &snapshot, &source, app.clock.now()))
}
