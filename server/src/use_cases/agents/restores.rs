//! What an agent does with restores that a person has allowed: begins one, reads what it needs, reports.

use std::collections::HashSet;

use shared::{
    api::agent::{
        LaterRequest, LaterSnapshot, OBJECTS_PER_CALL, ReadsRequest, RestoreFinish, RestoreProgress,
        RestoreRequest, RestoreWork, SignedRead,
    },
    ids::RestoreId,
    limits::Limit,
    object::{ObjectHash, ObjectKind},
};

use super::{
    enrollment,
    reads::{self, ADDRESS_LIFE, SourceObjects},
};
use crate::{
    app::App,
    db::{
        self, TenantTx,
        restores::{Restore, StoredState},
    },
    error::ApiError,
    random,
    scope::Caller,
    use_cases::{
        input::{room_for_one, said},
        system::restores::{announce, set_of, with_source},
        views,
    },
};

// Promise: P5
/// Begins a restore under a permission that a person has given: any number of them, one after the other or side by side, as long as it
/// lasts. Each reads that one snapshot, no longer than the permission.
///
/// # Errors
/// `NotFound` when the snapshot is not this agent's; `Conflict` when nobody allows its restore now, or it was begun too often.
pub async fn begin(app: &App, caller: &Caller, request: &RestoreRequest) -> Result<RestoreWork, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&caller.scope).await?;
    let (snapshot, source) = with_source(&tx, request.snapshot_id).await?;
    if source.agent_id != caller.agent.id {
        return Err(ApiError::NotFound("snapshot"));
    }
    // Permissions end under the source's row.
    db::sources::lock(&tx, source.id).await?;
    let Some(permission) = db::restores::open_permission(&tx, snapshot.id, now).await? else {
        return Err(ApiError::conflict(
            "restore_not_authorised",
            "Nobody has allowed a restore of this snapshot, or the permission has ended. Open its page in the console and choose \
             “Allow restores”.",
        ));
    };
    let uses = db::restores::count_uses(&tx, permission.id).await?;
    room_for_one(
        uses,
        Limit::RestoresPerPermission,
        "too_many_restores",
        "End the permission on the snapshot's page, and allow restores again.",
    )?;
    let restore = Restore {
        id: RestoreId::from_uuid(random::uuid(now)),
        state: StoredState::Running,
        created_at: now,
        finished_at: None,
        progress: None,
        error: None,
        later_snapshots: Vec::new(),
        permission_id: Some(permission.id),
        purpose: request.purpose,
        ..permission
    };
    db::restores::add(&tx, &restore).await?;
    let event = db::audit::Event {
        actor: &caller.agent.id.to_string(),
        action: "restore.begin",
        subject: restore.id.to_string(),
        detail: serde_json::json!({
            "snapshot": snapshot.id, "permission": restore.permission_id, "purpose": restore.purpose,
        }),
    };
    db::audit::add(&tx, event, now).await?;
    let set = set_of(&tx, &source).await?;
    let record = db::ledger::record(&tx, source.id, snapshot.seq).await?;
    tx.commit().await?;
    announce(
        app,
        &caller.scope,
        views::restore(&restore, &snapshot, &source, now),
    );
    Ok(RestoreWork {
        restore_id: restore.id,
        snapshot: views::snapshot_summary(&snapshot, &source),
        manifest: snapshot.manifest,
        record,
        backup_set: enrollment::keys(&set),
        expires_at: restore.expires_at,
    })
}

/// The agent's own restore that is under way.
async fn own(app: &App, tx: &TenantTx, caller: &Caller, id: RestoreId) -> Result<Restore, ApiError> {
    let restore = db::restores::find(tx, id).await?;
    must_be_own(app, caller, restore)
}

/// The same, the rows of its source and of itself locked.
async fn own_locked(app: &App, tx: &TenantTx, caller: &Caller, id: RestoreId) -> Result<Restore, ApiError> {
    let restore = own(app, tx, caller, id).await?;
    let (_, source) = with_source(tx, restore.snapshot_id).await?;
    db::sources::lock(tx, source.id).await?;
    let restore = db::restores::lock(tx, id).await?;
    must_be_own(app, caller, restore)
}

fn must_be_own(app: &App, caller: &Caller, restore: Option<Restore>) -> Result<Restore, ApiError> {
    let restore = restore
        .filter(|restore| restore.agent_id == caller.agent.id)
        .ok_or(ApiError::NotFound("restore"))?;
    if restore.state != StoredState::Running || restore.expires_at <= app.clock.now() {
        return Err(ApiError::conflict(
            "restore_over",
            "This restore is no longer under way.",
        ));
    }
    Ok(restore)
}

