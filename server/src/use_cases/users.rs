//! Signing in, and the first operator.

use std::path::Path;

use shared::{
    api::{request::SignIn, view::Me},
    ids::UserId,
    limits::Limit,
    text as letters,
};

use crate::{
    app::App,
    db::{self, users::User},
    error::ApiError,
    random, secrets,
};

fn me(user: &User) -> Me {
    Me {
        id: user.id,
        email: user.email.clone(),
        operator: user.operator,
    }
}

/// Makes the operator's account when there is no user at all. A password that is made up here is
/// told in the file `tell`.
///
/// # Errors
/// When the database does not answer, or the password is too short.
pub async fn ensure_operator(
    app: &App,
    email: &str,
    password: Option<String>,
    tell: &Path,
) -> Result<(), ApiError> {
    let tx = app.db.instance().await?;
    if db::users::count(&tx).await? > 0 {
        return Ok(());
    }
    let made_up = password.is_none().then(random::secret_text);
    let password = password.or_else(|| made_up.clone()).unwrap_or_default();
    if password.chars().count() < 12 {
        return Err(ApiError::invalid(
            "password",
            "HOLDFAST_OPERATOR_PASSWORD: give at least 12 characters.",
        ));
    }
    let now = app.clock.now();
    let user = User {
        id: UserId::from_uuid(random::uuid(now)),
        email: email.trim().to_lowercase(),
        password_hash: hash(password).await?,
        operator: true,
    };
    let event = db::audit::Event {
        actor: "system",
        action: "user.create",
        subject: user.email.clone(),
        detail: serde_json::json!({ "operator": true }),
    };
    db::audit::add_instance(&tx, event, now).await?;
    db::users::add(&tx, user, now).await?;
    if let Some(password) = made_up {
        // A log is no place for a secret, and it is told before the commit: a password that is stored and was never
        // told would lock everybody out.
        secrets::write_private(tell, password.as_bytes())?;
        let file = tell.display();
        tracing::warn!("first start: the password of {email} is in {file}. Sign in, then delete that file");
    }
    tx.commit().await?;
    Ok(())
}

async fn hash(password: String) -> Result<String, ApiError> {
    blocking(move || secrets::hash_password(&password))
        .await?
        .map_err(Into::into)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::Internal(error.to_string()))
}

/// Checks e-mail address and password.
///
/// # Errors
/// `WrongCredentials` for either, without saying which, and after the same work; `TooManyAttempts`.
pub async fn sign_in(app: &App, request: SignIn) -> Result<Me, ApiError> {
    let email = request.email.trim().to_lowercase();
    // No address is longer (RFC 5321, 4.5.3.1.3), and what is longer must not reach the log or the limiter.
    // Hidden characters neither: nobody has them in an address, and the database takes no NUL.
    if email.len() > Limit::Email.max()
        || letters::hidden(&email).is_some()
        || request.password.len() > Limit::Password.max()
    {
        return Err(ApiError::WrongCredentials);
    }
    app.attempts.count(format!("sign-in:{email}"))?;
    let tx = app.db.instance().await?;
    let user = db::users::by_email(&tx, &email).await?;
    drop(tx);
    // An unknown address costs as much time as a wrong password: the answer's delay tells nothing.
    const NOBODY: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let stored = user
        .as_ref()
        .map_or_else(|| NOBODY.to_owned(), |user| user.password_hash.clone());
    // Each check takes 19 MiB for a while: a flood of sign-ins waits here instead of taking the server's memory.
    let turn = app.password_checks.acquire().await;
    let matches = blocking(move || secrets::password_matches(&request.password, &stored)).await?;
    drop(turn);
    let user = user.filter(|_| matches);
    let tx = app.db.instance().await?;
    let event = db::audit::Event {
        actor: &email,
        action: if user.is_some() {
            "session.start"
        } else {
            "session.refused"
        },
        subject: email.clone(),
        detail: serde_json::json!({}),
    };
    db::audit::add_instance(&tx, event, app.clock.now()).await?;
    tx.commit().await?;
    user.as_ref().map(me).ok_or(ApiError::WrongCredentials)
}

/// The user of a session.
///
/// # Errors
/// When the database does not answer.
pub async fn by_id(app: &App, id: UserId) -> Result<Option<Me>, ApiError> {
    let tx = app.db.instance().await?;
    Ok(db::users::find(&tx, id).await?.as_ref().map(me))
}
