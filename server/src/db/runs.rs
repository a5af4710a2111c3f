//! Runs.

use std::collections::HashMap;

use jiff::Timestamp;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, Select,
    sea_query::{Expr, LockType, Query},
};
use shared::{
    api::{
        agent::{RunProgress, RunState},
        report::RunReport,
    },
    ids::{AgentId, RunId, SnapshotId, SourceId},
};

use uuid::Uuid;

use super::{
    DbError, TenantTx, commit_pages,
    entity::{run, source},
    insert,
    ledger::ROWS_PER_STATEMENT,
    types::{At, from_json, from_text, optional_time, signed, to_json, to_text, unsigned},
};

/// One attempt of a backup.
#[derive(Debug, Clone)]
pub struct Run {
    /// The run.
    pub id: RunId,
    /// The source.
    pub source_id: SourceId,
    /// Where it stands.
    pub state: RunState,
    /// When it was asked for or due.
    pub created_at: Timestamp,
    /// When the agent fetched it.
    pub started_at: Option<Timestamp>,
    /// After this the server neither signs nor commits for it.
    pub deadline: Option<Timestamp>,
    /// When the agent last reported.
    pub reported_at: Option<Timestamp>,
    /// When the commit was durable.
    pub received_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The agent's last report.
    pub progress: Option<RunProgress>,
    /// Objects confirmed so far.
    pub confirmed: u64,
    /// Objects to confirm.
    pub to_confirm: u64,
    /// The snapshot it made.
    pub snapshot_id: Option<SnapshotId>,
    /// Why it failed.
    pub error: Option<String>,
    /// The store's refusals that the last tries of its commit met, one after the other.
    pub refusals: Option<Refusals>,
    /// What its agent said of the source with the commit.
    pub report: Option<RunReport>,
    /// Of a queued run: no agent takes it before.
    pub not_before: Option<Timestamp>,
    /// Runs before this one that failed in a row and had it queued again.
    pub retries: u32,
}

/// Refusals of a store in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusals {
    /// The first.
    pub since: Timestamp,
    /// How many, at least one.
    pub count: u32,
}

impl Refusals {
    /// With one more.
    #[must_use]
    pub fn with(before: Option<Self>, now: Timestamp) -> Self {
        // What a clock noted that was ahead, and was set back since, is forgotten.
        match before.filter(|before| before.since <= now) {
            None => Self { since: now, count: 1 },
            Some(before) => Self {
                count: before.count.saturating_add(1),
                ..before
            },
        }
    }
}

impl Run {
    /// A run that waits for its agent.
    #[must_use]
    pub fn queued(id: RunId, source_id: SourceId, now: Timestamp) -> Self {
        Self {
            id,
            source_id,
            state: RunState::Queued,
            created_at: now,
            started_at: None,
            deadline: None,
            reported_at: None,
            received_at: None,
            finished_at: None,
            progress: None,
            confirmed: 0,
            to_confirm: 0,
            snapshot_id: None,
            error: None,
            refusals: None,
            report: None,
            not_before: None,
            retries: 0,
        }
    }

    /// Whether an agent may take it.
    #[must_use]
    pub fn is_ripe(&self, now: Timestamp) -> bool {
        self.state == RunState::Queued && self.not_before.is_none_or(|at| at <= now)
    }

    /// Ends it without a snapshot.
    pub fn fail(&mut self, reason: impl Into<String>, now: Timestamp) {
        self.state = RunState::Failed;
        self.error = Some(reason.into());
        self.finished_at = Some(now);
    }
}

impl TryFrom<run::Model> for Run {
    type Error = DbError;

    fn try_from(row: run::Model) -> Result<Self, DbError> {
        Ok(Self {
            id: RunId::from_uuid(row.id),
            source_id: SourceId::from_uuid(row.source_id),
            state: from_text("runs.state", row.state)?,
            created_at: row.created_at.try_into()?,
            started_at: optional_time(row.started_at)?,
            deadline: optional_time(row.deadline)?,
            reported_at: optional_time(row.reported_at)?,
            received_at: optional_time(row.received_at)?,
            finished_at: optional_time(row.finished_at)?,
            progress: row
                .progress
                .map(|json| from_json("runs.progress", json))
                .transpose()?,
            confirmed: unsigned("runs.confirmed", row.confirmed)?,
            to_confirm: unsigned("runs.to_confirm", row.to_confirm)?,
            snapshot_id: row.snapshot_id.map(SnapshotId::from_uuid),
            error: row.error,
            refusals: match (optional_time(row.refused_since)?, u32::try_from(row.refusals)) {
                (Some(since), Ok(count @ 1..)) => Some(Refusals { since, count }),
                _ => None,
            },
            report: row
                .report
                .map(|json| from_json("runs.report", json))
                .transpose()?,
            not_before: optional_time(row.not_before)?,
            retries: u32::try_from(row.retries).unwrap_or(0),
        })
    }
}

