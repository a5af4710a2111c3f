//! The bucket behind an S3 endpoint: the only module of the agent that speaks S3 with credentials.

mod answers;
mod list;

use std::{ops::Range, time::Duration};

use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
        retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    primitives::{ByteStream, DateTime},
};
use jiff::Timestamp;
use repository::layout::max_object_bytes;
use shared::object::ObjectKind;
use tokio::runtime::Handle;

use super::{
    bucket::{Bucket, BucketError, Version},
    credentials::AccessKey,
};
use crate::{
    limit::{Meter, Rate},
    range::Cut,
};

/// No object of any kind is longer, whatever its listing says.
const MAX_OBJECT_BYTES: u64 = max_object_bytes(ObjectKind::Manifest);

/// Where a bucket is.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The endpoint's address; `None` for Amazon's own in the region.
    pub url: Option<String>,
    /// The region.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Whether the bucket's name goes into the path.
    pub path_style: bool,
}

/// A bucket behind an S3 endpoint.
pub struct S3Bucket {
    client: Client,
    bucket: String,
    handle: Handle,
    meter: Option<Meter>,
}

impl S3Bucket {
    /// Nothing is asked of it yet. Its methods must not be called from the runtime's own threads.
    #[must_use]
    pub fn new(endpoint: &Endpoint, key: &AccessKey, handle: Handle) -> Self {
        let credentials = Credentials::new(
            &key.id,
            key.secret.reveal(),
            key.session_token.as_ref().map(|token| token.reveal().to_owned()),
            None,
            "recovery",
        );
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(60))
            .build();
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(endpoint.region.clone()))
            .credentials_provider(credentials)
            .force_path_style(endpoint.path_style)
            .timeout_config(timeouts)
            .interceptor(answers::Bounded::Refusals)
            .retry_config(RetryConfig::standard().with_max_attempts(6))
            // What is read proves itself: its name is its hash.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        config.set_endpoint_url(endpoint.url.clone());
        Self {
            client: Client::from_conf(config.build()),
            bucket: endpoint.bucket.clone(),
            handle,
            meter: None,
        }
    }

    /// Fetches no faster than this.
    #[must_use]
    pub fn limited(mut self, limit: Option<Rate>) -> Self {
        self.meter = limit.map(Meter::new);
        self
    }

    async fn read(
        &self,
        key: &str,
        version: Option<&str>,
        range: Option<Range<u64>>,
        limit_bytes: u64,
    ) -> Result<Option<Vec<u8>>, BucketError> {
        let limit_bytes = limit_bytes.min(MAX_OBJECT_BYTES);
        let too_long = || BucketError::TooLong {
            key: key.to_owned(),
            limit_bytes,
        };
        let wanted = range.as_ref().map(|range| range.end.saturating_sub(range.start));
        if wanted.is_some_and(|wanted| wanted > limit_bytes) {
            return Err(too_long());
        }
        let get = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .set_version_id(version.map(str::to_owned))
            .set_range(
                range
                    .as_ref()
                    .map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1))),
            );
        let mut answer = match get.send().await.map_err(failed) {
            Ok(answer) => answer,
            // S3 says what is not there by a code: a page that was not found proves nothing.
            Err(BucketError::Refused {
                status: 404 | 405,
                code,
                ..
            }) if code.is_empty() => {
                return Err(BucketError::Malformed(format!(
                    "{key}: not found, without S3's error"
                )));
            }
            // 405: the named version is a delete marker (Amazon S3 API, GetObject).
            Err(BucketError::Refused {
                status: 404 | 405, ..
            }) => return Ok(None),
            // The object ends before the range begins.
            Err(BucketError::Refused { status: 416, .. }) => return Ok(Some(Vec::new())),
            Err(error) => return Err(error),
        };
        // S3 always names the ETag of an object that it gives (Amazon S3 API, GetObject).
        if answer.e_tag().is_none_or(str::is_empty) || answer.content_type() == Some("text/html") {
            return Err(BucketError::Malformed(format!(
                "{key}: something else than an object"
            )));
        }
        // What names no range is the whole, or not of this range: `answers` lets only a 206 name one.
        let cut = match (range, answer.content_range()) {
            (Some(range), named) => Some(Cut::part(&range, named).map_err(BucketError::Malformed)?),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(BucketError::Malformed(
                    "a part came where the whole was asked for".to_owned(),
                ));
            }
        };
        let Some(mut cut) = cut else {
            let announced = answer
                .content_length()
                .and_then(|length| u64::try_from(length).ok());
            if announced.is_some_and(|announced| announced > limit_bytes) {
                return Err(too_long());
            }
            return self.collect(answer.body, too_long, limit_bytes).await.map(Some);
        };
        while let Some(part) = next(&mut answer.body).await? {
            if let Some(meter) = &self.meter {
                meter.pass(part.len()).await;
            }
            cut.take(&part).map_err(BucketError::Malformed)?;
        }
        cut.done()
            .map(Some)
            .ok_or_else(|| BucketError::Unreachable("the answer broke off".to_owned()))
    }

    /// The whole body, unless it is longer than it may be. No memory is taken for a length that is only announced.
    async fn collect(
        &self,
        mut body: ByteStream,
        too_long: impl Fn() -> BucketError,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, BucketError> {
        let mut bytes = Vec::new();
        while let Some(part) = next(&mut body).await? {
            if (bytes.len() + part.len()) as u64 > limit_bytes {
                return Err(too_long());
            }
            if let Some(meter) = &self.meter {
                meter.pass(part.len()).await;
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }
}

impl Bucket for S3Bucket {
    fn folders(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        self.handle.block_on(self.list_folders(prefix))
    }

    fn versions(&self, prefix: &str) -> Result<Vec<Version>, BucketError> {
        self.handle.block_on(self.list(prefix))
    }

    fn get(
        &self,
        key: &str,
        version: Option<&str>,
        range: Option<Range<u64>>,
        limit_bytes: u64,
    ) -> Result<Option<Vec<u8>>, BucketError> {
        self.handle.block_on(async {
            // The SDK tries again until the answer begins; a body that breaks off is ours.
            let mut attempt = 0;
            loop {
                attempt += 1;
                match self.read(key, version, range.clone(), limit_bytes).await {
                    // An answer that is none may come from something in between.
                    Err(BucketError::Unreachable(error) | BucketError::Malformed(error)) if attempt < 4 => {
                        tracing::debug!(key, attempt, error, "a read broke off; trying again");
                        tokio::time::sleep(crate::client::pause(attempt)).await;
                    }
                    done => return done,
                }
            }
        })
    }

    fn locked_until(&self, key: &str, version: &str) -> Result<Option<Timestamp>, BucketError> {
        let head = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(key)
            .version_id(version);
        let answer = self
            .handle
            .block_on(async { head.send().await })
            .map_err(failed)?;
        Ok(answer
            .object_lock_mode()
            .and_then(|_| answer.object_lock_retain_until_date())
            .map(|date| time(Some(date))))
    }
}

async fn next(body: &mut ByteStream) -> Result<Option<bytes::Bytes>, BucketError> {
    let part = body.try_next().await;
    part.map_err(|error| BucketError::Unreachable(root_cause(&error)))
}

fn text(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

fn time(at: Option<&DateTime>) -> Timestamp {
    at.and_then(|at| Timestamp::from_second(at.secs()).ok())
        .unwrap_or(Timestamp::MAX)
}

fn failed<E>(error: SdkError<E>) -> BucketError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    match &error {
        // A success that the SDK cannot read.
        SdkError::ServiceError(answer)
            if answer.raw().status().is_success() && answer.err().code().is_none() =>
        {
            BucketError::Malformed(root_cause(&error))
        }
        SdkError::ServiceError(answer) => BucketError::Refused {
            status: answer.raw().status().as_u16(),
            code: answer.err().code().unwrap_or_default().to_owned(),
            message: answer.err().message().unwrap_or("no message").to_owned(),
        },
        SdkError::ResponseError(_) | SdkError::ConstructionFailure(_) => {
            BucketError::Malformed(DisplayErrorContext(&error).to_string())
        }
        _ => BucketError::Unreachable(root_cause(&error)),
    }
}

/// The innermost cause: "connection refused" says more than "dispatch failure".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
