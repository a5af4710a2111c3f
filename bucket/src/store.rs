//! The object store, as narrow as Holdfast needs it: there is no call that overwrites, none that deletes without naming a version, and
//! the bucket's credentials stay behind it.

use std::ops::Range;

use async_trait::async_trait;
use aws_sdk_s3::{
    primitives::ByteStream,
    types::{
        BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, ObjectLockEnabled,
        ObjectLockRetention, ObjectLockRetentionMode,
    },
};
use jiff::{SignedDuration, Timestamp};
use shared::retention::LockMode;

use crate::{
    client::S3Client,
    date::DateOfAnswer,
    delete::Deletion,
    error::{S3Error, failed},
    list::{ListRequest, PAGE_ENTRIES},
    read::ReadRequest,
    sign::{SignPut, Signed, date},
    version::{Lock, PageMarker, VersionHead, VersionName, VersionPage},
};

/// S3 takes so many versions in one DeleteObjects.
const DELETES_PER_CALL: usize = 1_000;

/// What became of a conditional upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditional {
    /// The key held no object; now it holds this one.
    Put,
    /// The key holds an object. Nothing was put. After a lost answer it may be the caller's own.
    Present,
}

/// Whether a bucket can hold immutable backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketState {
    /// Versioning is on.
    pub versioning: bool,
    /// Object Lock is on.
    pub object_lock: bool,
}

