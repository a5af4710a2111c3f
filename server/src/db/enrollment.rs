//! Enrollment tokens: one endpoint each, once, for a while.

use jiff::Timestamp;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, sea_query::Expr};
use shared::ids::BackupSetId;
use uuid::Uuid;

use super::{
    DbError, TenantTx,
    entity::enrollment_token,
    insert,
    types::{At, optional_time},
};

/// An enrollment token; the secret itself is not kept.
#[derive(Debug, Clone)]
pub struct EnrollmentToken {
    /// The row, which is part of the token's text.
    pub id: Uuid,
    /// Where the endpoint's backups go.
    pub backup_set_id: BackupSetId,
    /// Keyed hash of the secret part.
    pub secret_hash: Vec<u8>,
    /// Who made it.
    pub created_by: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
}

/// Adds a token.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn add(tx: &TenantTx, token: &EnrollmentToken, now: Timestamp) -> Result<(), DbError> {
    let row = enrollment_token::Model {
        id: token.id,
        tenant_id: tx.tenant.as_uuid(),
        backup_set_id: token.backup_set_id.as_uuid(),
        secret_hash: token.secret_hash.clone(),
        keyed: true,
        created_by: token.created_by.clone(),
        created_at: now.try_into()?,
        expires_at: token.expires_at.try_into()?,
        used_at: None,
    };
    insert(&tx.tx, row).await
}

/// One token.
pub async fn find(tx: &TenantTx, id: Uuid) -> Result<Option<EnrollmentToken>, DbError> {
    let row = enrollment_token::Entity::find_by_id(id).one(&tx.tx).await?;
    row.map(|row| {
        Ok(EnrollmentToken {
            id: row.id,
            backup_set_id: BackupSetId::from_uuid(row.backup_set_id),
            secret_hash: row.secret_hash,
            created_by: row.created_by,
            expires_at: row.expires_at.try_into()?,
            used_at: optional_time(row.used_at)?,
        })
    })
    .transpose()
}

/// Marks a token as used; `false` when somebody else was faster.
pub async fn use_up(tx: &TenantTx, id: Uuid, now: Timestamp) -> Result<bool, DbError> {
    let done = enrollment_token::Entity::update_many()
        .col_expr(enrollment_token::Column::UsedAt, Expr::value(At::try_from(now)?))
        .filter(enrollment_token::Column::Id.eq(id))
        .filter(enrollment_token::Column::UsedAt.is_null())
        .exec(&tx.tx)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Ends every token that was not used yet.
pub async fn end_all(tx: &TenantTx, now: Timestamp) -> Result<(), DbError> {
    enrollment_token::Entity::update_many()
        .col_expr(
            enrollment_token::Column::ExpiresAt,
            Expr::value(At::try_from(now)?),
        )
        .filter(enrollment_token::Column::UsedAt.is_null())
        .filter(enrollment_token::Column::ExpiresAt.gt(At::try_from(now)?))
        .exec(&tx.tx)
        .await?;
    Ok(())
}

/// How many tokens of the tenant can still be used.
pub async fn count_open(tx: &TenantTx, now: Timestamp) -> Result<u64, DbError> {
    let open = enrollment_token::Entity::find()
        .filter(enrollment_token::Column::UsedAt.is_null())
        .filter(enrollment_token::Column::ExpiresAt.gt(At::try_from(now)?));
    Ok(open.count(&tx.tx).await?)
}
