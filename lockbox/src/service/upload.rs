//! Receiving a body: from the wire into a blob that is on the disk and known to be right.

use futures::StreamExt as _;
use http::{HeaderMap, StatusCode};
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3Result, TrailingHeaders, s3_error};

use super::Lockbox;
use crate::declared::Declared;
use crate::digest::{Algorithm, Digests, Hashes};
use crate::error::{custom, internal};
use crate::store::blob::{BlobWriter, Staged};

/// AWS: "a single PUT can upload up to 5 GB"; the same holds for a part and a copy.
pub(super) const LONGEST_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// A body that is announced but not read yet.
pub(super) struct Incoming {
    pub(super) body: Option<StreamingBlob>,
    /// Of the payload: s3s puts `x-amz-decoded-content-length` here for aws-chunked bodies.
    pub(super) length: Option<i64>,
    pub(super) declared: Declared,
    /// Computed when the client declares no checksum.
    pub(super) fallback: Option<Algorithm>,
    pub(super) trailers: Option<TrailingHeaders>,
}

impl Lockbox {
    pub(super) async fn receive(&self, incoming: Incoming) -> S3Result<(Staged, Digests)> {
        let Incoming {
            body,
            length,
            declared,
            fallback,
            trailers,
        } = incoming;
        let length = length.ok_or_else(|| s3_error!(MissingContentLength))?;
        let length = u64::try_from(length).map_err(|_| s3_error!(InvalidArgument, "negative length"))?;
        if length > LONGEST_BYTES {
            return Err(s3_error!(
                EntityTooLarge,
                "Your proposed upload exceeds the maximum allowed object size."
            ));
        }
        let hashes = Hashes::new(declared.algorithm().or(fallback));
        let mut writer = BlobWriter::new(self.store.folder.clone(), hashes).map_err(internal)?;
        if let Some(mut body) = body {
            // s3s reports wrong signatures and payload hashes as the last item of the stream, so
            // nothing may be kept before the end was seen.
            while let Some(bytes) = body.next().await {
                writer
                    .write(bytes.map_err(|e| body_error(&e.to_string()))?)
                    .await
                    .map_err(internal)?;
                if writer.size() > length {
                    return Err(wrong_length());
                }
            }
        }
        if writer.size() != length {
            return Err(wrong_length());
        }
        let (staged, hashes) = writer.finish().await.map_err(internal)?;
        let digests = hashes.finish();
        declared.verify(&digests, trailers.as_ref())?;
        Ok((staged, digests))
    }
}

fn wrong_length() -> S3Error {
    s3_error!(
        IncompleteBody,
        "You did not provide the number of bytes specified by the Content-Length HTTP header"
    )
}

/// The error types of s3s' body streams are private: their text is what there is to go by.
fn body_error(text: &str) -> S3Error {
    let has = |word: &str| text.contains(word);
    if has("Sha256Mismatch") {
        custom(
            "XAmzContentSHA256Mismatch",
            StatusCode::BAD_REQUEST,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
    } else if has("SignatureMismatch") {
        s3_error!(SignatureDoesNotMatch, "The signature of a chunk does not match.")
    } else if has("ChunkTooLarge") {
        s3_error!(InvalidRequest, "A signed chunk is longer than 16 MiB.")
    } else if has("FormatError") || has("TooLarge") || has("TooMany") {
        s3_error!(InvalidRequest, "The body is not well-formed aws-chunked data.")
    } else {
        wrong_length()
    }
}

/// What lockbox cannot do must not look as if it had been done.
pub(super) fn refuse_unsupported(headers: &HeaderMap) -> S3Result<()> {
    let value = |name: &str| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    let refuse = |what: &str| Err(s3_error!(NotImplemented, "{what} is not supported"));
    for name in headers.keys() {
        let name = name.as_str();
        let customer_key = name.contains("server-side-encryption-customer")
            || name == "x-amz-server-side-encryption-aws-kms-key-id"
            || name == "x-amz-server-side-encryption-context";
        if customer_key {
            return refuse("encryption with a customer's key");
        }
        if name.starts_with("x-amz-grant-") || name == "x-amz-website-redirect-location" {
            return refuse(name);
        }
    }
    if value("x-amz-server-side-encryption").is_some_and(|v| v != "AES256") {
        return refuse("encryption with KMS");
    }
    if value("x-amz-tagging").is_some_and(|v| !v.is_empty()) {
        return refuse("tagging");
    }
    if value("x-amz-write-offset-bytes").is_some() {
        return refuse("appending");
    }
    if value("x-amz-acl").is_some_and(|v| v != "private" && v != "bucket-owner-full-control") {
        return refuse("an ACL other than private");
    }
    if value("x-amz-storage-class").is_some_and(|v| v != "STANDARD") {
        return Err(s3_error!(
            InvalidStorageClass,
            "The storage class you specified is not valid"
        ));
    }
    Ok(())
}
