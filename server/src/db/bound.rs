//! Which master key a database belongs to. All of this is asked as the schema's owner, before anything is changed.

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, TransactionTrait, Value};
use uuid::Uuid;

use super::DbError;
use crate::secrets::MasterKey;

async fn one(
    db: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<sea_orm::QueryResult>, DbError> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    Ok(db.query_one_raw(statement).await?)
}

async fn has_table(owner: &DatabaseConnection, table: &str) -> Result<bool, DbError> {
    let sql = "SELECT to_regclass($1) IS NOT NULL AS there";
    let row = one(owner, sql, [format!("public.{table}").into()]).await?;
    Ok(row
        .map(|row| row.try_get("", "there"))
        .transpose()?
        .unwrap_or(false))
}

/// Refuses a database that belongs to another master key. One that is not bound yet is judged by a secret that it keeps: versions
/// before this one bound nothing.
///
/// # Errors
/// [`DbError::OtherKey`], or when the database does not answer.
pub(super) async fn must_fit(owner: &DatabaseConnection, key: &MasterKey) -> Result<(), DbError> {
    if has_table(owner, "server_key").await?
        && let Some(row) = one(owner, "SELECT fingerprint FROM server_key", []).await?
    {
        let bound: String = row.try_get("", "fingerprint")?;
        return if bound == key.fingerprint() {
            Ok(())
        } else {
            Err(DbError::OtherKey)
        };
    }
    if !has_table(owner, "storage_accounts").await? {
        return Ok(());
    }
    match a_sealed_secret(owner).await? {
        Some((tenant, account, sealed)) if key.open(tenant, account, &sealed).is_err() => {
            Err(DbError::OtherKey)
        }
        _ => Ok(()),
    }
}

/// Some storage account's secret. Row-level security binds the owner too, so it is looked for tenant by tenant.
async fn a_sealed_secret(owner: &DatabaseConnection) -> Result<Option<(Uuid, Uuid, Vec<u8>)>, DbError> {
    let tx = owner.begin().await?;
    one(&tx, "SELECT set_config('app.instance', 'on', true)", []).await?;
    let tenants = Statement::from_string(tx.get_database_backend(), "SELECT id FROM tenants");
    for tenant in tx.query_all_raw(tenants).await? {
        let tenant: Uuid = tenant.try_get("", "id")?;
        let set = "SELECT set_config('app.tenant_id', $1, true)";
        one(&tx, set, [tenant.to_string().into()]).await?;
        let sql = "SELECT id, secret_sealed FROM storage_accounts WHERE tenant_id = $1 LIMIT 1";
        if let Some(row) = one(&tx, sql, [tenant.into()]).await? {
            return Ok(Some((
                tenant,
                row.try_get("", "id")?,
                row.try_get("", "secret_sealed")?,
            )));
        }
    }
    Ok(None)
}

/// Binds the database to its master key, once.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn bind(owner: &DatabaseConnection, key: &MasterKey) -> Result<(), DbError> {
    let sql = "INSERT INTO server_key (fingerprint) VALUES ($1) ON CONFLICT DO NOTHING";
    let values = [key.fingerprint().into()];
    let statement = Statement::from_sql_and_values(owner.get_database_backend(), sql, values);
    owner.execute_raw(statement).await?;
    Ok(())
}
