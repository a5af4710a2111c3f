//! The client of a tenant's store.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bucket::{Config, ConnectRule, Endpoint, ObjectStore, Retries, Route, S3Client, Timeouts, WallClock};

use super::address::AddressRule;
use crate::clock::Clock;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// Of a body. Objects that the server reads are small, and each request has a limit of its own (`guarded.rs`).
const STALLED_AFTER: Duration = Duration::from_secs(20);
/// A job tries again later.
const ATTEMPTS: u32 = 3;
const BACKOFF: Duration = Duration::from_secs(1);

/// A store behind an endpoint, reached where `rule` allows it. Nothing is asked of it yet.
#[must_use]
pub fn connect(endpoint: &Endpoint, rule: &AddressRule, clock: &Clock) -> Arc<dyn ObjectStore> {
    Arc::new(client(endpoint, rule, clock))
}

fn client(endpoint: &Endpoint, rule: &AddressRule, clock: &Clock) -> S3Client {
    let https = endpoint
        .url
        .as_deref()
        .is_none_or(|url| url.starts_with("https://"));
    S3Client::new(Config {
        endpoint: endpoint.clone(),
        route: Route::Judged(Arc::new(StorageRule {
            rule: rule.clone(),
            https,
        })),
        timeouts: Timeouts {
            connect: CONNECT_TIMEOUT,
            read: None,
            attempt: Some(ATTEMPT_TIMEOUT),
            stalled: STALLED_AFTER,
        },
        retries: Retries {
            requests: ATTEMPTS,
            backoff: BACKOFF,
            bodies: 1,
            pause: |_| Duration::ZERO,
        },
        compare_etags: true,
        clock: Some(Arc::new(clock.clone())),
        throttle: None,
    })
}

/// The instance's rule, for an endpoint of one scheme.
#[derive(Debug)]
struct StorageRule {
    rule: AddressRule,
    https: bool,
}

impl ConnectRule for StorageRule {
    fn allows(&self, address: IpAddr) -> bool {
        self.rule.allows(address, self.https)
    }

    fn judge(&self, uri: &http::Uri) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if (uri.scheme_str() == Some("https")) != self.https {
            return Err("a request left its endpoint's scheme".into());
        }
        Ok(self.rule.judge(uri)?)
    }
}

impl WallClock for Clock {
    fn now(&self) -> SystemTime {
        self.system_time()
    }
}
