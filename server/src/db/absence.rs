//! Objects that S3 did not show when it was asked for them: noted, believed, or seen again.

use std::collections::HashMap;

use jiff::Timestamp;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Expr, ExprTrait},
};
use serde::Serialize;
use shared::{
    api::view::Damage,
    ids::{SnapshotId, SourceId},
    object::ObjectHash,
};

use super::{
    DbError, TenantTx,
    entity::object,
    ledger::{LedgerObject, ROWS_PER_STATEMENT, named, needed_by},
    types::{At, bytes32, to_json, unsigned},
};
use crate::presence::{Absence, Unseen};

/// What became of a number of askings that found nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Noted {
    /// Objects that count as gone.
    pub gone: u64,
    /// Objects of which that is not believed yet.
    pub suspected: u64,
}

/// Notes how S3 did not show these objects at `now`. Those of which it is believed by that are marked as missing, since they
/// were first not found.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn note(
    tx: &TenantTx,
    source: SourceId,
    unseen: &[(ObjectHash, Unseen)],
    now: Timestamp,
) -> Result<Noted, DbError> {
    #[derive(Serialize)]
    struct Row {
        hash: String,
        askings: u32,
        since: Timestamp,
        asked_at: Timestamp,
        gone: bool,
    }
    let mut noted = Noted::default();
    for part in unseen.chunks(ROWS_PER_STATEMENT) {
        let how: HashMap<ObjectHash, Unseen> = part.iter().copied().collect();
        let hashes: Vec<ObjectHash> = how.keys().copied().collect();
        let mut rows = Vec::with_capacity(part.len());
        for row in object::Entity::find()
            .filter(named(source, &hashes))
            .order_by_asc(object::Column::Hash)
            .all(&tx.tx)
            .await?
        {
            let hash = ObjectHash::from_bytes(bytes32("objects.hash", &row.hash)?);
            let last = how.get(&hash).copied().unwrap_or(Unseen::OnlyListed);
            let absence = Absence::asked(absence(&row)?, now);
            let gone = row.missing_since.is_some() || absence.is_believed(last);
            noted.gone += u64::from(gone);
            noted.suspected += u64::from(!gone);
            rows.push(Row {
                hash: hash.to_string(),
                askings: absence.askings,
                since: absence.since,
                asked_at: absence.asked_at,
                gone,
            });
        }
        let sql = "UPDATE objects o
                   SET absent_askings = n.askings, absent_since = n.since, absent_asked_at = n.asked_at,
                       missing_since = CASE WHEN n.gone THEN COALESCE(o.missing_since, n.since) END
                   FROM jsonb_to_recordset($2::jsonb)
                        AS n(hash text, askings integer, since timestamptz, asked_at timestamptz, gone boolean)
                   WHERE o.source_id = $1 AND o.hash = decode(n.hash, 'hex')";
        let values = [source.as_uuid().into(), to_json(&rows)?.into()];
        tx.tx.run(sql, values).await?;
    }
    Ok(noted)
}

fn absence(row: &object::Model) -> Result<Option<Absence>, DbError> {
    let (Some(since), Some(asked_at)) = (row.absent_since, row.absent_asked_at) else {
        return Ok(None);
    };
    let askings = u32::try_from(row.absent_askings)
        .map_err(|_| DbError::corrupt("objects.absent_askings", row.absent_askings))?;
    Ok(Some(Absence {
        askings,
        since: since.try_into()?,
        asked_at: asked_at.try_into()?,
    }))
}

/// Notes that S3 showed these objects again. Gives the number of rows that were marked, or suspected.
pub async fn seen(tx: &TenantTx, source: SourceId, hashes: &[ObjectHash]) -> Result<u64, DbError> {
    let mut changed = 0;
    for part in hashes.chunks(ROWS_PER_STATEMENT) {
        let update = object::Entity::update_many()
            .col_expr(object::Column::MissingSince, Expr::value(None::<At>))
            .col_expr(object::Column::AbsentAskings, Expr::value(0))
            .col_expr(object::Column::AbsentSince, Expr::value(None::<At>))
            .col_expr(object::Column::AbsentAskedAt, Expr::value(None::<At>))
            .filter(named(source, part))
            // Of what a rebuild did not find no version is known that could have been seen.
            .filter(object::Column::VersionId.is_not_null())
            .filter(in_doubt());
        changed += update.exec(&tx.tx).await?.rows_affected;
    }
    Ok(changed)
}

fn in_doubt() -> Condition {
    Condition::any()
        .add(object::Column::AbsentAskings.gt(0))
        .add(object::Column::MissingSince.is_not_null())
}

