//! Sources: an agent's paths, and the number of the newest snapshot.

use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, sea_query::LockType,
};
use shared::{
    api::agent::SourceOptions,
    ids::{AgentId, BackupSetId, SourceId},
    schedule::Schedule,
};

use super::{
    Db, DbError, TenantTx,
    entity::source,
    insert,
    types::{At, from_json, optional_time, signed, to_json, unsigned},
};
use crate::scope::TenantScope;

impl Db {
    /// Opens a transaction that sees one tenant, with a source's row locked until it ends: what every transaction needs that changes anything of a source.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn of_source(&self, scope: &TenantScope, source: SourceId) -> Result<TenantTx, DbError> {
        let tx = self.tenant(scope).await?;
        lock(&tx, source).await?;
        Ok(tx)
    }
}

/// Paths of an agent: the lineage that deduplicates.
#[derive(Debug, Clone)]
pub struct Source {
    /// The source.
    pub id: SourceId,
    /// The agent.
    pub agent_id: AgentId,
    /// Where its backups go.
    pub backup_set_id: BackupSetId,
    /// Its name.
    pub name: String,
    /// Absolute paths.
    pub paths: Vec<String>,
    /// Patterns of what is left out.
    pub excludes: Vec<String>,
    /// What else limits it.
    pub options: SourceOptions,
    /// When it is backed up.
    pub schedule: Schedule,
    /// The next scheduled run.
    pub next_due: Option<Timestamp>,
    /// Number of the newest snapshot; 0 before the first.
    pub newest_seq: u64,
    /// Since when nothing is backed up any more, and its snapshots run out.
    pub retired_at: Option<Timestamp>,
    /// When it is swept next; `None` when it never was.
    pub next_sweep_at: Option<Timestamp>,
    /// Q, as the last sweep reckoned it.
    pub lock_ahead_days: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl TryFrom<source::Model> for Source {
    type Error = DbError;

    fn try_from(row: source::Model) -> Result<Self, DbError> {
        Ok(Self {
            id: SourceId::from_uuid(row.id),
            agent_id: AgentId::from_uuid(row.agent_id),
            backup_set_id: BackupSetId::from_uuid(row.backup_set_id),
            name: row.name,
            paths: from_json("sources.paths", row.paths)?,
            excludes: from_json("sources.excludes", row.excludes)?,
            options: from_json("sources.options", row.options)?,
            schedule: from_json("sources.schedule", row.schedule)?,
            next_due: optional_time(row.next_due)?,
            newest_seq: unsigned("sources.newest_seq", row.newest_seq)?,
            retired_at: optional_time(row.retired_at)?,
            next_sweep_at: optional_time(row.next_sweep_at)?,
            lock_ahead_days: row
                .lock_ahead_days
                .map(|days| {
                    u32::try_from(days).map_err(|_| DbError::corrupt("sources.lock_ahead_days", days))
                })
                .transpose()?,
            created_at: row.created_at.try_into()?,
        })
    }
}

/// Adds a source.
///
/// # Errors
/// When the agent has one of that name ([`DbError::is_duplicate`]) or the database does not answer.
pub async fn add(tx: &TenantTx, source: &Source) -> Result<(), DbError> {
    let row = source::Model {
        id: source.id.as_uuid(),
        tenant_id: tx.tenant.as_uuid(),
        agent_id: source.agent_id.as_uuid(),
        backup_set_id: source.backup_set_id.as_uuid(),
        name: source.name.clone(),
        paths: to_json(&source.paths)?,
        excludes: to_json(&source.excludes)?,
        options: to_json(&source.options)?,
        schedule: to_json(&source.schedule)?,
        next_due: source.next_due.map(TryInto::try_into).transpose()?,
        newest_seq: signed("sources.newest_seq", source.newest_seq)?,
        retired_at: source.retired_at.map(TryInto::try_into).transpose()?,
        next_sweep_at: source.next_sweep_at.map(TryInto::try_into).transpose()?,
        lock_ahead_days: source
            .lock_ahead_days
            .map(|days| i32::try_from(days).map_err(|_| DbError::corrupt("sources.lock_ahead_days", days)))
            .transpose()?,
        created_at: source.created_at.try_into()?,
    };
    insert(&tx.tx, row).await
}

/// Every source of the tenant, by name.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn all(tx: &TenantTx) -> Result<Vec<Source>, DbError> {
    let query = source::Entity::find().order_by_asc(source::Column::Name);
    tx.tx.records(query).await
}

