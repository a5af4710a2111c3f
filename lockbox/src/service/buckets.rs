//! Buckets and their configuration.

use redb::ReadableTable as _;
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::{Lockbox, owner};
use crate::lock::DefaultRetention as Default_;
use crate::store::find::existing_bucket;
use crate::store::index;
use crate::store::record::{self, Versioning};

impl Lockbox {
    pub(super) async fn require_bucket(&self, name: String) -> S3Result<record::Bucket> {
        self.store
            .read(move |view| existing_bucket(&view.buckets, &name))
            .await
    }

    pub(super) async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<CreateBucketOutput> {
        let input = req.input;
        let object_lock = input.object_lock_enabled_for_bucket.unwrap_or(false);
        let region = input
            .create_bucket_configuration
            .and_then(|c| c.location_constraint);
        let bucket = record::Bucket {
            created: self.now(),
            region: region.map(|r| r.as_str().to_owned()),
            // AWS: "If you create a bucket with S3 Object Lock enabled, S3 Versioning is
            // automatically enabled."
            versioning: if object_lock {
                Versioning::Enabled
            } else {
                Versioning::Off
            },
            object_lock,
            default_retention: None,
        };
        let name = input.bucket.clone();
        self.store
            .write(move |tx| {
                if index::bucket(&tx.buckets, &name)?.is_some() {
                    return Err(s3_error!(
                        BucketAlreadyOwnedByYou,
                        "Your previous request to create the named bucket succeeded and you already own it."
                    )
                    .into());
                }
                tx.put_bucket(&name, &bucket)
            })
            .await?;
        Ok(CreateBucketOutput {
            location: Some(format!("/{}", input.bucket)),
        })
    }

    pub(super) async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<HeadBucketOutput> {
        let bucket = self.require_bucket(req.input.bucket).await?;
        let region = bucket.region.unwrap_or_else(|| "us-east-1".into());
        Ok(HeadBucketOutput {
            bucket_region: Some(region),
            ..Default::default()
        })
    }

    pub(super) async fn list_buckets(&self, req: S3Request<ListBucketsInput>) -> S3Result<ListBucketsOutput> {
        let prefix = req.input.prefix;
        let wanted = prefix.clone().unwrap_or_default();
        let buckets = self
            .store
            .read(move |view| {
                let mut buckets = Vec::new();
                for row in view.buckets.iter()? {
                    let (name, bucket) = row?;
                    if !name.value().starts_with(&wanted) {
                        continue;
                    }
                    let bucket: record::Bucket = index::decode(bucket.value())?;
                    buckets.push(Bucket {
                        bucket_region: bucket.region,
                        creation_date: Some(bucket.created.into()),
                        name: Some(name.value().to_owned()),
                    });
                }
                Ok(buckets)
            })
            .await?;
        Ok(ListBucketsOutput {
            buckets: Some(buckets),
            continuation_token: None,
            owner: Some(owner()),
            prefix,
        })
    }

    /// A bucket with anything in it stays, be it a delete marker or an open upload.
    pub(super) async fn delete_bucket(
        &self,
        req: S3Request<DeleteBucketInput>,
    ) -> S3Result<DeleteBucketOutput> {
        let name = req.input.bucket;
        self.store
            .write(move |tx| {
                existing_bucket(&tx.buckets, &name)?;
                // No bucket's name contains NUL: the range is exactly this bucket.
                let behind = format!("{name}\0");
                let versions = tx.versions.range((name.as_str(), "", 0)..(behind.as_str(), "", 0))?.next();
                let uploads = tx.uploads.range((name.as_str(), "", "")..(behind.as_str(), "", ""))?.next();
                if versions.is_some() || uploads.is_some() {
                    return Err(s3_error!(
                        BucketNotEmpty,
                        "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
                    )
                    .into());
                }
                drop((versions, uploads));
                tx.buckets.remove(name.as_str())?;
                Ok(())
            })
            .await?;
        Ok(DeleteBucketOutput {})
    }

