//! The commit of a run: from "the agent says it is all there" to a complete snapshot (promise P1).
//!
//! 1. `committing`: every new object is confirmed by a HEAD, the manifest is read, verified and compared with the ledger, and
//!    the bucket's listing shows everything that the snapshot needs. What is missing fails the run; no number is used up.
//! 2. In one transaction the snapshot gets its number, and the ledger what was added and dropped: `locking`.
//! 3. What is locked too short for the promise is extended, and confirmed again.
//! 4. The commit record is put, locked and confirmed. Then, and only then, the snapshot is `complete`. What vanishes before
//!    that leaves it `broken`: it has a number and no promise, and the next run builds on it.
//!
//! Every step can be repeated: after a crash the job is claimed again and finds what is already done. Nothing fails by one
//! answer of S3: what is not found is asked for over minutes (see [`crate::presence`]), and a refusal is believed when it
//! met tries in a row for [`REFUSED_FOR`]. After [`GIVE_UP`] the run ends, whatever it waits for.

mod broken;
mod change;
mod finish;
mod number;
mod presence;
mod set;
mod trial;

use std::{collections::HashMap, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use shared::{
    api::agent::{CommitRequest, RunState},
    ids::RunId,
    object::{ObjectHash, ObjectRef},
};
use uuid::Uuid;

use super::within;
use crate::{
    app::App,
    clocks::CLOCKS_DISAGREE,
    db::{
        self,
        agents::Agent,
        backup_sets::BackupSet,
        jobs::JobKind,
        ledger::{ConfirmedLock, LedgerObject},
        runs::{Refusals, Run},
        sources::Source,
    },
    error::ApiError,
    presence::Unseen,
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
/// A refusal of S3 is believed when tries in a row met one for so long,
const REFUSED_FOR: SignedDuration = SignedDuration::from_mins(5);
/// and so many of them.
const REFUSALS: u32 = 4;
/// A commit is given up when it was received so long ago,
pub(super) const GIVE_UP: SignedDuration = SignedDuration::from_hours(24);
/// and so many tries have failed: pauses are a quarter of an hour at most, so that a server that was down for a day still tries for
/// about half of one.
const GIVE_UP_TRIES: i32 = 50;

/// Why a commit did not go through.
enum Failure {
    /// The run can not become a snapshot; the reason is for the technician.
    Run(String),
    /// S3 says so now; it may say otherwise later.
    Refused(String),
    /// Try again.
    Passing(ApiError),
}

impl<E: Into<ApiError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Passing(error.into())
    }
}

/// A store that cannot be asked now is asked again for as long as it takes; anything else it says is believed after a while.
fn of_store(what: &str, error: S3Error) -> Failure {
    if error.is_passing() {
        Failure::Passing(ApiError::conflict("object_store", format!("{what}: {error}")))
    } else {
        Failure::Refused(format!("{what}: {error}"))
    }
}

fn of_extend(error: NotExtended) -> Failure {
    match error {
        NotExtended::Store(error) => of_store("A lock could not be extended", error),
        NotExtended::NotShown { .. } => Failure::Refused(format!("{error}.")),
    }
}

fn of_confirm(error: NotConfirmed) -> Failure {
    match error {
        NotConfirmed::Store(error) => of_store("The locks could not be confirmed", error),
        other => Failure::Refused(format!("Not committed: {other}.")),
    }
}

/// What becomes of a numbered snapshot that needs something which counts as gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// It breaks: its commit record is not in the bucket.
    Breaks,
    /// Its record is there: it is complete, and damaged.
    IsDamage,
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
    /// When this try saw everything in the bucket.
    present_at: Option<Timestamp>,
    /// What was not there.
    absent: db::absence::Noted,
}

