//! Storage accounts.

use jiff::Timestamp;
use sea_orm::{EntityTrait, QueryOrder};
use shared::ids::StorageAccountId;

use super::{DbError, TenantTx, entity::storage_account, insert};

/// An S3 endpoint with its sealed keys.
#[derive(Debug, Clone)]
pub struct StorageAccount {
    /// The storage account.
    pub id: StorageAccountId,
    /// Its name.
    pub name: String,
    /// The endpoint's address.
    pub endpoint: String,
    /// The region.
    pub region: String,
    /// The access key's id.
    pub access_key: String,
    /// The secret key, sealed with the master key.
    pub secret_sealed: Vec<u8>,
    /// Whether bucket names go into the path.
    pub path_style: bool,
}

impl From<storage_account::Model> for StorageAccount {
    fn from(row: storage_account::Model) -> Self {
        Self {
            id: StorageAccountId::from_uuid(row.id),
            name: row.name,
            endpoint: row.endpoint,
            region: row.region,
            access_key: row.access_key,
            secret_sealed: row.secret_sealed,
            path_style: row.path_style,
        }
    }
}

/// Adds a storage account.
///
/// # Errors
/// When the name is taken ([`DbError::is_duplicate`]) or the database does not answer.
pub async fn add(tx: &TenantTx, account: &StorageAccount, now: Timestamp) -> Result<(), DbError> {
    let account = account.clone();
    let row = storage_account::Model {
        id: account.id.as_uuid(),
        tenant_id: tx.tenant.as_uuid(),
        name: account.name,
        endpoint: account.endpoint,
        region: account.region,
        access_key: account.access_key,
        secret_sealed: account.secret_sealed,
        path_style: account.path_style,
        created_at: now.try_into()?,
    };
    insert(&tx.tx, row).await
}

/// Every storage account of the tenant, by name.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn all(tx: &TenantTx) -> Result<Vec<StorageAccount>, DbError> {
    let rows = storage_account::Entity::find()
        .order_by_asc(storage_account::Column::Name)
        .all(&tx.tx)
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// One storage account.
pub async fn find(tx: &TenantTx, id: StorageAccountId) -> Result<Option<StorageAccount>, DbError> {
    Ok(storage_account::Entity::find_by_id(id.as_uuid())
        .one(&tx.tx)
        .await?
        .map(Into::into))
}
