//! What the planner must see of the ledger: the objects inside its [`Bounds`], and sums over the rest.

use jiff::Timestamp;
use sea_orm::{FromQueryResult, Value};
use serde::Serialize;
use shared::{
    ids::SourceId,
    object::ObjectHash,
    retention::{Bounds, Seq},
};

use super::{
    DbError, TenantTx,
    entity::object,
    ledger::LedgerObject,
    types::{At, optional_time, signed, to_json, unsigned},
};

/// Which objects of a source are asked for.
#[derive(Debug, Clone, Copy)]
pub struct DueQuery<'a> {
    /// The planner's bounds.
    pub bounds: &'a Bounds,
    /// Whether a run of the source is open.
    pub open_run: bool,
    /// Only what no kept snapshot and no open run needs.
    pub only_unneeded: bool,
    /// Only objects behind this one: pages are ordered by hash.
    pub after: Option<ObjectHash>,
    /// At most so many.
    pub limit: u64,
}

/// For each object whose lock ends before $5 or is not known: `need` (until when a kept snapshot needs it), `lock` (as far as it
/// is known: what was signed and never seen is locked until the signed date at most) and `of_run` (whether an open run may still
/// commit it). Needs are reckoned for each pair of `born` and `dropped`, which are few, and not for each object.
/// $1 source, $2 kept snapshots, $3 open run, $4 newest snapshot known of, $5 see above.
const WITH_NEEDS: &str = "
    WITH kept AS MATERIALIZED (
        SELECT seq, until FROM jsonb_to_recordset($2::jsonb) AS k(seq bigint, until timestamptz)
    ), looked_at AS (
        SELECT * FROM objects
        WHERE source_id = $1 AND state <> 'deleting' AND (locked_until IS NULL OR locked_until < $5)
    ), spans AS MATERIALIZED (
        SELECT s.born, s.dropped,
               (SELECT max(k.until) FROM kept k
                WHERE k.seq >= s.born AND (s.dropped IS NULL OR k.seq < s.dropped)) AS until
        FROM (SELECT DISTINCT born, dropped FROM looked_at) s
    ), judged AS (
        SELECT o.*, n.until AS need,
               COALESCE(o.locked_until, CASE WHEN o.state = 'pending' AND NOT $3 THEN o.signed_until END) AS lock,
               COALESCE((o.state = 'pending' AND $3) OR o.born > $4, false) AS of_run
        FROM looked_at o
        JOIN spans n ON COALESCE(n.born, 0) = COALESCE(o.born, 0) AND COALESCE(n.dropped, 0) = COALESCE(o.dropped, 0)
    )";

fn values(
    source: SourceId,
    bounds: &Bounds,
    open_run: bool,
    locked_before: Timestamp,
) -> Result<Vec<Value>, DbError> {
    #[derive(Serialize)]
    struct Kept {
        seq: Seq,
        until: Timestamp,
    }
    let kept: Vec<Kept> = bounds
        .kept
        .iter()
        .map(|(seq, until)| Kept {
            seq: *seq,
            until: *until,
        })
        .collect();
    let newest = bounds.newest_known.map_or(0, Seq::get);
    Ok(vec![
        source.as_uuid().into(),
        to_json(&kept)?.into(),
        open_run.into(),
        signed("objects.born", newest)?.into(),
        At::try_from(locked_before)?.into(),
    ])
}

/// The objects inside the bounds, by hash. (What is pending in an open run and was never seen is left out: there is nothing to
/// do about it.)
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn due(tx: &TenantTx, source: SourceId, query: DueQuery<'_>) -> Result<Vec<LedgerObject>, DbError> {
    let sql = format!(
        "{WITH_NEEDS} SELECT * FROM judged
         WHERE NOT (state = 'pending' AND $3 AND locked_until IS NULL)
           AND (lock IS NULL OR (of_run AND lock < $6) OR lock < COALESCE(need, $7))
           AND NOT ($8 AND (of_run OR need IS NOT NULL))
           AND hash > $9
         ORDER BY hash LIMIT $10"
    );
    let bounds = query.bounds;
    let latest = bounds.latest.max(bounds.open_run);
    let mut values = values(source, bounds, query.open_run, latest)?;
    values.extend([
        At::try_from(bounds.open_run)?.into(),
        At::try_from(bounds.unlocked)?.into(),
        query.only_unneeded.into(),
        query
            .after
            .map_or(Vec::new(), |hash| hash.as_bytes().to_vec())
            .into(),
        signed("limit", query.limit)?.into(),
    ]);
    let rows: Vec<object::Model> = tx.tx.rows(sql, values).await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Objects that nobody needs and that are still locked, by why they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwaitingRow {
    /// They were sent by a run that broke off; otherwise a snapshot once needed them.
    pub of_broken_run: bool,
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first of the locks ends.
    pub first: Timestamp,
    /// When the last does.
    pub last: Timestamp,
}

/// What awaits the end of its lock.
pub async fn awaiting(
    tx: &TenantTx,
    source: SourceId,
    bounds: &Bounds,
    open_run: bool,
) -> Result<Vec<AwaitingRow>, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        of_broken_run: bool,
        objects: i64,
        bytes: i64,
        first: At,
        last: At,
    }
    let sql = format!(
        "{WITH_NEEDS} SELECT state = 'pending' AS of_broken_run, count(*) AS objects,
                sum(size_bytes)::bigint AS bytes, min(lock) AS first, max(lock) AS last
         FROM judged WHERE need IS NULL AND NOT of_run AND lock >= $6 GROUP BY 1 ORDER BY 1"
    );
    let mut values = values(source, bounds, open_run, Timestamp::MAX)?;
    values.push(At::try_from(bounds.unlocked)?.into());
    let rows: Vec<Row> = tx.tx.rows(sql, values).await?;
    rows.into_iter()
        .map(|row| {
            Ok(AwaitingRow {
                of_broken_run: row.of_broken_run,
                objects: unsigned("count", row.objects)?,
                bytes: unsigned("sum", row.bytes)?,
                first: row.first.try_into()?,
                last: row.last.try_into()?,
            })
        })
        .collect()
}