/// Takes a run from `committing` to a complete snapshot, or to `failed`. `attempt` counts the tries of the job from 1.
///
/// # Errors
/// When it should be tried again later.
pub async fn execute(app: &App, scope: &TenantScope, run: Uuid, attempt: i32) -> Result<(), ApiError> {
    let Some(mut commit) = Commit::load(app, scope, RunId::from_uuid(run)).await? else {
        return Ok(());
    };
    let Err(failure) = Box::pin(within(JobKind::Commit, commit.drive())).await else {
        return Ok(());
    };
    let now = app.clock.now();
    let (again, refusals) = match failure {
        Failure::Run(reason) => return commit.end(reason).await,
        Failure::Refused(reason) => {
            let refusals = Refusals::with(commit.run.refusals, now);
            let refused_for = now.duration_since(refusals.since);
            if refused_for >= REFUSED_FOR && refusals.count >= REFUSALS {
                return commit.end(reason).await;
            }
            (ApiError::conflict("object_store", reason), Some(refusals))
        }
        Failure::Passing(error) => (error, None),
    };
    // A clock that disagrees with the others says nothing of how long it has been.
    let is_timed = !matches!(&again, ApiError::Conflict { code, .. } if *code == CLOCKS_DISAGREE);
    let waited = now.duration_since(commit.run.received_at.unwrap_or(commit.run.created_at));
    if is_timed && waited >= GIVE_UP && attempt >= GIVE_UP_TRIES {
        let reason = format!("Given up after 24 hours: {}", words(&again));
        return commit.end(reason).await;
    }
    commit.note_waiting(&again, refusals).await?;
    Err(again)
}

