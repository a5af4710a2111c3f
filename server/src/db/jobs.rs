//! The job queue: rows with due times, leases and fencing, compared with the server's clock and not the
//! database's, so that a test can live through a year.

use jiff::Timestamp;
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};
use shared::ids::{SourceId, StorageAccountId, TenantId};
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
pub struct ClaimedJob {
    id: Uuid,
    /// The tenant that it was queued under.
    pub tenant: TenantId,
    /// What it does.
    pub kind: JobKind,
    /// To what.
    pub subject: Uuid,
    /// The storage account whose store it needs.
    pub account: Option<StorageAccountId>,
    /// Counts claims: the fencing token. Who holds an older one can neither finish nor postpone the job.
    pub attempt: i32,
}

/// How many jobs may be at work side by side.
#[derive(Debug, Clone, Copy)]
pub struct Ceilings {
    /// Of one tenant.
    pub tenant: i64,
    /// On one storage account.
    pub account: i64,
    /// On one endpoint, whoever's.
    pub endpoint: i64,
    /// Of any tenant that has one at work already. Beyond it only a tenant that has none may begin one.
    pub shared: i64,
    /// Sweeps and checks: they may be long, and people wait for commits.
    pub background: Background,
    /// Checks, whoever's: they are long, and nothing else waits for them.
    pub checks: i64,
}

/// How many jobs that are no commits may be at work side by side.
#[derive(Debug, Clone, Copy)]
pub struct Background {
    /// On one storage account.
    pub account: i64,
    /// On one endpoint, whoever's.
    pub endpoint: i64,
    /// In all.
    pub all: i64,
}

/// Tenants and storage accounts are remembered, at most.
const TURNS: usize = 256;

/// Whose turn it is: the tenants and storage accounts that had jobs lately, the last one last.
#[derive(Debug, Default)]
pub struct Turns {
    tenants: Vec<Uuid>,
    accounts: Vec<Uuid>,
}

impl Turns {
    /// Takes note of whose job was claimed.
    pub fn had(&mut self, job: &ClaimedJob) {
        let had = |list: &mut Vec<Uuid>, id: Uuid| {
            list.retain(|known| *known != id);
            list.push(id);
            if list.len() > TURNS {
                list.remove(0);
            }
        };
        had(&mut self.tenants, job.tenant.as_uuid());
        if let Some(account) = job.account {
            had(&mut self.accounts, account.as_uuid());
        }
    }
}

/// An array of UUIDs as Postgres reads it from text.
fn array(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    format!("{{{}}}", ids.join(","))
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
    // A job without a source is its backup set's.
    let sql = "INSERT INTO jobs (id, tenant_id, kind, subject, source_id, state, run_at, storage_account_id, endpoint)
               SELECT $1, $2, $3, $4, $5, 'ready', $6, a.id, lower(a.endpoint)
               FROM (SELECT COALESCE((SELECT s.backup_set_id FROM sources s WHERE s.id = $5), $4) AS id) AS of_set
               LEFT JOIN backup_sets b ON b.id = of_set.id
               LEFT JOIN storage_accounts a ON a.id = b.storage_account_id
               ON CONFLICT (kind, subject) DO NOTHING";
    let values = [
        id.into(),
        tx.tenant.as_uuid().into(),
        to_text(&kind)?.into(),
        subject.into(),
        source.map(SourceId::as_uuid).into(),
        At::try_from(run_at)?.into(),
    ];
    tx.tx.run(sql, values).await?;
    Ok(())
}

/// The same; one that waits already is due at `run_at` at the latest.
pub async fn queue_by(
    tx: &TenantTx,
    id: Uuid,
    kind: JobKind,
    subject: Uuid,
    source: Option<SourceId>,
    run_at: Timestamp,
) -> Result<(), DbError> {
    queue(tx, id, kind, subject, source, run_at).await?;
    let sql =
        "UPDATE jobs SET run_at = $3 WHERE kind = $1 AND subject = $2 AND state = 'ready' AND run_at > $3";
    let values = [
        to_text(&kind)?.into(),
        subject.into(),
        At::try_from(run_at)?.into(),
    ];
    tx.tx.run(sql, values).await?;
    Ok(())
}

