//! Who is signed in, and by which connection.

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use shared::{
    api::view::Me,
    ids::{TenantId, UserId},
};
use tower_sessions::{Session, SessionStore as _, session::Id};
use uuid::Uuid;

use super::listener::Client;
use crate::{
    app::App,
    db::sessions::{PostgresSessions, USER_KEY},
    error::ApiError,
    scope::{Person, Viewer},
    use_cases::people::users,
    visits::Owner,
};

fn failed(error: impl std::fmt::Display) -> ApiError {
    ApiError::Internal(format!("session: {error}"))
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let client = parts.extensions.get::<Self>().cloned();
        client.ok_or_else(|| ApiError::Internal("a request without a client address".into()))
    }
}

/// The signed-in user of a session. The connection counts for the session from now on.
///
/// # Errors
/// When the session or the user can not be read; `TooManyRequests` when the session has too many connections at work.
pub async fn user(app: &App, session: &Session, client: &Client) -> Result<Option<Person>, ApiError> {
    let Some(id) = session.get::<Uuid>(USER_KEY).await.map_err(failed)? else {
        return Ok(None);
    };
    let user = users::by_id(app, UserId::from_uuid(id)).await?;
    if let (Some(_), Some(session)) = (&user, session.id()) {
        client.visit.belongs_to(Owner::Session(session.0))?;
    }
    Ok(user)
}

/// Whether a session that was signed in may still look at a tenant. Asks the database, whatever the request knew.
///
/// # Errors
/// When the database does not answer.
pub async fn may_still_look(app: &App, session: Id, tenant: TenantId) -> Result<bool, ApiError> {
    let sessions = PostgresSessions::new(app.db.clone(), app.bearers.clone());
    let record = sessions.load(&session).await.map_err(failed)?;
    let user = record.as_ref().and_then(|record| record.data.get(USER_KEY));
    let user = user.and_then(|user| Uuid::try_parse(user.as_str()?).ok());
    let Some(user) = user else { return Ok(false) };
    let Some(user) = users::by_id(app, UserId::from_uuid(user)).await? else {
        return Ok(false);
    };
    match Viewer::authorise(&app.db, user, tenant).await {
        Ok(_) => Ok(true),
        Err(ApiError::NotFound(_) | ApiError::Forbidden) => Ok(false),
        Err(error) => Err(error),
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

/// Ends a session, and its live streams.
///
/// # Errors
/// When the session can not be deleted.
pub async fn end(app: &App, session: &Session) -> Result<(), ApiError> {
    // The id is known once the session was read.
    session.load().await.map_err(failed)?;
    let id = session.id();
    session.flush().await.map_err(failed)?;
    if let Some(id) = id {
        app.live.end_session(id.0);
    }
    Ok(())
}

/// Whoever is signed in, or a refusal.
impl<S> FromRequestParts<S> for Person
where
    App: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let client = Client::from_request_parts(parts, state).await?;
        let session = Session::from_request_parts(parts, state)
            .await
            .map_err(|(_, message)| ApiError::Internal(message.to_owned()))?;
        user(&App::from_ref(state), &session, &client)
            .await?
            .ok_or(ApiError::SignInNeeded)
    }
}