/// Lets a restore read what a later complete snapshot of the source needs as well, since objects of its own are lost: a run that
/// came later may have sent the same data again. The first to be asked is the newest; then those that followed the loss, in
/// their order, since what was sent again may have been dropped before the newest. The agent says what is lost; nothing is read
/// to find out, for what is damaged only shows to whoever opens it. The audit log has it.
///
/// # Errors
/// `NotFound` when the restored snapshot does not need what is said to be lost; `Conflict` when the restore is over, or
/// no later snapshot is there.
pub async fn later(
    app: &App,
    caller: &Caller,
    id: RestoreId,
    request: &LaterRequest,
) -> Result<LaterSnapshot, ApiError> {
    let lost: HashSet<ObjectHash> = request.lost.iter().copied().collect();
    if lost.is_empty() || lost.len() > OBJECTS_PER_CALL {
        return Err(ApiError::invalid(
            "lost",
            format!("lost: one object at least, and at most {OBJECTS_PER_CALL} in one call."),
        ));
    }
    let now = app.clock.now();
    let tx = app.db.tenant(&caller.scope).await?;
    let restore = db::restores::find(&tx, id).await?;
    let restore = restore.ok_or(ApiError::NotFound("restore"))?;
    let (snapshot, source) = with_source(&tx, restore.snapshot_id).await?;
    // Snapshots expire under the source's row: the later one is held from here on.
    db::sources::lock(&tx, source.id).await?;
    let mut restore = own(app, &tx, caller, id).await?;
    let named: Vec<ObjectHash> = lost.into_iter().collect();
    let needed = db::ledger::needed_among(&tx, source.id, snapshot.seq, &named).await?;
    if needed.len() < named.len() {
        return Err(ApiError::NotFound("object of this snapshot"));
    }
    let lost_since = needed.iter().filter_map(|row| row.missing_since).min();
    let later = db::snapshots::later(
        &tx,
        source.id,
        snapshot.seq,
        lost_since,
        Limit::LaterSnapshots.max() as u64,
    )
    .await?;
    let later = later.into_iter().nth(request.nth as usize).ok_or_else(|| {
        ApiError::conflict(
            "no_later_snapshot",
            "No further later snapshot of the source is complete.",
        )
    })?;
    if !restore.later_snapshots.contains(&later.id) {
        restore.later_snapshots.push(later.id);
        db::restores::save(&tx, &restore).await?;
        let event = db::audit::Event {
            actor: &caller.agent.id.to_string(),
            action: "restore.later",
            subject: restore.id.to_string(),
            detail: serde_json::json!({
                "snapshot": snapshot.id, "later": later.id, "lost": named.len(), "such_as": named.first(),
            }),
        };
        db::audit::add(&tx, event, now).await?;
    }
    tx.commit().await?;
    Ok(LaterSnapshot {
        seq: later.seq,
        manifest: later.manifest,
    })
}

// Promise: P5
/// Signs reads of parts of what the snapshot needs, its commit record among it, and of what [`later`] has allowed.
///
/// # Errors
/// `Conflict` when the restore is over; `NotFound` when the snapshot does not need one of the objects; `Invalid` when a part is
/// not within its object.
pub async fn sign_reads(
    app: &App,
    caller: &Caller,
    id: RestoreId,
    request: ReadsRequest,
) -> Result<Vec<SignedRead>, ApiError> {
    let objects = reads::objects_of(&request)?;
    let tx = app.db.tenant(&caller.scope).await?;
    let restore = own(app, &tx, caller, id).await?;
    let (snapshot, source) = with_source(&tx, restore.snapshot_id).await?;
    let mut found = db::ledger::needed_among(&tx, source.id, snapshot.seq, &objects).await?;
    for later in restore.later_snapshots {
        let later = db::snapshots::find(&tx, later)
            .await?
            .ok_or(ApiError::NotFound("snapshot"))?;
        let known: HashSet<ObjectHash> = found.iter().map(|row| row.object.hash).collect();
        let mut others = db::ledger::needed_among(&tx, source.id, later.seq, &objects).await?;
        others.retain(|row| row.object.kind != ObjectKind::Commit && !known.contains(&row.object.hash));
        found.append(&mut others);
    }
    let set = set_of(&tx, &source).await?;
    let source_objects = SourceObjects::of(&tx, set, source.id).await?;
    drop(tx);
    let life = ADDRESS_LIFE.min(restore.expires_at.duration_since(app.clock.now()));
    reads::sign(app, &caller.scope, &source_objects, &request, found, life).await
}

/// Keeps a report.
///
/// # Errors
/// `Conflict` when the restore is over.
pub async fn progress(
    app: &App,
    caller: &Caller,
    id: RestoreId,
    report: RestoreProgress,
) -> Result<(), ApiError> {
    change(app, caller, id, |restore, _| restore.progress = Some(report)).await
}

/// Ends a restore.
///
/// # Errors
/// `Conflict` when it is over.
pub async fn finish(
    app: &App,
    caller: &Caller,
    id: RestoreId,
    finish: RestoreFinish,
) -> Result<(), ApiError> {
    change(app, caller, id, |restore, now| {
        restore.progress = Some(finish.progress);
        restore.finished_at = Some(now);
        restore.state = if finish.error.is_some() {
            StoredState::Failed
        } else {
            StoredState::Succeeded
        };
        restore.error = finish.error.as_deref().map(said);
    })
    .await
}

async fn change(
    app: &App,
    caller: &Caller,
    id: RestoreId,
    change: impl FnOnce(&mut Restore, jiff::Timestamp),
) -> Result<(), ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&caller.scope).await?;
    let mut restore = own_locked(app, &tx, caller, id).await?;
    change(&mut restore, now);
    db::restores::save(&tx, &restore).await?;
    let (snapshot, source) = with_source(&tx, restore.snapshot_id).await?;
    tx.commit().await?;
    announce(
        app,
        &caller.scope,
        views::restore(&restore, &snapshot, &source, now),
    );
    Ok(())
}
