//! Who is signed in.

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use shared::{api::view::Me, ids::UserId};
use tower_sessions::Session;
use uuid::Uuid;

use crate::{app::App, db::sessions::USER_KEY, error::ApiError, use_cases};

fn failed(error: tower_sessions::session::Error) -> ApiError {
    ApiError::Internal(format!("session: {error}"))
}

/// The signed-in user of a session.
///
/// # Errors
/// When the session or the user can not be read.
pub async fn user(app: &App, session: &Session) -> Result<Option<Me>, ApiError> {
    match session.get::<Uuid>(USER_KEY).await.map_err(failed)? {
        Some(id) => use_cases::users::by_id(app, UserId::from_uuid(id)).await,
        None => Ok(None),
    }
}

/// Starts a session. It gets a new id, so that one that was planted in the browser before is worth nothing.
///
/// # Errors
/// When the session can not be written.
pub async fn start(session: &Session, user: &Me) -> Result<(), ApiError> {
    session.cycle_id().await.map_err(failed)?;
    session.insert(USER_KEY, user.id.as_uuid()).await.map_err(failed)
}

/// Ends a session.
///
/// # Errors
/// When the session can not be deleted.
pub async fn end(session: &Session) -> Result<(), ApiError> {
    session.flush().await.map_err(failed)
}

/// Extracts the signed-in user, or refuses the request.
pub struct SignedIn(pub Me);

impl<S> FromRequestParts<S> for SignedIn
where
    App: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let session = Session::from_request_parts(parts, state)
            .await
            .map_err(|(_, message)| ApiError::Internal(message.to_owned()))?;
        user(&App::from_ref(state), &session)
            .await?
            .map(Self)
            .ok_or(ApiError::SignInNeeded)
    }
}
