//! CompleteMultipartUpload: parts become one object, without being copied.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::Lockbox;
use super::condition::WriteCondition;
use super::download::blocks;
use super::multipart::checksum_type;
use super::put::{insert, with_lock};
use crate::declared::bad_digest;
use crate::digest::{Algorithm, Hashes, multipart_etag};
use crate::error::internal;
use crate::store::find;
use crate::store::record::{Object as ObjectRecord, Part as PartRecord, Piece, StoredChecksum, Upload};

/// AWS: "part size: 5 MB to 5 GB; there is no minimum size limit on the last part".
const SMALLEST_PART_BYTES: u64 = 5 * 1024 * 1024;

impl Lockbox {
    pub(super) async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let input = req.input;
        let condition = WriteCondition::parse(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let (bucket, key, upload_id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
        let (upload, present) = self
            .store
            .read(move |view| {
                find::existing_bucket(&view.buckets, &bucket)?;
                let upload = find::upload(&view.uploads, &bucket, &key, &upload_id)?;
                Ok((upload, find::parts(&view.parts, &upload_id)?))
            })
            .await?;
        let asked = input.multipart_upload.as_ref().and_then(|m| m.parts.as_ref());
        let chosen = choose(asked.map(Vec::as_slice).unwrap_or_default(), present)?;
        let pieces: Vec<Piece> = chosen.iter().map(|(_, part)| part.piece).collect();
        let size = pieces.iter().map(|piece| piece.size).sum();
        if input
            .mpu_object_size
            .is_some_and(|asked| u64::try_from(asked) != Ok(size))
        {
            return Err(s3_error!(
                InvalidRequest,
                "The provided object size does not match the parts."
            ));
        }
        let checksum = self.object_checksum(&upload, &chosen, &pieces, size).await?;
        compare(&input, checksum.as_ref())?;
        let etags: Vec<String> = chosen.iter().map(|(_, part)| part.etag.clone()).collect();
        let etag = multipart_etag(&etags);
        let object = ObjectRecord {
            pieces,
            size,
            etag: etag.clone(),
            checksum: checksum.clone(),
            headers: upload.headers,
            lock: upload.lock,
            multipart: true,
        };
        let (bucket, key, upload_id) = (input.bucket.clone(), input.key.clone(), input.upload_id);
        let now = self.now();
        let version = self
            .store
            .write(move |tx| {
                let record = find::existing_bucket(&tx.buckets, &bucket)?;
                find::upload(&tx.uploads, &bucket, &key, &upload_id)?;
                let unused = unused_parts(find::parts(&tx.parts, &upload_id)?, &chosen)?;
                let object = Box::new(with_lock(object, &record, now)?);
                let version = insert(tx, &bucket, &record, &key, Some(object), &condition, now)?;
                for (number, part) in unused {
                    tx.remove_piece(part.piece)?;
                    tx.parts.remove((upload_id.as_str(), number))?;
                }
                for (number, _) in &chosen {
                    tx.parts.remove((upload_id.as_str(), *number))?;
                }
                tx.uploads
                    .remove((bucket.as_str(), key.as_str(), upload_id.as_str()))?;
                Ok(version)
            })
            .await?;
        let kind = checksum.as_ref().map(|c| checksum_type(c.full_object));
        let fields = checksum.map(|c| c.algorithm.field(c.value)).unwrap_or_default();
        Ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            checksum_crc32: fields.checksum_crc32,
            checksum_crc32c: fields.checksum_crc32c,
            checksum_crc64nvme: fields.checksum_crc64nvme,
            checksum_sha1: fields.checksum_sha1,
            checksum_sha256: fields.checksum_sha256,
            checksum_type: kind,
            e_tag: Some(ETag::Strong(etag)),
            version_id: version.header(),
            ..Default::default()
        })
    }

    /// The checksum of the object: of all its bytes, read once more, or of its parts' checksums.
    async fn object_checksum(
        &self,
        upload: &Upload,
        chosen: &[(u32, PartRecord)],
        pieces: &[Piece],
        size: u64,
    ) -> S3Result<Option<StoredChecksum>> {
        let Some(asked) = upload.checksum else {
            return Ok(None);
        };
        let algorithm = asked.algorithm;
        let value = if asked.full_object {
            let mut hashes = Hashes::new(Some(algorithm));
            let mut source = blocks(&self.store, pieces, 0..size).await?;
            while let Some(block) = source.recv().await {
                hashes.update(&block.map_err(internal)?);
            }
            hashes.finish().other.map(|(_, value)| value).unwrap_or_default()
        } else {
            let mut all = Vec::new();
            for (_, part) in chosen {
                let part = part.checksum.as_ref().filter(|(a, _)| *a == algorithm);
                let bytes = part.and_then(|(_, value)| BASE64_STANDARD.decode(value).ok());
                all.extend(bytes.ok_or_else(invalid_part)?);
            }
            format!("{}-{}", algorithm.digest(&all), chosen.len())
        };
        Ok(Some(StoredChecksum {
            algorithm,
            value,
            full_object: asked.full_object,
        }))
    }
}