/// What Q is reckoned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// Objects that the newest snapshot needs.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of what the snapshots of the window dropped.
    pub dropped_bytes: u64,
}

/// The sums over what snapshot `newest` needs, and over what the snapshots from `first` to it dropped.
pub async fn churn(
    tx: &TenantTx,
    source: SourceId,
    first: Option<Seq>,
    newest: Seq,
) -> Result<Sums, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        objects: i64,
        bytes: i64,
        dropped_bytes: i64,
    }
    let sql = "SELECT count(*) FILTER (WHERE born <= $2 AND (dropped IS NULL OR dropped > $2)) AS objects,
                      COALESCE(sum(size_bytes) FILTER (WHERE born <= $2 AND (dropped IS NULL OR dropped > $2)), 0)::bigint
                          AS bytes,
                      COALESCE(sum(size_bytes) FILTER (WHERE dropped BETWEEN $3 AND $2), 0)::bigint AS dropped_bytes
               FROM objects WHERE source_id = $1 AND state = 'live'";
    let newest = newest.get();
    let values = [
        source.as_uuid().into(),
        signed("objects.born", newest)?.into(),
        // Without a window nothing was dropped in it.
        signed("objects.dropped", first.map_or(newest + 1, Seq::get))?.into(),
    ];
    let row: Option<Row> = tx.tx.row(sql, values).await?;
    let row = row.ok_or_else(|| DbError::corrupt("objects", "an aggregate without a row"))?;
    Ok(Sums {
        objects: unsigned("count", row.objects)?,
        bytes: unsigned("sum", row.bytes)?,
        dropped_bytes: unsigned("sum", row.dropped_bytes)?,
    })
}

/// The earliest confirmed lock among what snapshot `seq` needs; `None` when one of these objects is gone or was not found when it
/// was last asked for, or there are none.
pub async fn earliest_lock(tx: &TenantTx, source: SourceId, seq: Seq) -> Result<Option<Timestamp>, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        whole: bool,
        earliest: Option<At>,
    }
    let sql = "SELECT count(*) FILTER (WHERE missing_since IS NOT NULL OR absent_askings > 0) = 0 AS whole, min(locked_until) AS earliest FROM objects
               WHERE source_id = $1 AND state = 'live' AND born <= $2 AND (dropped IS NULL OR dropped > $2)";
    let values = [source.as_uuid().into(), signed("objects.born", seq.get())?.into()];
    let row: Option<Row> = tx.tx.row(sql, values).await?;
    match row {
        Some(row) if row.whole => optional_time(row.earliest),
        _ => Ok(None),
    }
}

/// What a snapshot needs, summed up.
#[derive(Debug, Clone)]
pub struct Needs {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The earliest confirmed lock.
    pub earliest_lock: Option<Timestamp>,
    /// The latest confirmed lock.
    pub latest_lock: Option<Timestamp>,
}

/// What snapshot `seq` needs, summed up.
pub async fn needs(tx: &TenantTx, source: SourceId, seq: u64) -> Result<Needs, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        objects: i64,
        bytes: i64,
        earliest: Option<At>,
        latest: Option<At>,
    }
    let sql = "SELECT count(*) AS objects, COALESCE(sum(size_bytes), 0)::bigint AS bytes,
                      min(locked_until) AS earliest, max(locked_until) AS latest
               FROM objects
               WHERE source_id = $1 AND state = 'live' AND born <= $2 AND (dropped IS NULL OR dropped > $2)";
    let values = [source.as_uuid().into(), signed("objects.born", seq)?.into()];
    let row: Option<Row> = tx.tx.row(sql, values).await?;
    let row = row.ok_or_else(|| DbError::corrupt("objects", "an aggregate without a row"))?;
    Ok(Needs {
        objects: unsigned("count", row.objects)?,
        bytes: unsigned("sum", row.bytes)?,
        earliest_lock: optional_time(row.earliest)?,
        latest_lock: optional_time(row.latest)?,
    })
}
