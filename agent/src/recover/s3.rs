//! The bucket behind an S3 endpoint, read with credentials of one's own: the crate `bucket`'s client, for callers that wait.

use std::{ops::Range, sync::Arc, time::Duration};

use bucket::{
    Bounds, Config, ListRequest, PAGE_ENTRIES, ReadRequest, Retries, Route, S3Client, S3Error, Throttle,
    Timeouts, Walk,
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use repository::layout::max_object_bytes;
use shared::object::ObjectKind;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::{
    bucket::{Bucket, BucketError, Version},
    credentials::AccessKey,
};
use crate::limit::{Meter, Rate};

/// No object of any kind is longer, whatever its listing says.
const MAX_OBJECT_BYTES: u64 = max_object_bytes(ObjectKind::Manifest);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Until an answer begins, and for each pause within it.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Nobody tries again later: a recovery waits for a store that has a bad minute.
const ATTEMPTS: u32 = 6;
const BACKOFF: Duration = Duration::from_secs(1);
/// Attempts of what began and is no use: it may come from something in between.
const BODY_ATTEMPTS: u32 = 4;
/// What a listing may have. A source of some 100 TiB has so many versions, and its names are shorter by half.
const MAX_LISTING: Bounds = Bounds {
    entries: 8_000_000,
    // A store may give fewer than the thousand entries a page that it is asked for.
    pages: 1_000_000,
    name_bytes: 2 << 30,
    time: Duration::from_hours(24),
};
/// Sources below a prefix, at most.
const MAX_FOLDERS: u64 = 100_000;

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
    client: S3Client,
    bucket: String,
    handle: Handle,
}

impl S3Bucket {
    /// Fetches no faster than `limit`. Nothing is asked of it yet. Its methods must not be called from the runtime's own threads.
    #[must_use]
    pub fn new(endpoint: &Endpoint, key: &AccessKey, limit: Option<Rate>, handle: Handle) -> Self {
        let secret = |secret: &crate::state::Secret| Zeroizing::new(secret.reveal().to_owned());
        let client = S3Client::new(Config {
            endpoint: bucket::Endpoint {
                url: endpoint.url.clone(),
                region: endpoint.region.clone(),
                access_key: key.id.clone(),
                secret_key: secret(&key.secret),
                session_token: key.session_token.as_ref().map(secret),
                path_style: endpoint.path_style,
            },
            route: Route::Environment,
            timeouts: Timeouts {
                connect: CONNECT_TIMEOUT,
                read: Some(READ_TIMEOUT),
                attempt: None,
                stalled: READ_TIMEOUT,
            },
            retries: Retries {
                requests: ATTEMPTS,
                backoff: BACKOFF,
                bodies: BODY_ATTEMPTS,
                pause: crate::retry::pause,
            },
            // What is read proves itself: its name is its hash. Damage in the store must be told from damage on the way.
            compare_etags: false,
            clock: None,
            throttle: limit.map(|limit| Arc::new(Meter::new(limit)) as Arc<dyn Throttle>),
        });
        Self {
            client,
            bucket: endpoint.bucket.clone(),
            handle,
        }
    }

    /// Gives the entries and folders of every page below `prefix` to `take`.
    async fn each_page(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        bounds: Bounds,
        mut take: impl FnMut(bucket::VersionPage),
    ) -> Result<(), BucketError> {
        let walk = async {
            let mut walk = Walk::below(prefix, bounds);
            loop {
                let request = ListRequest {
                    bucket: &self.bucket,
                    prefix,
                    delimiter,
                    from: walk.from(),
                    page_entries: PAGE_ENTRIES,
                };
                let page = self.client.list(&request).await?;
                let mut page = walk.take(page)?;
                let next = page.next.take();
                take(page);
                match next {
                    Some(next) => walk.go_on(next)?,
                    None => return Ok(()),
                }
            }
        };
        Ok(bounds.in_time(prefix, walk).await?)
    }
}

impl Throttle for Meter {
    fn pass(&self, bytes: usize) -> BoxFuture<'_, ()> {
        Box::pin(Self::pass(self, bytes))
    }
}

impl Bucket for S3Bucket {
    fn folders(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        let bounds = Bounds {
            entries: MAX_FOLDERS,
            ..MAX_LISTING
        };
        let mut folders = Vec::new();
        self.handle
            .block_on(self.each_page(prefix, Some("/"), bounds, |page| {
                let names = page
                    .folders
                    .iter()
                    .filter_map(|folder| folder.strip_prefix(prefix));
                folders.extend(names.map(|name| name.trim_end_matches('/').to_owned()));
            }))?;
        folders.sort_unstable();
        folders.dedup();
        Ok(folders)
    }

    fn versions(&self, prefix: &str) -> Result<Vec<Version>, BucketError> {
        let mut versions = Vec::new();
        self.handle
            .block_on(self.each_page(prefix, None, MAX_LISTING, |page| {
                versions.extend(page.entries.into_iter().map(Version::from));
            }))?;
        Ok(versions)
    }

    fn get(
        &self,
        key: &str,
        version: Option<&str>,
        range: Option<Range<u64>>,
        limit_bytes: u64,
    ) -> Result<Option<Vec<u8>>, BucketError> {
        let request = ReadRequest {
            bucket: &self.bucket,
            key,
            version,
            range,
            limit_bytes: limit_bytes.min(MAX_OBJECT_BYTES),
        };
        match self.handle.block_on(self.client.read(&request)) {
            // S3 says what is not there by a code. 405: the named version is a delete marker (Amazon S3 API, GetObject).
            Err(S3Error::Refused {
                status: 404 | 405,
                code,
                ..
            }) if !code.is_empty() => Ok(None),
            read => Ok(Some(read?)),
        }
    }

    fn locked_until(&self, key: &str, version: &str) -> Result<Option<Timestamp>, BucketError> {
        let head = self.client.head(&self.bucket, key, Some(version));
        match self.handle.block_on(head)? {
            Some(head) => Ok(head.lock.map(|lock| lock.retain_until)),
            None => Err(BucketError::Refused {
                status: 404,
                code: String::new(),
                message: "no such version".to_owned(),
            }),
        }
    }
}
