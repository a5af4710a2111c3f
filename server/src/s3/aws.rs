//! The object store on aws-sdk-s3: the only module of the server that imports it.

mod answers;
mod connect;
mod date;
mod delete;
mod list;
mod read;

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
        retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::{ConnectorError, DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::put_object::builders::PutObjectFluentBuilder,
    presigning::PresigningConfig,
    primitives::{ByteStream, DateTime},
    types::{
        BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, ObjectLockEnabled,
        ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode, ServerSideEncryption,
    },
};
use aws_smithy_async::time::TimeSource;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use jiff::{SignedDuration, Timestamp};
use shared::{api::reads::range_header, retention::LockMode};

use self::{answers::NotS3, connect::JudgeAddress, date::DateOfAnswer};
use super::{
    BucketState, Deletion, Endpoint, Lock, ObjectStore, PageMarker, S3Error, SignPut, Signed, VersionHead,
    VersionName, VersionPage, address::AddressRule,
};
use crate::clock::Clock;

/// S3 takes so many versions in one DeleteObjects.
const DELETES_PER_CALL: usize = 1_000;

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        self.system_time()
    }
}

/// A store behind an endpoint, reached where `rule` allows it. Nothing is asked of it yet.
#[must_use]
pub fn connect(endpoint: &Endpoint, rule: &AddressRule, clock: &Clock) -> Arc<dyn ObjectStore> {
    let https = endpoint.url.starts_with("https://");
    let credentials = Credentials::new(
        &endpoint.access_key,
        endpoint.secret_key.as_str(),
        None,
        None,
        "storage account",
    );
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(30))
        .build();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        // A store whose clock is wrong must not move ours: the clocks are compared instead.
        .disable_clock_skew_correction(true)
        .endpoint_url(&endpoint.url)
        .http_client(answers::judged(connect::client(rule, https)))
        .interceptor(JudgeAddress {
            rule: rule.clone(),
            https,
        })
        .region(Region::new(endpoint.region.clone()))
        .credentials_provider(credentials)
        .force_path_style(endpoint.path_style)
        .timeout_config(timeouts)
        .time_source(clock.clone())
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        // Stores that know only Content-MD5 refuse the SDK's default trailers.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Arc::new(AwsStore {
        client: Client::from_conf(config),
        region: endpoint.region.clone(),
        clock: clock.clone(),
    })
}

struct AwsStore {
    client: Client,
    region: String,
    clock: Clock,
}

impl AwsStore {
    /// What a HEAD was refused for. Its answer has no body and so no code: an account that was closed, keys that were taken away and
    /// a clock that is wrong look like a missing permission there. A listing of the key is refused for the same, with the code.
    async fn named(&self, bucket: &str, key: &str, refused: S3Error) -> S3Error {
        match self.list_page(bucket, key, None).await {
            Err(named @ S3Error::Refused { .. }) if !named.code().is_empty() => named,
            _ => refused,
        }
    }
}

fn failed<E>(error: SdkError<E>) -> S3Error
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    match &error {
        // A success that the SDK cannot read.
        SdkError::ServiceError(answer)
            if answer.raw().status().is_success() && answer.err().code().is_none() =>
        {
            S3Error::Malformed(root_cause(&error))
        }
        SdkError::ServiceError(answer) => S3Error::Refused {
            code: answer.err().code().unwrap_or_default().to_owned(),
            status: answer.raw().status().as_u16(),
            message: answer.err().message().unwrap_or("no message").to_owned(),
        },
        SdkError::ResponseError(_) => S3Error::Malformed(DisplayErrorContext(&error).to_string()),
        SdkError::ConstructionFailure(_) => S3Error::Unaskable(DisplayErrorContext(&error).to_string()),
        SdkError::DispatchFailure(failure) if let Some(wrong) = not_s3(failure.as_connector_error()) => {
            S3Error::Malformed(wrong)
        }
        _ => {
            let cause = root_cause(&error);
            tracing::warn!(cause, "a storage endpoint did not answer");
            S3Error::Unreachable(cause)
        }
    }
}

/// What our own judgement of an answer said, if it was that.
fn not_s3(error: Option<&ConnectorError>) -> Option<String> {
    let mut cause = error.map(|error| error as &dyn std::error::Error);
    while let Some(error) = cause {
        if let Some(NotS3(said)) = error.downcast_ref() {
            return Some(said.clone());
        }
        cause = error.source();
    }
    None
}

/// The innermost cause: "connection refused" says more than "dispatch failure".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn date(at: Timestamp) -> DateTime {
    DateTime::from_secs(at.as_second())
}

impl AwsStore {
    fn presigning(&self, valid: SignedDuration) -> Result<PresigningConfig, S3Error> {
        PresigningConfig::builder()
            .start_time(self.clock.system_time())
            .expires_in(valid.unsigned_abs())
            .build()
            .map_err(|error| S3Error::Unaskable(error.to_string()))
    }

    fn put(&self, put: &SignPut<'_>) -> Result<PutObjectFluentBuilder, S3Error> {
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
}

#[async_trait]
impl ObjectStore for AwsStore {
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
        let signed = self
            .put(&put)?
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

    async fn sign_get(
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

    async fn put_locked(&self, put: SignPut<'_>, body: Vec<u8>) -> Result<(), S3Error> {
        self.put(&put)?
            .body(ByteStream::from(body))
            .send()
            .await
            .map(drop)
            .map_err(failed)
    }

    async fn head(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<VersionHead>, S3Error> {
        let head = self
            .client
            .head_object()
            .bucket(bucket)
            .key(key)
            .set_version_id(version.map(str::to_owned));
        let answer = match head.send().await.map_err(failed) {
            Ok(answer) => answer,
            // 405: the named version is a delete marker (Amazon S3 API, HeadObject).
            Err(S3Error::Refused {
                status: 404 | 405, ..
            }) => return Ok(None),
            // 400: the id is none that S3 gives out (Amazon S3, "Invalid version id specified").
            Err(S3Error::Refused { status: 400, .. }) if version.is_some() => return Ok(None),
            Err(refused @ S3Error::Refused { status: 403, .. }) if refused.code().is_empty() => {
                return Err(self.named(bucket, key, refused).await);
            }
            Err(error) => return Err(error),
        };
        let mode = match answer.object_lock_mode() {
            Some(ObjectLockMode::Compliance) => Some(LockMode::Compliance),
            Some(ObjectLockMode::Governance) => Some(LockMode::Governance),
            _ => None,
        };
        let retain_until = answer
            .object_lock_retain_until_date()
            .and_then(|date| Timestamp::from_second(date.secs()).ok());
        Ok(Some(VersionHead {
            version_id: answer.version_id().or(version).unwrap_or("null").to_owned(),
            size_bytes: answer
                .content_length()
                .and_then(|length| u64::try_from(length).ok())
                .ok_or_else(|| S3Error::Malformed("a HEAD without Content-Length".into()))?,
            kms: matches!(
                answer.server_side_encryption(),
                Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse)
            ),
            etag: answer.e_tag().unwrap_or_default().trim_matches('"').to_owned(),
            lock: mode
                .zip(retain_until)
                .map(|(mode, retain_until)| Lock { mode, retain_until }),
        }))
    }

    async fn get(
        &self,
        bucket: &str,
        key: &str,
        version: &str,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, S3Error> {
        self.read_whole(bucket, key, version, limit_bytes).await
    }

    async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&PageMarker>,
    ) -> Result<VersionPage, S3Error> {
        self.list_page(bucket, prefix, from).await
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
