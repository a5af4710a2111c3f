//! How a client is made. Every value is given by whoever makes one: there are no defaults.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use zeroize::Zeroizing;

use crate::connect::Route;

/// Where a bucket is, and the keys to it.
#[derive(Clone)]
pub struct Endpoint {
    /// The endpoint's address; `None` for Amazon's own in the region.
    pub url: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// The access key's id.
    pub access_key: String,
    /// The secret key.
    pub secret_key: Zeroizing<String>,
    /// The token of a temporary key.
    pub session_token: Option<Zeroizing<String>>,
    /// Whether bucket names go into the path.
    pub path_style: bool,
}

/// How a client is made.
pub struct Config {
    /// Where to, and with which keys.
    pub endpoint: Endpoint,
    /// Which way connections take.
    pub route: Route,
    /// How long a request may take.
    pub timeouts: Timeouts,
    /// How often a request is sent.
    pub retries: Retries,
    /// Compare whole objects with their ETag where it is the content's MD5. Off for readers that know the content's hash: an object
    /// that was damaged in the store would look like an answer that was damaged on its way.
    pub compare_etags: bool,
    /// Requests are signed for this time; which no store changes; `None` for the system's, corrected by
    /// what a store tells that refuses a request for its time.
    pub clock: Option<Arc<dyn WallClock>>,
    /// What the content of objects waits for.
    pub throttle: Option<Arc<dyn Throttle>>,
}

/// How long a request may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until a connection is open.
    pub connect: Duration,
    /// Until an answer's headers came, for each attempt; `None` for no limit.
    pub read: Option<Duration>,
    /// A whole attempt, without the content of an object; `None` for no limit.
    pub attempt: Option<Duration>,
    /// A body of which nothing came or went for so long is given up: the SDK's stalled-stream protection, whose own default of 5 s
    /// is shorter than what gateways take that fetch an object from elsewhere first.
    pub stalled: Duration,
}

/// How often a request is sent.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// Attempts until an answer begins, the first one too. What is no answer of S3's counts as none.
    pub requests: u32,
    /// The longest pause before the second of them; it doubles before each further one. The pause itself is random.
    pub backoff: Duration,
    /// Attempts of a read or of a page of a listing whose answer began and is no use: a body that broke off, another range, XML
    /// that does not parse. 1 for none after the first.
    pub bodies: u32,
    /// The pause before the attempt behind this one, counted from 1.
    pub pause: fn(u32) -> Duration,
}

/// Tells the time.
pub trait WallClock: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> SystemTime;
}

/// A limit of bandwidth.
pub trait Throttle: Send + Sync + 'static {
    /// Waits until so many bytes may pass.
    fn pass(&self, bytes: usize) -> BoxFuture<'_, ()>;
}
