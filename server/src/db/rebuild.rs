//! Writing a ledger that was read from the bucket. Nothing here deletes a row.

use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, Statement,
    sea_query::{Expr, ExprTrait, OnConflict},
};
use shared::{
    api::agent::RunState,
    ids::{RunId, SourceId},
    object::ObjectRef,
    retention::ObjectState,
};

use super::{
    DbError, TenantTx,
    entity::{object, snapshot},
    ledger::{ConfirmedLock, ROWS_PER_STATEMENT},
    runs::{self, Run},
    snapshots::Snapshot,
    types::{At, signed, to_text},
};

/// The MD5 of an object that is not in the bucket and that the ledger did not know: nothing that stands under its key is
/// taken for it.
const UNKNOWN_MD5: [u8; 16] = [0; 16];

/// An object that snapshots need, as the bucket tells it.
#[derive(Debug, Clone)]
pub struct RebuiltObject {
    /// Kind, hash and size.
    pub object: ObjectRef,
    /// MD5 of the content, where anything is known of it.
    pub content_md5: Option<[u8; 16]>,
    /// The run of the first snapshot that lists it.
    pub run_id: RunId,
    /// Its version and lock; `None` when it is not in the bucket.
    pub lock: Option<ConfirmedLock>,
    /// The first snapshot that needs it.
    pub born: u64,
    /// The first that no longer does.
    pub dropped: Option<u64>,
}

/// How far a source's ledger is: two equal marks mean that no commit and no sweep went by in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    newest_seq: i64,
    newest_sweep: i64,
}

/// The mark of a source; also of one that is not there.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn mark(tx: &TenantTx, source: SourceId) -> Result<Mark, DbError> {
    let sql = "SELECT COALESCE((SELECT newest_seq FROM sources WHERE id = $1), 0) AS newest_seq,
                      COALESCE((SELECT max(id) FROM sweeps WHERE source_id = $1), 0) AS newest_sweep";
    let statement =
        Statement::from_sql_and_values(tx.tx.get_database_backend(), sql, [source.as_uuid().into()]);
    let row = tx.tx.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbError::corrupt("sources", "an aggregate without a row"))?;
    Ok(Mark {
        newest_seq: row.try_get("", "newest_seq")?,
        newest_sweep: row.try_get("", "newest_sweep")?,
    })
}

/// Whether a job of the source is at work.
pub async fn job_is_running(tx: &TenantTx, source: SourceId) -> Result<bool, DbError> {
    let sql = "SELECT 1 AS one FROM jobs WHERE source_id = $1 AND state = 'running' LIMIT 1";
    tx.tx.exists(sql, [source.as_uuid().into()]).await
}

/// Adds the run of a snapshot, unless it is known. All that is told of it is when its commit came and that it succeeded.
pub async fn add_run(tx: &TenantTx, snapshot: &Snapshot) -> Result<(), DbError> {
    if runs::find(tx, snapshot.run_id).await?.is_some() {
        return Ok(());
    }
    let run = Run {
        state: RunState::Succeeded,
        received_at: Some(snapshot.received_at),
        finished_at: Some(snapshot.received_at),
        snapshot_id: Some(snapshot.id),
        ..Run::queued(snapshot.run_id, snapshot.source_id, snapshot.received_at)
    };
    runs::add(tx, &run).await
}

/// Corrects a snapshot's row: what its commit record tells.
pub async fn correct_snapshot(tx: &TenantTx, told: &Snapshot) -> Result<(), DbError> {
    snapshot::Entity::update_many()
        .col_expr(
            snapshot::Column::ReceivedAt,
            Expr::value(At::try_from(told.received_at)?),
        )
        .col_expr(
            snapshot::Column::ProtectedUntil,
            Expr::value(At::try_from(told.protected_until)?),
        )
        .col_expr(snapshot::Column::Mode, Expr::value(to_text(&told.mode)?))
        .col_expr(
            snapshot::Column::ManifestHash,
            Expr::value(told.manifest.hash.as_bytes().to_vec()),
        )
        .col_expr(
            snapshot::Column::ManifestBytes,
            Expr::value(signed("snapshots.manifest_bytes", told.manifest.size_bytes)?),
        )
        .col_expr(
            snapshot::Column::Tiers,
            Expr::value(super::types::to_json(&told.tiers)?),
        )
        .filter(snapshot::Column::Id.eq(told.id.as_uuid()))
        .exec(&tx.tx)
        .await?;
    Ok(())
}

