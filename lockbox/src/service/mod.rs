//! The S3 operations. Each file holds one group; this one only says which is where.

mod buckets;
mod condition;
mod copy;
mod delete;
mod download;
mod list_objects;
mod list_versions;
mod listing;
mod locks;
mod multipart;
mod multipart_complete;
mod multipart_list;
mod parts;
mod put;
mod upload;

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use crate::clock::{Clock, Millis};
use crate::store::Store;

/// The operations on an open store.
#[derive(Clone, Debug)]
pub(crate) struct Lockbox {
    store: Arc<Store>,
    clock: Clock,
}

impl Lockbox {
    pub(crate) fn new(store: Arc<Store>, clock: Clock) -> Self {
        Self { store, clock }
    }

    fn now(&self) -> Millis {
        self.clock.millis()
    }
}

/// Whoever may sign owns everything.
fn owner() -> Owner {
    Owner {
        display_name: Some("lockbox".into()),
        id: Some("lockbox".into()),
    }
}

/// Forwards operations of the trait to the methods of the same meaning.
macro_rules! operations {
    ($($name:ident, $input:ty, $output:ty;)*) => {
        #[async_trait::async_trait]
        impl S3 for Lockbox {
            $(
                async fn $name(&self, req: S3Request<$input>) -> S3Result<S3Response<$output>> {
                    self.$name(req).await.map(S3Response::new)
                }
            )*

            async fn get_bucket_lifecycle_configuration(
                &self,
                req: S3Request<GetBucketLifecycleConfigurationInput>,
            ) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
                self.require_bucket(req.input.bucket).await?;
                Err(s3_error!(NoSuchLifecycleConfiguration, "The lifecycle configuration does not exist"))
            }

            async fn get_bucket_policy(
                &self,
                req: S3Request<GetBucketPolicyInput>,
            ) -> S3Result<S3Response<GetBucketPolicyOutput>> {
                self.require_bucket(req.input.bucket).await?;
                Err(s3_error!(NoSuchBucketPolicy, "The bucket policy does not exist"))
            }
        }
    };
}

operations! {
    create_bucket, CreateBucketInput, CreateBucketOutput;
    head_bucket, HeadBucketInput, HeadBucketOutput;
    list_buckets, ListBucketsInput, ListBucketsOutput;
    delete_bucket, DeleteBucketInput, DeleteBucketOutput;
    get_bucket_location, GetBucketLocationInput, GetBucketLocationOutput;
    get_bucket_versioning, GetBucketVersioningInput, GetBucketVersioningOutput;
    put_bucket_versioning, PutBucketVersioningInput, PutBucketVersioningOutput;
    get_object_lock_configuration, GetObjectLockConfigurationInput, GetObjectLockConfigurationOutput;
    put_object_lock_configuration, PutObjectLockConfigurationInput, PutObjectLockConfigurationOutput;
    put_object, PutObjectInput, PutObjectOutput;
    get_object, GetObjectInput, GetObjectOutput;
    head_object, HeadObjectInput, HeadObjectOutput;
    copy_object, CopyObjectInput, CopyObjectOutput;
    delete_object, DeleteObjectInput, DeleteObjectOutput;
    delete_objects, DeleteObjectsInput, DeleteObjectsOutput;
    list_objects, ListObjectsInput, ListObjectsOutput;
    list_objects_v2, ListObjectsV2Input, ListObjectsV2Output;
    list_object_versions, ListObjectVersionsInput, ListObjectVersionsOutput;
    get_object_retention, GetObjectRetentionInput, GetObjectRetentionOutput;
    put_object_retention, PutObjectRetentionInput, PutObjectRetentionOutput;
    get_object_legal_hold, GetObjectLegalHoldInput, GetObjectLegalHoldOutput;
    put_object_legal_hold, PutObjectLegalHoldInput, PutObjectLegalHoldOutput;
    create_multipart_upload, CreateMultipartUploadInput, CreateMultipartUploadOutput;
    upload_part, UploadPartInput, UploadPartOutput;
    upload_part_copy, UploadPartCopyInput, UploadPartCopyOutput;
    complete_multipart_upload, CompleteMultipartUploadInput, CompleteMultipartUploadOutput;
    abort_multipart_upload, AbortMultipartUploadInput, AbortMultipartUploadOutput;
    list_parts, ListPartsInput, ListPartsOutput;
    list_multipart_uploads, ListMultipartUploadsInput, ListMultipartUploadsOutput;
}