/// Those parts that were sent and are not named in the completion. Refused when a part was replaced since it was chosen.
fn unused_parts(
    present: Vec<(u32, PartRecord)>,
    chosen: &[(u32, PartRecord)],
) -> S3Result<HashMap<u32, PartRecord>> {
    let mut present: HashMap<u32, PartRecord> = present.into_iter().collect();
    for (number, part) in chosen {
        let same = present
            .remove(number)
            .is_some_and(|p| p.piece.blob == part.piece.blob);
        if !same {
            return Err(s3_error!(OperationAborted, "A part was replaced meanwhile."));
        }
    }
    Ok(present)
}

/// The parts that the client names, checked against those that are there.
fn choose(asked: &[CompletedPart], present: Vec<(u32, PartRecord)>) -> S3Result<Vec<(u32, PartRecord)>> {
    if asked.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part"));
    }
    if !asked.is_sorted_by(|a, b| a.part_number < b.part_number) {
        return Err(s3_error!(
            InvalidPartOrder,
            "The list of parts was not in ascending order. Parts must be ordered by part number."
        ));
    }
    let mut present: HashMap<u32, PartRecord> = present.into_iter().collect();
    let mut chosen: Vec<(u32, PartRecord)> = Vec::new();
    for (index, named) in asked.iter().enumerate() {
        let number = named
            .part_number
            .and_then(|n| u32::try_from(n).ok())
            .ok_or_else(invalid_part)?;
        let part = present.remove(&number).ok_or_else(invalid_part)?;
        if named.e_tag.as_ref().map(ETag::value) != Some(part.etag.as_str()) {
            return Err(invalid_part());
        }
        let given = Checksum {
            checksum_crc32: named.checksum_crc32.clone(),
            checksum_crc32c: named.checksum_crc32c.clone(),
            checksum_crc64nvme: named.checksum_crc64nvme.clone(),
            checksum_sha1: named.checksum_sha1.clone(),
            checksum_sha256: named.checksum_sha256.clone(),
            checksum_type: None,
        };
        for algorithm in Algorithm::ALL {
            let Some(given) = algorithm.of(&given) else {
                continue;
            };
            if part
                .checksum
                .as_ref()
                .is_none_or(|(a, value)| *a != algorithm || value != given)
            {
                return Err(invalid_part());
            }
        }
        if index + 1 < asked.len() && part.piece.size < SMALLEST_PART_BYTES {
            return Err(s3_error!(
                EntityTooSmall,
                "Your proposed upload is smaller than the minimum allowed size"
            ));
        }
        chosen.push((number, part));
    }
    Ok(chosen)
}

fn invalid_part() -> s3s::S3Error {
    s3_error!(
        InvalidPart,
        "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."
    )
}

/// The checksum that the client expects of the object.
fn compare(input: &CompleteMultipartUploadInput, computed: Option<&StoredChecksum>) -> S3Result<()> {
    if let (Some(kind), Some(computed)) = (&input.checksum_type, computed)
        && *kind != checksum_type(computed.full_object)
    {
        return Err(s3_error!(
            InvalidRequest,
            "The checksum type does not match the one of the upload."
        ));
    }
    let given = Checksum {
        checksum_crc32: input.checksum_crc32.clone(),
        checksum_crc32c: input.checksum_crc32c.clone(),
        checksum_crc64nvme: input.checksum_crc64nvme.clone(),
        checksum_sha1: input.checksum_sha1.clone(),
        checksum_sha256: input.checksum_sha256.clone(),
        checksum_type: None,
    };
    for algorithm in Algorithm::ALL {
        let Some(given) = algorithm.of(&given) else {
            continue;
        };
        if computed.is_none_or(|computed| computed.algorithm != algorithm || computed.value != *given) {
            return Err(bad_digest());
        }
    }
    Ok(())
}
