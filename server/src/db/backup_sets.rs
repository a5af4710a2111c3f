//! Backup sets.

use jiff::Timestamp;
use repository::recovery::RecoveryPublicKey;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, EntityTrait, PaginatorTrait, QueryOrder, QuerySelect,
    sea_query::LockType,
};
use shared::{
    api::view::BucketInspection,
    ids::{BackupSetId, StorageAccountId},
    retention::{LockAhead, Policy},
};

use super::{
    DbError, TenantTx,
    entity::backup_set,
    insert,
    types::{from_json, from_text, optional_time, to_json, to_text},
};

/// A bucket, prefix and policy.
#[derive(Debug, Clone)]
pub struct BackupSet {
    /// The backup set.
    pub id: BackupSetId,
    /// Where the bucket is.
    pub storage_account_id: StorageAccountId,
    /// Its name.
    pub name: String,
    /// The bucket.
    pub bucket: String,
    /// What every key begins with.
    pub prefix: String,
    /// The immutable retention policy.
    pub policy: Policy,
    /// What agents seal to.
    pub recovery_key: RecoveryPublicKey,
    /// What the last look into the bucket found.
    pub inspection: Option<BucketInspection>,
    /// When S3 was seen to refuse to shorten a COMPLIANCE lock of this set.
    pub compliance_proven_at: Option<Timestamp>,
    /// When that was last tried.
    pub compliance_tried_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl TryFrom<backup_set::Model> for BackupSet {
    type Error = DbError;

    fn try_from(row: backup_set::Model) -> Result<Self, DbError> {
        let count = |value: i32| u32::try_from(value).map_err(|_| DbError::corrupt("backup_sets", value));
        Ok(Self {
            id: BackupSetId::from_uuid(row.id),
            storage_account_id: StorageAccountId::from_uuid(row.storage_account_id),
            name: row.name,
            bucket: row.bucket,
            prefix: row.prefix,
            policy: Policy {
                retention_days: count(row.retention_days)?,
                mode: from_text("backup_sets.mode", row.mode)?,
                time_zone: row.time_zone,
                tiers: from_json("backup_sets.tiers", row.tiers)?,
                keep_last: count(row.keep_last)?,
                lock_ahead: match row.lock_ahead_days {
                    Some(days) => LockAhead::Days(count(days)?),
                    None => LockAhead::Auto,
                },
                grace_hours: count(row.grace_hours)?,
                lock_cap_days: count(row.lock_cap_days)?,
            },
            recovery_key: RecoveryPublicKey::parse(&row.recovery_key)
                .map_err(|error| DbError::corrupt("backup_sets.recovery_key", error))?,
            inspection: row
                .inspection
                .map(|json| from_json("backup_sets.inspection", json))
                .transpose()?,
            compliance_proven_at: optional_time(row.compliance_proven_at)?,
            compliance_tried_at: optional_time(row.compliance_tried_at)?,
            created_at: row.created_at.try_into()?,
        })
    }
}

/// Adds a backup set.
///
/// # Errors
/// When the name is taken ([`DbError::is_duplicate`]) or the database does not answer.
pub async fn add(tx: &TenantTx, set: &BackupSet) -> Result<(), DbError> {
    let count = |value: u32| i32::try_from(value).map_err(|_| DbError::corrupt("backup_sets", value));
    let row = backup_set::Model {
        id: set.id.as_uuid(),
        tenant_id: tx.tenant.as_uuid(),
        storage_account_id: set.storage_account_id.as_uuid(),
        name: set.name.clone(),
        bucket: set.bucket.clone(),
        prefix: set.prefix.clone(),
        retention_days: count(set.policy.retention_days)?,
        mode: to_text(&set.policy.mode)?,
        time_zone: set.policy.time_zone.clone(),
        tiers: to_json(&set.policy.tiers)?,
        keep_last: count(set.policy.keep_last)?,
        lock_ahead_days: match set.policy.lock_ahead {
            LockAhead::Days(days) => Some(count(days)?),
            LockAhead::Auto => None,
        },
        grace_hours: count(set.policy.grace_hours)?,
        lock_cap_days: count(set.policy.lock_cap_days)?,
        recovery_key: set.recovery_key.to_string(),
        inspection: set.inspection.as_ref().map(to_json).transpose()?,
        compliance_proven_at: set.compliance_proven_at.map(TryInto::try_into).transpose()?,
        compliance_tried_at: set.compliance_tried_at.map(TryInto::try_into).transpose()?,
        created_at: set.created_at.try_into()?,
    };
    insert(&tx.tx, row).await
}

/// Every backup set of the tenant, by name.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn all(tx: &TenantTx) -> Result<Vec<BackupSet>, DbError> {
    let query = backup_set::Entity::find().order_by_asc(backup_set::Column::Name);
    tx.tx.records(query).await
}

/// One backup set.
pub async fn find(tx: &TenantTx, id: BackupSetId) -> Result<Option<BackupSet>, DbError> {
    tx.tx.record(backup_set::Entity::find_by_id(id.as_uuid())).await
}

/// Locks a backup set's row until this transaction ends: its checks and findings are changed behind it.
pub async fn lock(tx: &TenantTx, id: BackupSetId) -> Result<(), DbError> {
    backup_set::Entity::find_by_id(id.as_uuid())
        .lock(LockType::NoKeyUpdate)
        .one(&tx.tx)
        .await?;
    Ok(())
}

/// Keeps what a look into the bucket found.
pub async fn set_inspection(tx: &TenantTx, id: BackupSetId, found: &BucketInspection) -> Result<(), DbError> {
    let change = backup_set::ActiveModel {
        id: Set(id.as_uuid()),
        inspection: Set(Some(to_json(found)?)),
        ..Default::default()
    };
    change.update(&tx.tx).await?;
    Ok(())
}

/// Keeps what a trial to shorten a COMPLIANCE lock showed at `now`.
pub async fn set_compliance_trial(
    tx: &TenantTx,
    id: BackupSetId,
    is_enforced: bool,
    now: Timestamp,
) -> Result<(), DbError> {
    let change = backup_set::ActiveModel {
        id: Set(id.as_uuid()),
        compliance_tried_at: Set(Some(now.try_into()?)),
        compliance_proven_at: Set(is_enforced.then(|| now.try_into()).transpose()?),
        ..Default::default()
    };
    change.update(&tx.tx).await?;
    Ok(())
}

/// How many there are in the tenant.
pub async fn count(tx: &TenantTx) -> Result<u64, DbError> {
    Ok(backup_set::Entity::find().count(&tx.tx).await?)
}
