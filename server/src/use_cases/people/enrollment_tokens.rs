//! Enrollment tokens: one makes one endpoint an agent.

use jiff::SignedDuration;
use shared::{
    api::{request::NewEnrollmentToken, view::EnrollmentTokenView},
    limits::Limit,
};

use crate::{
    app::App,
    db::{self, enrollment::EnrollmentToken},
    error::ApiError,
    random,
    scope::{ENROLLMENT_PREFIX, Manager, bearer_text},
    secrets::Bearer,
    use_cases::input::room_for_one,
};

/// How long a token can be used.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// Makes a token.
///
/// # Errors
/// `NotFound` when the tenant has no such backup set.
pub async fn create(
    app: &App,
    actor: &Manager,
    request: NewEnrollmentToken,
) -> Result<EnrollmentTokenView, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&actor.scope).await?;
    let set = db::backup_sets::find(&tx, request.backup_set_id)
        .await?
        .ok_or(ApiError::NotFound("backup set"))?;
    room_for_one(
        db::enrollment::count_open(&tx, now).await?,
        Limit::OpenTokens,
        "too_many_tokens",
        "Use one of them, or wait an hour until they end.",
    )?;
    let secret = random::secret_text();
    let token = EnrollmentToken {
        id: random::uuid(now),
        backup_set_id: set.id,
        secret_hash: app.bearers.hash(Bearer::Enrollment, &secret).to_vec(),
        created_by: actor.user.email.clone(),
        expires_at: now + TOKEN_LIFE,
        used_at: None,
    };
    db::enrollment::add(&tx, &token, now).await?;
    let event = db::audit::Event {
        actor: &actor.user.email,
        action: "enrollment_token.create",
        subject: token.id.to_string(),
        detail: serde_json::json!({ "backup_set": set.id }),
    };
    db::audit::add(&tx, event, now).await?;
    tx.commit().await?;
    let text = bearer_text(ENROLLMENT_PREFIX, actor.scope.tenant(), token.id, &secret);
    let fingerprint = set.recovery_key.fingerprint();
    Ok(EnrollmentTokenView {
        // The token is no argument: other users of the endpoint see those.
        command: format!(
            "holdfast-agent enroll --server {} --fingerprint {fingerprint} <<'TOKEN'\n{text}\nTOKEN\n",
            app.public_url
        ),
        token: text,
        expires_at: token.expires_at,
    })
}