fn row(tx: &TenantTx, run: &Run) -> Result<run::Model, DbError> {
    let time = |at: Option<Timestamp>| at.map(TryInto::try_into).transpose();
    Ok(run::Model {
        id: run.id.as_uuid(),
        tenant_id: tx.tenant.as_uuid(),
        source_id: run.source_id.as_uuid(),
        state: to_text(&run.state)?,
        created_at: run.created_at.try_into()?,
        started_at: time(run.started_at)?,
        deadline: time(run.deadline)?,
        reported_at: time(run.reported_at)?,
        received_at: time(run.received_at)?,
        finished_at: time(run.finished_at)?,
        progress: run.progress.as_ref().map(to_json).transpose()?,
        confirmed: signed("runs.confirmed", run.confirmed)?,
        to_confirm: signed("runs.to_confirm", run.to_confirm)?,
        snapshot_id: run.snapshot_id.map(SnapshotId::as_uuid),
        error: run.error.clone(),
        refused_since: time(run.refusals.map(|refusals| refusals.since))?,
        refusals: run
            .refusals
            .map_or(0, |refusals| i32::try_from(refusals.count).unwrap_or(i32::MAX)),
        report: run.report.as_ref().map(to_json).transpose()?,
        not_before: time(run.not_before)?,
        retries: i32::try_from(run.retries).unwrap_or(i32::MAX),
    })
}

fn open_states() -> Condition {
    Condition::any().add(run::Column::State.is_in(["queued", "running", "committing", "locking"]))
}

/// Adds a run.
///
/// # Errors
/// When the source has an open run ([`DbError::is_duplicate`]) or the database does not answer.
pub async fn add(tx: &TenantTx, run: &Run) -> Result<(), DbError> {
    insert(&tx.tx, row(tx, run)?).await
}

/// One run.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn find(tx: &TenantTx, id: RunId) -> Result<Option<Run>, DbError> {
    tx.tx.record(run::Entity::find_by_id(id.as_uuid())).await
}

/// One run, its row locked until this transaction ends: change it, then [`save`] it. The transaction must hold the source's
/// row.
pub async fn lock(tx: &TenantTx, id: RunId) -> Result<Option<Run>, DbError> {
    let query = run::Entity::find_by_id(id.as_uuid()).lock(LockType::NoKeyUpdate);
    tx.tx.record(query).await
}

/// Writes a run that [`lock`] gave. What it commits is forgotten when the ledger has it, or the run has ended.
pub async fn save(tx: &TenantTx, run: &Run) -> Result<(), DbError> {
    let mut change = row(tx, run)?.into_active_model().reset_all();
    // What a run is of, and since when, never changes: the server's role may not write it again.
    for column in [
        run::Column::TenantId,
        run::Column::SourceId,
        run::Column::CreatedAt,
    ] {
        change.not_set(column);
    }
    run::Entity::update(change).exec(&tx.tx).await?;
    if matches!(
        run.state,
        RunState::Locking | RunState::Succeeded | RunState::Failed
    ) {
        commit_pages::forget(tx, run.id).await?;
    }
    Ok(())
}

/// Notes how many objects are confirmed, without touching the rest of the row.
pub async fn set_confirmed(tx: &TenantTx, id: RunId, confirmed: u64) -> Result<(), DbError> {
    run::Entity::update_many()
        .col_expr(
            run::Column::Confirmed,
            Expr::value(signed("runs.confirmed", confirmed)?),
        )
        .filter(run::Column::Id.eq(id.as_uuid()))
        .exec(&tx.tx)
        .await?;
    Ok(())
}

/// The queued or active run of a source.
pub async fn open_of_source(tx: &TenantTx, source: SourceId) -> Result<Option<Run>, DbError> {
    let query = run::Entity::find()
        .filter(run::Column::SourceId.eq(source.as_uuid()))
        .filter(open_states());
    tx.tx.record(query).await
}

