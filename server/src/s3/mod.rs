//! The object store, as narrow as Holdfast needs it: there is no call that overwrites, none that deletes without
//! naming a version, and the bucket's credentials stay behind it.

pub mod address;
mod aws;
mod guarded;
mod listing;

pub use aws::connect;
pub use guarded::Guarded;
pub use listing::{Bounds, KeyVersion, Walk, each_page, versions_of_key};

use std::ops::Range;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use shared::{
    retention::LockMode,
    s3_refusal::{Cause, Refusal},
    words::counted,
};
use zeroize::Zeroizing;

/// Where a bucket is, and the keys to it.
#[derive(Clone)]
pub struct Endpoint {
    /// The endpoint's address.
    pub url: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The access key's id.
    pub access_key: String,
    /// The secret key.
    pub secret_key: Zeroizing<String>,
    /// Whether bucket names go into the path.
    pub path_style: bool,
}

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

/// What became of a version that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// S3 says that it is deleted. It says so too of one that was deleted before.
    Deleted,
    /// S3 knows no such version (`NoSuchVersion`, `NoSuchKey`). That is no proof that the object is gone: it says so of an id
    /// that it never gave.
    Unknown,
}

/// Whether a bucket can hold immutable backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketState {
    /// Versioning is on.
    pub versioning: bool,
    /// Object Lock is on.
    pub object_lock: bool,
}

/// A lock: mode and date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// The mode.
    pub mode: LockMode,
    /// The date, in whole seconds.
    pub retain_until: Timestamp,
}

/// What a HEAD of one version shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionHead {
    /// The version.
    pub version_id: String,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// The ETag without its quotes: MD5 of the content for a plain PUT, something with a hyphen for a multipart
    /// upload (Amazon S3 API, Object, `ETag`).
    pub etag: String,
    /// Whether the bucket encrypts with KMS keys. Then the ETag is no MD5 (same source).
    pub kms: bool,
    /// Its lock.
    pub lock: Option<Lock>,
}

/// One entry of a listing of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// A version.
    Version {
        /// The key.
        key: String,
        /// The version.
        version_id: String,
        /// Its length in bytes.
        size_bytes: u64,
    },
    /// A delete marker.
    Marker {
        /// The key.
        key: String,
        /// The marker's version.
        version_id: String,
    },
}

/// One page of a listing of versions.
#[derive(Debug, Clone)]
pub struct VersionPage {
    /// The entries: by key, newest version first.
    pub entries: Vec<Listed>,
    /// Where the next page begins.
    pub next: Option<PageMarker>,
}

/// Where a page of a listing begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageMarker {
    /// After this key, or within it:
    pub key: String,
    /// after this version.
    pub version_id: Option<String>,
}

/// An upload to sign: one object, once, with its lock.
#[derive(Debug, Clone)]
pub struct SignPut<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The exact length in bytes.
    pub size_bytes: u64,
    /// MD5 of the content. Every provider that was tried verifies Content-MD5; no other checksum is verified by all.
    pub content_md5: [u8; 16],
    /// The lock.
    pub lock: Lock,
}

/// A signed address with the headers that belong to the signature.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The address.
    pub url: String,
    /// Headers that must be sent as they are.
    pub headers: Vec<(String, String)>,
}

/// One version of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionName {
    /// The key.
    pub key: String,
    /// The version.
    pub version_id: String,
}

/// The object store.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Tries the keys by listing buckets.
    async fn try_keys(&self) -> Result<(), S3Error>;
    /// Whether the bucket can hold immutable backups.
    async fn bucket_state(&self, bucket: &str) -> Result<BucketState, S3Error>;
    /// Makes a bucket with versioning and Object Lock.
    async fn create_bucket(&self, bucket: &str) -> Result<(), S3Error>;
    /// Signs an upload. Lock, length and checksum are signed headers: without them, or with others, S3 refuses.
    async fn sign_put(&self, put: SignPut<'_>, valid: SignedDuration) -> Result<Signed, S3Error>;
    /// Signs a read of these bytes of one version. The range is a signed header: without it, or with another, S3 refuses.
    async fn sign_get(
        &self,
        bucket: &str,
        key: &str,
        version: &str,
        range: Range<u64>,
        valid: SignedDuration,
    ) -> Result<String, S3Error>;
    /// Puts a small locked object under a key that holds nothing yet.
    async fn put_locked(&self, put: SignPut<'_>, body: Vec<u8>) -> Result<(), S3Error>;
    /// HEAD of one version, or of the newest; `None` where S3 says that there is none or that a delete marker hides it. One
    /// such answer is no proof: see [`versions_of_key`].
    async fn head(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<VersionHead>, S3Error>;
    /// Reads one version of at most `limit_bytes`, whole. Where the ETag is the content's MD5 it is compared: what was cut off
    /// or changed on its way is `Malformed`.
    async fn get(&self, bucket: &str, key: &str, version: &str, limit_bytes: u64)
    -> Result<Vec<u8>, S3Error>;
    /// Lists versions and delete markers below a prefix: one page. The page goes on behind `from`, else it is `Malformed`.
    /// Whoever wants more than one page uses [`each_page`], which has an end.
    async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&PageMarker>,
    ) -> Result<VersionPage, S3Error>;
    /// Extends the lock of one version.
    async fn extend_lock(&self, bucket: &str, key: &str, version: &str, lock: Lock) -> Result<(), S3Error>;
    /// The store's own clock: the `Date` of an answer, also of one that refuses.
    async fn time(&self, bucket: &str) -> Result<Timestamp, S3Error>;
    /// Deletes exactly these versions: the only call that deletes anything. It never bypasses a lock. One answer for
    /// each version, in order.
    async fn delete_versions(&self, bucket: &str, versions: &[VersionName])
    -> Vec<Result<Deletion, S3Error>>;
}

/// MD5 of an object's content, for Content-MD5 and to recognise an ETag.
#[must_use]
pub fn content_md5(bytes: &[u8]) -> [u8; 16] {
    use md5::Digest;
    md5::Md5::digest(bytes).into()
}
