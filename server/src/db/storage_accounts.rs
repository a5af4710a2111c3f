//! Storage accounts.

use jiff::Timestamp;
use sea_orm::{EntityTrait, PaginatorTrait, QueryOrder};
use shared::{ids::StorageAccountId, retention::Provider};

use super::{
    DbError, TenantTx,
    entity::storage_account,
    insert,
    types::{from_json, to_json},
};

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
    /// What it can do and what it asks for it; `None` while nobody has found out.
    pub provider: Option<Provider>,
}

impl TryFrom<storage_account::Model> for StorageAccount {
    type Error = DbError;

    fn try_from(row: storage_account::Model) -> Result<Self, DbError> {
        Ok(Self {
            id: StorageAccountId::from_uuid(row.id),
            name: row.name,
            endpoint: row.endpoint,
            region: row.region,
            access_key: row.access_key,
            secret_sealed: row.secret_sealed,
            path_style: row.path_style,
            provider: row
                .provider
                .map(|json| from_json("storage_accounts.provider", json))
                .transpose()?,
        })
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
        provider: account.provider.as_ref().map(to_json).transpose()?,
        created_at: now.try_into()?,
    };
    insert(&tx.tx, row).await
}

/// Every storage account of the tenant, by name.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn all(tx: &TenantTx) -> Result<Vec<StorageAccount>, DbError> {
    let query = storage_account::Entity::find().order_by_asc(storage_account::Column::Name);
    tx.tx.records(query).await
}

/// One storage account.
pub async fn find(tx: &TenantTx, id: StorageAccountId) -> Result<Option<StorageAccount>, DbError> {
    tx.tx
        .record(storage_account::Entity::find_by_id(id.as_uuid()))
        .await
}

/// How many there are in the tenant.
pub async fn count(tx: &TenantTx) -> Result<u64, DbError> {
    Ok(storage_account::Entity::find().count(&tx.tx).await?)
}
