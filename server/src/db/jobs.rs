//! The job queue: rows with due times, leases and fencing, compared with the server's clock and not the
//! database's, so that a test can live through a year.

use jiff::Timestamp;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use serde::{Deserialize, Serialize};
use shared::ids::TenantId;
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

/// Queues a job, unless there is one for the same subject.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn queue(
    tx: &TenantTx,
    id: Uuid,
    kind: JobKind,
    subject: Uuid,
    run_at: Timestamp,
) -> Result<(), DbError> {
    let sql =
        "INSERT INTO jobs (id, tenant_id, kind, subject, state, run_at) VALUES ($1, $2, $3, $4, 'ready', $5)
               ON CONFLICT (kind, subject) DO NOTHING";
    let values = [
        id.into(),
        tx.tenant.as_uuid().into(),
        to_text(&kind)?.into(),
        subject.into(),
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
/// worker is gone.
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
               WHERE id = (SELECT id FROM jobs
                           WHERE (state = 'ready' AND run_at <= $1) OR (state = 'running' AND lease_until < $1)
                           ORDER BY run_at FOR UPDATE SKIP LOCKED LIMIT 1)
               RETURNING id, tenant_id, kind, subject, attempt";
    let values = [At::try_from(now)?.into(), At::try_from(lease_until)?.into()];
    let statement = Statement::from_sql_and_values(tx.tx.get_database_backend(), sql, values);
    let row = Row::find_by_statement(statement).one(&tx.tx).await?;
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
