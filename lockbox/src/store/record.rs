//! The records of the index, as they are kept (JSON in redb values).
//!
//! Fields may be added with `#[serde(default)]`; a change that old records cannot be read with needs
//! a new [`super::FORMAT`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::blob::BlobId;
use crate::clock::Millis;
use crate::digest::Algorithm;
use crate::lock::{DefaultRetention, LockState};
use crate::version::{Seq, VersionRef};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Versioning {
    /// Never turned on.
    Off,
    Enabled,
    Suspended,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Bucket {
    pub(crate) created: Millis,
    pub(crate) region: Option<String>,
    pub(crate) versioning: Versioning,
    pub(crate) object_lock: bool,
    pub(crate) default_retention: Option<DefaultRetention>,
}

/// One version of a key, or a delete marker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) seq: Seq,
    pub(crate) salt: u64,
    /// Written while versioning was not enabled: its id is "null".
    pub(crate) null: bool,
    pub(crate) modified: Millis,
    /// `None`: a delete marker.
    pub(crate) object: Option<Box<Object>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Object {
    /// The data, in order. More than one only after a multipart upload.
    pub(crate) pieces: Vec<Piece>,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) checksum: Option<StoredChecksum>,
    pub(crate) headers: Headers,
    pub(crate) lock: LockState,
    /// Whether the pieces are parts that `partNumber` may name.
    pub(crate) multipart: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub(crate) blob: BlobId,
    pub(crate) size: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredChecksum {
    pub(crate) algorithm: Algorithm,
    /// As on the wire: base64, with `-N` behind it when it is a checksum of N checksums.
    pub(crate) value: String,
    pub(crate) full_object: bool,
}

/// What a client gave to be handed back.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Headers {
    pub(crate) content_type: Option<String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) expires_seconds: Option<i64>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// A multipart upload that is neither completed nor aborted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) initiated: Millis,
    pub(crate) headers: Headers,
    pub(crate) lock: LockState,
    pub(crate) checksum: Option<UploadChecksum>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct UploadChecksum {
    pub(crate) algorithm: Algorithm,
    pub(crate) full_object: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) piece: Piece,
    pub(crate) etag: String,
    pub(crate) checksum: Option<(Algorithm, String)>,
    pub(crate) modified: Millis,
}

impl Version {
    pub(crate) fn id(&self) -> VersionRef {
        if self.null {
            VersionRef::Null
        } else {
            VersionRef::Id {
                seq: self.seq,
                salt: self.salt,
            }
        }
    }
}
