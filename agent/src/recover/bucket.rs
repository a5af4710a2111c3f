//! The bucket as a recovery sees it: keys, every version under them, and whatever else somebody put there.

use std::ops::Range;

use bucket::{Listed, S3Error};
use jiff::Timestamp;
use shared::{s3_refusal::Refusal, words::counted};

/// Reads a bucket, with credentials of one's own. Waits.
pub trait Bucket: Send + Sync {
    /// The names directly below a prefix that ends with a slash, that have something below them in turn.
    ///
    /// # Errors
    /// When the bucket cannot be asked; likewise below.
    fn folders(&self, prefix: &str) -> Result<Vec<String>, BucketError>;

    /// Every version and delete marker whose key begins so.
    fn versions(&self, prefix: &str) -> Result<Vec<Version>, BucketError>;

    /// Reads one version, or the newest, or a part of it. `None` where there is none, or a delete marker hides it. A part
    /// of an object that is shorter comes back shorter, or empty. More than `limit_bytes` is an error.
    fn get(
        &self,
        key: &str,
        version: Option<&str>,
        range: Option<Range<u64>>,
        limit_bytes: u64,
    ) -> Result<Option<Vec<u8>>, BucketError>;

    /// Until when a version is locked; `None` when it is not. In GOVERNANCE mode as well as in COMPLIANCE mode.
    fn locked_until(&self, key: &str, version: &str) -> Result<Option<Timestamp>, BucketError>;
}

/// A version of a key, or a delete marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The key.
    pub key: String,
    /// The version.
    pub version_id: String,
    /// Its length in bytes; 0 for a marker.
    pub size_bytes: u64,
    /// When the storage had it, by its own clock.
    pub modified: Timestamp,
    /// Whether it is a delete marker.
    pub is_marker: bool,
}

/// Why a bucket does not give what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// No answer.
    #[error("the S3 endpoint does not answer: {0}")]
    Unreachable(String),
    /// An answer that says no.
    #[error("the S3 endpoint refuses: {}", Refusal { code, status: *status, message })]
    Refused {
        /// HTTP status.
        status: u16,
        /// S3's error code; empty where it gave none.
        code: String,
        /// S3's message.
        message: String,
    },
    /// An answer that makes no sense.
    #[error("the S3 endpoint's answer is not usable: {0}")]
    Malformed(String),
    /// More than any object of this kind may have.
    #[error("{key} is longer than {}", counted(*limit_bytes, "byte", "bytes"))]
    TooLong {
        /// The key.
        key: String,
        /// The limit.
        limit_bytes: u64,
    },
}

impl From<Listed> for Version {
    fn from(listed: Listed) -> Self {
        let is_marker = matches!(listed, Listed::Marker { .. });
        let (key, version_id, size_bytes, modified) = match listed {
            Listed::Version {
                key,
                version_id,
                size_bytes,
                modified,
            } => (key, version_id, size_bytes, modified),
            Listed::Marker {
                key,
                version_id,
                modified,
            } => (key, version_id, 0, modified),
        };
        Self {
            key,
            version_id,
            size_bytes,
            modified: modified.unwrap_or(Timestamp::MAX),
            is_marker,
        }
    }
}

/// Whoever recovers is told what S3 said, and the cause of a silence.
impl From<S3Error> for BucketError {
    fn from(error: S3Error) -> Self {
        match error {
            S3Error::Unreachable(cause) => Self::Unreachable(cause),
            S3Error::Refused {
                status,
                code,
                message,
            } => Self::Refused {
                status,
                code,
                message,
            },
            S3Error::Malformed(what) | S3Error::Unaskable(what) => Self::Malformed(what),
            S3Error::TooLong { key, limit_bytes } => Self::TooLong { key, limit_bytes },
        }
    }
}
