//! Checks of what people and agents send, before anything is done with it.

use shared::{limits::Limit, text as letters};

use crate::{db::DbError, error::ApiError};

/// Checks a name that a person gave.
pub(super) fn name(field: &'static str, text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    let most = Limit::Name.max();
    if text.is_empty() || text.chars().count() > most {
        return Err(ApiError::invalid(
            field,
            format!("{field}: give 1 to {most} characters."),
        ));
    }
    shows(field, text)?;
    Ok(text.to_owned())
}

/// Checks a text that is not a name: trimmed, not empty, of at most so many bytes.
pub(super) fn text(field: &'static str, text: &str, limit: Limit, what: &str) -> Result<String, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ApiError::invalid(field, format!("{field}: give {what}.")));
    }
    bounded(field, text.len(), limit)?;
    shows(field, text)?;
    Ok(text.to_owned())
}

/// Refuses letters that do not show: NUL, which the database does not take, and marks of direction, with which a name reads as
/// another one.
fn shows(field: &'static str, text: &str) -> Result<(), ApiError> {
    match letters::hidden(text) {
        None => Ok(()),
        Some(letter) => {
            let number = letters::number(letter);
            let message =
                format!("{field}: the hidden character {number} is in it; type it anew, without that.");
            Err(ApiError::invalid(field, message))
        }
    }
}

/// An agent's words, as they are kept and shown: hidden characters escaped, since the database takes no NUL, and cut off.
pub(super) fn said(words: &str) -> String {
    letters::shown(words).chars().take(Limit::Reason.max()).collect()
}

/// Refuses what is more than a limit allows.
pub(super) fn bounded(field: &'static str, is: usize, limit: Limit) -> Result<(), ApiError> {
    let most = limit.max();
    if is <= most {
        return Ok(());
    }
    let unit = limit.unit().name();
    let message = format!("{field}: {is} {unit} are too many; use at most {most}.").replace("  ", " ");
    Err(ApiError::invalid(field, message))
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
