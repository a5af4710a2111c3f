//! Enrollment: a one-time token makes an endpoint an agent.

use std::net::IpAddr;

use http::Uri;
use jiff::SignedDuration;
use repository::identity::AgentPublicKey;
use shared::{
    api::agent::{BackupSetKeys, EnrollRequest, EnrollResponse, EnrollmentOffer, RecoveryPublicKey},
    ids::AgentId,
    limits::Limit,
};

use crate::{
    app::App,
    client_address::network,
    db::{self, agents::Agent, backup_sets::BackupSet, enrollment::EnrollmentToken},
    error::ApiError,
    random,
    s3::ObjectStore,
    scope::{self, CREDENTIAL_PREFIX, TenantScope, bearer_text},
    secrets::Bearer,
    sign_in::Guess,
    use_cases::input::{name, room_for_one},
};

/// A set as agents see it.
#[must_use]
pub fn keys(set: &BackupSet) -> BackupSetKeys {
    BackupSetKeys {
        id: set.id,
        name: set.name.clone(),
        recovery_key: RecoveryPublicKey {
            sealing: set.recovery_key.sealing_hex(),
            certifying: set.recovery_key.certifying_hex(),
        },
    }
}

/// Counts a token that is none. The secret of one has 160 random bits: a right one is taken however many wrong ones came before,
/// and whoever sends too many is told so instead of what is wrong.
fn wrong_token(app: &App, address: IpAddr, refusal: ApiError) -> ApiError {
    if !matches!(
        refusal,
        ApiError::Invalid {
            code: "enrollment_token",
            ..
        }
    ) {
        return refusal;
    }
    let guess = Guess::Token(network(address));
    match app.guesses.guess(vec![guess], app.clock.now()) {
        // It stays counted.
        Some(_counted) => refusal,
        None => ApiError::TooManyAttempts,
    }
}

async fn authorise(
    app: &App,
    token: &str,
    address: IpAddr,
) -> Result<(TenantScope, EnrollmentToken), ApiError> {
    let _turn = app.db.turn().await;
    scope::authorise_enrollment(&app.db, &app.bearers, token, app.clock.now())
        .await
        .map_err(|error| wrong_token(app, address, error))
}

/// What a token would enroll to. Changes nothing, so that the agent can compare the fingerprint first.
///
/// # Errors
/// `Invalid` for a token that is none, `TooManyAttempts` for many of those from one client address.
pub async fn offer(app: &App, token: &str, address: IpAddr) -> Result<EnrollmentOffer, ApiError> {
    let (scope, token) = authorise(app, token, address).await?;
    let tx = app.db.tenant(&scope).await?;
    let tenant = db::tenants::current(&tx)
        .await?
        .ok_or(ApiError::NotFound("tenant"))?;
    let set = db::backup_sets::find(&tx, token.backup_set_id)
        .await?
        .ok_or(ApiError::NotFound("backup set"))?;
    let account = db::storage_accounts::find(&tx, set.storage_account_id)
        .await?
        .ok_or(ApiError::NotFound("storage account"))?;
    drop(tx);
    let store = app.store(&scope, &account)?;
    Ok(EnrollmentOffer {
        tenant_name: tenant.name,
        backup_set: keys(&set),
        storage: vec![origin_of(store.as_ref(), &set).await?],
        expires_at: token.expires_at,
    })
}

/// Where the addresses lead that are signed for a set: scheme, host and port. It is asked of an address, since the host is the
/// endpoint's or the bucket's own by rules that are the SDK's. Nothing is asked of the store.
async fn origin_of(store: &dyn ObjectStore, set: &BackupSet) -> Result<String, ApiError> {
    let address = store
        .sign_get(&set.bucket, "any", "null", 0..1, SignedDuration::from_secs(1))
        .await?;
    let origin = address.parse::<Uri>().ok().and_then(|address| {
        let (scheme, authority) = (address.scheme_str()?, address.authority()?);
        Some(format!("{scheme}://{authority}"))
    });
    origin.ok_or_else(|| ApiError::Internal("a signed address has no host".to_owned()))
}