/// What a person is told of an error.
fn words(error: &ApiError) -> &str {
    match error {
        ApiError::Conflict { message, .. } | ApiError::Invalid { message, .. } => message,
        _ => "the server could not go on; its log says why",
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
            present_at: None,
            absent: db::absence::Noted::default(),
        }))
    }

    async fn drive(&mut self) -> Result<(), Failure> {
        let account = self.set.storage_account_id;
        self.app
            .clocks
            .must_agree(self.app, account, self.store.as_ref(), &self.set.bucket)
            .await?;
        if self.run.state == RunState::Committing {
            let request = self.request().await?;
            if let Err(failure) = self.confirm_added(&request).await {
                // What else is missing is asked for meanwhile: the next run is to send all of it again.
                if matches!(failure, Failure::Run(_) | Failure::Passing(_)) {
                    self.look_for_all().await?;
                }
                return Err(failure);
            }
            let manifest = self.read_manifest(&request).await?;
            self.try_to_shorten(&request).await?;
            self.find_needed(&request).await?;
            self.extend_inherited(&request).await?;
            self.number(&request, &manifest).await?;
        }
        if self.run.state == RunState::Locking {
            let snapshot = self.snapshot().await?;
            let record = match self.placed_record(&snapshot).await? {
                Some(record) => {
                    self.extend_short(&snapshot, Gone::IsDamage).await?;
                    record
                }
                None => {
                    self.extend_short(&snapshot, Gone::Breaks).await?;
                    self.look_again().await?;
                    self.none_missing(snapshot.seq).await?;
                    self.put_record(&snapshot).await?
                }
            };
            self.complete(&snapshot, record).await?;
        }
        Ok(())
    }

    /// What the snapshot will need is in the bucket, what it shares with its parent as well as what was sent: also what an
    /// earlier run had sent, and what was confirmed while it was pending.
    async fn find_needed(&mut self, request: &CommitRequest) -> Result<(), Failure> {
        self.ask_for_locks(request.parent_seq).await?;
        self.look_for_all().await?;
        self.none_missing_of_change(request).await
    }

    /// Confirms objects that the agent sent, as they were signed.
    async fn confirm_objects(&mut self, wanted: &[ObjectRef]) -> Result<(), Failure> {
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
        for object in wanted {
            if rows.get(&object.hash).map(|row| row.object) != Some(*object) {
                return Err(Failure::Run(format!(
                    "Not committed: {} was signed as something else.",
                    object.hash
                )));
            }
        }
        // What an older snapshot needed and this one needs again may have lost its lock in between.
        let asked_before = self.asked_before();
        let is_old = |row: &LedgerObject| row.confirmed_at.is_none_or(|at| at < asked_before);
        let ask_again = !self.locks_are_kept();
        let open = rows
            .into_values()
            .filter(|row| row.lock.is_none() || row.missing || (ask_again && is_old(row)));
        let open: Vec<LedgerObject> = open.collect();
        self.run.confirmed += (wanted.len() - open.len()) as u64;
        self.confirm_all(open, None).await
    }

    /// Confirms objects by HEAD, after extending them to `lock` if one is given, and writes what S3 showed. What is not there is
    /// for [`absent_decides`](Self::absent_decides).
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
                    // Its lock is what it shows, as that of anything inherited: what falls short is extended.
                    (None, Some(old)) if !object.missing => {
                        confirm::shown(store.as_ref(), &set.bucket, &key, old)
                            .await
                            .map_err(|error| of_store("The locks could not be confirmed", error))?
                    }
                    _ => match confirm::confirm(store.as_ref(), &set.bucket, &key, &object, mode).await {
                        Ok(lock) => Ok(lock),
                        Err(NotConfirmed::Absent { .. }) => Err(Unseen::Absent),
                        Err(error) => return Err(of_confirm(error)),
                    },
                };
                Ok::<_, Failure>((object.object.hash, confirmed))
            }
        });
        let mut batches = stream::iter(checks).buffer_unordered(PARALLEL).try_chunks(BATCH);
        while let Some(batch) = batches.next().await {
            // What was confirmed before an error is kept: the next try begins there.
            let (batch, error) = match batch {
                Ok(batch) => (batch, None),
                Err(broken) => (broken.0, Some(broken.1)),
            };
            let noted = self.write_confirmed(&batch).await?;
            self.absent.gone += noted.gone;
            self.absent.suspected += noted.suspected;
            if let Some(error) = error {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Fails the run by what was not there since this was last asked, or asks for another try. Everything is noted by then, for
    /// the next run to send it again.
    fn absent_decides(&mut self) -> Result<(), Failure> {
        match std::mem::take(&mut self.absent) {
            db::absence::Noted {
                suspected: suspected @ 1..,
                ..
            } => Err(presence::suspected(suspected)),
            db::absence::Noted { gone: 0, .. } => Ok(()),
            db::absence::Noted { gone, .. } => Err(presence::gone(gone)),
        }
    }

    async fn write_confirmed(
        &mut self,
        batch: &[(ObjectHash, Result<ConfirmedLock, Unseen>)],
    ) -> Result<db::absence::Noted, ApiError> {
        let now = self.app.clock.now();
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        let mut absent = Vec::new();
        for (hash, lock) in batch {
            match lock {
                Ok(lock) => db::ledger::confirm(&tx, self.source.id, *hash, lock, now).await?,
                Err(how) => absent.push((*hash, *how)),
            }
        }
        let noted = db::absence::note(&tx, self.source.id, &absent, now).await?;
        let confirmed = batch.len() - absent.len();
        self.run.confirmed = (self.run.confirmed + confirmed as u64).min(self.run.to_confirm);
        db::runs::set_confirmed(&tx, self.run.id, self.run.confirmed).await?;
        tx.commit().await?;
        self.announce();
        Ok(noted)
    }

    /// The run does not become a complete snapshot. Before it has a number that costs nothing but the run.
    async fn end(&mut self, reason: String) -> Result<(), ApiError> {
        if self.run.state == RunState::Locking {
            self.break_snapshot(reason).await
        } else {
            self.fail(reason).await
        }
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
            db::runs::save(&tx, &run).await?;
        }
        tx.commit().await?;
        self.run = run;
        self.announce();
        Ok(())
    }

    /// Tells the technician why it is taking so long.
    async fn note_waiting(&mut self, error: &ApiError, refusals: Option<Refusals>) -> Result<(), ApiError> {
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        let Some(mut run) = db::runs::lock(&tx, self.run.id).await? else {
            return Ok(());
        };
        if !run.state.is_final() {
            run.error = Some(format!("Waiting to try again: {}", words(error)));
            run.refusals = refusals;
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