    pub(super) async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<GetBucketLocationOutput> {
        let bucket = self.require_bucket(req.input.bucket).await?;
        Ok(GetBucketLocationOutput {
            location_constraint: bucket.region.map(BucketLocationConstraint::from),
        })
    }

    pub(super) async fn get_bucket_versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<GetBucketVersioningOutput> {
        let status = match self.require_bucket(req.input.bucket).await?.versioning {
            Versioning::Off => None,
            Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
            Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
        };
        Ok(GetBucketVersioningOutput {
            mfa_delete: None,
            status: status.map(BucketVersioningStatus::from_static),
        })
    }

    pub(super) async fn put_bucket_versioning(
        &self,
        req: S3Request<PutBucketVersioningInput>,
    ) -> S3Result<PutBucketVersioningOutput> {
        let name = req.input.bucket;
        let asked = req.input.versioning_configuration;
        if asked
            .mfa_delete
            .is_some_and(|m| m.as_str() != MFADelete::DISABLED)
        {
            return Err(s3_error!(NotImplemented, "MFA delete is not supported"));
        }
        let versioning = match asked.status.as_ref().map(BucketVersioningStatus::as_str) {
            Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
            Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
            Some(_) => return Err(s3_error!(MalformedXML)),
            None => {
                return Err(s3_error!(
                    IllegalVersioningConfigurationException,
                    "The Versioning element must be specified"
                ));
            }
        };
        self.store
            .write(move |tx| {
                let mut bucket = existing_bucket(&tx.buckets, &name)?;
                // AWS: "after you enable Object Lock on a bucket, you can't … suspend versioning".
                if bucket.object_lock && versioning != Versioning::Enabled {
                    return Err(s3_error!(
                        InvalidBucketState,
                        "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
                    )
                    .into());
                }
                bucket.versioning = versioning;
                tx.put_bucket(&name, &bucket)
            })
            .await?;
        Ok(PutBucketVersioningOutput {})
    }

    pub(super) async fn get_object_lock_configuration(
        &self,
        req: S3Request<GetObjectLockConfigurationInput>,
    ) -> S3Result<GetObjectLockConfigurationOutput> {
        let bucket = self.require_bucket(req.input.bucket).await?;
        if !bucket.object_lock {
            return Err(s3_error!(
                ObjectLockConfigurationNotFoundError,
                "Object Lock configuration does not exist for this bucket"
            ));
        }
        let rule = bucket.default_retention.map(|default| ObjectLockRule {
            default_retention: Some(default.element()),
        });
        let configuration = ObjectLockConfiguration {
            object_lock_enabled: Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED)),
            rule,
        };
        Ok(GetObjectLockConfigurationOutput {
            object_lock_configuration: Some(configuration),
        })
    }

    pub(super) async fn put_object_lock_configuration(
        &self,
        req: S3Request<PutObjectLockConfigurationInput>,
    ) -> S3Result<PutObjectLockConfigurationOutput> {
        let name = req.input.bucket;
        let asked = req
            .input
            .object_lock_configuration
            .ok_or_else(|| s3_error!(MalformedXML))?;
        let enabled = asked.object_lock_enabled.as_ref().map(ObjectLockEnabled::as_str);
        if enabled != Some(ObjectLockEnabled::ENABLED) {
            return Err(s3_error!(MalformedXML));
        }
        let default = match asked.rule {
            None => None,
            Some(rule) => {
                let element = rule.default_retention.ok_or_else(|| s3_error!(MalformedXML))?;
                Some(Default_::from_element(&element)?)
            }
        };
        self.store
            .write(move |tx| {
                let mut bucket = existing_bucket(&tx.buckets, &name)?;
                if bucket.versioning != Versioning::Enabled {
                    return Err(s3_error!(
                        InvalidBucketState,
                        "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
                    )
                    .into());
                }
                // There is no way back: Object Lock cannot be turned off again.
                bucket.object_lock = true;
                bucket.default_retention = default;
                tx.put_bucket(&name, &bucket)
            })
            .await?;
        Ok(PutObjectLockConfigurationOutput::default())
    }
}
