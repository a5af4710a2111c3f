//! Restores: permissions for an agent to read one snapshot, and their uses and how those went.

use std::collections::HashSet;

use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{LockType, Query},
};
use serde::{Deserialize, Serialize};
use shared::{
    api::agent::{RestoreProgress, RestorePurpose},
    ids::{AgentId, RestoreId, SnapshotId, SourceId},
};

use super::{
    DbError, TenantTx,
    entity::{restore, snapshot},
    insert,
    types::{At, from_json, from_text, optional_time, to_json, to_text},
};

/// Where a permission or a restore stands, as stored: that it has run out follows from `expires_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredState {
    /// Allowed: of permissions only.
    Authorised,
    /// The agent works on it.
    Running,
    /// Everything asked for is back.
    Succeeded,
    /// It ended otherwise.
    Failed,
    /// A person ended the permission.
    Ended,
}

/// A permission to restore, or a use of one.
#[derive(Debug, Clone)]
pub struct Restore {
    /// The restore.
    pub id: RestoreId,
    /// The snapshot.
    pub snapshot_id: SnapshotId,
    /// The agent that may read.
    pub agent_id: AgentId,
    /// Where it stands.
    pub state: StoredState,
    /// Who allowed it.
    pub authorised_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when the agent may read.
    pub expires_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The last report.
    pub progress: Option<RestoreProgress>,
    /// Why it failed.
    pub error: Option<String>,
    /// Later snapshots whose objects may be read as well, since the restored one has lost some.
    pub later_snapshots: Vec<SnapshotId>,
    /// The permission that it is a use of; `None` for permissions, and for what was begun when they were one row with their use.
    pub permission_id: Option<RestoreId>,
    /// What the agent says that a use is for.
    pub purpose: RestorePurpose,
}

impl Restore {
    /// Whether the agent may begin restores under it.
    #[must_use]
    pub fn may_be_used(&self, now: Timestamp) -> bool {
        self.permission_id.is_none()
            && matches!(self.state, StoredState::Authorised | StoredState::Running)
            && self.expires_at > now
    }

    /// Ends it, as a person wants.
    pub fn end(&mut self, error: Option<String>, now: Timestamp) {
        self.state = StoredState::Ended;
        self.finished_at = Some(now);
        self.error = error;
        self.later_snapshots.clear();
    }
}

impl TryFrom<restore::Model> for Restore {
    type Error = DbError;

    fn try_from(row: restore::Model) -> Result<Self, DbError> {
        Ok(Self {
            id: RestoreId::from_uuid(row.id),
            snapshot_id: SnapshotId::from_uuid(row.snapshot_id),
            agent_id: AgentId::from_uuid(row.agent_id),
            state: from_text("restores.state", row.state)?,
            authorised_by: row.authorised_by,
            created_at: row.created_at.try_into()?,
            expires_at: row.expires_at.try_into()?,
            finished_at: optional_time(row.finished_at)?,
            progress: row
                .progress
                .map(|json| from_json("restores.progress", json))
                .transpose()?,
            error: row.error,
            later_snapshots: from_json("restores.later_snapshots", row.later_snapshots)?,
            permission_id: row.permission_id.map(RestoreId::from_uuid),
            purpose: from_text("restores.purpose", row.purpose)?,
        })
    }
}

fn row(tx: &TenantTx, restore: &Restore) -> Result<restore::Model, DbError> {
    Ok(restore::Model {
        id: restore.id.as_uuid(),
        tenant_id: tx.tenant.as_uuid(),
        snapshot_id: restore.snapshot_id.as_uuid(),
        agent_id: restore.agent_id.as_uuid(),
        state: to_text(&restore.state)?,
        authorised_by: restore.authorised_by.clone(),
        created_at: restore.created_at.try_into()?,
        expires_at: restore.expires_at.try_into()?,
        finished_at: restore.finished_at.map(TryInto::try_into).transpose()?,
        progress: restore.progress.as_ref().map(to_json).transpose()?,
        error: restore.error.clone(),
        later_snapshots: to_json(&restore.later_snapshots)?,
        permission_id: restore.permission_id.map(RestoreId::as_uuid),
        purpose: to_text(&restore.purpose)?,
    })
}

/// Adds a restore.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn add(tx: &TenantTx, restore: &Restore) -> Result<(), DbError> {
    insert(&tx.tx, row(tx, restore)?).await
}

