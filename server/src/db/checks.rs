//! Periodic comparisons of buckets with the ledger: when they are due, what they counted, what they found.

use std::collections::HashMap;

use jiff::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, FromQueryResult, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::OnConflict,
};
use shared::{
    api::view::{BucketCheckReport, BucketFindingKind, BucketFindingView},
    ids::{BackupSetId, SourceId},
};
use uuid::Uuid;

use super::{
    DbError, TenantTx,
    entity::{bucket_check, bucket_finding},
    ledger::ROWS_PER_STATEMENT,
    types::{At, from_json, from_text, optional_time, to_json, to_text},
};

/// One check of one backup set.
#[derive(Debug, Clone)]
pub struct BucketCheck {
    /// The backup set.
    pub backup_set_id: BackupSetId,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it counted.
    pub report: BucketCheckReport,
}

impl TryFrom<bucket_check::Model> for BucketCheck {
    type Error = DbError;

    fn try_from(row: bucket_check::Model) -> Result<Self, DbError> {
        Ok(Self {
            backup_set_id: BackupSetId::from_uuid(row.backup_set_id),
            began_at: row.began_at.try_into()?,
            ended_at: row.ended_at.try_into()?,
            report: from_json("bucket_checks.report", row.report)?,
        })
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFinding {
    /// What it is.
    pub kind: BucketFindingKind,
    /// The source.
    pub source_id: SourceId,
    /// The key.
    pub key: String,
    /// The version.
    pub version_id: String,
    /// Whether a kept snapshot needs the object.
    pub needed: bool,
    /// Particulars, for people.
    pub detail: String,
}

/// The backup sets whose check is due, or was never planned (`None`).
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn due(tx: &TenantTx, now: Timestamp) -> Result<Vec<(BackupSetId, Option<Timestamp>)>, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        id: Uuid,
        next_check_at: Option<At>,
    }
    let sql = "SELECT id, next_check_at FROM backup_sets
               WHERE next_check_at IS NULL OR next_check_at <= $1 ORDER BY id";
    let values = [At::try_from(now)?.into()];
    let rows: Vec<Row> = tx.tx.rows(sql, values).await?;
    rows.into_iter()
        .map(|row| Ok((BackupSetId::from_uuid(row.id), optional_time(row.next_check_at)?)))
        .collect()
}

/// Keeps when a set is checked next.
pub async fn set_next(tx: &TenantTx, set: BackupSetId, at: Timestamp) -> Result<(), DbError> {
    let sql = "UPDATE backup_sets SET next_check_at = $2 WHERE id = $1";
    let values = [set.as_uuid().into(), At::try_from(at)?.into()];
    tx.tx.run(sql, values).await?;
    Ok(())
}

/// Keeps a check. The one before it goes when both broke off for the same reason: a day without the store is one row.
pub async fn add(tx: &TenantTx, check: &BucketCheck) -> Result<(), DbError> {
    if let Some((id, before)) = newest_row(tx, check.backup_set_id).await?
        && check.report.refused.is_some()
        && before.report.refused == check.report.refused
    {
        bucket_check::Entity::delete_by_id(id).exec(&tx.tx).await?;
    }
    let row = bucket_check::ActiveModel {
        id: NotSet,
        tenant_id: Set(tx.tenant.as_uuid()),
        backup_set_id: Set(check.backup_set_id.as_uuid()),
        began_at: Set(check.began_at.try_into()?),
        ended_at: Set(check.ended_at.try_into()?),
        report: Set(to_json(&check.report)?),
    };
    bucket_check::Entity::insert(row)
        .exec_without_returning(&tx.tx)
        .await?;
    Ok(())
}

async fn newest_row(tx: &TenantTx, set: BackupSetId) -> Result<Option<(i64, BucketCheck)>, DbError> {
    let row = bucket_check::Entity::find()
        .filter(bucket_check::Column::BackupSetId.eq(set.as_uuid()))
        .order_by_desc(bucket_check::Column::Id)
        .one(&tx.tx)
        .await?;
    row.map(|row| Ok((row.id, row.try_into()?))).transpose()
}

