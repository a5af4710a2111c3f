//! The commit of a run: from "the agent says it is all there" to a complete snapshot (promise P1).
//!
//! 1. `committing`: every new object is confirmed by a HEAD, and the manifest is read, verified and compared with
//!    the ledger. What is missing fails the run; no number is used up.
//! 2. In one transaction the snapshot gets its number, and the ledger what was added and dropped: `locking`.
//! 3. What is locked too short for the promise is extended, and confirmed again.
//! 4. The commit record is put, locked and confirmed. Then, and only then, the snapshot is `complete`.
//!
//! Every step can be repeated: after a crash the job is claimed again and finds what is already done.

mod finish;
mod number;

use std::{collections::HashMap, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use shared::{
    api::agent::{CommitRequest, RunState},
    ids::RunId,
    object::{ObjectHash, ObjectRef},
};
use uuid::Uuid;

use super::within;
use crate::{
    app::App,
    db::{
        self,
        agents::Agent,
        backup_sets::BackupSet,
        jobs::JobKind,
        ledger::{ConfirmedLock, LedgerObject},
        runs::Run,
        sources::Source,
    },
    error::ApiError,
    s3::{Lock, ObjectStore, S3Error},
    scope::TenantScope,
    use_cases::{
        confirm::{self, NotConfirmed, NotExtended},
        protection, sources, views,
    },
};

/// HEADs and extensions that are under way together.
const PARALLEL: usize = 16;
/// Confirmations written in one transaction, and shown as progress.
const BATCH: usize = 64;

/// Why a commit did not go through.
enum Failure {
    /// The run can not become a snapshot; the reason is for the technician.
    Run(String),
    /// Try again.
    Passing(ApiError),
}

impl<E: Into<ApiError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Passing(error.into())
    }
}

/// A store that cannot be asked now is asked again later; anything else it says is final.
fn of_store(what: &str, error: S3Error) -> Failure {
    if error.is_passing() {
        Failure::Passing(ApiError::conflict("object_store", format!("{what}: {error}")))
    } else {
        Failure::Run(format!("{what}: {error}"))
    }
}

fn of_extend(error: NotExtended) -> Failure {
    match error {
        NotExtended::Store(error) => of_store("A lock could not be extended", error),
        NotExtended::NotShown { .. } => Failure::Run(format!("{error}.")),
    }
}

fn of_confirm(error: NotConfirmed) -> Failure {
    match error {
        NotConfirmed::Store(error) => of_store("The locks could not be confirmed", error),
        other => Failure::Run(format!("Not committed: {other}.")),
    }
}

struct Commit<'a> {
    app: &'a App,
    scope: &'a TenantScope,
    run: Run,
    source: Source,
    set: BackupSet,
    agent: Agent,
    /// Q.
    lock_ahead_days: u32,
    store: Arc<dyn ObjectStore>,
}

/// Takes a run from `committing` to a complete snapshot, or to `failed`.
///
/// # Errors
/// When it should be tried again later.
pub async fn execute(app: &App, scope: &TenantScope, run: Uuid) -> Result<(), ApiError> {
    let Some(mut commit) = Commit::load(app, scope, RunId::from_uuid(run)).await? else {
        return Ok(());
    };
    match within(JobKind::Commit, commit.drive()).await {
        Ok(()) => Ok(()),
        Err(Failure::Passing(error)) => {
            commit.note_waiting(&error).await?;
            Err(error)
        }
        // The number is given: nothing but the locks is left to do, and giving up would leave a gap.
        Err(Failure::Run(reason)) if commit.run.state == RunState::Locking => {
            let error = ApiError::conflict("locking", reason);
            commit.note_waiting(&error).await?;
            Err(error)
        }
        Err(Failure::Run(reason)) => commit.fail(reason).await,
    }
}

impl<'a> Commit<'a> {
    async fn load(app: &'a App, scope: &'a TenantScope, id: RunId) -> Result<Option<Self>, ApiError> {
        let tx = app.db.tenant(scope).await?;
        let missing = |what: &str| ApiError::Internal(format!("run {id}: its {what} is gone"));
        let Some(run) = db::runs::find(&tx, id).await? else {
            return Ok(None);
        };
        let source = db::sources::find(&tx, run.source_id)
            .await?
            .ok_or_else(|| missing("source"))?;
        let set = db::backup_sets::find(&tx, source.backup_set_id)
            .await?
            .ok_or_else(|| missing("backup set"))?;
        let agent = db::agents::find(&tx, source.agent_id)
            .await?
            .ok_or_else(|| missing("agent"))?;
        let account = db::storage_accounts::find(&tx, set.storage_account_id).await?;
        let account = account.ok_or_else(|| missing("storage account"))?;
        let lock_ahead_days = protection::lock_ahead_days(&set, &account, &source)?;
        let store = app.store(scope, &account)?;
        Ok(Some(Self {
            app,
            scope,
            run,
            source,
            set,
            agent,
            lock_ahead_days,
            store,
        }))
    }

    async fn drive(&mut self) -> Result<(), Failure> {
        let account = self.set.storage_account_id;
        self.app
            .clocks
            .must_agree(self.app, account, self.store.as_ref(), &self.set.bucket)
            .await?;
        if self.run.state == RunState::Committing {
            let request = self.run.commit_request.clone();
            let request = request.ok_or_else(|| Failure::Run("The commit request is gone.".into()))?;
            self.confirm_added(&request).await?;
            let manifest = self.read_manifest(&request).await?;
            self.extend_inherited(&request).await?;
            self.number(&request, &manifest).await?;
        }
        if self.run.state == RunState::Locking {
            let snapshot = self.snapshot().await?;
            self.extend_short(&snapshot).await?;
            let record = self.put_record(&snapshot).await?;
            self.complete(&snapshot, record).await?;
        }
        Ok(())
    }

