//! What the operators of the instance have to know.

use jiff::Timestamp;
use sea_orm::FromQueryResult;
use shared::{
    api::notice::{Notice, NoticeKind},
    ids::NoticeId,
};
use uuid::Uuid;

use super::{
    DbError, InstanceTx,
    types::{At, from_text, to_text},
};

/// Adds a notice.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn add(tx: &InstanceTx, id: NoticeId, kind: NoticeKind, now: Timestamp) -> Result<(), DbError> {
    let sql = "INSERT INTO instance_notices (id, kind, found_at) VALUES ($1, $2, $3)";
    let values = [
        id.as_uuid().into(),
        to_text(&kind)?.into(),
        At::try_from(now)?.into(),
    ];
    tx.tx.run(sql, values).await?;
    Ok(())
}

/// The notices that nobody has dealt with, the newest first, at most `limit`.
pub async fn open(tx: &InstanceTx, limit: u32) -> Result<Vec<Notice>, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        id: Uuid,
        kind: String,
        found_at: At,
    }
    let sql = "SELECT id, kind, found_at FROM instance_notices WHERE settled_at IS NULL
               ORDER BY found_at DESC, id DESC LIMIT $1";
    let values = [i64::from(limit).into()];
    let rows: Vec<Row> = tx.tx.rows(sql, values).await?;
    rows.into_iter()
        .map(|row| {
            let kind: NoticeKind = from_text("instance_notices.kind", row.kind)?;
            Ok(Notice {
                id: NoticeId::from_uuid(row.id),
                kind,
                found_at: row.found_at.try_into()?,
                text: kind.text().to_owned(),
            })
        })
        .collect()
}

/// Notes who has dealt with a notice; `false` when there is no such open notice.
pub async fn settle(tx: &InstanceTx, id: NoticeId, by: &str, now: Timestamp) -> Result<bool, DbError> {
    let sql = "UPDATE instance_notices SET settled_at = $2, settled_by = $3
               WHERE id = $1 AND settled_at IS NULL";
    let values = [id.as_uuid().into(), At::try_from(now)?.into(), by.into()];
    Ok(tx.tx.run(sql, values).await? == 1)
}