/// The newest check of a set.
pub async fn newest(tx: &TenantTx, set: BackupSetId) -> Result<Option<BucketCheck>, DbError> {
    Ok(newest_row(tx, set).await?.map(|(_, check)| check))
}

/// The newest check of each backup set of the tenant.
pub async fn newest_of_all(tx: &TenantTx) -> Result<HashMap<BackupSetId, BucketCheck>, DbError> {
    let sql = "SELECT DISTINCT ON (backup_set_id) * FROM bucket_checks ORDER BY backup_set_id, id DESC";
    let rows: Vec<bucket_check::Model> = tx.tx.rows(sql, []).await?;
    rows.into_iter()
        .map(|row| BucketCheck::try_from(row).map(|check| (check.backup_set_id, check)))
        .collect()
}

/// Keeps what a whole check of a set found at `now`, and since when; what it no longer found goes.
pub async fn set_findings(
    tx: &TenantTx,
    set: BackupSetId,
    findings: &[NewFinding],
    now: Timestamp,
) -> Result<(), DbError> {
    use bucket_finding::Column;
    for part in findings.chunks(ROWS_PER_STATEMENT) {
        let rows = part
            .iter()
            .map(|finding| {
                Ok(bucket_finding::Model {
                    source_id: finding.source_id.as_uuid(),
                    key: finding.key.clone(),
                    version_id: finding.version_id.clone(),
                    kind: to_text(&finding.kind)?,
                    tenant_id: tx.tenant.as_uuid(),
                    backup_set_id: set.as_uuid(),
                    needed: finding.needed,
                    detail: finding.detail.clone(),
                    first_seen_at: now.try_into()?,
                    last_seen_at: now.try_into()?,
                }
                .into_active_model())
            })
            .collect::<Result<Vec<_>, DbError>>()?;
        let again = OnConflict::columns([Column::SourceId, Column::Key, Column::VersionId, Column::Kind])
            .update_columns([Column::Needed, Column::Detail, Column::LastSeenAt])
            .to_owned();
        bucket_finding::Entity::insert_many(rows)
            .on_conflict(again)
            .exec_without_returning(&tx.tx)
            .await?;
    }
    bucket_finding::Entity::delete_many()
        .filter(Column::BackupSetId.eq(set.as_uuid()))
        .filter(Column::LastSeenAt.ne(At::try_from(now)?))
        .exec(&tx.tx)
        .await?;
    Ok(())
}

/// What is not as it should be in a set's bucket, at most `limit` if one is given; what a kept snapshot needs first.
pub async fn findings(
    tx: &TenantTx,
    set: BackupSetId,
    limit: Option<u64>,
) -> Result<Vec<BucketFindingView>, DbError> {
    use bucket_finding::Column;
    let query = bucket_finding::Entity::find()
        .filter(Column::BackupSetId.eq(set.as_uuid()))
        .order_by_desc(Column::Needed)
        .order_by_asc(Column::FirstSeenAt)
        .order_by_asc(Column::Key)
        .order_by_asc(Column::VersionId)
        .limit(limit);
    let rows = query.all(&tx.tx).await?;
    let mut found = rows
        .into_iter()
        .map(|row| {
            Ok(BucketFindingView {
                kind: from_text("bucket_findings.kind", row.kind)?,
                source_id: SourceId::from_uuid(row.source_id),
                key: row.key,
                version_id: row.version_id,
                needed: row.needed,
                detail: row.detail,
                first_seen_at: row.first_seen_at.try_into()?,
                last_seen_at: row.last_seen_at.try_into()?,
            })
        })
        .collect::<Result<Vec<_>, DbError>>()?;
    found.sort_by_key(|finding| (!finding.needed, finding.kind));
    Ok(found)
}
