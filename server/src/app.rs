//! What every use case has at hand: database, clock, keys, stores, and the live stream.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use repository::commit::CommitSigningKey;
use shared::{
    api::view::LiveEvent,
    ids::{StorageAccountId, TenantId},
};
use tokio::sync::{Semaphore, broadcast, watch};
use zeroize::Zeroizing;

use crate::{
    breaker::Breakers,
    clock::Clock,
    clocks::Clocks,
    db::{Db, storage_accounts::StorageAccount},
    error::ApiError,
    s3::{self, Endpoint, Guarded, ObjectStore, address::AddressRule},
    scope::TenantScope,
    secrets::{BearerKey, MasterKey},
};

/// The server's parts, shared by every request and job.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// See [`App`].
pub struct Parts {
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: Clock,
    /// The comparison of the three clocks.
    pub clocks: Clocks,
    /// Which stores are silent.
    pub breakers: Arc<Breakers>,
    /// What seals secrets.
    pub master_key: MasterKey,
    /// What recognises sessions, credentials and enrollment tokens.
    pub bearers: BearerKey,
    /// What signs commit records.
    pub commit_key: CommitSigningKey,
    /// Where browsers and agents reach this server, without a slash at the end.
    pub public_url: String,
    /// Where storage endpoints may be.
    pub storage_rule: AddressRule,
    /// Attempts to sign in or to use an enrollment token.
    pub attempts: Attempts,
    /// Something moved on, for browsers that watch.
    pub live: Live,
    /// Counts up whenever a run was queued or a job is ready: whoever waits for work looks again.
    pub work: watch::Sender<u64>,
    /// How many passwords are checked at the same time.
    pub password_checks: Semaphore,
    stores: Mutex<HashMap<StorageAccountId, Arc<dyn ObjectStore>>>,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        db: Db,
        clock: Clock,
        master_key: MasterKey,
        public_url: &str,
        storage_rule: AddressRule,
    ) -> Self {
        let commit_seed = master_key.derive("Holdfast 2026-11 key that signs commit records");
        Self(Arc::new(Parts {
            db,
            clock,
            clocks: Clocks::default(),
            breakers: Arc::default(),
            commit_key: CommitSigningKey::from_seed(commit_seed),
            bearers: BearerKey::new(&master_key),
            master_key,
            public_url: public_url.trim_end_matches('/').to_owned(),
            storage_rule,
            attempts: Attempts::new(),
            live: Live(broadcast::channel(256).0),
            work: watch::channel(0).0,
            password_checks: Semaphore::new(4),
            stores: Mutex::new(HashMap::new()),
        }))
    }

    /// The store of a storage account, behind its breaker; its secret is opened once and stays behind the store.
    ///
    /// # Errors
    /// When the secret does not open.
    pub fn store(
        &self,
        scope: &TenantScope,
        account: &StorageAccount,
    ) -> Result<Arc<dyn ObjectStore>, ApiError> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(&account.id) {
            return Ok(store.clone());
        }
        let secret = self.master_key.open(
            scope.tenant().as_uuid(),
            account.id.as_uuid(),
            &account.secret_sealed,
        )?;
        let secret = String::from_utf8(secret.to_vec())
            .map_err(|_| ApiError::Internal("a sealed S3 secret is not text".into()))?;
        let endpoint = Endpoint {
            url: account.endpoint.clone(),
            region: account.region.clone(),
            access_key: account.access_key.clone(),
            secret_key: Zeroizing::new(secret),
            path_style: account.path_style,
        };
        let store = s3::connect(&endpoint, &self.storage_rule, &self.clock);
        let store: Arc<dyn ObjectStore> =
            Arc::new(Guarded::new(store, account.id, &self.breakers, &self.clock));
        stores.insert(account.id, store.clone());
        Ok(store)
    }

    /// Tells whoever waits for work to look again.
    pub fn work_changed(&self) {
        self.work.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// The live stream of what moved on, with the tenant that it belongs to.
pub struct Live(broadcast::Sender<(TenantId, LiveEvent)>);

impl Live {
    /// Tells the browsers that watch. Nobody watching is fine.
    pub fn send(&self, tenant: TenantId, event: LiveEvent) {
        self.0.send((tenant, event)).ok();
    }

    /// Watches, from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<(TenantId, LiveEvent)> {
        self.0.subscribe()
    }
}

/// Limits on guessing: ten attempts at once and then one in six seconds, for each key.
pub struct Attempts(DefaultKeyedRateLimiter<String>);

impl Attempts {
    fn new() -> Self {
        const PER_MINUTE: NonZeroU32 = NonZeroU32::new(10).unwrap();
        Self(RateLimiter::keyed(Quota::per_minute(PER_MINUTE)))
    }

    /// Counts an attempt under `key`, such as `sign-in:<e-mail address>`.
    ///
    /// # Errors
    /// `TooManyAttempts`.
    pub fn count(&self, key: String) -> Result<(), ApiError> {
        self.0.check_key(&key).map_err(|_| ApiError::TooManyAttempts)
    }

    /// Forgets the keys that have been quiet.
    pub fn tidy(&self) {
        self.0.retain_recent();
    }
}