/// The sources of one agent.
pub async fn of_agent(tx: &TenantTx, agent: AgentId) -> Result<Vec<Source>, DbError> {
    let query = source::Entity::find()
        .filter(source::Column::AgentId.eq(agent.as_uuid()))
        .order_by_asc(source::Column::Name);
    tx.tx.records(query).await
}

/// The sources whose next run is due; none that is retired.
pub async fn due(tx: &TenantTx, now: Timestamp) -> Result<Vec<Source>, DbError> {
    let query = source::Entity::find()
        .filter(source::Column::NextDue.lte(At::try_from(now)?))
        .filter(source::Column::RetiredAt.is_null());
    tx.tx.records(query).await
}

/// The sources that are to be swept.
pub async fn due_for_sweep(tx: &TenantTx, now: Timestamp) -> Result<Vec<Source>, DbError> {
    let due = Condition::any()
        .add(source::Column::NextSweepAt.is_null())
        .add(source::Column::NextSweepAt.lte(At::try_from(now)?));
    let rows = source::Entity::find().filter(due).all(&tx.tx).await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// One source.
pub async fn find(tx: &TenantTx, id: SourceId) -> Result<Option<Source>, DbError> {
    tx.tx.record(source::Entity::find_by_id(id.as_uuid())).await
}

/// One source, its row locked until this transaction ends: nobody else changes anything that belongs to it. A transaction
/// locks one source at most ([`super::order`]).
pub async fn lock(tx: &TenantTx, id: SourceId) -> Result<Option<Source>, DbError> {
    let query = source::Entity::find_by_id(id.as_uuid()).lock(LockType::NoKeyUpdate);
    tx.tx.record(query).await
}

/// Keeps the next scheduled run.
pub async fn set_next_due(tx: &TenantTx, id: SourceId, next_due: Option<Timestamp>) -> Result<(), DbError> {
    let change = source::ActiveModel {
        id: Set(id.as_uuid()),
        next_due: Set(next_due.map(TryInto::try_into).transpose()?),
        ..Default::default()
    };
    change.update(&tx.tx).await?;
    Ok(())
}

/// Keeps when the source is swept next.
pub async fn set_next_sweep(tx: &TenantTx, id: SourceId, at: Timestamp) -> Result<(), DbError> {
    let change = source::ActiveModel {
        id: Set(id.as_uuid()),
        next_sweep_at: Set(Some(at.try_into()?)),
        ..Default::default()
    };
    change.update(&tx.tx).await?;
    Ok(())
}

/// Keeps Q.
pub async fn set_lock_ahead(tx: &TenantTx, id: SourceId, days: u32) -> Result<(), DbError> {
    let days = i32::try_from(days).map_err(|_| DbError::corrupt("sources.lock_ahead_days", days))?;
    let change = source::ActiveModel {
        id: Set(id.as_uuid()),
        lock_ahead_days: Set(Some(days)),
        ..Default::default()
    };
    change.update(&tx.tx).await?;
    Ok(())
}

/// Keeps the number of the newest snapshot. The row must be locked by [`lock`].
pub async fn set_newest_seq(tx: &TenantTx, id: SourceId, seq: u64) -> Result<(), DbError> {
    let change = source::ActiveModel {
        id: Set(id.as_uuid()),
        newest_seq: Set(signed("sources.newest_seq", seq)?),
        ..Default::default()
    };
    change.update(&tx.tx).await?;
    Ok(())
}

/// How many sources an agent has that are not retired.
pub async fn count_of_agent(tx: &TenantTx, agent: AgentId) -> Result<u64, DbError> {
    let sources = source::Entity::find()
        .filter(source::Column::AgentId.eq(agent.as_uuid()))
        .filter(source::Column::RetiredAt.is_null());
    Ok(sources.count(&tx.tx).await?)
}