/// Held while a job is claimed, so that two servers that claim together do not both fill the last place under a ceiling. An
/// arbitrary constant.
const CLAIM_LOCK: i64 = 0x486f_6c64_4a6f_6273;

/// Claims one job. Parameters in their order: now, end of the lease, ceilings of a tenant, a storage account, an endpoint and of checks,
/// tenants and storage accounts in the order of their last turns, and the ceilings of all that are shared and of those in the background.
const CLAIM: &str = "WITH at_work AS MATERIALIZED (
        SELECT tenant_id, storage_account_id, endpoint, kind FROM jobs
        WHERE state = 'running' AND lease_until >= $1)
    UPDATE jobs SET state = 'running', lease_until = $2, attempt = attempt + 1
    WHERE id = (SELECT id FROM jobs j
                WHERE ((state = 'ready' AND run_at <= $1) OR (state = 'running' AND lease_until < $1))
                  AND NOT EXISTS (SELECT FROM jobs other
                                  WHERE other.source_id = j.source_id AND other.state = 'running'
                                    AND other.id <> j.id)
                  AND (SELECT count(*) FROM at_work w WHERE w.tenant_id = j.tenant_id) < $3
                  AND (SELECT count(*) FROM at_work w
                       WHERE w.storage_account_id = j.storage_account_id) < $4
                  AND (SELECT count(*) FROM at_work w WHERE w.endpoint = j.endpoint) < $5
                  AND (j.kind <> 'check'
                       OR (SELECT count(*) FROM at_work w WHERE w.kind = 'check') < $6)
                  AND ((SELECT count(*) FROM at_work) < $9
                       OR NOT EXISTS (SELECT FROM at_work w WHERE w.tenant_id = j.tenant_id))
                  AND (j.kind = 'commit'
                       OR ((SELECT count(*) FROM at_work w
                            WHERE w.storage_account_id = j.storage_account_id AND w.kind <> 'commit') < $10
                           AND (SELECT count(*) FROM at_work w
                                WHERE w.endpoint = j.endpoint AND w.kind <> 'commit') < $11
                           AND (SELECT count(*) FROM at_work w WHERE w.kind <> 'commit') < $12))
                ORDER BY COALESCE(array_position($7::text::uuid[], j.tenant_id), 0),
                         COALESCE(array_position($8::text::uuid[], j.storage_account_id), 0),
                         CASE j.kind WHEN 'commit' THEN 0 WHEN 'sweep' THEN 1 ELSE 2 END,
                         j.run_at
                FOR UPDATE SKIP LOCKED LIMIT 1)
    RETURNING id, tenant_id, kind, subject, storage_account_id, attempt";

