//! CopyObject: the bytes are read and written again, block by block.

use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::Lockbox;
use super::condition::{ReadCondition, WriteCondition};
use super::download::{FoundVersion, blocks};
use super::put::{
    asked_lock, check_asked, full_object_type, insert, metadata, seconds, stored_encoding, with_lock,
};
use super::upload::{LONGEST_BYTES, refuse_unsupported};
use crate::digest::{Algorithm, Digests, Hashes};
use crate::error::internal;
use crate::store::blob::{BlobWriter, Staged};
use crate::store::find::existing_bucket;
use crate::store::record::{Headers, Object as ObjectRecord, Piece, StoredChecksum, Versioning};

/// Where a copy takes its bytes from.
pub(super) struct CopyFrom {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) version_id: Option<String>,
}

impl CopyFrom {
    pub(super) fn parse(source: &CopySource) -> S3Result<Self> {
        match source {
            CopySource::Bucket {
                bucket,
                key,
                version_id,
            } => Ok(Self {
                bucket: bucket.to_string(),
                key: key.to_string(),
                version_id: version_id.as_deref().map(str::to_owned),
            }),
            _ => Err(s3_error!(NotImplemented, "access points are not supported")),
        }
    }
}

/// The version that was copied from, for `x-amz-copy-source-version-id`.
pub(super) fn source_version(found: &FoundVersion) -> Option<String> {
    (found.versioning != Versioning::Off).then(|| found.version.id().to_string())
}

impl Lockbox {
    pub(super) async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<CopyObjectOutput> {
        refuse_unsupported(&req.headers)?;
        let condition_of_write = WriteCondition::of_headers(&req.headers)?;
        let input = req.input;
        let asked = asked_lock(
            input.object_lock_mode.as_ref(),
            input.object_lock_retain_until_date.as_ref(),
            input.object_lock_legal_hold_status.as_ref(),
            self.now(),
        )?;
        check_asked(asked, &self.require_bucket(input.bucket.clone()).await?)?;
        let source = CopyFrom::parse(&input.copy_source)?;
        let replace = match input.metadata_directive.as_ref().map(MetadataDirective::as_str) {
            None | Some(MetadataDirective::COPY) => false,
            Some(MetadataDirective::REPLACE) => true,
            Some(_) => return Err(s3_error!(InvalidArgument, "Unknown metadata directive.")),
        };
        let onto_itself = source.bucket == input.bucket && source.key == input.key;
        if onto_itself && source.version_id.is_none() && !replace {
            return Err(s3_error!(
                InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata."
            ));
        }
        let found = self
            .find(source.bucket, source.key, source.version_id.as_deref())
            .await?;
        let condition = ReadCondition {
            if_match: input.copy_source_if_match.clone(),
            if_none_match: input.copy_source_if_none_match.clone(),
            if_modified_since: input.copy_source_if_modified_since.clone(),
            if_unmodified_since: input.copy_source_if_unmodified_since.clone(),
            copies: true,
        };
        condition.check(&found.version, &found.object)?;
        let headers = if replace {
            headers_of_copy(&input)?
        } else {
            found.object.headers.clone()
        };
        let algorithm =
            match &input.checksum_algorithm {
                Some(name) => Some(Algorithm::parse(name.as_str()).ok_or_else(|| {
                    s3_error!(InvalidRequest, "Checksum algorithm provided is unsupported.")
                })?),
                None => found.object.checksum.as_ref().map(|checksum| checksum.algorithm),
            };
        let (staged, digests) = self.copy_bytes(&found, 0..found.object.size, algorithm).await?;
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
            // A lock is not copied: it is asked for, or the bucket's default.
            lock: asked,
            multipart: false,
        };
        let (bucket, key, now) = (input.bucket, input.key, self.now());
        let version = self
            .store
            .write_with(staged, move |tx| {
                let record = existing_bucket(&tx.buckets, &bucket)?;
                let object = Box::new(with_lock(object, &record, now)?);
                insert(tx, &bucket, &record, &key, Some(object), &condition_of_write, now)
            })
            .await?;
        let (fields, checksum_type) = checksum
            .map(|c| (c.algorithm.field(c.value), full_object_type()))
            .unzip();
        let fields: Checksum = fields.unwrap_or_default();
        Ok(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                checksum_crc32: fields.checksum_crc32,
                checksum_crc32c: fields.checksum_crc32c,
                checksum_crc64nvme: fields.checksum_crc64nvme,
                checksum_sha1: fields.checksum_sha1,
                checksum_sha256: fields.checksum_sha256,
                checksum_type,
                e_tag: Some(ETag::Strong(etag)),
                last_modified: Some(version.modified.into()),
            }),
            copy_source_version_id: source_version(&found),
            version_id: version.header(),
            ..Default::default()
        })
    }

    /// Writes a range of an object into a new blob.
    pub(super) async fn copy_bytes(
        &self,
        found: &FoundVersion,
        range: std::ops::Range<u64>,
        algorithm: Option<Algorithm>,
    ) -> S3Result<(Staged, Digests)> {
        if range.end - range.start > LONGEST_BYTES {
            return Err(s3_error!(
                InvalidRequest,
                "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120"
            ));
        }
        let length = range.end - range.start;
        let mut source = blocks(&self.store, &found.object.pieces, range).await?;
        let mut writer =
            BlobWriter::new(self.store.folder.clone(), Hashes::new(algorithm)).map_err(internal)?;
        while let Some(block) = source.recv().await {
            writer.write(block.map_err(internal)?).await.map_err(internal)?;
        }
        if writer.size() != length {
            return Err(s3_error!(
                InternalError,
                "the copy source could not be read to its end"
            ));
        }
        let (staged, hashes) = writer.finish().await.map_err(internal)?;
        Ok((staged, hashes.finish()))
    }
}

fn headers_of_copy(input: &CopyObjectInput) -> S3Result<Headers> {
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
