//! What every use case has at hand: database, clock, keys, stores, and who waits or watches.

use std::{
    collections::{HashMap, HashSet},
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use repository::commit::CommitSigningKey;
use shared::ids::{RunId, StorageAccountId};
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::{
    breaker::Breakers,
    clock::Clock,
    clocks::Clocks,
    db::{Db, storage_accounts::StorageAccount},
    error::ApiError,
    live::Live,
    polls::Polls,
    s3::{self, Endpoint, Guarded, ObjectStore, address::AddressRule},
    scope::TenantScope,
    secrets::{BearerKey, MasterKey},
    sign_in::{Budgets, Guess, Passwords, Refusals},
    visits::Visits,
};

/// Commits that are remembered as overdue.
const MOST_OVERDUE: usize = 10_000;

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
    /// Who is connected.
    pub visits: Visits,
    /// What wrong passwords and tokens are counted under.
    pub guesses: Budgets<Guess>,
    /// The threads that check passwords.
    pub passwords: Passwords,
    /// Refused sign-ins that the audit log has not told of yet.
    pub refusals: Refusals,
    /// Something moved on, for browsers that watch.
    pub live: Arc<Live>,
    /// Agents that wait for work.
    pub polls: Polls,
    /// A job is ready: the dispatcher looks again.
    pub jobs: Notify,
    /// Commits that a round has found waiting for too long.
    overdue: Mutex<HashSet<RunId>>,
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
            clocks: Clocks::new(db.clone(), clock.clone()),
            db,
            clock,
            breakers: Arc::default(),
            commit_key: CommitSigningKey::from_seed(commit_seed),
            bearers: BearerKey::new(&master_key),
            master_key,
            public_url: public_url.trim_end_matches('/').to_owned(),
            storage_rule,
            visits: Visits::default(),
            guesses: Budgets::default(),
            passwords: Passwords::default(),
            refusals: Refusals::default(),
            live: Arc::default(),
            polls: Polls::default(),
            jobs: Notify::new(),
            overdue: Mutex::default(),
            stores: Mutex::new(HashMap::new()),
        }))
    }

    /// Notes that a commit has waited for too long. Whether that is news.
    pub fn waited_for(&self, run: RunId) -> bool {
        let mut overdue = self.overdue.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended since are no longer asked for; they are few.
        if overdue.len() > MOST_OVERDUE {
            overdue.clear();
        }
        overdue.insert(run)
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
            url: Some(account.endpoint.clone()),
            region: account.region.clone(),
            access_key: account.access_key.clone(),
            secret_key: Zeroizing::new(secret),
            session_token: None,
            path_style: account.path_style,
        };
        let store = s3::connect(&endpoint, &self.storage_rule, &self.clock);
        let store: Arc<dyn ObjectStore> =
            Arc::new(Guarded::new(store, account.id, &self.breakers, &self.clock));
        stores.insert(account.id, store.clone());
        Ok(store)
    }

    /// Tells the dispatcher that a job is ready.
    pub fn jobs_changed(&self) {
        self.jobs.notify_one();
    }

    /// Whether browsers reach this server by https only. It speaks plain HTTP itself, behind a proxy.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}
