//! The commit of a run: from "the agent says it is all there" to a complete snapshot (promise P1).
//!
//! 1. `committing`: every new object is confirmed by a HEAD, and the manifest is read, verified and compared with
//!    the ledger. What is missing fails the run; no number is used up.
//! 2. In one transaction the snapshot gets its number, and the ledger what was added and dropped: `locking`.
//! 3. What is locked too short for the promise is extended, and confirmed again.
//! 4. The commit record is put, locked and confirmed. Then, and only then, the snapshot is `complete`.
//!
//! Every step can be repeated: after a crash the job is claimed again and finds what is already done.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use repository::{commit::CommitRecord, layout, manifest, object_list};
use shared::{
    api::{
        agent::{CommitRequest, RunState},
        view::SnapshotState,
    },
    ids::{RunId, SnapshotId},
    object::{ObjectHash, ObjectKind, ObjectRef},
    retention::{self, LockError, upload_lock},
};
use std::sync::Arc;
use uuid::Uuid;

use crate::{
    app::App,
    db::{
        self, TenantTx,
        agents::Agent,
        backup_sets::BackupSet,
        ledger::{ConfirmedLock, LedgerObject, NewObject},
        runs::Run,
        snapshots::Snapshot,
        sources::Source,
    },
    error::ApiError,
    random,
    s3::{Lock, ObjectStore, S3Error, SignPut},
    scope::TenantScope,
    use_cases::{
        confirm::{self, NotConfirmed},
        sources, views,
    },
};

