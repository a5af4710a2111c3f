//! Errors of S3 as refusals that tell a technician what to do.

use shared::s3_refusal::Cause;

use crate::{error::ApiError, s3::S3Error};

/// What was asked of S3.
#[derive(Debug, Clone, Copy)]
pub enum S3Call<'a> {
    /// Trying a storage account's keys.
    Keys {
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

/// The error as a refusal with a remedy. Whatever is no answer of S3 (no connection, another protocol, a page of HTML, an
/// address that the instance's rule refuses) is told in one and the same sentence, so that nobody learns by a storage account
/// what listens in the server's network; the log says which it was.
pub fn to_api_error(error: &S3Error, call: S3Call<'_>) -> ApiError {
    let (S3Call::Keys { endpoint } | S3Call::Bucket { endpoint, .. }) = call;
    let bucket = match call {
        S3Call::Keys { .. } => "",
        S3Call::Bucket { bucket, .. } => bucket,
    };
    let (code, message) = refusal(error, endpoint, bucket).unwrap_or_else(|| {
        tracing::warn!(?error, endpoint, bucket, "a storage endpoint gave no usable answer");
        (
            "endpoint_unusable",
            format!(
                "{endpoint} gave no answer that S3 would give. Check the address and the port, whether it is http or \
                 https, that it is an S3 endpoint at a public address (or in a network that this server's operator \
                 allows), and that the server's network lets it through. The server's log has the details."
            ),
        )
    });
    ApiError::invalid(code, message)
}

/// What to do about a refusal, with the name that S3 gave it.
fn refusal(error: &S3Error, endpoint: &str, bucket: &str) -> Option<(&'static str, String)> {
    let S3Error::Refused { code, status, .. } = error else {
        return None;
    };
    if let Some((name, sentence)) = answer_of_s3(code, endpoint, bucket) {
        return Some((name, format!("{sentence} S3 says: {code}.")));
    }
    // A refusal without a code may come from anything that speaks HTTP.
    let cause = Cause::of(code, *status).filter(|_| !code.is_empty())?;
    let sentence = cause.remedy();
    Some((
        "refused_by_s3",
        format!("{endpoint}: {sentence}. S3 says: {code}."),
    ))
}

/// What to do about one of S3's own error codes when something is set up; `None` for what is not said better by [`Cause`].
fn answer_of_s3(code: &str, endpoint: &str, bucket: &str) -> Option<(&'static str, String)> {
    Some(match code {
        "InvalidAccessKeyId" => (
            "wrong_access_key",
            format!("{endpoint} does not know this access key. Copy the access key again from the provider's console."),
        ),
        "SignatureDoesNotMatch" => (
            "wrong_secret_key",
            "The secret key does not belong to this access key. Copy it again; if it is right, check the region."
                .to_owned(),
        ),
        "AuthorizationHeaderMalformed" => (
            "wrong_region",
            format!("The region is not the one that {endpoint} expects. Use the region of the bucket."),
        ),
        "RequestTimeTooSkewed" => (
            "clock_skewed",
            format!("The clocks of {endpoint} and of this server differ too much. Set the wrong one right."),
        ),
        "NoSuchBucket" => (
            "no_such_bucket",
            format!(
                "There is no bucket `{bucket}` at {endpoint}. Check its name, or let Holdfast create it, which turns \
                 versioning and Object Lock on."
            ),
        ),
        "PermanentRedirect" | "TemporaryRedirect" => (
            "other_endpoint",
            format!("{endpoint} says that the bucket is at another S3 endpoint. Use that of the bucket's region."),
        ),
        "BucketAlreadyExists" | "BucketAlreadyOwnedByYou" => (
            "bucket_exists",
            format!(
                "The bucket `{bucket}` exists already. Choose another name, or choose “use an existing bucket”: it is \
                 then checked for versioning and Object Lock."
            ),
        ),
        "InvalidBucketName" => (
            "bucket_name",
            format!(
                "`{bucket}` is not a bucket name that S3 allows: use 3 to 63 lower-case letters, digits, dots and \
                 hyphens."
            ),
        ),
        "TooManyBuckets" => (
            "too_many_buckets",
            format!("{endpoint} allows this account no more buckets. Delete one, or use an existing one."),
        ),
        "InternalError" | "ServiceUnavailable" | "SlowDown" => (
            "endpoint_busy",
            format!("{endpoint} can not answer at the moment. Try again in a minute."),
        ),
        "AccessDenied" => (
            "access_denied",
            format!(
                "The key is valid but may not do this{}. Grant it s3:CreateBucket (to create buckets), \
                 s3:GetBucketVersioning, s3:GetBucketObjectLockConfiguration, s3:PutObject, s3:PutObjectRetention, \
                 s3:GetObject, s3:GetObjectVersion, s3:GetObjectRetention, s3:ListBucketVersions and \
                 s3:DeleteObjectVersion (to groom what is no longer locked).",
                if bucket.is_empty() { String::new() } else { format!(" in the bucket `{bucket}`") }
            ),
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: S3Call<'_> = S3Call::Bucket {
        endpoint: "https://s3.example",
        bucket: "acme",
    };

    fn told(code: &str, status: u16) -> (&'static str, String) {
        let error = S3Error::Refused {
            code: code.to_owned(),
            status,
            message: "no more than a message".to_owned(),
        };
        match to_api_error(&error, CALL) {
            ApiError::Invalid { code, message } => (code, message),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn each_code_keeps_its_name_and_only_a_denial_asks_for_grants() {
        let mut sentences = std::collections::BTreeSet::new();
        for code in [
            "RequestTimeTooSkewed",
            "QuotaExceeded",
            "InvalidObjectState",
            "AccountProblem",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "AccessDenied",
            "NoSuchBucket",
            "InternalError",
        ] {
            let (name, message) = told(code, 403);
            assert_ne!(name, "endpoint_unusable", "{code}");
            assert!(message.contains(code), "{message}");
            assert_eq!(message.contains("Grant"), code == "AccessDenied", "{message}");
            assert!(
                sentences.insert(message.replace(code, "")),
                "{code} is told like another"
            );
        }
        assert_eq!(told("", 403).0, "endpoint_unusable");
        assert_eq!(told("Odd", 403).0, "endpoint_unusable");
    }
}
