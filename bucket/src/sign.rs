//! Signed addresses of one upload or one read each.

use std::ops::Range;

use aws_sdk_s3::{
    operation::put_object::builders::PutObjectFluentBuilder, presigning::PresigningConfig,
    primitives::DateTime, types::ObjectLockMode,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use jiff::{SignedDuration, Timestamp};
use shared::{api::reads::range_header, retention::LockMode};

use crate::{
    client::S3Client,
    error::{S3Error, failed},
    version::Lock,
};

/// An upload to sign: one object, once, with its lock.
#[derive(Debug, Clone)]
pub struct SignPut<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The exact length in bytes.
    pub size_bytes: u64,
    /// MD5 of the content. Every provider that was tried verifies Content-MD5; no other checksum is verified by all.
    pub content_md5: [u8; 16],
    /// The lock.
    pub lock: Lock,
}

/// A signed address with the headers that belong to the signature.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The address.
    pub url: String,
    /// Headers that must be sent as they are.
    pub headers: Vec<(String, String)>,
}

/// A time as the SDK has it, in whole seconds.
pub(crate) fn date(at: Timestamp) -> DateTime {
    DateTime::from_secs(at.as_second())
}

impl S3Client {
    fn presigning(&self, valid: SignedDuration) -> Result<PresigningConfig, S3Error> {
        PresigningConfig::builder()
            .start_time(self.time.now())
            .expires_in(valid.unsigned_abs())
            .build()
            .map_err(|error| S3Error::Unaskable(error.to_string()))
    }

    /// A PUT with its lock, length and checksum.
    pub(crate) fn put_request(&self, put: &SignPut<'_>) -> Result<PutObjectFluentBuilder, S3Error> {
        let length = i64::try_from(put.size_bytes)
            .map_err(|_| S3Error::Unaskable("an object of 2^63 bytes".into()))?;
        Ok(self
            .client
            .put_object()
            .bucket(put.bucket)
            .key(put.key)
            .content_length(length)
            .content_md5(BASE64.encode(put.content_md5))
            .object_lock_mode(match put.lock.mode {
                LockMode::Compliance => ObjectLockMode::Compliance,
                LockMode::Governance => ObjectLockMode::Governance,
            })
            .object_lock_retain_until_date(date(put.lock.retain_until)))
    }

    /// See [`ObjectStore::sign_put`](crate::ObjectStore::sign_put).
    pub(crate) async fn presign_put(
        &self,
        put: &SignPut<'_>,
        valid: SignedDuration,
    ) -> Result<Signed, S3Error> {
        let signed = self
            .put_request(put)?
            .presigned(self.presigning(valid)?)
            .await
            .map_err(failed)?;
        Ok(Signed {
            url: signed.uri().to_owned(),
            headers: signed
                .headers()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
    }

    /// See [`ObjectStore::sign_get`](crate::ObjectStore::sign_get).
    pub(crate) async fn presign_get(
        &self,
        bucket: &str,
        key: &str,
        version: &str,
        range: Range<u64>,
        valid: SignedDuration,
    ) -> Result<String, S3Error> {
        let get = self
            .client
            .get_object()
            .bucket(bucket)
            .key(key)
            .version_id(version)
            .range(range_header(&range));
        Ok(get
            .presigned(self.presigning(valid)?)
            .await
            .map_err(failed)?
            .uri()
            .to_owned())
    }
}
