//! Steps 3 and 4 of a commit: locks that fall short are extended, the commit record is put, and the snapshot is
//! complete.

use std::collections::HashSet;

use jiff::Timestamp;
use repository::{commit::CommitRecord, layout};
use shared::{
    api::agent::{CommitRequest, RunState},
    object::{ObjectKind, ObjectRef},
    retention::{self, LockError, LockMode, upload_lock},
};

use super::{Commit, Failure, of_confirm, of_store};
use crate::{
    db::{
        self,
        ledger::{ConfirmedLock, LedgerObject, NewObject},
        snapshots::Snapshot,
    },
    error::ApiError,
    s3::{Lock, ObjectStore, SignPut},
    use_cases::confirm::{self, NotConfirmed},
};

impl Commit<'_> {
    /// Before the number is given: what the snapshot shares with its parent is there, and locked long enough. What is
    /// gone fails the run here, where failing costs nothing but the run.
    pub(super) async fn extend_inherited(&mut self, request: &CommitRequest) -> Result<(), Failure> {
        let received_at = self.run.received_at.unwrap_or_else(|| self.app.clock.now());
        let need = retention::commit_need(&self.set.policy, &self.source.schedule, received_at)?;
        let tx = self.app.db.tenant(self.scope).await?;
        let mut short = db::ledger::short_of(&tx, self.source.id, request.parent_seq, need, None).await?;
        drop(tx);
        let dropped: HashSet<_> = request.dropped.iter().collect();
        short.retain(|object| {
            !dropped.contains(&object.object.hash)
                && !matches!(object.object.kind, ObjectKind::Manifest | ObjectKind::Commit)
        });
        self.extend_all(short, need).await
    }

    /// Step 3: whatever the snapshot needs and is locked too short is extended: to the promise, or to what the
    /// upcoming run needs.
    pub(super) async fn extend_short(&mut self, snapshot: &Snapshot) -> Result<(), Failure> {
        let need = snapshot.lock_need.max(snapshot.protected_until);
        loop {
            let tx = self.app.db.tenant(self.scope).await?;
            let short = db::ledger::short_of(&tx, self.source.id, snapshot.seq, need, Some(1_000)).await?;
            drop(tx);
            if short.is_empty() {
                return Ok(());
            }
            self.extend_all(short, need).await?;
        }
    }

    /// Extends to `need` and Q days on top, so that an object is not touched at every run.
    async fn extend_all(&mut self, short: Vec<LedgerObject>, need: Timestamp) -> Result<(), Failure> {
        if short.is_empty() {
            return Ok(());
        }
        let (policy, now) = (&self.set.policy, self.app.clock.now());
        let lock = Lock {
            mode: policy.mode,
            retain_until: need + policy.lock_ahead(),
        };
        policy
            .within_cap(now, lock.retain_until)
            .map_err(LockError::from)?;
        tracing::info!(run = %self.run.id, objects = short.len(), until = %lock.retain_until, "extending locks");
        self.confirm_all(short, Some(lock)).await
    }

    /// Step 4: the commit record, the last object of a snapshot. It is the same bytes at every try.
    pub(super) async fn put_record(
        &self,
        snapshot: &Snapshot,
    ) -> Result<(LedgerObject, ConfirmedLock), Failure> {
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
    pub(super) async fn complete(
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
        let short = db::ledger::short_of(&tx, source.id, snapshot.seq, snapshot.lock_need, Some(1)).await?;
        if !short.is_empty() {
            return Err(Failure::Passing(ApiError::Internal(
                "a lock is still too short".into(),
            )));
        }
        db::snapshots::complete(&tx, snapshot.id).await?;
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
}

/// Extends one version's lock, and asks S3 what it is now; `None` when the version is gone. Never shortens: a lock that
/// is as strong and reaches as far, whoever set it, stays as it is.
pub(super) async fn extend(
    store: &dyn ObjectStore,
    bucket: &str,
    key: &str,
    old: &ConfirmedLock,
    lock: Lock,
) -> Result<Option<ConfirmedLock>, Failure> {
    let failed = |error| of_store("A lock could not be extended", error);
    let suffices = |shown: &Lock| {
        (shown.mode == lock.mode || shown.mode == LockMode::Compliance)
            && shown.retain_until >= lock.retain_until
    };
    let head = || store.head(bucket, key, Some(&old.version_id));
    let Some(before) = head().await.map_err(failed)? else {
        return Ok(None);
    };
    let mut shown = before.lock;
    if !shown.as_ref().is_some_and(suffices) {
        // A stronger mode than the policy's can not be taken back either: it is extended as it is.
        let stronger = shown.is_some_and(|shown| shown.mode == LockMode::Compliance);
        let mode = if stronger { LockMode::Compliance } else { lock.mode };
        store
            .extend_lock(bucket, key, &old.version_id, Lock { mode, ..lock })
            .await
            .map_err(failed)?;
        shown = head().await.map_err(failed)?.and_then(|head| head.lock);
    }
    match shown.filter(suffices) {
        Some(shown) => Ok(Some(ConfirmedLock {
            version_id: old.version_id.clone(),
            mode: shown.mode,
            locked_until: shown.retain_until,
        })),
        None => Err(Failure::Run(format!(
            "{key}: S3 accepted a longer lock and does not show it."
        ))),
    }
}
