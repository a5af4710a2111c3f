//! What a look into a bucket found.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a look into the bucket found, below the set's prefix.
/// `POST /api/v1/tenants/{tenant}/backup-sets/{set}/inspect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketInspection {
    /// When it was made.
    pub at: Timestamp,
    /// Object versions.
    pub versions: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Delete markers. Holdfast never makes one: somebody deleted keys. The versions beneath are unharmed.
    pub delete_markers: u64,
    /// Versions that the ledger knows.
    pub known_versions: u64,
    /// Versions that nobody signed.
    pub unknown_versions: u64,
    /// Versions in the ledger that the bucket no longer lists.
    pub missing_versions: u64,
    /// A few of the keys behind the markers, for a look with an S3 client.
    pub marker_examples: Vec<String>,
}
