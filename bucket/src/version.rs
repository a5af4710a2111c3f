//! Versions of objects, as HEAD and listings show them.

use jiff::Timestamp;
use shared::retention::LockMode;

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
        /// When the store had it, by the store's clock; `None` where the listing does not say.
        modified: Option<Timestamp>,
    },
    /// A delete marker.
    Marker {
        /// The key.
        key: String,
        /// The marker's version.
        version_id: String,
        /// When the store had it, by the store's clock; `None` where the listing does not say.
        modified: Option<Timestamp>,
    },
}

/// One page of a listing of versions.
#[derive(Debug, Clone)]
pub struct VersionPage {
    /// The entries: by key, newest version first.
    pub entries: Vec<Listed>,
    /// Where a delimiter was asked for: what keys have in common up to it, for those that go on behind it.
    pub folders: Vec<String>,
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

/// One version of one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionName {
    /// The key.
    pub key: String,
    /// The version.
    pub version_id: String,
}
