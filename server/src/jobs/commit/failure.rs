//! Why a commit does not go through, and whether that is believed at once.

use crate::{
    error::ApiError,
    s3::S3Error,
    use_cases::system::confirm::{NotConfirmed, NotExtended},
};

/// Why a commit did not go through.
pub(super) enum Failure {
    /// The run can not become a snapshot; the reason is for the technician.
    Run(String),
    /// S3 says so now; it may say otherwise later.
    Refused(String),
    /// Try again.
    Passing(ApiError),
}

impl<E: Into<ApiError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Passing(error.into())
    }
}

/// A store that cannot be asked now is asked again for as long as it takes; anything else it says is believed after a while.
pub(super) fn of_store(what: &str, error: S3Error) -> Failure {
    if error.is_passing() {
        Failure::Passing(ApiError::conflict("object_store", format!("{what}: {error}")))
    } else {
        Failure::Refused(format!("{what}: {error}"))
    }
}

pub(super) fn of_extend(error: NotExtended) -> Failure {
    match error {
        NotExtended::Store(error) => of_store("A lock could not be extended", error),
        NotExtended::NotShown { .. } => Failure::Refused(format!("{error}.")),
    }
}

pub(super) fn of_confirm(error: NotConfirmed) -> Failure {
    match error {
        NotConfirmed::Store(error) => of_store("The locks could not be confirmed", error),
        other => Failure::Refused(format!("Not committed: {other}.")),
    }
}

/// What a person is told of an error.
pub(super) fn words(error: &ApiError) -> &str {
    match error {
        ApiError::Conflict { message, .. } | ApiError::Invalid { message, .. } => message,
        _ => "the server could not go on; its log says why",
    }
}
