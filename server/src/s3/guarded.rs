//! A store behind its account's [breaker](crate::breaker): no request lasts longer than its kind may, and while the breaker is
//! open none is sent.

use std::{ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use shared::ids::StorageAccountId;

use super::{
    BucketState, Conditional, Deletion, Lock, ObjectStore, PageMarker, S3Error, SignPut, Signed, VersionHead,
    VersionName, VersionPage,
};
use crate::{
    breaker::{Breakers, Outcome},
    clock::Clock,
};

/// The store's clock: uploads wait for it to be signed.
const CLOCK: Duration = Duration::from_secs(5);
/// Questions and changes of one object or bucket.
const SMALL: Duration = Duration::from_secs(15);
/// Listings, deletions of a thousand versions (2 to 9 s on a slow gateway), and whole objects.
const LARGE: Duration = Duration::from_secs(120);

/// See the module.
pub struct Guarded {
    store: Arc<dyn ObjectStore>,
    account: StorageAccountId,
    breakers: Arc<Breakers>,
    clock: Clock,
}

impl Guarded {
    /// Puts a store behind the breaker of its account.
    #[must_use]
    pub fn new(
        store: Arc<dyn ObjectStore>,
        account: StorageAccountId,
        breakers: &Arc<Breakers>,
        clock: &Clock,
    ) -> Self {
        Self {
            store,
            account,
            breakers: breakers.clone(),
            clock: clock.clone(),
        }
    }

    /// Sends a request, if the breaker lets it, and tells the breaker what became of it. A request that is dropped tells nothing:
    /// whoever dropped it may have been in a hurry.
    async fn ask<T>(
        &self,
        limit: Duration,
        request: impl Future<Output = Result<T, S3Error>>,
    ) -> Result<T, S3Error> {
        let asking = self
            .breakers
            .ask(self.account, self.clock.now())
            .map_err(|silence| {
                // The same words for as long as the silence lasts: a day without the store is one sweep's row.
                S3Error::Unreachable(format!("nothing since {:.0}", silence.since))
            })?;
        let answer = tokio::time::timeout(limit, request).await.unwrap_or_else(|_| {
            Err(S3Error::Unreachable(format!(
                "nothing within {} s",
                limit.as_secs()
            )))
        });
        let outcome = match &answer {
            Err(S3Error::Unreachable(cause)) => {
                tracing::warn!(cause, "a storage endpoint did not answer");
                Outcome::Silent
            }
            _ => Outcome::Answered,
        };
        asking.told(outcome, self.clock.now());
        answer
    }
}

#[async_trait]
impl ObjectStore for Guarded {
    async fn try_keys(&self) -> Result<(), S3Error> {
        self.ask(SMALL, self.store.try_keys()).await
    }

    async fn bucket_state(&self, bucket: &str) -> Result<BucketState, S3Error> {
        self.ask(SMALL, self.store.bucket_state(bucket)).await
    }

    async fn create_bucket(&self, bucket: &str) -> Result<(), S3Error> {
        self.ask(SMALL, self.store.create_bucket(bucket)).await
    }

    async fn sign_put(&self, put: SignPut<'_>, valid: SignedDuration) -> Result<Signed, S3Error> {
        // Signing asks nobody.
        self.store.sign_put(put, valid).await
    }

    async fn sign_get(
        &self,
        bucket: &str,
        key: &str,
        version: &str,
        range: Range<u64>,
        valid: SignedDuration,
    ) -> Result<String, S3Error> {
        self.store.sign_get(bucket, key, version, range, valid).await
    }

    async fn put_locked(&self, put: SignPut<'_>, body: Vec<u8>) -> Result<(), S3Error> {
        self.ask(LARGE, self.store.put_locked(put, body)).await
    }

    async fn put_if_absent(&self, put: SignPut<'_>, body: Vec<u8>) -> Result<Conditional, S3Error> {
        self.ask(LARGE, self.store.put_if_absent(put, body)).await
    }

    async fn head(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<VersionHead>, S3Error> {
        self.ask(SMALL, self.store.head(bucket, key, version)).await
    }

    async fn get(
        &self,
        bucket: &str,
        key: &str,
        version: &str,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, S3Error> {
        self.ask(LARGE, self.store.get(bucket, key, version, limit_bytes))
            .await
    }

    async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&PageMarker>,
    ) -> Result<VersionPage, S3Error> {
        self.ask(LARGE, self.store.list_versions(bucket, prefix, from))
            .await
    }

    async fn extend_lock(&self, bucket: &str, key: &str, version: &str, lock: Lock) -> Result<(), S3Error> {
        self.ask(SMALL, self.store.extend_lock(bucket, key, version, lock))
            .await
    }

    async fn time(&self, bucket: &str) -> Result<Timestamp, S3Error> {
        self.ask(CLOCK, self.store.time(bucket)).await
    }

    async fn delete_versions(
        &self,
        bucket: &str,
        versions: &[VersionName],
    ) -> Vec<Result<Deletion, S3Error>> {
        if versions.is_empty() {
            return Vec::new();
        }
        // One answer for each version: the breaker is told of the first that had none.
        let mut told = None;
        let asked = self.ask(LARGE, async {
            let outcomes = self.store.delete_versions(bucket, versions).await;
            let silent = outcomes.iter().find_map(silent);
            told = Some(outcomes);
            silent.map_or(Ok(()), Err)
        });
        match (asked.await, told) {
            (_, Some(outcomes)) => outcomes,
            (Err(error), None) => versions.iter().map(|_| Err(error.clone())).collect(),
            (Ok(()), None) => unreachable!("what was asked was told"),
        }
    }
}

fn silent(outcome: &Result<Deletion, S3Error>) -> Option<S3Error> {
    match outcome {
        Err(error @ S3Error::Unreachable(_)) => Some(error.clone()),
        _ => None,
    }
}