/// Claims a job that is due, until `lease_until`: of the tenant and then of the storage account whose turn is longest ago,
/// commits before sweeps before checks, and then what has been due longest. A job whose lease has run out counts as due: its
/// worker is gone. A job waits while another one of its source is running, or as many of its tenant, storage account,
/// endpoint or kind as may, or so many that what is left is for tenants with none.
pub async fn claim(
    tx: &InstanceTx,
    now: Timestamp,
    lease_until: Timestamp,
    ceilings: Ceilings,
    turns: &Turns,
) -> Result<Option<ClaimedJob>, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        id: Uuid,
        tenant_id: Uuid,
        kind: String,
        subject: Uuid,
        storage_account_id: Option<Uuid>,
        attempt: i32,
    }
    // A statement of its own: the one that claims must see what was committed while this one waited.
    tx.tx
        .run("SELECT pg_advisory_xact_lock($1)", [CLAIM_LOCK.into()])
        .await?;
    let values = [
        At::try_from(now)?.into(),
        At::try_from(lease_until)?.into(),
        ceilings.tenant.into(),
        ceilings.account.into(),
        ceilings.endpoint.into(),
        ceilings.checks.into(),
        array(&turns.tenants).into(),
        array(&turns.accounts).into(),
        ceilings.shared.into(),
        ceilings.background.account.into(),
        ceilings.background.endpoint.into(),
        ceilings.background.all.into(),
    ];
    let row: Option<Row> = match tx.tx.row(CLAIM, values).await {
        // Another worker has just begun a job of the same source.
        Err(error) if error.is_duplicate() => return Ok(None),
        row => row?,
    };
    row.map(|row| {
        Ok(ClaimedJob {
            id: row.id,
            tenant: TenantId::from_uuid(row.tenant_id),
            kind: from_text("jobs.kind", row.kind)?,
            subject: row.subject,
            account: row.storage_account_id.map(StorageAccountId::from_uuid),
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
    tx.tx.exists(sql, values).await
}

/// Holds on to a job; `false` when somebody else has claimed it since.
pub async fn renew(tx: &InstanceTx, job: &ClaimedJob, lease_until: Timestamp) -> Result<bool, DbError> {
    let sql = "UPDATE jobs SET lease_until = $3 WHERE id = $1 AND attempt = $2";
    let values = [
        job.id.into(),
        job.attempt.into(),
        At::try_from(lease_until)?.into(),
    ];
    Ok(tx.tx.run(sql, values).await? == 1)
}

/// Ends a job.
pub async fn finish(tx: &InstanceTx, job: &ClaimedJob) -> Result<(), DbError> {
    let sql = "DELETE FROM jobs WHERE id = $1 AND attempt = $2";
    let values = [job.id.into(), job.attempt.into()];
    tx.tx.run(sql, values).await?;
    Ok(())
}

/// Puts a job back, to be tried again at `run_at`.
pub async fn postpone(
    tx: &InstanceTx,
    job: &ClaimedJob,
    run_at: Timestamp,
    error: &str,
) -> Result<(), DbError> {
    let sql = "UPDATE jobs SET state = 'ready', lease_until = NULL, run_at = $3, last_error = $4
               WHERE id = $1 AND attempt = $2";
    let values = [
        job.id.into(),
        job.attempt.into(),
        At::try_from(run_at)?.into(),
        error.into(),
    ];
    tx.tx.run(sql, values).await?;
    Ok(())
}

/// Takes a job out of the queue; `false` when somebody is at work on it. The transaction holds what the job would change.
pub async fn withdraw(tx: &TenantTx, kind: JobKind, subject: Uuid, now: Timestamp) -> Result<bool, DbError> {
    let sql = "DELETE FROM jobs WHERE kind = $1 AND subject = $2
               AND (state = 'ready' OR (state = 'running' AND lease_until < $3))";
    let values = [to_text(&kind)?.into(), subject.into(), At::try_from(now)?.into()];
    tx.tx.run(sql, values).await?;
    let sql = "SELECT 1 AS one FROM jobs WHERE kind = $1 AND subject = $2";
    let values = [to_text(&kind)?.into(), subject.into()];
    Ok(!tx.tx.exists(sql, values).await?)
}

/// Takes a job out of the queue that nobody ever took up; `false` when somebody did. The transaction holds what the job would
/// change.
pub async fn withdraw_untried(
    tx: &TenantTx,
    kind: JobKind,
    subject: Uuid,
    now: Timestamp,
) -> Result<bool, DbError> {
    let sql = "SELECT 1 AS one FROM jobs WHERE kind = $1 AND subject = $2 AND attempt > 0";
    let values = [to_text(&kind)?.into(), subject.into()];
    if tx.tx.exists(sql, values).await? {
        return Ok(false);
    }
    withdraw(tx, kind, subject, now).await
}

/// Takes every job from whoever holds it: it is ready, at the time that it was due. Gives their number.
pub async fn void_leases(tx: &InstanceTx) -> Result<u64, DbError> {
    let sql = "UPDATE jobs SET state = 'ready', lease_until = NULL WHERE state = 'running'";
    tx.tx.run(sql, []).await
}

#[cfg(test)]
mod tests;
