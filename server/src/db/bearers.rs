//! Hashes of bearers that were stored before there was a key: the key is put over them.

use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use uuid::Uuid;

use super::{DbError, TenantTx};
use crate::secrets::{Bearer, BearerKey};

#[derive(FromQueryResult)]
struct Row {
    id: Uuid,
    hash: Vec<u8>,
}

/// Puts the key over every hash of the tenant that has none yet. The secrets stay what they are. Gives the number of rows.
///
/// # Errors
/// When the database does not answer.
pub async fn key_all(tx: &TenantTx, key: &BearerKey) -> Result<usize, DbError> {
    let agents = key_table(tx, key, "agents", "credential_hash", Bearer::Credential).await?;
    let tokens = key_table(tx, key, "enrollment_tokens", "secret_hash", Bearer::Enrollment).await?;
    Ok(agents + tokens)
}

async fn key_table(
    tx: &TenantTx,
    key: &BearerKey,
    table: &'static str,
    column: &'static str,
    kind: Bearer,
) -> Result<usize, DbError> {
    let backend = tx.tx.get_database_backend();
    let unkeyed = format!("SELECT id, {column} AS hash FROM {table} WHERE NOT keyed FOR UPDATE");
    let rows = Row::find_by_statement(Statement::from_string(backend, unkeyed))
        .all(&tx.tx)
        .await?;
    let keyed = format!("UPDATE {table} SET {column} = $2, keyed = true WHERE id = $1");
    for row in &rows {
        let hash = key.over(kind, &row.hash).to_vec();
        let values = [row.id.into(), hash.into()];
        let update = Statement::from_sql_and_values(backend, &keyed, values);
        tx.tx.execute_raw(update).await?;
    }
    Ok(rows.len())
}
