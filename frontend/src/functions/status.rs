//! HTTP statuses of refusals.

use http::{StatusCode, header::ACCEPT, request::Parts};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;

use crate::error::ConsoleError;

/// Whether a browser asks for a page or posts a plain form, rather than the hydrated console calling.
pub fn wants_html() -> bool {
    use_context::<Parts>().is_some_and(|parts| {
        parts
            .headers
            .get(ACCEPT)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"))
    })
}

/// Gives the hydrated console's call the status of its refusal: a refused form is no failure of the server. A
/// plain form post keeps its redirect, and a page has a status of its own.
pub fn answer<T>(result: Result<T, ConsoleError>) -> Result<T, ConsoleError> {
    if let Err(error) = &result
        && !wants_html()
    {
        set(error);
    }
    result
}

/// Sets the response's status to the error's.
pub fn set(error: &ConsoleError) {
    if let Some(response) = use_context::<ResponseOptions>() {
        response.set_status(match error {
            ConsoleError::NotFound(_) => StatusCode::NOT_FOUND,
            ConsoleError::Refused { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            ConsoleError::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            ConsoleError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            ConsoleError::SignInNeeded | ConsoleError::WrongCredentials => StatusCode::UNAUTHORIZED,
            ConsoleError::Internal | ConsoleError::Unreachable => StatusCode::INTERNAL_SERVER_ERROR,
        });
    }
}