/// One restore, its row locked until this transaction ends: change it, then [`save`] it. The transaction must hold the row of
/// its snapshot's source.
pub async fn lock(tx: &TenantTx, id: RestoreId) -> Result<Option<Restore>, DbError> {
    let query = restore::Entity::find_by_id(id.as_uuid()).lock(LockType::NoKeyUpdate);
    tx.tx.record(query).await
}

/// Writes a restore that [`lock`] gave.
pub async fn save(tx: &TenantTx, restore: &Restore) -> Result<(), DbError> {
    use restore::Column;
    let mut change = row(tx, restore)?.into_active_model().reset_all();
    // Who may read what, and until when, never changes: the server's role may not write it again.
    for column in [
        Column::TenantId,
        Column::SnapshotId,
        Column::AgentId,
        Column::AuthorisedBy,
        Column::CreatedAt,
        Column::ExpiresAt,
        Column::PermissionId,
        Column::Purpose,
    ] {
        change.not_set(column);
    }
    restore::Entity::update(change).exec(&tx.tx).await?;
    Ok(())
}

/// One restore.
pub async fn find(tx: &TenantTx, id: RestoreId) -> Result<Option<Restore>, DbError> {
    tx.tx.record(restore::Entity::find_by_id(id.as_uuid())).await
}

/// The permission under which restores of a snapshot may begin, if there is one.
pub async fn open_permission(
    tx: &TenantTx,
    snapshot: SnapshotId,
    now: Timestamp,
) -> Result<Option<Restore>, DbError> {
    let query = restore::Entity::find()
        .filter(restore::Column::SnapshotId.eq(snapshot.as_uuid()))
        .filter(restore::Column::PermissionId.is_null())
        .filter(restore::Column::State.is_in(["authorised", "running"]))
        .filter(restore::Column::ExpiresAt.gt(At::try_from(now)?))
        .order_by_desc(restore::Column::CreatedAt);
    tx.tx.record(query).await
}

/// How often a permission was used.
pub async fn count_uses(tx: &TenantTx, permission: RestoreId) -> Result<u64, DbError> {
    let uses = restore::Entity::find().filter(restore::Column::PermissionId.eq(permission.as_uuid()));
    Ok(uses.count(&tx.tx).await?)
}

/// The uses of a permission that are under way, their rows locked likewise.
pub async fn lock_running_uses(tx: &TenantTx, permission: RestoreId) -> Result<Vec<Restore>, DbError> {
    let query = restore::Entity::find()
        .filter(restore::Column::PermissionId.eq(permission.as_uuid()))
        .filter(restore::Column::State.eq("running"))
        .order_by_asc(restore::Column::Id)
        .lock(LockType::NoKeyUpdate);
    tx.tx.records(query).await
}

/// The newest restores of one snapshot, newest first.
pub async fn newest_of_snapshot(
    tx: &TenantTx,
    snapshot: SnapshotId,
    limit: u64,
) -> Result<Vec<Restore>, DbError> {
    let query = restore::Entity::find()
        .filter(restore::Column::SnapshotId.eq(snapshot.as_uuid()))
        .order_by_desc(restore::Column::CreatedAt)
        .limit(limit);
    tx.tx.records(query).await
}

/// The snapshots of a source that an open restore holds.
pub async fn holding(
    tx: &TenantTx,
    source: SourceId,
    now: Timestamp,
) -> Result<HashSet<SnapshotId>, DbError> {
    let snapshots = Query::select()
        .column(snapshot::Column::Id)
        .from(snapshot::Entity)
        .and_where(snapshot::Column::SourceId.eq(source.as_uuid()))
        .to_owned();
    let query = restore::Entity::find()
        .select_only()
        .column(restore::Column::SnapshotId)
        .column(restore::Column::LaterSnapshots)
        .filter(restore::Column::SnapshotId.in_subquery(snapshots))
        .filter(restore::Column::State.is_in(["authorised", "running"]))
        .filter(restore::Column::ExpiresAt.gt(At::try_from(now)?));
    let rows: Vec<(uuid::Uuid, serde_json::Value)> = query.into_tuple().all(&tx.tx).await?;
    let mut held = HashSet::new();
    for (own, later) in rows {
        let later: Vec<SnapshotId> = from_json("restores.later_snapshots", later)?;
        held.extend(later);
        held.insert(SnapshotId::from_uuid(own));
    }
    Ok(held)
}
