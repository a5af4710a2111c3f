//! Tenants, and who may touch them.

use jiff::Timestamp;
use sea_orm::{EntityTrait, QueryOrder};
use serde::Deserialize;
use shared::ids::TenantId;

use super::{
    DbError, InstanceTx, TenantTx, UserTx,
    entity::{membership, tenant},
    insert,
    types::from_text,
};

/// A tenant.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// The tenant.
    pub id: TenantId,
    /// Its name.
    pub name: String,
}

impl From<tenant::Model> for Tenant {
    fn from(row: tenant::Model) -> Self {
        Self {
            id: TenantId::from_uuid(row.id),
            name: row.name,
        }
    }
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, members included.
    Owner,
    /// Everything but members.
    Technician,
    /// Look.
    Auditor,
}

/// Adds a tenant.
///
/// # Errors
/// When the name is taken ([`DbError::is_duplicate`]) or the database does not answer.
pub async fn add(tx: &InstanceTx, tenant: &Tenant, now: Timestamp) -> Result<(), DbError> {
    let row = tenant::Model {
        id: tenant.id.as_uuid(),
        name: tenant.name.clone(),
        created_at: now.try_into()?,
    };
    insert(&tx.tx, row).await
}

/// Every tenant, by name.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn all(tx: &InstanceTx) -> Result<Vec<Tenant>, DbError> {
    let rows = tenant::Entity::find()
        .order_by_asc(tenant::Column::Name)
        .all(&tx.tx)
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The tenants of which the user is a member, by name: row-level security shows no others.
pub async fn of_user(tx: &UserTx) -> Result<Vec<Tenant>, DbError> {
    let rows = tenant::Entity::find()
        .order_by_asc(tenant::Column::Name)
        .all(&tx.tx)
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Whether there is such a tenant.
pub async fn exists(tx: &InstanceTx, id: TenantId) -> Result<bool, DbError> {
    Ok(tenant::Entity::find_by_id(id.as_uuid())
        .one(&tx.tx)
        .await?
        .is_some())
}

/// The user's role in a tenant.
pub async fn role(tx: &UserTx, tenant: TenantId) -> Result<Option<Role>, DbError> {
    let key = (tenant.as_uuid(), tx.user.as_uuid());
    let row = membership::Entity::find_by_id(key).one(&tx.tx).await?;
    row.map(|row| from_text("memberships.role", row.role)).transpose()
}

/// The tenant of this transaction.
pub async fn current(tx: &TenantTx) -> Result<Option<Tenant>, DbError> {
    Ok(tenant::Entity::find_by_id(tx.tenant.as_uuid())
        .one(&tx.tx)
        .await?
        .map(Into::into))
}
