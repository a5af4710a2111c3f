//! Looking up versions and uploads, the same for reading and within a change.

use redb::ReadableTable;
use s3s::s3_error;

use super::index::{PartKey, UploadKey, VersionKey, bucket, decode};
use super::record::{Bucket, Part, Upload, Version};
use crate::error::Fault;
use crate::version::VersionRef;

type Record = &'static [u8];

/// The bucket, or NoSuchBucket.
pub(crate) fn existing_bucket(
    buckets: &impl ReadableTable<&'static str, Record>,
    name: &str,
) -> Result<Bucket, Fault> {
    bucket(buckets, name)?
        .ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist").into())
}

/// The newest version of a key, which may be a delete marker.
pub(crate) fn latest(
    versions: &impl ReadableTable<VersionKey, Record>,
    bucket: &str,
    key: &str,
) -> Result<Option<Version>, Fault> {
    match versions.range((bucket, key, 0)..=(bucket, key, u64::MAX))?.next() {
        Some(row) => Ok(Some(decode(row?.1.value())?)),
        None => Ok(None),
    }
}

/// The version that an id names.
pub(crate) fn by_id(
    versions: &impl ReadableTable<VersionKey, Record>,
    bucket: &str,
    key: &str,
    id: VersionRef,
) -> Result<Option<Version>, Fault> {
    match id {
        VersionRef::Id { seq, salt } => {
            let Some(row) = versions.get((bucket, key, seq.descending()))? else {
                return Ok(None);
            };
            let version: Version = decode(row.value())?;
            Ok((version.salt == salt && !version.null).then_some(version))
        }
        VersionRef::Null => {
            for row in versions.range((bucket, key, 0)..=(bucket, key, u64::MAX))? {
                let version: Version = decode(row?.1.value())?;
                if version.null {
                    return Ok(Some(version));
                }
            }
            Ok(None)
        }
    }
}

/// The upload, or NoSuchUpload.
pub(crate) fn upload(
    uploads: &impl ReadableTable<UploadKey, Record>,
    bucket: &str,
    key: &str,
    upload_id: &str,
) -> Result<Upload, Fault> {
    match uploads.get((bucket, key, upload_id))? {
        Some(row) => decode(row.value()),
        None => Err(s3_error!(
            NoSuchUpload,
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
        )
        .into()),
    }
}

/// The parts of an upload, in order of their numbers.
pub(crate) fn parts(
    parts: &impl ReadableTable<PartKey, Record>,
    upload_id: &str,
) -> Result<Vec<(u32, Part)>, Fault> {
    let mut found = Vec::new();
    for row in parts.range((upload_id, 0)..=(upload_id, u32::MAX))? {
        let (key, record) = row?;
        found.push((key.value().1, decode(record.value())?));
    }
    Ok(found)
}