/// Objects in doubt, by hash, behind `after`: those that are suspected, and those that count as gone, which may come back.
pub async fn doubtful(
    tx: &TenantTx,
    source: SourceId,
    after: Option<ObjectHash>,
    limit: u64,
) -> Result<Vec<LedgerObject>, DbError> {
    let query = object::Entity::find()
        .filter(object::Column::SourceId.eq(source.as_uuid()))
        .filter(object::Column::State.is_in(["live", "pending", "unknown"]))
        .filter(in_doubt())
        .filter(object::Column::Hash.gt(after.map_or(Vec::new(), |hash| hash.as_bytes().to_vec())))
        .order_by_asc(object::Column::Hash)
        .limit(limit);
    tx.tx.records(query).await
}

/// How many objects of a source are suspected and not yet believed to be gone.
pub async fn suspected(tx: &TenantTx, source: SourceId) -> Result<u64, DbError> {
    Ok(object::Entity::find()
        .filter(object::Column::SourceId.eq(source.as_uuid()))
        .filter(object::Column::State.ne("deleting"))
        .filter(object::Column::VersionId.is_not_null())
        .filter(object::Column::AbsentAskings.gt(0))
        .filter(object::Column::MissingSince.is_null())
        .count(&tx.tx)
        .await?)
}

/// How many of the objects that snapshot `seq` needs count as gone.
pub async fn missing_of(tx: &TenantTx, source: SourceId, seq: u64) -> Result<u64, DbError> {
    Ok(object::Entity::find()
        .filter(needed_by(source, seq)?)
        .filter(object::Column::MissingSince.is_not_null())
        .count(&tx.tx)
        .await?)
}

/// What complete snapshots of the tenant have lost; those that have lost nothing are not in the answer. `None` asks for
/// all snapshots.
pub async fn damage(
    tx: &TenantTx,
    snapshots: Option<&[SnapshotId]>,
) -> Result<HashMap<SnapshotId, Damage>, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        id: uuid::Uuid,
        objects: i64,
        bytes: i64,
    }
    let sql = "SELECT s.id, count(*) AS objects, sum(o.size_bytes)::bigint AS bytes
               FROM objects o
               JOIN snapshots s ON s.source_id = o.source_id AND o.born <= s.seq
                    AND (o.dropped IS NULL OR o.dropped > s.seq)
               WHERE o.missing_since IS NOT NULL AND o.state IN ('live', 'unknown') AND s.state = 'complete'
                 AND ($1::jsonb IS NULL OR s.id IN (SELECT value::uuid FROM jsonb_array_elements_text($1::jsonb)))
               GROUP BY s.id";
    let ids: Option<Vec<uuid::Uuid>> =
        snapshots.map(|snapshots| snapshots.iter().map(|id| id.as_uuid()).collect());
    let ids = ids.as_ref().map(to_json).transpose()?;
    let rows: Vec<Row> = tx.tx.rows(sql, [ids.into()]).await?;
    rows.into_iter()
        .map(|row| {
            let damage = Damage {
                objects: unsigned("count", row.objects)?,
                bytes: unsigned("sum", row.bytes)?,
            };
            Ok((SnapshotId::from_uuid(row.id), damage))
        })
        .collect()
}

/// Objects that snapshot `seq` needs and whose lock was last shown before `asked_before`, by hash behind `after`, at most
/// `limit` of them. What counts as gone is not among them.
pub async fn asked_before(
    tx: &TenantTx,
    source: SourceId,
    seq: u64,
    asked_before: Timestamp,
    after: Option<ObjectHash>,
    limit: u64,
) -> Result<Vec<LedgerObject>, DbError> {
    let query = object::Entity::find()
        .filter(needed_by(source, seq)?)
        .filter(object::Column::MissingSince.is_null())
        .filter(object::Column::Hash.gt(after.map_or(Vec::new(), |hash| hash.as_bytes().to_vec())))
        .order_by_asc(object::Column::Hash)
        .filter(
            Condition::any()
                .add(Expr::col(object::Column::ConfirmedAt).lt(At::try_from(asked_before)?))
                .add(object::Column::ConfirmedAt.is_null()),
        )
        .limit(limit);
    tx.tx.records(query).await
}

/// When the lock that was shown longest ago was shown, among what snapshot `seq` needs.
pub async fn oldest_confirmation(
    tx: &TenantTx,
    source: SourceId,
    seq: u64,
) -> Result<Option<Timestamp>, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        oldest: Option<At>,
    }
    let query = object::Entity::find()
        .select_only()
        .column_as(object::Column::ConfirmedAt.min(), "oldest")
        .filter(needed_by(source, seq)?);
    let row = query.into_model::<Row>().one(&tx.tx).await?;
    row.and_then(|row| row.oldest).map(TryInto::try_into).transpose()
}
