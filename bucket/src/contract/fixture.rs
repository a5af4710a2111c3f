//! A store with a bucket for the checks, and how they say what they found.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use shared::retention::LockMode;

use crate::{
    client::S3Client,
    error::S3Error,
    read::content_md5,
    sign::SignPut,
    store::ObjectStore,
    version::{Lock, VersionHead},
    walk::versions_of_key,
};

/// How long a lock of a check lasts, where nothing else is said.
const LOCK: SignedDuration = SignedDuration::from_hours(24);
/// A store that is asked, and a bucket in it for this run alone.
pub struct Fixture {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) client: S3Client,
    pub(super) bucket: String,
    pub(super) now: Timestamp,
}

/// How a store breaks a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach(pub(super) String);

impl From<S3Error> for Breach {
    fn from(error: S3Error) -> Self {
        Self(match &error {
            S3Error::Unreachable(cause) => format!("{error}: {cause}"),
            _ => error.to_string(),
        })
    }
}

impl Fixture {
    /// Makes the bucket. `now` must be the store's time, about.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn make(client: &S3Client, bucket: &str, now: Timestamp) -> Result<Self, S3Error> {
        let store: Arc<dyn ObjectStore> = Arc::new(client.clone());
        store.create_bucket(bucket).await?;
        Ok(Self {
            store,
            client: client.clone(),
            bucket: bucket.to_owned(),
            now,
        })
    }

    pub(super) fn lock(&self, mode: LockMode) -> Lock {
        self.lock_for(mode, LOCK)
    }

    /// A lock of whole seconds from `now` on.
    pub(super) fn lock_for(&self, mode: LockMode, span: SignedDuration) -> Lock {
        let until = (self.now + span).as_second();
        Lock {
            mode,
            retain_until: Timestamp::from_second(until).unwrap_or(Timestamp::MAX),
        }
    }

    pub(super) fn sign<'a>(&'a self, key: &'a str, content: &[u8], lock: Lock) -> SignPut<'a> {
        SignPut {
            bucket: &self.bucket,
            key,
            size_bytes: content.len() as u64,
            content_md5: content_md5(content),
            lock,
        }
    }

    /// Puts an object, and gives its version as HEAD shows it.
    pub(super) async fn put(&self, key: &str, content: &[u8], lock: Lock) -> Result<VersionHead, Breach> {
        let put = self.sign(key, content, lock);
        self.store.put_locked(put, content.to_vec()).await?;
        self.head(key, None).await
    }

    pub(super) async fn head(&self, key: &str, version: Option<&str>) -> Result<VersionHead, Breach> {
        let head = self.store.head(&self.bucket, key, version).await?;
        head.ok_or_else(|| Breach(format!("HEAD has no {key}")))
    }

    pub(super) async fn get(&self, key: &str, version: &str) -> Result<Vec<u8>, Breach> {
        Ok(self.store.get(&self.bucket, key, version, 1 << 20).await?)
    }

    /// The ids of the versions of a key, newest first.
    pub(super) async fn versions(&self, key: &str) -> Result<Vec<String>, Breach> {
        let found = versions_of_key(self.store.as_ref(), &self.bucket, key).await?;
        Ok(found.into_iter().map(|version| version.version_id).collect())
    }
}

/// A breach, unless it holds.
pub(super) fn must(holds: bool, breach: impl FnOnce() -> String) -> Result<(), Breach> {
    if holds { Ok(()) } else { Err(Breach(breach())) }
}

/// A breach, unless it was refused with one of these codes.
pub(super) fn must_refuse<T>(what: &str, outcome: Result<T, S3Error>, codes: &[&str]) -> Result<(), Breach> {
    match outcome {
        Err(S3Error::Refused { code, .. }) if codes.contains(&code.as_str()) => Ok(()),
        Err(S3Error::Refused { code, status, .. }) => Err(Breach(format!(
            "{what}: refused with {status} {code} instead of {}",
            codes.join(" or ")
        ))),
        Err(error) => Err(error.into()),
        Ok(_) => Err(Breach(format!("{what}: allowed"))),
    }
}

/// Both modes, and a key for each.
pub(super) const MODES: [(&str, LockMode); 2] = [
    ("compliance", LockMode::Compliance),
    ("governance", LockMode::Governance),
];
