//! What people and agents can do. The REST API, the agent API and the console's server functions are thin shims
//! over these functions; each opens its own short transactions and holds none across a call to S3.

pub mod agent_runs;
pub mod agent_uploads;
pub mod backup_sets;
pub mod commit_pages;
pub mod confirm;
pub mod enrollment;
mod explain;
pub mod inspect;
pub mod protection;
pub mod restores;
pub mod sources;
pub mod storage_accounts;
pub mod tenants;
pub mod users;
pub mod views;

use crate::{db::DbError, error::ApiError};

/// Checks a name that a person gave.
fn name(field: &'static str, text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 100 || text.chars().any(char::is_control) {
        return Err(ApiError::invalid(
            field,
            format!("{field}: give 1 to 100 characters."),
        ));
    }
    Ok(text.to_owned())
}

/// A duplicate is the caller's affair; anything else is ours.
fn or_taken(error: DbError, code: &'static str, message: impl Into<String>) -> ApiError {
    if error.is_duplicate() {
        ApiError::conflict(code, message)
    } else {
        error.into()
    }
}
