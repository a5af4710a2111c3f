//! Snapshots.

use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Query,
};
use shared::{
    api::{agent::SnapshotTotals, view::SnapshotState},
    ids::{AgentId, RunId, SnapshotId, SourceId},
    object::{ObjectHash, ObjectKind, ObjectRef},
    retention::LockMode,
};

use super::{
    DbError, TenantTx,
    entity::{snapshot, source},
    insert,
    types::{bytes32, from_json, from_text, signed, to_json, to_text, unsigned},
};

/// One point in time of one source.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The snapshot.
    pub id: SnapshotId,
    /// The source.
    pub source_id: SourceId,
    /// The run that made it.
    pub run_id: RunId,
    /// Its number in the source.
    pub seq: u64,
    /// Where it stands.
    pub state: SnapshotState,
    /// When the commit was durable.
    pub received_at: Timestamp,
    /// The promise.
    pub protected_until: Timestamp,
    /// Until when everything it needs must be locked before it is complete; never before `protected_until`.
    pub lock_need: Timestamp,
    /// The lock mode.
    pub mode: LockMode,
    /// Its manifest.
    pub manifest: ObjectRef,
    /// Totals.
    pub totals: SnapshotTotals,
}

impl TryFrom<snapshot::Model> for Snapshot {
    type Error = DbError;

    fn try_from(row: snapshot::Model) -> Result<Self, DbError> {
        Ok(Self {
            id: SnapshotId::from_uuid(row.id),
            source_id: SourceId::from_uuid(row.source_id),
            run_id: RunId::from_uuid(row.run_id),
            seq: unsigned("snapshots.seq", row.seq)?,
            state: from_text("snapshots.state", row.state)?,
            received_at: row.received_at.try_into()?,
            protected_until: row.protected_until.try_into()?,
            lock_need: row.lock_need.try_into()?,
            mode: from_text("snapshots.mode", row.mode)?,
            manifest: ObjectRef {
                kind: ObjectKind::Manifest,
                hash: ObjectHash::from_bytes(bytes32("snapshots.manifest_hash", &row.manifest_hash)?),
                size_bytes: unsigned("snapshots.manifest_bytes", row.manifest_bytes)?,
            },
            totals: from_json("snapshots.totals", row.totals)?,
        })
    }
}

/// Adds a snapshot.
///
/// # Errors
/// When the number is taken ([`DbError::is_duplicate`]) or the database does not answer.
pub async fn add(tx: &TenantTx, snapshot: &Snapshot) -> Result<(), DbError> {
    let row = snapshot::Model {
        id: snapshot.id.as_uuid(),
        tenant_id: tx.tenant.as_uuid(),
        source_id: snapshot.source_id.as_uuid(),
        run_id: snapshot.run_id.as_uuid(),
        seq: signed("snapshots.seq", snapshot.seq)?,
        state: to_text(&snapshot.state)?,
        received_at: snapshot.received_at.try_into()?,
        protected_until: snapshot.protected_until.try_into()?,
        lock_need: snapshot.lock_need.try_into()?,
        mode: to_text(&snapshot.mode)?,
        manifest_hash: snapshot.manifest.hash.as_bytes().to_vec(),
        manifest_bytes: signed("snapshots.manifest_bytes", snapshot.manifest.size_bytes)?,
        totals: to_json(&snapshot.totals)?,
    };
    insert(&tx.tx, row).await
}

/// One snapshot.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn find(tx: &TenantTx, id: SnapshotId) -> Result<Option<Snapshot>, DbError> {
    snapshot::Entity::find_by_id(id.as_uuid())
        .one(&tx.tx)
        .await?
        .map(TryInto::try_into)
        .transpose()
}

/// The snapshot of a number.
pub async fn by_seq(tx: &TenantTx, source: SourceId, seq: u64) -> Result<Option<Snapshot>, DbError> {
    let query = snapshot::Entity::find()
        .filter(snapshot::Column::SourceId.eq(source.as_uuid()))
        .filter(snapshot::Column::Seq.eq(signed("snapshots.seq", seq)?));
    query.one(&tx.tx).await?.map(TryInto::try_into).transpose()
}

/// The newest complete snapshot of a source.
pub async fn newest_complete(tx: &TenantTx, source: SourceId) -> Result<Option<Snapshot>, DbError> {
    let query = snapshot::Entity::find()
        .filter(snapshot::Column::SourceId.eq(source.as_uuid()))
        .filter(snapshot::Column::State.eq("complete"))
        .order_by_desc(snapshot::Column::Seq);
    query.one(&tx.tx).await?.map(TryInto::try_into).transpose()
}

/// The newest snapshots of the tenant, newest first.
pub async fn newest(tx: &TenantTx, limit: u64) -> Result<Vec<Snapshot>, DbError> {
    let query = snapshot::Entity::find()
        .order_by_desc(snapshot::Column::ReceivedAt)
        .limit(limit);
    query
        .all(&tx.tx)
        .await?
        .into_iter()
        .map(TryInto::try_into)
        .collect()
}

/// The complete snapshots of one agent's sources, newest first.
pub async fn of_agent(tx: &TenantTx, agent: AgentId) -> Result<Vec<Snapshot>, DbError> {
    let sources = Query::select()
        .column(source::Column::Id)
        .from(source::Entity)
        .and_where(source::Column::AgentId.eq(agent.as_uuid()))
        .to_owned();
    let query = snapshot::Entity::find()
        .filter(snapshot::Column::SourceId.in_subquery(sources))
        .filter(snapshot::Column::State.eq("complete"))
        .order_by_desc(snapshot::Column::ReceivedAt);
    query
        .all(&tx.tx)
        .await?
        .into_iter()
        .map(TryInto::try_into)
        .collect()
}

/// How many complete snapshots the tenant has.
pub async fn count_complete(tx: &TenantTx) -> Result<u64, DbError> {
    Ok(snapshot::Entity::find()
        .filter(snapshot::Column::State.eq("complete"))
        .count(&tx.tx)
        .await?)
}

/// Makes a snapshot complete. The caller has confirmed every lock.
pub async fn complete(tx: &TenantTx, id: SnapshotId) -> Result<(), DbError> {
    let change = snapshot::ActiveModel {
        id: Set(id.as_uuid()),
        state: Set(to_text(&SnapshotState::Complete)?),
        ..Default::default()
    };
    change.update(&tx.tx).await?;
    Ok(())
}
