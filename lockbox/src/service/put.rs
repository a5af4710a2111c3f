//! PutObject, and what it shares with copies and multipart uploads.

use std::collections::BTreeMap;

use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};
use time::OffsetDateTime;

use super::Lockbox;
use super::condition::WriteCondition;
use super::upload::{Incoming, refuse_unsupported};
use crate::clock::Millis;
use crate::declared::Declared;
use crate::error::{Fault, internal};
use crate::lock::{LockState, Retention, bucket_without_lock, parse_hold};
use crate::store::find::{by_id, existing_bucket, latest};
use crate::store::index::Tx;
use crate::store::record::{
    Bucket as BucketRecord, Headers, Object as ObjectRecord, Piece, StoredChecksum, Version, Versioning,
};
use crate::version::VersionRef;

/// AWS limits user-defined metadata to 2 KB.
const METADATA_BYTES: usize = 2 * 1024;

impl Lockbox {
    pub(super) async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
        refuse_unsupported(&req.headers)?;
        let declared = Declared::parse(&req.headers)?;
        let headers = headers_of_put(&req.input)?;
        let input = req.input;
        let condition = WriteCondition::parse(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let asked = asked_lock(
            input.object_lock_mode.as_ref(),
            input.object_lock_retain_until_date.as_ref(),
            input.object_lock_legal_hold_status.as_ref(),
            self.now(),
        )?;
        let bucket = self.require_bucket(input.bucket.clone()).await?;
        check_asked(asked, &bucket)?;
        require_digest(asked, &bucket, &declared, "Put Object")?;
        let (staged, digests) = self
            .receive(Incoming {
                body: input.body,
                length: input.content_length,
                declared,
                fallback: None,
                trailers: req.trailing_headers,
            })
            .await?;
        let etag = digests.etag();
        let checksum = digests.other.map(|(algorithm, value)| StoredChecksum {
            algorithm,
            value,
            full_object: true,
        });
        let object = ObjectRecord {
            pieces: vec![Piece {
                blob: staged.id,
                size: staged.size,
            }],
            size: staged.size,
            etag: etag.clone(),
            checksum: checksum.clone(),
            headers,
            lock: asked,
            multipart: false,
        };
        let (bucket, key, now) = (input.bucket, input.key, self.now());
        let version = self
            .store
            .write_with(staged, move |tx| {
                let record = existing_bucket(&tx.buckets, &bucket)?;
                let object = Box::new(with_lock(object, &record, now)?);
                insert(tx, &bucket, &record, &key, Some(object), &condition, now)
            })
            .await?;
        let checksum = checksum.map(|c| (c.algorithm.field(c.value), full_object_type()));
        let (fields, checksum_type) = checksum.unzip();
        let fields = fields.unwrap_or_default();
        Ok(PutObjectOutput {
            checksum_crc32: fields.checksum_crc32,
            checksum_crc32c: fields.checksum_crc32c,
            checksum_crc64nvme: fields.checksum_crc64nvme,
            checksum_sha1: fields.checksum_sha1,
            checksum_sha256: fields.checksum_sha256,
            checksum_type,
            e_tag: Some(ETag::Strong(etag)),
            version_id: version.header(),
            ..Default::default()
        })
    }
}

/// A version as it was written, and how its bucket counted versions then.
pub(super) struct Written {
    pub(super) version: Version,
    versioning: Versioning,
}

impl std::ops::Deref for Written {
    type Target = Version;

    fn deref(&self) -> &Version {
        &self.version
    }
}

impl Written {
    /// The `x-amz-version-id` of the answer; a bucket that never had versions has none.
    pub(super) fn header(&self) -> Option<String> {
        (self.versioning != Versioning::Off).then(|| self.version.id().to_string())
    }
}

pub(super) fn full_object_type() -> ChecksumType {
    ChecksumType::from_static(ChecksumType::FULL_OBJECT)
}

/// The lock that the headers of a write ask for.
pub(super) fn asked_lock(
    mode: Option<&ObjectLockMode>,
    until: Option<&Timestamp>,
    hold: Option<&ObjectLockLegalHoldStatus>,
    now: Millis,
) -> S3Result<LockState> {
    let legal_hold = hold.map(|status| {
        parse_hold(status.as_str())
            .ok_or_else(|| s3_error!(InvalidArgument, "Legal Hold must be either of 'ON' or 'OFF'"))
    });
    Ok(LockState {
        retention: Retention::from_headers(mode, until, now)?,
        legal_hold: legal_hold.transpose()?,
    })
}

