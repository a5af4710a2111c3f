//! Objects whose locks fall short, in parts that fit into memory.

use jiff::Timestamp;
use sea_orm::Value;
use shared::{ids::SourceId, object::ObjectHash};

use super::{
    DbError, TenantTx,
    entity::object,
    ledger::LedgerObject,
    types::{At, signed},
};

/// Objects that snapshot `seq` needs and whose confirmed lock ends before `need`, or is not known: those after `after` by
/// hash, ascending, at most `limit` of them.
///
/// # Errors
/// When the database does not answer.
pub async fn short_after(
    tx: &TenantTx,
    source: SourceId,
    seq: u64,
    need: Timestamp,
    after: Option<ObjectHash>,
    limit: u32,
) -> Result<Vec<LedgerObject>, DbError> {
    // Materialized: ordering and limit would have the whole source read in the order of its hashes, for the few that are short.
    let sql = "WITH short AS MATERIALIZED (
                   SELECT hash FROM objects
                   WHERE source_id = $1 AND state = 'live' AND born <= $2 AND (dropped IS NULL OR dropped > $2)
                     AND (locked_until < $3 OR locked_until IS NULL)
               ), part AS MATERIALIZED (
                   SELECT hash FROM short WHERE hash > $4 ORDER BY hash LIMIT $5
               )
               SELECT o.* FROM part JOIN objects o ON o.source_id = $1 AND o.hash = part.hash ORDER BY o.hash";
    let values: [Value; 5] = [
        source.as_uuid().into(),
        signed("objects.born", seq)?.into(),
        At::try_from(need)?.into(),
        after
            .map_or_else(Vec::new, |hash| hash.as_bytes().to_vec())
            .into(),
        i64::from(limit).into(),
    ];
    let rows: Vec<object::Model> = tx.tx.rows(sql, values).await?;
    rows.into_iter().map(TryInto::try_into).collect()
}
