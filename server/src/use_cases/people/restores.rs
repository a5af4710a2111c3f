//! Restores: allowed by a person, done by the agent, with the kit that the server never has.

use jiff::SignedDuration;
use shared::{
    api::view::{RestoreView, SnapshotState},
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

/// Allows the snapshot's agent to read it for 24 hours; an unused permission is given again as it is.
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
    let unused = |restore: &Restore| restore.state == StoredState::Authorised && restore.expires_at > now;
    if let Some(open) = db::restores::of_snapshot(&tx, id)
        .await?
        .iter()
        .find(|restore| unused(restore))
    {
        return Ok(views::restore(open, &snapshot, &source, now));
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
