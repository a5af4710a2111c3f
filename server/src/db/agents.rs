//! Enrolled endpoints.

use jiff::Timestamp;
use repository::identity::AgentPublicKey;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::LockType,
};
use shared::{
    ids::{AgentId, BackupSetId},
    machines::Machines,
};
use uuid::Uuid;

use super::{
    DbError, TenantTx,
    entity::agent,
    insert,
    sources::Source,
    types::{from_json, optional_time, to_json},
};

/// An enrolled endpoint.
#[derive(Debug, Clone)]
pub struct Agent {
    /// The agent.
    pub id: AgentId,
    /// The backup set that it was enrolled for.
    pub backup_set_id: BackupSetId,
    /// The host name that it told.
    pub hostname: String,
    /// The operating system that it told.
    pub os: String,
    /// The agent's version.
    pub version: String,
    /// Ed25519 public key that its manifests are signed with.
    pub signing_key: AgentPublicKey,
    /// Keyed hash of the secret part of its credential.
    pub credential_hash: Vec<u8>,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// When it last called.
    pub last_seen_at: Option<Timestamp>,
    /// The enrollment token that it was made with.
    pub token_id: Option<Uuid>,
    /// Which machines its calls came from.
    pub machines: Machines,
}

impl TryFrom<agent::Model> for Agent {
    type Error = DbError;

    fn try_from(row: agent::Model) -> Result<Self, DbError> {
        Ok(Self {
            id: AgentId::from_uuid(row.id),
            backup_set_id: BackupSetId::from_uuid(row.backup_set_id),
            hostname: row.hostname,
            os: row.os,
            version: row.version,
            signing_key: AgentPublicKey::from_hex(&row.signing_key)
                .map_err(|error| DbError::corrupt("agents.signing_key", error))?,
            credential_hash: row.credential_hash,
            enrolled_at: row.enrolled_at.try_into()?,
            last_seen_at: optional_time(row.last_seen_at)?,
            token_id: row.token_id,
            machines: row
                .machines
                .map(|json| from_json("agents.machines", json))
                .transpose()?
                .unwrap_or_default(),
        })
    }
}

/// Adds an agent.
///
/// # Errors
/// When the database does not answer; likewise below.
pub async fn add(tx: &TenantTx, agent: &Agent) -> Result<(), DbError> {
    let row = agent::Model {
        id: agent.id.as_uuid(),
        tenant_id: tx.tenant.as_uuid(),
        backup_set_id: agent.backup_set_id.as_uuid(),
        hostname: agent.hostname.clone(),
        os: agent.os.clone(),
        version: agent.version.clone(),
        signing_key: agent.signing_key.to_hex(),
        credential_hash: agent.credential_hash.clone(),
        keyed: true,
        enrolled_at: agent.enrolled_at.try_into()?,
        last_seen_at: None,
        token_id: agent.token_id,
        machines: None,
    };
    insert(&tx.tx, row).await
}

/// One agent.
pub async fn find(tx: &TenantTx, id: AgentId) -> Result<Option<Agent>, DbError> {
    tx.tx.record(agent::Entity::find_by_id(id.as_uuid())).await
}

/// One agent, its row locked until this transaction ends.
pub async fn lock(tx: &TenantTx, id: AgentId) -> Result<Option<Agent>, DbError> {
    let query = agent::Entity::find_by_id(id.as_uuid()).lock(LockType::NoKeyUpdate);
    tx.tx.record(query).await
}

/// Writes which machines its calls came from.
pub async fn set_machines(tx: &TenantTx, id: AgentId, machines: &Machines) -> Result<(), DbError> {
    let change = agent::ActiveModel {
        id: Set(id.as_uuid()),
        machines: Set(Some(to_json(machines)?)),
        ..Default::default()
    };
    change.update(&tx.tx).await?;
    Ok(())
}

/// The agent that was made with an enrollment token.
pub async fn of_token(tx: &TenantTx, token: Uuid) -> Result<Option<Agent>, DbError> {
    let query = agent::Entity::find().filter(agent::Column::TokenId.eq(token));
    tx.tx.record(query).await
}

/// The agent of a source. A foreign key keeps it.
pub async fn of_source(tx: &TenantTx, source: &Source) -> Result<Agent, DbError> {
    let agent = find(tx, source.agent_id).await?;
    agent.ok_or_else(|| DbError::corrupt("sources.agent_id", source.agent_id))
}

/// Every agent of the tenant, by host name.
pub async fn all(tx: &TenantTx) -> Result<Vec<Agent>, DbError> {
    let query = agent::Entity::find().order_by_asc(agent::Column::Hostname);
    tx.tx.records(query).await
}

/// Notes that the agent called.
pub async fn seen(tx: &TenantTx, id: AgentId, now: Timestamp) -> Result<(), DbError> {
    let change = agent::ActiveModel {
        id: Set(id.as_uuid()),
        last_seen_at: Set(Some(now.try_into()?)),
        ..Default::default()
    };
    change.update(&tx.tx).await?;
    Ok(())
}

/// How many there are in the tenant.
pub async fn count(tx: &TenantTx) -> Result<u64, DbError> {
    Ok(agent::Entity::find().count(&tx.tx).await?)
}
