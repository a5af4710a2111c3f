//! The job queue: rows with due times, leases and fencing, compared with the server's clock and not the
//! database's, so that a test can live through a year.

use jiff::Timestamp;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use serde::{Deserialize, Serialize};
use shared::ids::{SourceId, TenantId};
use uuid::Uuid;

use super::{
    DbError, InstanceTx, TenantTx,
    types::{At, from_text, to_text},
};

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Confirms the locks of a run's objects and makes the snapshot complete. The subject is the run.
    Commit,
    /// Refreshes a source's locks and deletes what is neither needed nor locked. The subject is the source.
    Sweep,
    /// Compares a backup set's bucket with the ledger. The subject is the backup set.
    Check,
}

/// A claimed job.
#[derive(Debug, Clone)]
pub struct Job {
    id: Uuid,
    /// The tenant that it was queued under.
    pub tenant: TenantId,
    /// What it does.
    pub kind: JobKind,
    /// To what.
    pub subject: Uuid,
    /// Counts claims: the fencing token. Who holds an older one can neither finish nor postpone the job.
    pub attempt: i32,
}

/// Queues a job, unless there is one for the same subject. Jobs of one source run one at a time; one without a source runs
/// beside any other.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn queue(
    tx: &TenantTx,
    id: Uuid,
    kind: JobKind,
    subject: Uuid,
    source: Option<SourceId>,
    run_at: Timestamp,
) -> Result<(), DbError> {
    let sql = "INSERT INTO jobs (id, tenant_id, kind, subject, source_id, state, run_at)
               VALUES ($1, $2, $3, $4, $5, 'ready', $6)
               ON CONFLICT (kind, subject) DO NOTHING";
    let values = [
        id.into(),
        tx.tenant.as_uuid().into(),
        to_text(&kind)?.into(),
        subject.into(),
        source.map(SourceId::as_uuid).into(),
        At::try_from(run_at)?.into(),
    ];
    tx.tx
        .execute_raw(Statement::from_sql_and_values(
            tx.tx.get_database_backend(),
            sql,
            values,
        ))
        .await?;
    Ok(())
}

/// Claims the job that has been due longest, until `lease_until`. A job whose lease has run out counts as due: its
/// worker is gone. A job waits while another one of its source is running.
pub async fn claim(tx: &InstanceTx, now: Timestamp, lease_until: Timestamp) -> Result<Option<Job>, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        id: Uuid,
        tenant_id: Uuid,
        kind: String,
        subject: Uuid,
        attempt: i32,
    }
    let sql = "UPDATE jobs SET state = 'running', lease_until = $2, attempt = attempt + 1
               WHERE id = (SELECT id FROM jobs j
                           WHERE ((state = 'ready' AND run_at <= $1) OR (state = 'running' AND lease_until < $1))
                             AND NOT EXISTS (SELECT FROM jobs other
                                             WHERE other.source_id = j.source_id AND other.state = 'running'
                                               AND other.id <> j.id)
                           ORDER BY run_at FOR UPDATE SKIP LOCKED LIMIT 1)
               RETURNING id, tenant_id, kind, subject, attempt";
    let values = [At::try_from(now)?.into(), At::try_from(lease_until)?.into()];
    let statement = Statement::from_sql_and_values(tx.tx.get_database_backend(), sql, values);
    let row = match Row::find_by_statement(statement)
        .one(&tx.tx)
        .await
        .map_err(DbError::from)
    {
        // Another worker has just begun a job of the same source.
        Err(error) if error.is_duplicate() => return Ok(None),
        row => row?,
    };
    row.map(|row| {
        Ok(Job {
            id: row.id,
            tenant: TenantId::from_uuid(row.tenant_id),
            kind: from_text("jobs.kind", row.kind)?,
            subject: row.subject,
            attempt: row.attempt,
        })
    })
    .transpose()
}

/// Whether another job of this source is ready to run.
pub async fn another_waits(
    tx: &TenantTx,
    source: SourceId,
    kind: JobKind,
    now: Timestamp,
) -> Result<bool, DbError> {
    let sql = "SELECT 1 AS one FROM jobs
               WHERE source_id = $1 AND kind <> $2 AND state = 'ready' AND run_at <= $3 LIMIT 1";
    let values = [
        source.as_uuid().into(),
        to_text(&kind)?.into(),
        At::try_from(now)?.into(),
    ];
    let statement = Statement::from_sql_and_values(tx.tx.get_database_backend(), sql, values);
    Ok(tx.tx.query_one_raw(statement).await?.is_some())
}

/// Holds on to a job; `false` when somebody else has claimed it since.
pub async fn renew(tx: &InstanceTx, job: &Job, lease_until: Timestamp) -> Result<bool, DbError> {
    let sql = "UPDATE jobs SET lease_until = $3 WHERE id = $1 AND attempt = $2";
    let values = [
        job.id.into(),
        job.attempt.into(),
        At::try_from(lease_until)?.into(),
    ];
    let done = tx
        .tx
        .execute_raw(Statement::from_sql_and_values(
            tx.tx.get_database_backend(),
            sql,
            values,
        ))
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a job.
pub async fn finish(tx: &InstanceTx, job: &Job) -> Result<(), DbError> {
    let sql = "DELETE FROM jobs WHERE id = $1 AND attempt = $2";
    let values = [job.id.into(), job.attempt.into()];
    tx.tx
        .execute_raw(Statement::from_sql_and_values(
            tx.tx.get_database_backend(),
            sql,
            values,
        ))
        .await?;
    Ok(())
}

/// Puts a job back, to be tried again at `run_at`.
pub async fn postpone(tx: &InstanceTx, job: &Job, run_at: Timestamp, error: &str) -> Result<(), DbError> {
    let sql = "UPDATE jobs SET state = 'ready', lease_until = NULL, run_at = $3, last_error = $4
               WHERE id = $1 AND attempt = $2";
    let values = [
        job.id.into(),
        job.attempt.into(),
        At::try_from(run_at)?.into(),
        error.into(),
    ];
    tx.tx
        .execute_raw(Statement::from_sql_and_values(
            tx.tx.get_database_backend(),
            sql,
            values,
        ))
        .await?;
    Ok(())
}

/// Takes every job from whoever holds it: it is ready, at the time that it was due. Gives their number.
pub async fn void_leases(tx: &InstanceTx) -> Result<u64, DbError> {
    let sql = "UPDATE jobs SET state = 'ready', lease_until = NULL WHERE state = 'running'";
    Ok(tx.tx.execute_unprepared(sql).await?.rows_affected())
}