/// Adds objects, or corrects their rows. One that is being deleted is left alone; one that was not found in the bucket keeps what
/// the ledger knows of its version, and counts as missing only where it knows of none.
pub async fn put_objects(
    tx: &TenantTx,
    source: SourceId,
    objects: &[RebuiltObject],
    now: Timestamp,
) -> Result<(), DbError> {
    use object::Column;
    let (there, gone): (Vec<_>, Vec<_>) = objects.iter().partition(|object| object.lock.is_some());
    let needs = [Column::State, Column::Born, Column::Dropped];
    let all = [
        Column::Kind,
        Column::SizeBytes,
        Column::ContentMd5,
        Column::VersionId,
        Column::LockMode,
        Column::LockedUntil,
        Column::ConfirmedAt,
        Column::MissingSince,
        Column::AbsentAskings,
        Column::AbsentSince,
        Column::AbsentAskedAt,
    ];
    for (objects, is_there) in [(there, true), (gone, false)] {
        let columns = if is_there {
            &[&needs[..], &all[..]].concat()[..]
        } else {
            &needs[..]
        };
        for part in objects.chunks(ROWS_PER_STATEMENT) {
            let rows = part
                .iter()
                .map(|object| Ok(row(tx, source, object, now)?.into_active_model()))
                .collect::<Result<Vec<_>, DbError>>()?;
            let mut correct = OnConflict::columns([Column::SourceId, Column::Hash]);
            correct
                .update_columns(columns.iter().copied())
                .action_and_where(Expr::col((object::Entity, Column::State)).ne("deleting"));
            if !is_there {
                let unknown = r#"CASE WHEN "objects"."version_id" IS NULL THEN "excluded"."missing_since"
                                      ELSE "objects"."missing_since" END"#;
                correct.value(Column::MissingSince, Expr::cust(unknown));
            }
            object::Entity::insert_many(rows)
                .on_conflict(correct)
                .exec_without_returning(&tx.tx)
                .await?;
        }
    }
    Ok(())
}

fn row(
    tx: &TenantTx,
    source: SourceId,
    rebuilt: &RebuiltObject,
    now: Timestamp,
) -> Result<object::Model, DbError> {
    let lock = rebuilt.lock.as_ref();
    let until = lock.map(|lock| lock.locked_until);
    Ok(object::Model {
        source_id: source.as_uuid(),
        hash: rebuilt.object.hash.as_bytes().to_vec(),
        tenant_id: tx.tenant.as_uuid(),
        kind: i16::from(rebuilt.object.kind.tag()),
        size_bytes: signed("objects.size_bytes", rebuilt.object.size_bytes)?,
        content_md5: rebuilt.content_md5.unwrap_or(UNKNOWN_MD5).to_vec(),
        state: to_text(&ObjectState::Live)?,
        run_id: rebuilt.run_id.as_uuid(),
        // What was signed into the address nobody knows any more: what S3 shows is what counts.
        signed_until: until.unwrap_or(now).try_into()?,
        signed_at: None,
        version_id: lock.map(|lock| lock.version_id.clone()),
        lock_mode: lock.map(|lock| to_text(&lock.mode)).transpose()?,
        locked_until: until.map(TryInto::try_into).transpose()?,
        confirmed_at: lock.map(|_| now.try_into()).transpose()?,
        missing_since: lock.is_none().then(|| now.try_into()).transpose()?,
        absent_askings: 0,
        absent_since: None,
        absent_asked_at: None,
        live_bytes: None,
        add_again_since: None,
        born: Some(signed("objects.born", rebuilt.born)?),
        dropped: rebuilt
            .dropped
            .map(|seq| signed("objects.dropped", seq))
            .transpose()?,
    })
}
