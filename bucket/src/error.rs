//! Why a request failed: refused by a code, silent, or an answer that is none of S3's.

use aws_sdk_s3::error::{ConnectorError, DisplayErrorContext, ProvideErrorMetadata, SdkError};
use shared::{
    s3_refusal::{Cause, Refusal},
    words::counted,
};

use crate::answers::NotS3;

/// Why the store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum S3Error {
    /// No answer. The cause is for the log: tenants name endpoints, and must not learn by them what is in the server's network.
    #[error("the S3 endpoint did not answer")]
    Unreachable(String),
    /// An answer that says no.
    #[error("the S3 endpoint refused the request: {}", Refusal { code, status: *status, message })]
    Refused {
        /// S3's error code; empty where the answer had no body, as for HEAD.
        code: String,
        /// HTTP status.
        status: u16,
        /// S3's message: told where the code is not known to `shared::s3_refusal`.
        message: String,
    },
    /// An answer that S3 would not give: a web page, nothing where there must be something, a listing that does not go on,
    /// content other than its ETag. It proves nothing, neither success nor absence; the next one may be right.
    #[error("the S3 endpoint's answer is not usable: {0}")]
    Malformed(String),
    /// More content than the caller takes.
    #[error("{key} is longer than {}", counted(*limit_bytes, "byte", "bytes"))]
    TooLong {
        /// The key.
        key: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// The request cannot be put into words that S3 takes: nothing was asked.
    #[error("no request to S3 can be made of this: {0}")]
    Unaskable(String),
}

/// Codes that say "not now", whatever the HTTP status: S3 sends them also inside a 200, and in rows of a DeleteObjects
/// (Amazon S3, "Error responses"; "Optimizing performance"). `RequestTimeTooSkewed` is one: a clock is set right, and nothing
/// is lost meanwhile.
const PASSING: [&str; 12] = [
    "InternalError",
    "ServiceUnavailable",
    "SlowDown",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "OperationAborted",
    "IncompleteBody",
    "BandwidthLimitExceeded",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
];

impl S3Error {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Malformed(_) => true,
            Self::Refused { status, code, .. } => {
                let is_unknown = code == "NotImplemented" || *status == 501;
                PASSING.contains(&code.as_str()) || (matches!(status, 408 | 429 | 500..) && !is_unknown)
            }
            Self::TooLong { .. } | Self::Unaskable(_) => false,
        }
    }

    /// What a refusal comes from, where that is known.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Refused { code, status, .. } => Cause::of(code, *status),
            _ => None,
        }
    }

    /// S3's error code.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }
}

/// What a failed request of the SDK says.
pub(crate) fn failed<E>(error: SdkError<E>) -> S3Error
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    match &error {
        // A success that the SDK cannot read.
        SdkError::ServiceError(answer)
            if answer.raw().status().is_success() && answer.err().code().is_none() =>
        {
            S3Error::Malformed(root_cause(&error))
        }
        SdkError::ServiceError(answer) => S3Error::Refused {
            code: answer.err().code().unwrap_or_default().to_owned(),
            status: answer.raw().status().as_u16(),
            message: answer.err().message().unwrap_or("no message").to_owned(),
        },
        SdkError::ResponseError(_) => S3Error::Malformed(DisplayErrorContext(&error).to_string()),
        SdkError::ConstructionFailure(_) => S3Error::Unaskable(DisplayErrorContext(&error).to_string()),
        SdkError::DispatchFailure(failure) if let Some(wrong) = not_s3(failure.as_connector_error()) => {
            S3Error::Malformed(wrong)
        }
        _ => S3Error::Unreachable(root_cause(&error)),
    }
}

/// What our own judgement of an answer said, if it was that.
fn not_s3(error: Option<&ConnectorError>) -> Option<String> {
    let mut cause = error.map(|error| error as &dyn std::error::Error);
    while let Some(error) = cause {
        if let Some(NotS3(said)) = error.downcast_ref() {
            return Some(said.clone());
        }
        cause = error.source();
    }
    None
}

/// The innermost cause: "connection refused" says more than "dispatch failure".
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
