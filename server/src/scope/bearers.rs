//! The ways to a scope that need no person: a credential, a token, a job.

use shared::{
    ids::{AgentId, TenantId},
    limits::Limit,
};
use uuid::Uuid;

use super::tenant::TenantScope;
use crate::{
    db::{self, Db, DbError, agents::Agent, enrollment::EnrollmentToken, jobs::ClaimedJob},
    error::ApiError,
    secrets::{Bearer, BearerKey},
};

impl TenantScope {
    /// The scope of a claimed job: it was queued under this tenant.
    #[must_use]
    pub fn of_job(job: &ClaimedJob) -> Self {
        Self::new(job.tenant)
    }

    /// The scopes of all tenants, for the server's own periodic work.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn all(db: &Db) -> Result<Vec<Self>, DbError> {
        let tx = db.instance().await?;
        Ok(db::tenants::all(&tx)
            .await?
            .into_iter()
            .map(|tenant| Self::new(tenant.id))
            .collect())
    }
}

/// An agent that has proven itself by its credential.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its tenant.
    pub scope: TenantScope,
    /// The agent.
    pub agent: Agent,
    /// Only this module makes one.
    _proven: Proven,
}

#[derive(Debug, Clone)]
struct Proven;

/// The three parts of a bearer text: `<prefix>_<tenant>_<row>_<secret>`. The tenant in it is a claim that opens
/// the right scope; the secret proves it.
struct BearerText<'a> {
    tenant: TenantId,
    row: Uuid,
    secret: &'a str,
}

fn parse_bearer<'a>(prefix: &str, text: &'a str) -> Option<BearerText<'a>> {
    if text.len() > Limit::TokenText.max() {
        return None;
    }
    let (tenant, rest) = text.strip_prefix(prefix)?.strip_prefix('_')?.split_once('_')?;
    let (row, secret) = rest.split_once('_')?;
    Some(BearerText {
        tenant: TenantId::from_uuid(Uuid::try_parse(tenant).ok()?),
        row: Uuid::try_parse(row).ok()?,
        secret,
    })
}

/// Writes a bearer text that [`authorise_agent`] or [`authorise_enrollment`] reads.
#[must_use]
pub fn bearer_text(prefix: &str, tenant: TenantId, row: Uuid, secret: &str) -> String {
    format!("{prefix}_{}_{}_{secret}", tenant.as_uuid().simple(), row.simple())
}

/// Prefix of an agent's credential.
pub const CREDENTIAL_PREFIX: &str = "hfa";
/// Prefix of an enrollment token.
pub const ENROLLMENT_PREFIX: &str = "hfe";

/// Authorises an agent by its credential.
///
/// # Errors
/// `SignInNeeded` for anything but a valid credential, without saying which part was wrong.
pub async fn authorise_agent(db: &Db, key: &BearerKey, credential: &str) -> Result<Caller, ApiError> {
    let bearer = parse_bearer(CREDENTIAL_PREFIX, credential).ok_or(ApiError::SignInNeeded)?;
    let scope = TenantScope::new(bearer.tenant);
    let tx = db.tenant(&scope).await?;
    match db::agents::find(&tx, AgentId::from_uuid(bearer.row)).await? {
        Some(agent) if key.matches(Bearer::Credential, bearer.secret, &agent.credential_hash) => Ok(Caller {
            scope,
            agent,
            _proven: Proven,
        }),
        _ => Err(ApiError::SignInNeeded),
    }
}

/// Authorises an enrollment token. One that was used is still taken from the agent that it made, until that has called with its
/// credential: the answer to its enrollment may have been lost.
///
/// # Errors
/// `Invalid` for anything but such a token, without saying which part was wrong.
pub async fn authorise_enrollment(
    db: &Db,
    key: &BearerKey,
    token: &str,
    now: jiff::Timestamp,
) -> Result<(TenantScope, EnrollmentToken), ApiError> {
    let refused = || {
        ApiError::invalid(
            "enrollment_token",
            "This enrollment token is not valid, was used already, or has run out. Make a new one in the console.",
        )
    };
    let bearer = parse_bearer(ENROLLMENT_PREFIX, token).ok_or_else(refused)?;
    let scope = TenantScope::new(bearer.tenant);
    let tx = db.tenant(&scope).await?;
    let row = db::enrollment::find(&tx, bearer.row).await?;
    let row = row
        .filter(|row| {
            key.matches(Bearer::Enrollment, bearer.secret, &row.secret_hash) && row.expires_at > now
        })
        .ok_or_else(refused)?;
    if row.used_at.is_some() {
        let agent = db::agents::of_token(&tx, row.id).await?;
        if agent.is_none_or(|agent| agent.last_seen_at.is_some()) {
            return Err(refused());
        }
    }
    drop(tx);
    Ok((scope, row))
}