/// The object store.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Tries the keys by listing buckets.
    async fn try_keys(&self) -> Result<(), S3Error>;
    /// Whether the bucket can hold immutable backups.
    async fn bucket_state(&self, bucket: &str) -> Result<BucketState, S3Error>;
    /// Makes a bucket with versioning and Object Lock.
    async fn create_bucket(&self, bucket: &str) -> Result<(), S3Error>;
    /// Signs an upload. Lock, length and checksum are signed headers: without them, or with others, S3 refuses.
    async fn sign_put(&self, put: SignPut<'_>, valid: SignedDuration) -> Result<Signed, S3Error>;
    /// Signs a read of these bytes of one version. The range is a signed header: without it, or with another, S3 refuses.
    async fn sign_get(
        &self,
        bucket: &str,
        key: &str,
        version: &str,
        range: Range<u64>,
        valid: SignedDuration,
    ) -> Result<String, S3Error>;
    /// Puts a small locked object under a key that holds nothing yet.
    async fn put_locked(&self, put: SignPut<'_>, body: Vec<u8>) -> Result<(), S3Error>;
    /// Puts a small locked object under a key, unless an object is there (`If-None-Match: *`). A delete marker counts as none. Only
    /// for stores that the check `put_if_absent_refuses_a_second` of the contract holds for: others ignore the condition.
    async fn put_if_absent(&self, put: SignPut<'_>, body: Vec<u8>) -> Result<Conditional, S3Error>;
    /// HEAD of one version, or of the newest; `None` where S3 says that there is none or that a delete marker hides it. One
    /// such answer is no proof: see [`versions_of_key`](crate::versions_of_key).
    async fn head(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<VersionHead>, S3Error>;
    /// Reads one version of at most `limit_bytes`, whole. Where the ETag is the content's MD5 it is compared: what was cut off
    /// or changed on its way is `Malformed`.
    async fn get(&self, bucket: &str, key: &str, version: &str, limit_bytes: u64)
    -> Result<Vec<u8>, S3Error>;
    /// Lists versions and delete markers below a prefix: one page. The page goes on behind `from`, else it is `Malformed`.
    /// Whoever wants more than one page uses [`each_page`](crate::each_page), which has an end.
    async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&PageMarker>,
    ) -> Result<VersionPage, S3Error>;
    /// Extends the lock of one version.
    async fn extend_lock(&self, bucket: &str, key: &str, version: &str, lock: Lock) -> Result<(), S3Error>;
    /// The store's own clock: the `Date` of an answer, also of one that refuses.
    async fn time(&self, bucket: &str) -> Result<Timestamp, S3Error>;
    /// Deletes exactly these versions: the only call that deletes anything. It never bypasses a lock. One answer for
    /// each version, in order.
    async fn delete_versions(&self, bucket: &str, versions: &[VersionName])
    -> Vec<Result<Deletion, S3Error>>;
}

#[async_trait]
impl ObjectStore for S3Client {
    async fn try_keys(&self) -> Result<(), S3Error> {
        self.client.list_buckets().send().await.map(drop).map_err(failed)
    }

    async fn bucket_state(&self, bucket: &str) -> Result<BucketState, S3Error> {
        let versioning = self
            .client
            .get_bucket_versioning()
            .bucket(bucket)
            .send()
            .await
            .map_err(failed)?;
        let lock = self
            .client
            .get_object_lock_configuration()
            .bucket(bucket)
            .send()
            .await
            .map_err(failed);
        let object_lock = match lock {
            Ok(answer) => answer
                .object_lock_configuration()
                .is_some_and(|lock| lock.object_lock_enabled() == Some(&ObjectLockEnabled::Enabled)),
            Err(error) if error.code() == "ObjectLockConfigurationNotFoundError" => false,
            Err(error) => return Err(error),
        };
        Ok(BucketState {
            versioning: versioning.status() == Some(&BucketVersioningStatus::Enabled),
            object_lock,
        })
    }

    async fn create_bucket(&self, bucket: &str) -> Result<(), S3Error> {
        // Amazon S3 wants no location for us-east-1, and the region for every other.
        let location = (self.region != "us-east-1").then(|| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(self.region.as_str()))
                .build()
        });
        let create = self
            .client
            .create_bucket()
            .bucket(bucket)
            .object_lock_enabled_for_bucket(true);
        create
            .set_create_bucket_configuration(location)
            .send()
            .await
            .map(drop)
            .map_err(failed)
    }

    async fn sign_put(&self, put: SignPut<'_>, valid: SignedDuration) -> Result<Signed, S3Error> {
        self.presign_put(&put, valid).await
    }

    async fn sign_get(
        &self,
        bucket: &str,
        key: &str,
        version: &str,
        range: Range<u64>,
        valid: SignedDuration,
    ) -> Result<String, S3Error> {
        self.presign_get(bucket, key, version, range, valid).await
    }

    async fn put_locked(&self, put: SignPut<'_>, body: Vec<u8>) -> Result<(), S3Error> {
        self.put_request(&put)?
            .body(ByteStream::from(body))
            .send()
            .await
            .map(drop)
            .map_err(failed)
    }

    async fn put_if_absent(&self, put: SignPut<'_>, body: Vec<u8>) -> Result<Conditional, S3Error> {
        let put = self.put_request(&put)?.if_none_match("*");
        match put.body(ByteStream::from(body)).send().await.map_err(failed) {
            Ok(_) => Ok(Conditional::Put),
            Err(S3Error::Refused { status: 412, .. }) => Ok(Conditional::Present),
            Err(error) => Err(error),
        }
    }

    async fn head(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<VersionHead>, S3Error> {
        Self::head(self, bucket, key, version).await
    }

    async fn get(
        &self,
        bucket: &str,
        key: &str,
        version: &str,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, S3Error> {
        self.read(&ReadRequest {
            bucket,
            key,
            version: Some(version),
            range: None,
            limit_bytes,
        })
        .await
    }

    async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&PageMarker>,
    ) -> Result<VersionPage, S3Error> {
        self.list(&ListRequest {
            bucket,
            prefix,
            delimiter: None,
            from,
            page_entries: PAGE_ENTRIES,
        })
        .await
    }

    async fn extend_lock(&self, bucket: &str, key: &str, version: &str, lock: Lock) -> Result<(), S3Error> {
        let mode = match lock.mode {
            LockMode::Compliance => ObjectLockRetentionMode::Compliance,
            LockMode::Governance => ObjectLockRetentionMode::Governance,
        };
        let retention = ObjectLockRetention::builder()
            .mode(mode)
            .retain_until_date(date(lock.retain_until))
            .build();
        let extend = self
            .client
            .put_object_retention()
            .bucket(bucket)
            .key(key)
            .version_id(version);
        extend.retention(retention).send().await.map(drop).map_err(failed)
    }

    async fn time(&self, bucket: &str) -> Result<Timestamp, S3Error> {
        let date = DateOfAnswer::default();
        let answer = self
            .client
            .get_bucket_versioning()
            .bucket(bucket)
            .customize()
            .interceptor(date.clone())
            .send()
            .await;
        match (date.read(), answer) {
            (Some(date), _) => date,
            (None, Ok(_)) => Err(S3Error::Malformed("an answer has no Date".into())),
            (None, Err(error)) => Err(failed(error)),
        }
    }

    async fn delete_versions(
        &self,
        bucket: &str,
        versions: &[VersionName],
    ) -> Vec<Result<Deletion, S3Error>> {
        let mut outcomes = Vec::with_capacity(versions.len());
        for part in versions.chunks(DELETES_PER_CALL) {
            match self.delete_some(bucket, part).await {
                Ok(told) => outcomes.extend(told),
                Err(error) => outcomes.extend(part.iter().map(|_| Err(error.clone()))),
            }
        }
        outcomes
    }
}