/// Whether a run of a source has begun and not ended: it may commit. One that waits for its agent has sent nothing, and it
/// begins under the source's row.
pub async fn is_active(tx: &TenantTx, source: SourceId) -> Result<bool, DbError> {
    let query = run::Entity::find()
        .filter(run::Column::SourceId.eq(source.as_uuid()))
        .filter(run::Column::State.is_in(["running", "committing", "locking"]));
    Ok(query.one(&tx.tx).await?.is_some())
}

/// Every queued or active run of the tenant, newest first.
pub async fn open(tx: &TenantTx) -> Result<Vec<Run>, DbError> {
    let query = run::Entity::find()
        .filter(open_states())
        .order_by_desc(run::Column::CreatedAt);
    tx.tx.records(query).await
}

/// Runs under way that have passed their deadline, and their sources.
pub async fn overdue(tx: &TenantTx, now: Timestamp) -> Result<Vec<(SourceId, RunId)>, DbError> {
    let overdue = run::Entity::find()
        .filter(run::Column::State.eq("running"))
        .filter(run::Column::Deadline.lte(At::try_from(now)?));
    ids(tx, overdue).await
}

/// Queued runs that waited and need not wait any more, and their sources.
pub async fn ripe(tx: &TenantTx, now: Timestamp) -> Result<Vec<(SourceId, RunId)>, DbError> {
    let ripe = run::Entity::find()
        .filter(run::Column::State.eq("queued"))
        .filter(run::Column::NotBefore.lte(At::try_from(now)?));
    ids(tx, ripe).await
}

/// Runs whose commit was durable before `then` and has no snapshot yet, and their sources.
pub async fn committing_since(tx: &TenantTx, then: Timestamp) -> Result<Vec<(SourceId, RunId)>, DbError> {
    let waiting = run::Entity::find()
        .filter(run::Column::State.eq("committing"))
        .filter(run::Column::ReceivedAt.lte(At::try_from(then)?));
    ids(tx, waiting).await
}

async fn ids(tx: &TenantTx, runs: Select<run::Entity>) -> Result<Vec<(SourceId, RunId)>, DbError> {
    let query = runs
        .select_only()
        .columns([run::Column::SourceId, run::Column::Id]);
    let ids: Vec<(Uuid, Uuid)> = query.into_tuple().all(&tx.tx).await?;
    Ok(ids
        .into_iter()
        .map(|(source, run)| (SourceId::from_uuid(source), RunId::from_uuid(run)))
        .collect())
}

/// The queued and active runs of one agent's sources, oldest first.
pub async fn open_of_agent(tx: &TenantTx, agent: AgentId) -> Result<Vec<Run>, DbError> {
    let sources = Query::select()
        .column(source::Column::Id)
        .from(source::Entity)
        .and_where(source::Column::AgentId.eq(agent.as_uuid()))
        .to_owned();
    let query = run::Entity::find()
        .filter(run::Column::SourceId.in_subquery(sources))
        .filter(open_states())
        .order_by_asc(run::Column::CreatedAt);
    tx.tx.records(query).await
}

/// The newest ended run of a source.
pub async fn newest_ended_of_source(tx: &TenantTx, source: SourceId) -> Result<Option<Run>, DbError> {
    let query = run::Entity::find()
        .filter(run::Column::SourceId.eq(source.as_uuid()))
        .filter(run::Column::State.is_in(["succeeded", "failed"]))
        .order_by_desc(run::Column::CreatedAt);
    tx.tx.record(query).await
}

/// What was said of their sources by those of these runs that did.
pub async fn reports(
    tx: &TenantTx,
    runs: impl IntoIterator<Item = RunId>,
) -> Result<HashMap<RunId, RunReport>, DbError> {
    let runs: Vec<Uuid> = runs.into_iter().map(RunId::as_uuid).collect();
    let mut reports = HashMap::new();
    for part in runs.chunks(ROWS_PER_STATEMENT) {
        let query = run::Entity::find()
            .select_only()
            .columns([run::Column::Id, run::Column::Report])
            .filter(run::Column::Id.is_in(part.iter().copied()))
            .filter(run::Column::Report.is_not_null());
        let rows: Vec<(Uuid, sea_orm::JsonValue)> = query.into_tuple().all(&tx.tx).await?;
        for (id, report) in rows {
            reports.insert(RunId::from_uuid(id), from_json("runs.report", report)?);
        }
    }
    Ok(reports)
}
