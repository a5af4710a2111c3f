//! The automation API, `/api/v1/`: JSON over the session cookie. The operations are those of [`super::operations`]; only the
//! session, which sets and ends a cookie, has handlers of its own.

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    routing::post,
};
use leptos::config::LeptosOptions;
use shared::api::{operation::Operation, operations::StartSession, request::SignIn, view::Me};
use tower_sessions::Session;

use super::{cookies, listener::Client, operations, operations::Body, session};
use crate::{
    app::App,
    error::ApiError,
    use_cases::people::users::{self, Visitor},
};

/// The routes below [`shared::api::operation::BASE_PATH`].
pub fn routes(app: &App) -> Router<LeptosOptions> {
    let session = post(sign_in)
        .delete(sign_out)
        .layer(DefaultBodyLimit::max(StartSession::BODY.max()));
    operations::routes()
        .route(StartSession::PATH, session)
        .fallback(no_such_call)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app.clone())
}

/// What a program is told that calls a path which is none.
pub async fn no_such_call() -> ApiError {
    ApiError::NotFound("call")
}

/// What a program is told that calls a path by a method which it has not.
pub async fn method_not_allowed() -> ApiError {
    ApiError::MethodNotAllowed
}

async fn sign_in(
    State(app): State<App>,
    session: Session,
    client: Client,
    headers: HeaderMap,
    Body(request): Body<SignIn>,
) -> Result<(HeaderMap, Json<Me>), ApiError> {
    let visitor = Visitor {
        address: client.address,
        browser: cookies::browser(&app, &headers),
    };
    let signed_in = users::sign_in(&app, request, &visitor).await?;
    session::start(&session, &signed_in.user).await?;
    let cookie = signed_in
        .browser
        .and_then(|browser| cookies::set_browser(&app, browser));
    let headers = cookie.map(|cookie| (header::SET_COOKIE, cookie)).into_iter();
    Ok((headers.collect(), Json(signed_in.user)))
}

async fn sign_out(State(app): State<App>, session: Session) -> Result<StatusCode, ApiError> {
    session::end(&app, &session).await?;
    Ok(StatusCode::NO_CONTENT)
}
