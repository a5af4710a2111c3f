//! Steps 3 and 4 of a commit: locks that fall short are extended, the commit record is put, and the snapshot is
//! complete.

use jiff::Timestamp;
use repository::{
    commit::{CommitRecord, Tier},
    layout,
};
use shared::{
    api::agent::{CommitRequest, RunState},
    object::{ObjectKind, ObjectRef},
    retention::{CommitLock, Period, commit_lock, upload_lock},
};

use super::{
    change::Members,
    failure::{Failure, of_confirm, of_store},
    presence,
    state::{Commit, Gone},
};
use crate::{
    db::{
        self,
        groom::SpareVersion,
        jobs::JobKind,
        ledger::{ConfirmedLock, LedgerObject, Missing, NewObject},
        snapshots::Snapshot,
    },
    jobs::error::JobError,
    random,
    s3::{Lock, SignPut},
    use_cases::system::confirm::{self, NotConfirmed},
};

/// Objects that fall short and are held in memory together.
const SHORT_PART: u32 = 4_000;
/// The same after the number, when few are left.
const SHORT_PAGE: u64 = 1_000;

impl Commit<'_> {
    /// Before the number is given: what the snapshot shares with its parent is there, and locked long enough. What is
    /// gone fails the run here, where failing costs nothing but the run.
    pub(super) async fn extend_inherited(&mut self, request: &CommitRequest) -> Result<(), Failure> {
        let received_at = self.run.received_at.unwrap_or_else(|| self.app.clock.now());
        let tx = self.app.db.tenant(self.scope).await?;
        let looked = self.look_for_anomalies(&tx, request).await?;
        let tiers = self
            .tiers(&tx, received_at, request.totals.warnings == 0, looked.is_sound())
            .await?;
        drop(tx);
        let lock = self.commit_lock(received_at, &tiers)?;
        let mut dropped = Members::dropped(request);
        let mut after = None;
        loop {
            let tx = self.app.db.tenant(self.scope).await?;
            let short = db::short::short_after(
                &tx,
                self.source.id,
                request.parent_seq,
                lock.need,
                after,
                SHORT_PART,
            )
            .await?;
            let Some(last) = short.last() else { break };
            after = Some(last.object.hash);
            let mut kept = Vec::with_capacity(short.len());
            for object in short {
                let alone = matches!(object.object.kind, ObjectKind::Manifest | ObjectKind::Commit);
                if !alone && !object.missing && !dropped.contains(self, &tx, &object.object.hash).await? {
                    kept.push(object);
                }
            }
            drop(tx);
            self.extend_all(kept, lock).await?;
        }
        self.absent_decides()
    }

    /// What the commit needs of every lock.
    pub(super) fn commit_lock(
        &self,
        received_at: Timestamp,
        tiers: &[Period],
    ) -> Result<CommitLock, Failure> {
        let (policy, schedule) = (&self.set.policy, &self.source.schedule);
        Ok(commit_lock(
            policy,
            self.lock_ahead_days,
            schedule,
            received_at,
            tiers,
        )?)
    }

    /// Step 3: whatever the snapshot needs and is locked too short is extended: to the promise, or to what the
    /// upcoming run needs.
    pub(super) async fn extend_short(&mut self, snapshot: &Snapshot, when_gone: Gone) -> Result<(), Failure> {
        let need = snapshot.protected_until;
        let lock = self.commit_lock(snapshot.received_at, &snapshot.tiers)?;
        let extend_to = lock.extend_to.max(need);
        loop {
            let tx = self.app.db.tenant(self.scope).await?;
            let missing = match when_gone {
                Gone::Breaks => Missing::Counts,
                Gone::IsDamage => Missing::LeftOut,
            };
            let part = (missing, SHORT_PAGE);
            let short = db::ledger::short_of(&tx, self.source.id, snapshot.seq, need, part).await?;
            drop(tx);
            // What counts as gone has no lock to extend: the snapshot is broken by it.
            match short.iter().filter(|object| object.missing).count() {
                0 => {}
                missing => return Err(presence::gone(missing as u64)),
            }
            if short.is_empty() {
                return Ok(());
            }
            self.extend_all(short, CommitLock { need, extend_to }).await?;
            match self.absent_decides() {
                Err(Failure::Run(_)) if when_gone == Gone::IsDamage => {}
                decided => decided?,
            }
        }
    }

    /// Extends beyond what is needed, so that an object is not touched at every run.
    async fn extend_all(&mut self, short: Vec<LedgerObject>, lock: CommitLock) -> Result<(), Failure> {
        if short.is_empty() {
            return Ok(());
        }
        let lock = Lock {
            mode: self.set.policy.mode,
            retain_until: lock.extend_to,
        };
        tracing::info!(run = %self.run.id, objects = short.len(), until = %lock.retain_until, "extending locks");
        self.confirm_all(short, Some(lock)).await
    }

    /// The commit record of a numbered snapshot. It is the same bytes at every try.
    async fn record(&self, snapshot: &Snapshot) -> Result<(ObjectRef, Vec<u8>), Failure> {
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
            tiers: snapshot.tiers.iter().copied().map(tier).collect(),
        };
        let bytes = record.sign(&self.app.commit_key);
        let object = ObjectRef {
            kind: ObjectKind::Commit,
            hash: repository::hash(&bytes),
            size_bytes: bytes.len() as u64,
        };
        Ok((object, bytes))
    }

    /// The commit record, where a try before this one has put it: then the snapshot is complete, for whoever reads the bucket,
    /// whatever was lost since. That can not be answered with a refusal, however often.
    pub(super) async fn placed_record(
        &self,
        snapshot: &Snapshot,
    ) -> Result<Option<(LedgerObject, ConfirmedLock)>, Failure> {
        let (object, _) = self.record(snapshot).await?;
        let tx = self.app.db.tenant(self.scope).await?;
        let rows = db::ledger::find(&tx, self.source.id, &[object.hash]).await?;
        drop(tx);
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let key = layout::commit_key(&self.set.prefix, self.source.id, snapshot.seq);
        match confirm::confirm(self.store.as_ref(), &self.set.bucket, &key, &row, snapshot.mode).await {
            Ok(lock) if lock.locked_until >= snapshot.protected_until => Ok(Some((row, lock))),
            Ok(_) | Err(NotConfirmed::Absent { .. } | NotConfirmed::Unlocked { .. }) => Ok(None),
            Err(NotConfirmed::Store(error)) => Err(Failure::Passing(JobError::store(format!(
                "Whether the commit record is there could not be asked: {error}"
            )))),
        }
    }

    /// Step 4: the commit record, the last object of a snapshot.
    pub(super) async fn put_record(
        &self,
        snapshot: &Snapshot,
    ) -> Result<(LedgerObject, ConfirmedLock), Failure> {
        let now = self.app.clock.now();
        let (object, bytes) = self.record(snapshot).await?;
        let new = self.new_record(snapshot, object, crate::s3::content_md5(&bytes), now)?;
        let row = self.enter_record(snapshot, new.clone(), now).await?;

        let key = layout::commit_key(&self.set.prefix, self.source.id, snapshot.seq);
        let store = self.store.as_ref();
        let find = || confirm::confirm(store, &self.set.bucket, &key, &row, snapshot.mode);
        let short = match find().await {
            // A try before this one put it.
            Ok(lock) if lock.locked_until >= snapshot.protected_until => return Ok((row, lock)),
            Ok(lock) => Some(lock),
            Err(NotConfirmed::Absent { .. } | NotConfirmed::Unlocked { .. }) => None,
            Err(error) => return Err(of_confirm(error)),
        };
        let put = SignPut {
            bucket: &self.set.bucket,
            key: &key,
            size_bytes: object.size_bytes,
            content_md5: new.content_md5,
            lock: Lock {
                mode: snapshot.mode,
                retain_until: new.signed_until,
            },
        };
        store
            .put_locked(put, bytes)
            .await
            .map_err(|error| of_store("The commit record could not be written", error))?;
        if let Some(lock) = short {
            let spare = SpareVersion {
                key: key.clone(),
                version_id: lock.version_id,
                size_bytes: object.size_bytes,
                locked_until: lock.locked_until,
            };
            let tx = self.app.db.of_source(self.scope, self.source.id).await?;
            db::groom::add_spares(&tx, self.source.id, &[spare]).await?;
            tx.commit().await?;
        }
        let confirmed = find().await.map_err(of_confirm)?;
        if confirmed.locked_until < snapshot.protected_until {
            return Err(Failure::Refused("The commit record is locked too short.".into()));
        }
        Ok((row, confirmed))
    }

    /// The commit record as it is put: locked like an upload of now, and at least for as long as the snapshot is protected.
    fn new_record(
        &self,
        snapshot: &Snapshot,
        object: ObjectRef,
        content_md5: [u8; 16],
        now: Timestamp,
    ) -> Result<NewObject, Failure> {
        let (policy, schedule) = (&self.set.policy, &self.source.schedule);
        let (days, tiers) = (self.lock_ahead_days, &snapshot.tiers);
        let lock = upload_lock(policy, days, schedule, now, now, tiers, &object.hash)?;
        Ok(NewObject {
            object,
            content_md5,
            signed_until: lock.retain_until.max(snapshot.protected_until),
        })
    }

    /// Enters the commit record into the ledger before it is put.
    async fn enter_record(
        &self,
        snapshot: &Snapshot,
        new: NewObject,
        now: Timestamp,
    ) -> Result<LedgerObject, Failure> {
        let hash = new.object.hash;
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        db::ledger::sign(&tx, self.source.id, self.run.id, &[new], now).await?;
        db::ledger::set_number(&tx, self.source.id, hash, snapshot.seq).await?;
        let rows = db::ledger::find(&tx, self.source.id, &[hash]).await?;
        tx.commit().await?;
        let row = rows.into_iter().next();
        row.ok_or_else(|| Failure::Run("The commit record has no row.".into()))
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
        // What counts as gone is damage of a complete snapshot by now: its record is in the bucket.
        let part = (Missing::LeftOut, 1);
        let short =
            db::ledger::short_of(&tx, source.id, snapshot.seq, snapshot.protected_until, part).await?;
        if !short.is_empty() {
            return Err(Failure::Passing(JobError::Internal(
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
        // What it shares with the snapshots before is swept right away: its tiers' longer promise is given by that.
        db::jobs::queue_by(
            &tx,
            random::uuid(now),
            JobKind::Sweep,
            source.id.as_uuid(),
            Some(source.id),
            now,
        )
        .await?;
        tx.commit().await?;
        self.app.jobs_changed();
        (self.run, self.source) = (run, source);
        self.announce();
        Ok(())
    }
}

/// A tier in the words of the format.
fn tier(period: Period) -> Tier {
    match period {
        Period::Hour => Tier::Hour,
        Period::Day => Tier::Day,
        Period::Week => Tier::Week,
        Period::Month => Tier::Month,
        Period::Year => Tier::Year,
    }
}
