//! The SDK's client, as every user of this crate has it.

use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
        StalledStreamProtectionConfig,
        retry::{RetryConfig, RetryPartition, TokenBucket},
        timeout::TimeoutConfig,
    },
};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource, TimeSource};
use std::{sync::Arc, time::SystemTime};

use crate::{
    answers,
    config::{Config, Retries, Throttle, WallClock},
    connect::{self, JudgeRequest, Route},
};

/// A client of one endpoint. Copies share its connections.
#[derive(Clone)]
pub struct S3Client {
    pub(crate) client: Client,
    pub(crate) retries: Retries,
    pub(crate) compare_etags: bool,
    pub(crate) throttle: Option<Arc<dyn Throttle>>,
    #[cfg(feature = "store")]
    pub(crate) region: String,
    #[cfg(feature = "store")]
    pub(crate) time: SharedTimeSource,
}

impl S3Client {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let endpoint = config.endpoint;
        let credentials = Credentials::new(
            &endpoint.access_key,
            endpoint.secret_key.as_str(),
            endpoint.session_token.map(|token| token.to_string()),
            None,
            "holdfast",
        );
        let mut timeouts = TimeoutConfig::builder().connect_timeout(config.timeouts.connect);
        timeouts.set_read_timeout(config.timeouts.read);
        timeouts.set_operation_attempt_timeout(config.timeouts.attempt);
        let has_clock = config.clock.is_some();
        let time = config
            .clock
            .map_or_else(|| SharedTimeSource::new(SystemTimeSource::new()), time_source);
        let mut builder = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            // A store whose clock is wrong must not move a clock that is compared elsewhere; a machine that recovers may have none to go by.
            .disable_clock_skew_correction(has_clock)
            .http_client(answers::judged(connect::client(&config.route)))
            .region(Region::new(endpoint.region.clone()))
            .credentials_provider(credentials)
            .force_path_style(endpoint.path_style)
            .timeout_config(timeouts.build())
            .time_source(time.clone())
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(config.retries.requests)
                    .with_initial_backoff(config.retries.backoff),
            )
            // The SDK's own quota of retries is one for all clients of a region: a store that is down would use up the others'.
            .retry_partition(
                RetryPartition::custom("endpoint")
                    .token_bucket(TokenBucket::default())
                    .build(),
            )
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled()
                    .upload_enabled(true)
                    .download_enabled(true)
                    .grace_period(config.timeouts.stalled)
                    .build(),
            )
            // Stores that know only Content-MD5 refuse the SDK's default trailers. What is read is compared by its reader.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        builder.set_endpoint_url(endpoint.url);
        if let Route::Judged(rule) = config.route {
            builder = builder.interceptor(JudgeRequest(rule));
        }
        Self {
            client: Client::from_conf(builder.build()),
            retries: config.retries,
            compare_etags: config.compare_etags,
            throttle: config.throttle,
            #[cfg(feature = "store")]
            region: endpoint.region,
            #[cfg(feature = "store")]
            time,
        }
    }

    /// The SDK's client, with the same configuration: for requests that this crate does not have.
    #[cfg(feature = "raw")]
    #[must_use]
    pub const fn raw(&self) -> &Client {
        &self.client
    }
}

fn time_source(clock: Arc<dyn WallClock>) -> SharedTimeSource {
    SharedTimeSource::new(ClockOf(clock))
}

#[derive(Debug)]
struct ClockOf(Arc<dyn WallClock>);

impl TimeSource for ClockOf {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}