/// The secret part of the credential of who enrolls with a token: the same for the same signing key, so that an answer that was lost
/// can be given again, and nothing of it is stored.
fn credential_secret(app: &App, request: &EnrollRequest, signing_key: &AgentPublicKey) -> String {
    let text = format!("{} {}", request.token.trim(), signing_key.to_hex());
    data_encoding::HEXLOWER.encode(&app.bearers.hash(Bearer::Enrolled, &text))
}

/// The answer to an endpoint that enrolled with this token before and has lost the answer: the same agent and credential. To any
/// other the token is used up.
async fn answer_again(
    app: &App,
    scope: &TenantScope,
    token: &EnrollmentToken,
    secret: &str,
    signing_key: &AgentPublicKey,
) -> Result<EnrollResponse, ApiError> {
    let tx = app.db.tenant(scope).await?;
    let agent = db::agents::of_token(&tx, token.id).await?;
    let agent = agent
        .filter(|agent| agent.signing_key == *signing_key && agent.last_seen_at.is_none())
        .ok_or_else(|| {
            ApiError::conflict(
                "enrollment_token",
                "This enrollment token was used for another endpoint. Make a new one in the console.",
            )
        })?;
    Ok(response(app, scope, agent.id, secret))
}

fn response(app: &App, scope: &TenantScope, agent: AgentId, secret: &str) -> EnrollResponse {
    EnrollResponse {
        agent_id: agent,
        credential: bearer_text(CREDENTIAL_PREFIX, scope.tenant(), agent.as_uuid(), secret),
        commit_key: app.commit_key.verifying_key().to_string(),
    }
}

/// Makes an agent and uses the token up. The same endpoint, known by its signing key, may ask again for as long as the token lasts and
/// the agent has not called: it is the same agent.
///
/// # Errors
/// `Invalid` for a token that is none, or a malformed request; `TooManyAttempts` as above.
pub async fn enroll(app: &App, request: EnrollRequest, address: IpAddr) -> Result<EnrollResponse, ApiError> {
    let now = app.clock.now();
    let (scope, token) = authorise(app, &request.token, address).await?;
    let signing_key = AgentPublicKey::from_hex(&request.signing_key)
        .map_err(|error| ApiError::invalid("signing_key", format!("signing_key: {error}")))?;
    let secret = credential_secret(app, &request, &signing_key);
    if token.used_at.is_some() {
        return answer_again(app, &scope, &token, &secret, &signing_key).await;
    }
    let agent = Agent {
        id: AgentId::from_uuid(random::uuid(now)),
        backup_set_id: token.backup_set_id,
        hostname: name("hostname", &request.hostname)?,
        os: name("os", &request.os)?,
        version: name("agent_version", &request.agent_version)?,
        signing_key,
        credential_hash: app.bearers.hash(Bearer::Credential, &secret).to_vec(),
        enrolled_at: now,
        last_seen_at: None,
        token_id: Some(token.id),
        machines: Default::default(),
    };
    let tx = app.db.tenant(&scope).await?;
    if !db::enrollment::use_up(&tx, token.id, now).await? {
        drop(tx);
        return answer_again(app, &scope, &token, &secret, &agent.signing_key).await;
    }
    room_for_one(
        db::agents::count(&tx).await?,
        Limit::Agents,
        "too_many_agents",
        "Ask for a second customer for the rest of the machines.",
    )?;
    db::agents::add(&tx, &agent).await?;
    let event = db::audit::Event {
        actor: &token.created_by,
        action: "agent.enroll",
        subject: agent.id.to_string(),
        detail: serde_json::json!({ "hostname": agent.hostname, "token": token.id }),
    };
    db::audit::add(&tx, event, now).await?;
    tx.commit().await?;
    Ok(response(app, &scope, agent.id, &secret))
}
