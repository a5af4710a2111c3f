//! The audit log: who did what, when. The server's role can add to it and read it, and nothing else. The time that is kept is
//! the database's, whatever is written: a trigger sets it.

use jiff::Timestamp;
use sea_orm::{ConnectionTrait, Statement};
use uuid::Uuid;

use super::{DbError, InstanceTx, TenantTx, tx::Tx, types::At};

/// Something that somebody did.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// E-mail address, agent id, or `system`.
    pub actor: &'a str,
    /// What, such as `backup_set.create`.
    pub action: &'static str,
    /// To what: an id or a name.
    pub subject: String,
    /// Particulars, without secrets.
    pub detail: serde_json::Value,
}

/// Adds an event to a tenant's log, in the transaction of what it tells of.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn add(tx: &TenantTx, event: Event<'_>, now: Timestamp) -> Result<(), DbError> {
    write(&tx.tx, Some(tx.tenant.as_uuid()), event, now).await
}

/// Adds an event to the instance's log.
pub async fn add_instance(tx: &InstanceTx, event: Event<'_>, now: Timestamp) -> Result<(), DbError> {
    write(&tx.tx, None, event, now).await
}

async fn write(tx: &Tx, tenant: Option<Uuid>, event: Event<'_>, now: Timestamp) -> Result<(), DbError> {
    let sql = "INSERT INTO audit_events (tenant_id, at, actor, action, subject, detail)
               VALUES ($1, $2, $3, $4, $5, $6)";
    let values = [
        tenant.into(),
        At::try_from(now)?.into(),
        event.actor.into(),
        event.action.into(),
        event.subject.into(),
        event.detail.into(),
    ];
    tx.execute_raw(Statement::from_sql_and_values(
        tx.get_database_backend(),
        sql,
        values,
    ))
    .await?;
    Ok(())
}
