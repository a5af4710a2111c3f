//! Checks of what people and agents send, before anything is done with it.

pub(super) use shared::input::{bounded, name};
use shared::{limits::Limit, text as letters};

use crate::{db::DbError, error::ApiError};

/// An agent's words, as they are kept and shown: hidden characters escaped, since the database takes no NUL, and cut off.
pub(super) fn said(words: &str) -> String {
    letters::shown(words).chars().take(Limit::Reason.max()).collect()
}

/// Refuses one more where there are as many as a limit allows.
pub(super) fn room_for_one(
    there_are: u64,
    limit: Limit,
    code: &'static str,
    advice: &str,
) -> Result<(), ApiError> {
    if there_are < limit.max() as u64 {
        return Ok(());
    }
    let message = format!("There are {there_are} already, and no more are kept. {advice}");
    Err(ApiError::conflict(code, message))
}

/// A duplicate is the caller's affair; anything else is ours.
pub(super) fn or_taken(error: DbError, code: &'static str, message: impl Into<String>) -> ApiError {
    if error.is_duplicate() {
        ApiError::conflict(code, message)
    } else {
        error.into()
    }
}
