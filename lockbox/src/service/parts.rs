//! UploadPart and UploadPartCopy.

use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::Lockbox;
use super::condition::ReadCondition;
use super::copy::{CopyFrom, source_version};
use super::download::out_of_range;
use super::put::require_digest;
use super::upload::{Incoming, refuse_unsupported};
use crate::declared::Declared;
use crate::digest::Digests;
use crate::store::blob::Staged;
use crate::store::find;
use crate::store::index::decode;
use crate::store::record::{Bucket as BucketRecord, Part as PartRecord, Piece, Upload};

impl Lockbox {
    pub(super) async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<UploadPartOutput> {
        refuse_unsupported(&req.headers)?;
        let declared = Declared::parse(&req.headers)?;
        let input = req.input;
        let number = part_number(input.part_number)?;
        let (bucket, upload) = self
            .open_upload(input.bucket.clone(), input.key.clone(), input.upload_id.clone())
            .await?;
        require_digest(upload.lock, &bucket, &declared, "Put Part")?;
        let wanted = upload.checksum.map(|checksum| checksum.algorithm);
        if let (Some(wanted), Some(given)) = (wanted, declared.algorithm())
            && wanted != given
        {
            return Err(s3_error!(
                InvalidRequest,
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                wanted.name().as_str().to_ascii_lowercase(),
                given.name().as_str().to_ascii_lowercase()
            ));
        }
        let (staged, digests) = self
            .receive(Incoming {
                body: input.body,
                length: input.content_length,
                declared,
                fallback: wanted,
                trailers: req.trailing_headers,
            })
            .await?;
        let part = self
            .add_part(
                staged,
                &digests,
                (input.bucket, input.key, input.upload_id),
                number,
            )
            .await?;
        let fields = part.checksum.map(|(a, value)| a.field(value)).unwrap_or_default();
        Ok(UploadPartOutput {
            checksum_crc32: fields.checksum_crc32,
            checksum_crc32c: fields.checksum_crc32c,
            checksum_crc64nvme: fields.checksum_crc64nvme,
            checksum_sha1: fields.checksum_sha1,
            checksum_sha256: fields.checksum_sha256,
            e_tag: Some(ETag::Strong(part.etag)),
            ..Default::default()
        })
    }

    pub(super) async fn upload_part_copy(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<UploadPartCopyOutput> {
        refuse_unsupported(&req.headers)?;
        let input = req.input;
        let number = part_number(input.part_number)?;
        let (_, upload) = self
            .open_upload(input.bucket.clone(), input.key.clone(), input.upload_id.clone())
            .await?;
        let source = CopyFrom::parse(&input.copy_source)?;
        let found = self
            .find(source.bucket, source.key, source.version_id.as_deref())
            .await?;
        let condition = ReadCondition {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
            copies: true,
        };
        condition.check(&found.version, &found.object)?;
        let size = found.object.size;
        let range = match &input.copy_source_range {
            None => 0..size,
            Some(text) => copy_range(text, size)?,
        };
        let algorithm = upload.checksum.map(|checksum| checksum.algorithm);
        let (staged, digests) = self.copy_bytes(&found, range, algorithm).await?;
        let part = self
            .add_part(
                staged,
                &digests,
                (input.bucket, input.key, input.upload_id),
                number,
            )
            .await?;
        let fields = part.checksum.map(|(a, value)| a.field(value)).unwrap_or_default();
        Ok(UploadPartCopyOutput {
            copy_part_result: Some(CopyPartResult {
                checksum_crc32: fields.checksum_crc32,
                checksum_crc32c: fields.checksum_crc32c,
                checksum_crc64nvme: fields.checksum_crc64nvme,
                checksum_sha1: fields.checksum_sha1,
                checksum_sha256: fields.checksum_sha256,
                e_tag: Some(ETag::Strong(part.etag)),
                last_modified: Some(part.modified.into()),
            }),
            copy_source_version_id: source_version(&found),
            ..Default::default()
        })
    }

    pub(super) async fn open_upload(
        &self,
        bucket: String,
        key: String,
        upload_id: String,
    ) -> S3Result<(BucketRecord, Upload)> {
        self.store
            .read(move |view| {
                let record = find::existing_bucket(&view.buckets, &bucket)?;
                Ok((record, find::upload(&view.uploads, &bucket, &key, &upload_id)?))
            })
            .await
    }

    /// Adds a part, or puts it in the place of the one with its number.
    async fn add_part(
        &self,
        staged: Staged,
        digests: &Digests,
        (bucket, key, upload_id): (String, String, String),
        number: u32,
    ) -> S3Result<PartRecord> {
        let part = PartRecord {
            piece: Piece {
                blob: staged.id,
                size: staged.size,
            },
            etag: digests.etag(),
            checksum: digests.other.clone(),
            modified: self.now(),
        };
        let record = part.clone();
        self.store
            .write_with(staged, move |tx| {
                // The upload may have been aborted or completed while the body came in.
                find::upload(&tx.uploads, &bucket, &key, &upload_id)?;
                let old: Option<PartRecord> = match tx.parts.remove((upload_id.as_str(), number))? {
                    Some(row) => Some(decode(row.value())?),
                    None => None,
                };
                if let Some(old) = old {
                    tx.remove_piece(old.piece)?;
                }
                tx.put_part(&upload_id, number, &record)
            })
            .await?;
        Ok(part)
    }
}

fn part_number(number: i32) -> S3Result<u32> {
    u32::try_from(number)
        .ok()
        .filter(|n| (1..=10_000).contains(n))
        .ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "Part number must be an integer between 1 and 10000, inclusive"
            )
        })
}

/// `bytes=FIRST-LAST`, both needed here.
fn copy_range(text: &str, size: u64) -> S3Result<std::ops::Range<u64>> {
    match Range::parse(text) {
        Ok(Range::Int {
            first,
            last: Some(last),
        }) if last < size => Ok(first..last + 1),
        Ok(Range::Int { last: Some(_), .. }) => Err(out_of_range(size)),
        _ => Err(s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last"
        )),
    }
}
