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
    let agents = "SELECT id, credential_hash AS hash FROM agents WHERE NOT keyed FOR UPDATE";
    let agents = key_rows(tx, key, Bearer::Credential, agents, "app_key_credential").await?;
    let tokens = "SELECT id, secret_hash AS hash FROM enrollment_tokens WHERE NOT keyed FOR UPDATE";
    let tokens = key_rows(tx, key, Bearer::Enrollment, tokens, "app_key_token").await?;
    Ok(agents + tokens)
}

/// The server's role may not write these columns: `function` does, for rows without a key only.
async fn key_rows(
    tx: &TenantTx,
    key: &BearerKey,
    kind: Bearer,
    unkeyed: &'static str,
    function: &'static str,
) -> Result<usize, DbError> {
    let backend = tx.tx.get_database_backend();
    let rows = Row::find_by_statement(Statement::from_string(backend, unkeyed))
        .all(&tx.tx)
        .await?;
    let keyed = format!("SELECT {function}($1, $2)");
    for row in &rows {
        let hash = key.over(kind, &row.hash).to_vec();
        let values = [row.id.into(), hash.into()];
        let update = Statement::from_sql_and_values(backend, &keyed, values);
        tx.tx.execute_raw(update).await?;
    }
    Ok(rows.len())
}
