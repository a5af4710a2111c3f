//! Multipart uploads: start and abort.

use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::Lockbox;
use super::put::{asked_lock, check_asked, metadata, seconds, stored_encoding};
use super::upload::refuse_unsupported;
use crate::digest::Algorithm;
use crate::error::internal;
use crate::store::find;
use crate::store::record::{Headers, Upload, UploadChecksum};

impl Lockbox {
    pub(super) async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<CreateMultipartUploadOutput> {
        refuse_unsupported(&req.headers)?;
        let input = req.input;
        let now = self.now();
        let lock = asked_lock(
            input.object_lock_mode.as_ref(),
            input.object_lock_retain_until_date.as_ref(),
            input.object_lock_legal_hold_status.as_ref(),
            now,
        )?;
        let checksum = asked_checksum(input.checksum_algorithm.as_ref(), input.checksum_type.as_ref())?;
        let headers = Headers {
            content_type: input.content_type,
            cache_control: input.cache_control,
            content_disposition: input.content_disposition,
            content_encoding: stored_encoding(input.content_encoding.as_deref()),
            content_language: input.content_language,
            expires_seconds: seconds(input.expires.as_ref()),
            metadata: metadata(input.metadata.as_ref())?,
        };
        let upload = Upload {
            initiated: now,
            headers,
            lock,
            checksum,
        };
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|e| internal(std::io::Error::other(e)))?;
        let upload_id = crate::digest::hex(&id);
        let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), upload_id.clone());
        self.store
            .write(move |tx| {
                check_asked(lock, &find::existing_bucket(&tx.buckets, &bucket)?)?;
                tx.put_upload((&bucket, &key, &id), &upload)
            })
            .await?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(upload_id),
            checksum_algorithm: checksum.map(|c| c.algorithm.name()),
            checksum_type: checksum.map(|c| checksum_type(c.full_object)),
            ..Default::default()
        })
    }

    pub(super) async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<AbortMultipartUploadOutput> {
        let input = req.input;
        if input.if_match_initiated_time.is_some() {
            return Err(s3_error!(NotImplemented, "conditional aborts are not supported"));
        }
        self.store
            .write(move |tx| {
                find::existing_bucket(&tx.buckets, &input.bucket)?;
                find::upload(&tx.uploads, &input.bucket, &input.key, &input.upload_id)?;
                for (number, part) in find::parts(&tx.parts, &input.upload_id)? {
                    tx.remove_piece(part.piece)?;
                    tx.parts.remove((input.upload_id.as_str(), number))?;
                }
                tx.uploads.remove((
                    input.bucket.as_str(),
                    input.key.as_str(),
                    input.upload_id.as_str(),
                ))?;
                Ok(())
            })
            .await?;
        Ok(AbortMultipartUploadOutput::default())
    }
}

pub(super) fn checksum_type(full_object: bool) -> ChecksumType {
    ChecksumType::from_static(if full_object {
        ChecksumType::FULL_OBJECT
    } else {
        ChecksumType::COMPOSITE
    })
}

/// AWS, table "Full object and composite checksum types": CRC64NVME is of the full object only, SHA
/// is composite only, the other CRCs are either, composite by default.
fn asked_checksum(
    algorithm: Option<&ChecksumAlgorithm>,
    kind: Option<&ChecksumType>,
) -> S3Result<Option<UploadChecksum>> {
    let Some(algorithm) = algorithm else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(s3_error!(
                InvalidRequest,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )),
        };
    };
    let algorithm = Algorithm::parse(algorithm.as_str())
        .ok_or_else(|| s3_error!(InvalidRequest, "Checksum algorithm provided is unsupported."))?;
    let full_object = match kind.map(ChecksumType::as_str) {
        None => algorithm == Algorithm::Crc64Nvme,
        Some(ChecksumType::FULL_OBJECT) if algorithm.is_crc() => true,
        Some(ChecksumType::COMPOSITE) if algorithm != Algorithm::Crc64Nvme => false,
        Some(_) => {
            return Err(s3_error!(
                InvalidRequest,
                "The checksum type cannot be used with this checksum algorithm."
            ));
        }
    };
    Ok(Some(UploadChecksum {
        algorithm,
        full_object,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_types() {
        let ask = |algorithm: &'static str, kind: Option<&'static str>| {
            asked_checksum(
                Some(&ChecksumAlgorithm::from_static(algorithm)),
                kind.map(ChecksumType::from_static).as_ref(),
            )
            .map(|checksum| checksum.unwrap().full_object)
        };
        assert!(ask("CRC64NVME", None).unwrap());
        assert!(!ask("CRC32", None).unwrap());
        assert!(ask("CRC32C", Some("FULL_OBJECT")).unwrap());
        assert!(ask("SHA256", Some("FULL_OBJECT")).is_err());
        assert!(ask("CRC64NVME", Some("COMPOSITE")).is_err());
        assert!(asked_checksum(None, Some(&checksum_type(true))).is_err());
    }
}