/// HEADs and extensions that are under way together.
const PARALLEL: usize = 16;
/// Confirmations written in one transaction, and shown as progress.
const BATCH: usize = 64;
/// A manifest's size at most: about a million objects.
const MANIFEST_LIMIT_BYTES: u64 = 64 << 20;

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
        Failure::Passing(error.into())
    } else {
        Failure::Run(format!("{what}: {error}"))
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
    match commit.drive().await {
        Ok(()) => Ok(()),
        Err(Failure::Passing(error)) => {
            commit.note_waiting(&error).await?;
            Err(error)
        }
        // The number is given: nothing but the locks is left to do, and giving up would leave a gap.
        Err(Failure::Run(reason)) if commit.run.state == RunState::Locking => {
            let error = ApiError::Internal(reason);
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
        let store = app.store(scope, &account.ok_or_else(|| missing("storage account"))?)?;
        Ok(Some(Self {
            app,
            scope,
            run,
            source,
            set,
            agent,
            store,
        }))
    }

    async fn drive(&mut self) -> Result<(), Failure> {
        if self.run.state == RunState::Committing {
            let request = self.run.commit_request.clone();
            let request = request.ok_or_else(|| Failure::Run("The commit request is gone.".into()))?;
            self.confirm_added(&request).await?;
            let manifest = self.read_manifest(&request).await?;
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
                let key = layout::object_key(&set.prefix, source, object.object.kind, &object.object.hash);
                let confirmed = match (lock, &object.lock) {
                    (Some(lock), Some(old)) => extend(store.as_ref(), &set.bucket, &key, old, lock).await?,
                    _ => confirm::confirm(store.as_ref(), &set.bucket, &key, &object, mode)
                        .await
                        .map_err(of_confirm)?,
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
            self.write_confirmed(&batch).await?;
            if let Some(error) = error {
                return Err(error);
            }
        }
        Ok(())
    }

    async fn write_confirmed(&mut self, batch: &[(ObjectHash, ConfirmedLock)]) -> Result<(), ApiError> {
        let now = self.app.clock.now();
        let tx = self.app.db.tenant(self.scope).await?;
        for (hash, lock) in batch {
            db::ledger::confirm(&tx, self.source.id, *hash, lock, now).await?;
        }
        self.run.confirmed = (self.run.confirmed + batch.len() as u64).min(self.run.to_confirm);
        db::runs::set_confirmed(&tx, self.run.id, self.run.confirmed).await?;
        tx.commit().await?;
        self.announce();
        Ok(())
    }

    /// The manifest as the bucket holds it: signed by this agent, of this run, on this parent.
    async fn read_manifest(&self, request: &CommitRequest) -> Result<manifest::ManifestHeader, Failure> {
        let tx = self.app.db.tenant(self.scope).await?;
        let rows = db::ledger::find(&tx, self.source.id, &[request.manifest.hash]).await?;
        let parent = db::snapshots::by_seq(&tx, self.source.id, request.parent_seq).await?;
        drop(tx);
        let version = rows
            .into_iter()
            .find_map(|row| row.lock)
            .map(|lock| lock.version_id);
        let version = version.ok_or_else(|| Failure::Run("The manifest is not confirmed.".into()))?;
        let key = layout::object_key(
            &self.set.prefix,
            self.source.id,
            ObjectKind::Manifest,
            &request.manifest.hash,
        );
        let bytes = self
            .store
            .get(&self.set.bucket, &key, &version, MANIFEST_LIMIT_BYTES)
            .await
            .map_err(|error| of_store("The manifest could not be read", error))?;
        let refused = |reason: String| Failure::Run(format!("Not committed: the manifest {reason}."));
        if repository::hash(&bytes) != request.manifest.hash {
            return Err(refused("is not the one that was announced".into()));
        }
        let header = manifest::open_header(&bytes, &self.agent.signing_key)
            .map_err(|error| refused(format!("is not acceptable: {error}")))?;
        if header.source_id != self.source.id
            || header.run_id != self.run.id
            || header.agent_id != self.agent.id
        {
            return Err(refused("belongs to another agent, source or run".into()));
        }
        let named = header.parent.as_ref().map(|parent| (parent.seq, parent.manifest));
        if named != parent.map(|parent| (parent.seq, parent.manifest.hash)) {
            return Err(refused("builds on another snapshot".into()));
        }
        if header.totals != request.totals {
            return Err(refused("tells other totals than the commit".into()));
        }
        Ok(header)
    }

    /// Step 2: the snapshot gets its number, the ledger what was added and dropped, all or nothing.
    async fn number(
        &mut self,
        request: &CommitRequest,
        header: &manifest::ManifestHeader,
    ) -> Result<(), Failure> {
        let now = self.app.clock.now();
        let tx = self.app.db.tenant(self.scope).await?;
        let source = db::sources::lock(&tx, self.source.id).await?;
        let source = source.ok_or_else(|| Failure::Run("The source is gone.".into()))?;
        let run = db::runs::lock(&tx, self.run.id).await?;
        let mut run = run.ok_or_else(|| Failure::Run("The run is gone.".into()))?;
        if run.state != RunState::Committing {
            // Another worker was here.
            self.run = run;
            return Ok(());
        }
        if source.newest_seq != request.parent_seq {
            return Err(Failure::Run(
                "Not committed: another snapshot came in between.".into(),
            ));
        }
        let seq = source.newest_seq + 1;
        let received_at = run.received_at.unwrap_or(now);
        self.apply(&tx, request, header, seq).await?;

        let snapshot = Snapshot {
            id: SnapshotId::from_uuid(random::uuid(received_at)),
            source_id: source.id,
            run_id: run.id,
            seq,
            state: SnapshotState::Locking,
            received_at,
            protected_until: retention::protected_until(&self.set.policy, received_at),
            lock_need: retention::commit_need(&self.set.policy, &source.schedule, received_at)?,
            mode: self.set.policy.mode,
            manifest: request.manifest,
            totals: request.totals,
        };
        db::snapshots::add(&tx, &snapshot).await?;
        db::sources::set_newest_seq(&tx, source.id, seq).await?;
        run.state = RunState::Locking;
        run.snapshot_id = Some(snapshot.id);
        run.commit_request = None;
        run.confirmed = run.to_confirm;
        db::runs::save(&tx, &run).await?;
        tx.commit().await?;
        (self.run, self.source) = (run, source);
        self.announce();
        Ok(())
    }

    async fn apply(
        &self,
        tx: &TenantTx,
        request: &CommitRequest,
        header: &manifest::ManifestHeader,
        seq: u64,
    ) -> Result<(), Failure> {
        let id = self.source.id;
        let added: Vec<ObjectHash> = request.added.iter().map(|object| object.hash).collect();
        if db::ledger::make_live(tx, id, &added, seq).await? != added.len() as u64 {
            return Err(Failure::Run(
                "Not committed: an added object is being deleted or is not confirmed.".into(),
            ));
        }
        if db::ledger::drop_from(tx, id, &request.dropped, seq).await? != request.dropped.len() as u64 {
            return Err(Failure::Run(
                "Not committed: a dropped object was not needed by the snapshot before.".into(),
            ));
        }
        let listed = db::ledger::listed(tx, id, seq).await?;
        if object_list::root(&listed) != header.objects_root {
            return Err(Failure::Run(
                "Not committed: what the manifest lists is not the last snapshot plus what was added minus what was dropped."
                    .into(),
            ));
        }
        // A manifest describes one snapshot: none after it needs it.
        let manifest = [request.manifest.hash];
        if db::ledger::make_live(tx, id, &manifest, seq).await? != 1 {
            return Err(Failure::Run(
                "Not committed: the manifest is not confirmed.".into(),
            ));
        }
        db::ledger::drop_from(tx, id, &manifest, seq + 1).await?;
        Ok(())
    }

    async fn snapshot(&self) -> Result<Snapshot, Failure> {
        let id = self
            .run
            .snapshot_id
            .ok_or_else(|| Failure::Run("The run has no snapshot.".into()))?;
        let tx = self.app.db.tenant(self.scope).await?;
        let snapshot = db::snapshots::find(&tx, id).await?;
        snapshot.ok_or_else(|| Failure::Run("The snapshot is gone.".into()))
    }

    /// Step 3: whatever the snapshot needs and is locked too short, older objects above all, is extended: to the
    /// promise, or to what the upcoming run needs and Q days on top, so that it is not touched at every run.
    async fn extend_short(&mut self, snapshot: &Snapshot) -> Result<(), Failure> {
        let need = snapshot.lock_need.max(snapshot.protected_until);
        let retain_until = need + self.set.policy.lock_ahead();
        self.set
            .policy
            .within_cap(self.app.clock.now(), retain_until)
            .map_err(LockError::from)?;
        loop {
            let tx = self.app.db.tenant(self.scope).await?;
            let short = db::ledger::short_of(&tx, self.source.id, snapshot.seq, need, 1_000).await?;
            drop(tx);
            if short.is_empty() {
                return Ok(());
            }
            tracing::info!(run = %self.run.id, objects = short.len(), until = %retain_until, "extending locks");
            self.confirm_all(
                short,
                Some(Lock {
                    mode: snapshot.mode,
                    retain_until,
                }),
            )
            .await?;
        }
    }

    /// Step 4: the commit record, the last object of a snapshot. It is the same bytes at every try.
    async fn put_record(&self, snapshot: &Snapshot) -> Result<(LedgerObject, ConfirmedLock), Failure> {
        let now = self.app.clock.now();
        let tx = self.app.db.tenant(self.scope).await?;
        let parent = db::snapshots::by_seq(&tx, self.source.id, snapshot.seq - 1).await?;
        drop(tx);
        let record = CommitRecord {
            source_id: self.source.id,
            snapshot_id: snapshot.id,
            run_id: snapshot.run_id,
            seq: snapshot.seq,
            parent_manifest: parent.map(|parent| parent.manifest.hash),
            manifest: snapshot.manifest,
            received_at: snapshot.received_at,
            protected_until: snapshot.protected_until,
            mode: snapshot.mode,
            tiers: Vec::new(),
        };
        let bytes = record.sign(&self.app.commit_key);
        let object = ObjectRef {
            kind: ObjectKind::Commit,
            hash: repository::hash(&bytes),
            size_bytes: bytes.len() as u64,
        };
        let lock = upload_lock(&self.set.policy, &self.source.schedule, now, now, &object.hash)?;
        let retain_until = lock.retain_until.max(snapshot.lock_need);
        let content_md5 = crate::s3::content_md5(&bytes);
        let new = NewObject {
            object,
            content_md5,
            signed_until: retain_until,
        };
        let tx = self.app.db.tenant(self.scope).await?;
        db::ledger::sign(&tx, self.source.id, self.run.id, &[new]).await?;
        let rows = db::ledger::find(&tx, self.source.id, &[object.hash]).await?;
        tx.commit().await?;
        let row = rows
            .into_iter()
            .next()
            .ok_or_else(|| Failure::Run("The commit record has no row.".into()))?;

        let key = layout::commit_key(&self.set.prefix, self.source.id, snapshot.seq);
        let store = self.store.as_ref();
        let find = || confirm::confirm(store, &self.set.bucket, &key, &row, snapshot.mode);
        let confirmed = match find().await {
            // A try before this one put it.
            Ok(lock) if lock.locked_until >= snapshot.lock_need => lock,
            Ok(_) | Err(NotConfirmed::Absent { .. } | NotConfirmed::Unlocked { .. }) => {
                let put = SignPut {
                    bucket: &self.set.bucket,
                    key: &key,
                    size_bytes: object.size_bytes,
                    content_md5,
                    lock: Lock {
                        mode: snapshot.mode,
                        retain_until,
                    },
                };
                store
                    .put_locked(put, bytes)
                    .await
                    .map_err(|error| of_store("The commit record could not be written", error))?;
                find().await.map_err(of_confirm)?
            }
            Err(error) => return Err(of_confirm(error)),
        };
        if confirmed.locked_until < snapshot.lock_need {
            return Err(Failure::Run("The commit record is locked too short.".into()));
        }
        Ok((row, confirmed))
    }

    /// The end: everything is confirmed, so the snapshot is complete.
    async fn complete(
        &mut self,
        snapshot: &Snapshot,
        (record, lock): (LedgerObject, ConfirmedLock),
    ) -> Result<(), Failure> {
        let now = self.app.clock.now();
        let tx = self.app.db.tenant(self.scope).await?;
        let source = db::sources::lock(&tx, self.source.id).await?;
        let source = source.ok_or_else(|| Failure::Run("The source is gone.".into()))?;
        let run = db::runs::lock(&tx, self.run.id).await?;
        let mut run = run.ok_or_else(|| Failure::Run("The run is gone.".into()))?;
        if run.state != RunState::Locking {
            self.run = run;
            return Ok(());
        }
        let hash = [record.object.hash];
        db::ledger::confirm(&tx, source.id, hash[0], &lock, now).await?;
        db::ledger::make_live(&tx, source.id, &hash, snapshot.seq).await?;
        db::ledger::drop_from(&tx, source.id, &hash, snapshot.seq + 1).await?;
        let short = db::ledger::short_of(&tx, source.id, snapshot.seq, snapshot.lock_need, 1).await?;
        if !short.is_empty() {
            return Err(Failure::Passing(ApiError::Internal(
                "a lock is still too short".into(),
            )));
        }
        db::snapshots::complete(&tx, snapshot.id).await?;
        db::sources::set_next_due(&tx, source.id, source.schedule.next_after(snapshot.received_at)?).await?;
        run.state = RunState::Succeeded;
        run.finished_at = Some(now);
        run.error = None;
        db::runs::save(&tx, &run).await?;
        let event = db::audit::Event {
            actor: &self.agent.id.to_string(),
            action: "snapshot.complete",
            subject: snapshot.id.to_string(),
            detail: serde_json::json!({
                "source": source.id, "seq": snapshot.seq, "protected_until": snapshot.protected_until,
            }),
        };
        db::audit::add(&tx, event, now).await?;
        tx.commit().await?;
        (self.run, self.source) = (run, source);
        self.announce();
        Ok(())
    }

    async fn fail(&mut self, reason: String) -> Result<(), ApiError> {
        let tx = self.app.db.tenant(self.scope).await?;
        let Some(mut run) = db::runs::lock(&tx, self.run.id).await? else {
            return Ok(());
        };
        if !run.state.is_final() {
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
        let tx = self.app.db.tenant(self.scope).await?;
        let Some(mut run) = db::runs::lock(&tx, self.run.id).await? else {
            return Ok(());
        };
        if !run.state.is_final() {
            run.error = Some(format!("Waiting to try again: {error}"));
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

/// Extends one version's lock, and asks S3 what it is now. Never shortens: a lock that reaches further stays.
async fn extend(
    store: &dyn ObjectStore,
    bucket: &str,
    key: &str,
    old: &ConfirmedLock,
    lock: Lock,
) -> Result<ConfirmedLock, Failure> {
    let failed = |error| of_store("A lock could not be extended", error);
    store
        .extend_lock(bucket, key, &old.version_id, lock)
        .await
        .map_err(failed)?;
    let head = store
        .head(bucket, key, Some(&old.version_id))
        .await
        .map_err(failed)?;
    let shown = head
        .and_then(|head| head.lock)
        .filter(|shown| shown.mode == lock.mode);
    match shown {
        Some(shown) if shown.retain_until >= lock.retain_until => Ok(ConfirmedLock {
            version_id: old.version_id.clone(),
            mode: shown.mode,
            locked_until: shown.retain_until,
        }),
        _ => Err(Failure::Run(format!(
            "{key}: S3 accepted a longer lock and does not show it."
        ))),
    }
}