    /// Step 1: what the agent sent is in the bucket, whole and locked.
    async fn confirm_added(&mut self, request: &CommitRequest) -> Result<(), Failure> {
        let wanted: Vec<ObjectRef> = request.added.iter().chain([&request.manifest]).copied().collect();
        let hashes: Vec<ObjectHash> = wanted.iter().map(|object| object.hash).collect();
        let tx = self.app.db.tenant(self.scope).await?;
        let rows = db::ledger::find(&tx, self.source.id, &hashes).await?;
        drop(tx);
        let rows: HashMap<ObjectHash, LedgerObject> =
            rows.into_iter().map(|row| (row.object.hash, row)).collect();
        if rows.len() != wanted.len() {
            return Err(Failure::Run(
                "Not committed: the agent names objects that were never signed, or names one twice.".into(),
            ));
        }
        for object in &wanted {
            if rows.get(&object.hash).map(|row| row.object) != Some(*object) {
                return Err(Failure::Run(format!(
                    "Not committed: {} was signed as something else.",
                    object.hash
                )));
            }
        }
        let open: Vec<LedgerObject> = rows.into_values().filter(|row| row.lock.is_none()).collect();
        self.run.confirmed = (wanted.len() - open.len()) as u64;
        self.confirm_all(open, None).await
    }

    /// Confirms objects by HEAD, after extending them to `lock` if one is given, and writes what S3 showed.
    async fn confirm_all(&mut self, objects: Vec<LedgerObject>, lock: Option<Lock>) -> Result<(), Failure> {
        let (store, set, source) = (self.store.clone(), self.set.clone(), self.source.id);
        let mode = set.policy.mode;
        let checks = objects.into_iter().map(|object| {
            let (store, set) = (store.clone(), set.clone());
            async move {
                let key = object.key(&set.prefix, source);
                let confirmed = match (lock, &object.lock) {
                    (Some(lock), Some(old)) => confirm::extend(store.as_ref(), &set.bucket, &key, old, lock)
                        .await
                        .map_err(of_extend)?,
                    _ => Some(
                        confirm::confirm(store.as_ref(), &set.bucket, &key, &object, mode)
                            .await
                            .map_err(of_confirm)?,
                    ),
                };
                Ok::<_, Failure>((object.object.hash, confirmed))
            }
        });
        let mut gone = 0;
        let mut batches = stream::iter(checks).buffer_unordered(PARALLEL).try_chunks(BATCH);
        while let Some(batch) = batches.next().await {
            // What was confirmed before an error is kept: the next try begins there.
            let (batch, error) = match batch {
                Ok(batch) => (batch, None),
                Err(broken) => (broken.0, Some(broken.1)),
            };
            self.write_confirmed(&batch).await?;
            gone += batch.iter().filter(|(_, lock)| lock.is_none()).count();
            if let Some(error) = error {
                return Err(error);
            }
        }
        if gone > 0 {
            return Err(Failure::Run(format!(
                "{gone} objects that the backup shares with earlier ones are gone from the bucket. The next run sends \
                 their data again."
            )));
        }
        Ok(())
    }

    async fn write_confirmed(
        &mut self,
        batch: &[(ObjectHash, Option<ConfirmedLock>)],
    ) -> Result<(), ApiError> {
        let now = self.app.clock.now();
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        for (hash, lock) in batch {
            match lock {
                Some(lock) => db::ledger::confirm(&tx, self.source.id, *hash, lock, now).await?,
                None => db::ledger::set_missing(&tx, self.source.id, *hash, now).await?,
            }
        }
        self.run.confirmed = (self.run.confirmed + batch.len() as u64).min(self.run.to_confirm);
        db::runs::set_confirmed(&tx, self.run.id, self.run.confirmed).await?;
        tx.commit().await?;
        self.announce();
        Ok(())
    }

    async fn fail(&mut self, reason: String) -> Result<(), ApiError> {
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        let Some(mut run) = db::runs::lock(&tx, self.run.id).await? else {
            return Ok(());
        };
        // Another worker may have numbered it meanwhile: then it is no longer ours to fail.
        if run.state == RunState::Committing {
            tracing::warn!(run = %run.id, reason, "a commit was refused");
            run.fail(reason, self.app.clock.now());
            run.commit_request = None;
            db::runs::save(&tx, &run).await?;
        }
        tx.commit().await?;
        self.run = run;
        self.announce();
        Ok(())
    }

    /// Tells the technician why it is taking so long.
    async fn note_waiting(&mut self, error: &ApiError) -> Result<(), ApiError> {
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        let Some(mut run) = db::runs::lock(&tx, self.run.id).await? else {
            return Ok(());
        };
        if !run.state.is_final() {
            let shown = match error {
                ApiError::Conflict { message, .. } | ApiError::Invalid { message, .. } => message.as_str(),
                _ => "the server could not go on; its log says why",
            };
            run.error = Some(format!("Waiting to try again: {shown}"));
            db::runs::save(&tx, &run).await?;
        }
        tx.commit().await?;
        self.run = run;
        self.announce();
        Ok(())
    }

    fn announce(&self) {
        sources::announce(
            self.app,
            self.scope,
            views::run(&self.run, &self.source, &self.agent.hostname),
        );
    }
}
