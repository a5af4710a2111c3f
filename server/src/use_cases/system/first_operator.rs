//! The first operator's account.

use std::path::Path;

use shared::ids::UserId;

use crate::{
    app::App,
    db::{self, users::NewUser},
    error::ApiError,
    random, secrets,
};

/// Makes the operator's account when there is no user at all. A password that is made up here is
/// told in the file `tell`.
///
/// # Errors
/// When the database does not answer, or the password is too short.
pub async fn ensure(app: &App, email: &str, password: Option<String>, tell: &Path) -> Result<(), ApiError> {
    let tx = app.db.instance().await?;
    if db::users::count(&tx).await? > 0 {
        return Ok(());
    }
    let made_up = password.is_none().then(random::secret_text);
    let password = password.or_else(|| made_up.clone()).unwrap_or_default();
    if password.chars().count() < 12 {
        return Err(ApiError::invalid(
            "password",
            "the first operator's password: give at least 12 characters (--operator-password-file, or HOLDFAST_OPERATOR_PASSWORD).",
        ));
    }
    let now = app.clock.now();
    let user = NewUser {
        id: UserId::from_uuid(random::uuid(now)),
        email: email.trim().to_lowercase(),
        password_hash: secrets::hash_password(&password)?,
    };
    let event = db::audit::Event {
        actor: "system",
        action: "user.create",
        subject: user.email.clone(),
        detail: serde_json::json!({ "operator": true }),
    };
    db::audit::add_instance(&tx, event, now).await?;
    db::users::add_first_operator(&tx, &user, now).await?;
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
