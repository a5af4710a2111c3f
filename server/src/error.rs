//! The one error of the edge: what a caller is told, and what only the log hears.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use frontend::error::ConsoleError;
use shared::{api::ErrorBody, input::InputError, retention::LockError, schedule::ScheduleError, text};

use crate::{clocks::ClocksError, connections::TooMany, db::DbError, s3::S3Error, secrets::SecretError};

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nobody is signed in, or the credential is not valid.
    #[error("not signed in")]
    SignInNeeded,
    /// E-mail address or password is wrong.
    #[error("wrong credentials")]
    WrongCredentials,
    /// Too many attempts.
    #[error("too many attempts")]
    TooManyAttempts,
    /// Too many requests of one client, agent or session are under way.
    #[error("too many requests")]
    TooManyRequests,
    /// A body did not come in time.
    #[error("a body did not come in time")]
    TooSlow,
    /// A body was longer than anything that the call takes.
    #[error("a body was too long")]
    TooLong,
    /// The server has more to do than it can.
    #[error("busy")]
    Busy,
    /// The path is one, but not for this method.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// Signed in, but not for this.
    #[error("forbidden")]
    Forbidden,
    /// It does not exist, or is another tenant's.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The request can not be carried out as it is. The message says what to do.
    #[error("{message}")]
    Invalid {
        /// A stable word for programs.
        code: &'static str,
        /// A sentence for people.
        message: String,
    },
    /// The request meets a state in which it can not be carried out.
    #[error("{message}")]
    Conflict {
        /// A stable word for programs.
        code: &'static str,
        /// A sentence for people.
        message: String,
    },
    /// Not now: a limit is met that goes by with time.
    #[error("{message}")]
    Later {
        /// A stable word for programs.
        code: &'static str,
        /// A sentence for people.
        message: String,
    },
    /// Our fault, or that of something we rely on. The caller is told nothing of it.
    #[error("{0}")]
    Internal(String),
}

impl ApiError {
    /// An [`ApiError::Invalid`]. What was typed may be repeated in the message: hidden characters are escaped.
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            code,
            message: text::shown(&message.into()),
        }
    }

    /// An [`ApiError::Conflict`].
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::Conflict {
            code,
            message: text::shown(&message.into()),
        }
    }

    fn parts(&self) -> (StatusCode, &'static str, String) {
        match self {
            Self::SignInNeeded => (
                StatusCode::UNAUTHORIZED,
                "sign_in_needed",
                "Sign in, or send a valid credential.".into(),
            ),
            Self::WrongCredentials => (
                StatusCode::UNAUTHORIZED,
                "wrong_credentials",
                "E-mail address or password is wrong.".into(),
            ),
            Self::TooManyAttempts => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_attempts",
                "Too many attempts. Wait a minute, then try again.".into(),
            ),
            Self::TooManyRequests => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "Too many requests of yours are under way. Wait for their answers, then send this one again."
                    .into(),
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "too_slow",
                "The body of this request did not come in time. Send it again.".into(),
            ),
            Self::TooLong => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_long",
                "The body of this request is more than the call takes. Send less at once.".into(),
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "The server has too much to do just now. Try again in a few seconds.".into(),
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This path takes another method: the header Allow says which.".into(),
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "Your role does not allow this. Ask an owner.".into(),
            ),
            Self::NotFound(what) => (
                StatusCode::NOT_FOUND,
                "not_found",
                format!("There is no such {what} here."),
            ),
            Self::Invalid { code, message } => (StatusCode::UNPROCESSABLE_ENTITY, code, message.clone()),
            Self::Conflict { code, message } => (StatusCode::CONFLICT, code, message.clone()),
            Self::Later { code, message } => (StatusCode::TOO_MANY_REQUESTS, code, message.clone()),
            Self::Internal(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong on the server. Its log says what.".into(),
            ),
        }
    }

    /// After how many seconds it is worth while to ask again.
    fn retry_after(&self) -> Option<&'static str> {
        match self {
            Self::TooManyAttempts => Some("60"),
            Self::TooManyRequests | Self::Busy => Some("5"),
            _ => None,
        }
    }

    fn log(&self) {
        if let Self::Internal(detail) = self {
            tracing::error!(error = %detail, "a request failed");
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let (status, code, message) = self.parts();
        let body = Json(ErrorBody {
            code: code.to_owned(),
            message,
        });
        let mut response = (status, body).into_response();
        if let Some(seconds) = self.retry_after() {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        response
    }
}

impl From<ApiError> for ConsoleError {
    fn from(error: ApiError) -> Self {
        error.log();
        match error {
            ApiError::SignInNeeded => Self::SignInNeeded,
            ApiError::WrongCredentials => Self::WrongCredentials,
            ApiError::TooManyAttempts => Self::TooManyAttempts,
            ApiError::Busy => Self::Busy,
            ApiError::NotFound(what) => Self::NotFound(what.to_owned()),
            ApiError::Internal(_) => Self::Internal,
            other => {
                let (_, code, message) = other.parts();
                // Errors of a schedule begin with its field.
                let field = match (code, message.split_once(": ")) {
                    ("schedule", Some((field, _))) => field.to_owned(),
                    _ => code.to_owned(),
                };
                Self::Refused {
                    field: Some(field),
                    message,
                }
            }
        }
    }
}

impl From<TooMany> for ApiError {
    fn from(_: TooMany) -> Self {
        Self::TooManyRequests
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        if error.is_busy() {
            tracing::warn!("no connection to the database was free for 10 s");
            return Self::Busy;
        }
        Self::Internal(format!("database: {error}"))
    }
}

impl From<SecretError> for ApiError {
    fn from(error: SecretError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<S3Error> for ApiError {
    fn from(error: S3Error) -> Self {
        Self::Internal(format!("object store: {error}"))
    }
}

impl From<ClocksError> for ApiError {
    fn from(error: ClocksError) -> Self {
        match error {
            ClocksError::Disagree(_) => Self::conflict("clocks_disagree", error.to_string()),
            ClocksError::Unknown => Self::conflict("clock_unknown", error.to_string()),
            ClocksError::Database(error) => error.into(),
            ClocksError::Store(error) => error.into(),
        }
    }
}

impl From<InputError> for ApiError {
    fn from(error: InputError) -> Self {
        Self::invalid(error.field(), error.to_string())
    }
}

impl From<ScheduleError> for ApiError {
    fn from(error: ScheduleError) -> Self {
        Self::invalid("schedule", error.to_string())
    }
}

impl From<LockError> for ApiError {
    fn from(error: LockError) -> Self {
        Self::conflict("lock_date", error.to_string())
    }
}
