//! Why a job did not end well. Conversions from the errors of what jobs use stand here, and nowhere else below `jobs`.

use std::time::Duration;

use shared::{retention::LockError, schedule::ScheduleError, text};

use crate::{clocks::ClocksError, db::DbError, s3::S3Error, secrets::SecretError};

/// Why a job did not end well. All but [`GiveUp`](Self::GiveUp) are tried again: after a pause that grows with the number of tries,
/// or when the circuit breaker of the job's storage account lets requests through.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// It cannot succeed, however often it is tried. The job has recorded the reason, and ends.
    #[error("{0}")]
    GiveUp(String),
    /// The store refused. A commit believes that when tries in a row met it for a while.
    #[error("{0}")]
    Refused(String),
    /// The store did not answer, or what it answered proves nothing: that passes.
    #[error("{0}")]
    Store(String),
    /// The clocks of server, database and store disagree. How long a job has waited cannot be told then.
    #[error("{0}")]
    ClocksDisagree(String),
    /// It was at work for longer than its kind may, and was dropped.
    #[error(
        "It was stopped because it took longer than {} min. What was done is kept, and it goes on soon.",
        .0.as_secs() / 60
    )]
    TooLong(Duration),
    /// Part of it was not done. The job has recorded which.
    #[error("{0}")]
    Incomplete(String),
    /// A policy, a schedule or a plan with which nothing can be done.
    #[error("{0}")]
    Unworkable(String),
    /// The database refused or did not answer.
    #[error("database: {0}")]
    Database(#[from] DbError),
    /// Our fault, or that of something we rely on.
    #[error("{0}")]
    Internal(String),
}

impl JobError {
    /// A [`JobError::Store`]. Hidden characters in what the store said are escaped.
    pub fn store(message: impl AsRef<str>) -> Self {
        Self::Store(text::shown(message.as_ref()))
    }

    /// A [`JobError::Unworkable`]. Hidden characters are escaped.
    pub fn unworkable(message: impl AsRef<str>) -> Self {
        Self::Unworkable(text::shown(message.as_ref()))
    }

    /// A sentence for people; `None` where only the server's log says what is wrong.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        match self {
            Self::Database(_) | Self::Internal(_) => None,
            Self::GiveUp(_)
            | Self::Refused(_)
            | Self::Store(_)
            | Self::ClocksDisagree(_)
            | Self::TooLong(_)
            | Self::Incomplete(_)
            | Self::Unworkable(_) => Some(self.to_string()),
        }
    }
}

impl From<ClocksError> for JobError {
    fn from(error: ClocksError) -> Self {
        match error {
            ClocksError::Disagree(_) => Self::ClocksDisagree(error.to_string()),
            ClocksError::Unknown => Self::Store(error.to_string()),
            ClocksError::Database(error) => error.into(),
            ClocksError::Store(error) => error.into(),
        }
    }
}

impl From<S3Error> for JobError {
    fn from(error: S3Error) -> Self {
        Self::Internal(format!("object store: {error}"))
    }
}

impl From<SecretError> for JobError {
    fn from(error: SecretError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<ScheduleError> for JobError {
    fn from(error: ScheduleError) -> Self {
        Self::unworkable(error.to_string())
    }
}

impl From<LockError> for JobError {
    fn from(error: LockError) -> Self {
        Self::unworkable(error.to_string())
    }
}
