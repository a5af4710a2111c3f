//! What S3 said, in words that tell a technician what to do.

use crate::{error::ApiError, s3::S3Error};

/// What was being done when S3 said no.
#[derive(Debug, Clone, Copy)]
pub enum Doing<'a> {
    /// Trying a storage account's keys.
    TryingKeys {
        /// The endpoint's address.
        endpoint: &'a str,
    },
    /// Looking at, or making, a bucket.
    Bucket {
        /// The endpoint's address.
        endpoint: &'a str,
        /// The bucket.
        bucket: &'a str,
    },
}

/// The error as a refusal with a remedy.
pub fn explain(error: &S3Error, doing: Doing<'_>) -> ApiError {
    let (Doing::TryingKeys { endpoint } | Doing::Bucket { endpoint, .. }) = doing;
    let bucket = match doing {
        Doing::TryingKeys { .. } => "",
        Doing::Bucket { bucket, .. } => bucket,
    };
    let (code, message) = match (error, error.code()) {
        (S3Error::Unreachable(detail), _) => (
            "endpoint_unreachable",
            format!(
                "The endpoint {endpoint} did not answer ({detail}). Check the address and the port, whether it is \
                 http or https, and that this server's network lets it through."
            ),
        ),
        (_, "InvalidAccessKeyId") => (
            "wrong_access_key",
            format!("{endpoint} does not know this access key. Copy the access key again from the provider's console."),
        ),
        (_, "SignatureDoesNotMatch") => (
            "wrong_secret_key",
            "The secret key does not belong to this access key. Copy it again; if it is right, check the region."
                .to_owned(),
        ),
        (_, "AuthorizationHeaderMalformed") => (
            "wrong_region",
            format!("The region is not the one that {endpoint} expects. Use the region of the bucket."),
        ),
        (_, "NoSuchBucket") => (
            "no_such_bucket",
            format!(
                "There is no bucket `{bucket}` at {endpoint}. Check its name, or let Holdfast create it, which turns \
                 versioning and Object Lock on."
            ),
        ),
        (_, "BucketAlreadyExists" | "BucketAlreadyOwnedByYou") => (
            "bucket_exists",
            format!(
                "The bucket `{bucket}` exists already. Choose another name, or choose “use an existing bucket”: it is \
                 then checked for versioning and Object Lock."
            ),
        ),
        (_, "InvalidBucketName") => (
            "bucket_name",
            format!(
                "`{bucket}` is not a bucket name that S3 allows: use 3 to 63 lower-case letters, digits, dots and \
                 hyphens."
            ),
        ),
        (_, "AccessDenied") | (S3Error::Refused { status: 403, .. }, _) => (
            "access_denied",
            format!(
                "The key is valid but may not do this{}. Grant it s3:CreateBucket (to create buckets), \
                 s3:GetBucketVersioning, s3:GetBucketObjectLockConfiguration, s3:PutObject, s3:PutObjectRetention, \
                 s3:GetObject, s3:GetObjectVersion, s3:GetObjectRetention, s3:ListBucketVersions and \
                 s3:DeleteObjectVersion (to groom what is no longer locked).",
                if bucket.is_empty() { String::new() } else { format!(" in the bucket `{bucket}`") }
            ),
        ),
        _ => (
            "object_store",
            format!("{endpoint} answered with something unexpected: {error}. Check that it is an S3 endpoint."),
        ),
    };
    ApiError::invalid(code, message)
}