/// Lock headers need a bucket with Object Lock.
pub(super) fn check_asked(asked: LockState, bucket: &BucketRecord) -> S3Result<()> {
    if asked != LockState::default() && !bucket.object_lock {
        return Err(bucket_without_lock());
    }
    Ok(())
}

/// AWS: "The Content-MD5 or x-amz-sdk-checksum-algorithm header is required for any request to
/// upload an object with a retention period configured using Object Lock", by headers or default.
pub(super) fn require_digest(
    asked: LockState,
    bucket: &BucketRecord,
    declared: &Declared,
    what: &str,
) -> S3Result<()> {
    let locked = asked != LockState::default() || bucket.default_retention.is_some();
    if locked && !declared.any() {
        return Err(s3_error!(
            InvalidRequest,
            "Content-MD5 OR x-amz-checksum- HTTP header is required for {what} requests with Object Lock parameters"
        ));
    }
    Ok(())
}

/// Gives the bucket's default retention to an object that brings none. Decided when it is written,
/// so that it cannot miss a default that was set while the body came in.
pub(super) fn with_lock(
    mut object: ObjectRecord,
    bucket: &BucketRecord,
    now: Millis,
) -> S3Result<ObjectRecord> {
    check_asked(object.lock, bucket)?;
    if object.lock.retention.is_none() {
        object.lock.retention = bucket.default_retention.map(|default| default.starting(now));
    }
    Ok(object)
}

/// Writes a version (or, without an object, a delete marker). While versioning is not enabled it
/// takes the place of the "null" version, which must not be locked then.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    bucket: &str,
    record: &BucketRecord,
    key: &str,
    object: Option<Box<ObjectRecord>>,
    condition: &WriteCondition,
    now: Millis,
) -> Result<Written, Fault> {
    condition.check(latest(&tx.versions, bucket, key)?.as_ref())?;
    let null = record.versioning != Versioning::Enabled;
    let replaced = if null {
        by_id(&tx.versions, bucket, key, VersionRef::Null)?
    } else {
        None
    };
    if let Some(old) = replaced.as_ref().and_then(|old| old.object.as_deref()) {
        old.lock.check_delete(now, false)?;
    }
    let salt = getrandom::u64().map_err(|e| internal(std::io::Error::other(e)))?;
    let version = Version {
        seq: tx.next_seq()?,
        salt,
        null,
        modified: now,
        object,
    };
    if let Some(old) = replaced {
        tx.remove_version(bucket, key, &old)?;
    }
    tx.put_version(bucket, key, &version)?;
    Ok(Written {
        version,
        versioning: record.versioning,
    })
}

fn headers_of_put(input: &PutObjectInput) -> S3Result<Headers> {
    Ok(Headers {
        content_type: input.content_type.clone(),
        cache_control: input.cache_control.clone(),
        content_disposition: input.content_disposition.clone(),
        content_encoding: stored_encoding(input.content_encoding.as_deref()),
        content_language: input.content_language.clone(),
        expires_seconds: seconds(input.expires.as_ref()),
        metadata: metadata(input.metadata.as_ref())?,
    })
}

pub(super) fn seconds(at: Option<&Timestamp>) -> Option<i64> {
    at.map(|at| OffsetDateTime::from(at.clone()).unix_timestamp())
}

pub(super) fn metadata(given: Option<&Metadata>) -> S3Result<BTreeMap<String, String>> {
    let metadata: BTreeMap<_, _> = given
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.to_ascii_lowercase(), v.clone()))
        .collect();
    let size: usize = metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
    if size > METADATA_BYTES {
        return Err(s3_error!(
            MetadataTooLarge,
            "Your metadata headers exceed the maximum allowed metadata size"
        ));
    }
    Ok(metadata)
}

/// `aws-chunked` describes the transfer, not the object.
pub(super) fn stored_encoding(given: Option<&str>) -> Option<String> {
    let kept: Vec<&str> = given?
        .split(',')
        .map(str::trim)
        .filter(|e| !e.is_empty() && !e.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}
