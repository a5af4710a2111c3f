//! Grooming: what no kept snapshot needs and is no longer locked is deleted, behind a fence.
//!
//! 1. In one transaction that holds the source's row: refused while a run of the source is under way; planned anew on fresh rows,
//!    checked anew; what is to go becomes `deleting`, which is irrevocable: no commit and no upload takes it back.
//! 2. S3 is asked to delete exactly those versions. It refuses what is locked: its clock has the last word.
//! 3. Rows of what is gone are removed, and the audit log says how many and how large.
//!
//! A crash leaves rows in `deleting`; the next groom run begins with them, in its second step.

use jiff::Timestamp;
use shared::{
    object::ObjectHash,
    retention::{ObjectVerdict, due},
    s3_refusal::Cause,
};

use super::state::{Pace, Sweep};
use crate::{
    db::{self, due::DueQuery, groom::SpareVersion, ledger::LedgerObject},
    jobs::error::JobError,
    s3::{Deletion, S3Error, VersionName},
    use_cases::system::confirm,
};

/// Objects that go through the fence together, and versions that one call to S3 names.
const PAGE: u64 = 1_000;

/// What is gone after one round of deletions.
#[derive(Default)]
struct Gone {
    objects: Vec<ObjectHash>,
    versions: u64,
    bytes: u64,
}

impl Sweep<'_> {
    /// Gives up the snapshots that nothing keeps. Under the source's row: a restore that is allowed at the same moment
    /// either holds its snapshot or finds it expired.
    pub(super) async fn expire(&mut self, now: Timestamp) -> Result<(), JobError> {
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        let loaded = self.source_input(&tx, now).await?;
        let plan = self.planned(loaded.source.clone(), Vec::new(), now)?;
        let verdicts = plan.sources.iter().flat_map(|source| &source.snapshots);
        let mut expired = 0;
        for ((snapshot, id), verdict) in loaded
            .source
            .snapshots
            .iter()
            .zip(&loaded.snapshot_ids)
            .zip(verdicts)
        {
            let complete = snapshot.state == shared::retention::SnapshotState::Complete;
            if !complete || verdict.keeps() {
                continue;
            }
            db::snapshots::expire(&tx, *id, now).await?;
            let event = db::audit::Event {
                actor: "system",
                action: "snapshot.expire",
                subject: id.to_string(),
                detail: serde_json::json!({
                    "source": self.source.id, "seq": snapshot.seq, "protected_until": verdict.protected_until,
                }),
            };
            db::audit::add(&tx, event, now).await?;
            expired += 1;
        }
        tx.commit().await?;
        self.report.expired += expired;
        Ok(())
    }

    // Promise: P4
    /// Deletes what is neither needed nor locked. `now` is the earliest of the three clocks.
    pub(super) async fn groom(&mut self, now: Timestamp) -> Result<Pace, JobError> {
        self.report.frozen_until = self.frozen_until(now).await?;
        if self.report.frozen_until.is_some() {
            // The plan would delete nothing.
            return Ok(Pace::GoOn);
        }
        // What a crash left behind comes first.
        self.delete_objects(now).await?;
        let mut after = None;
        loop {
            match self.fence(now, after).await? {
                Fenced::RunOpen => {
                    // No refusal: the sweep after the run's end makes up for it.
                    return Ok(Pace::GoOn);
                }
                Fenced::Nothing => break,
                Fenced::Some(last) => after = Some(last),
            }
            self.delete_objects(now).await?;
            if self.pace().await? == Pace::GiveWay {
                return Ok(Pace::GiveWay);
            }
        }
        self.delete_spares(now).await?;
        Ok(Pace::GoOn)
    }

    /// Step 1.
    async fn fence(&self, now: Timestamp, after: Option<ObjectHash>) -> Result<Fenced, JobError> {
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        let loaded = self.source_input(&tx, now).await?;
        if loaded.source.open_run {
            return Ok(Fenced::RunOpen);
        }
        let bounds = due(&self.policy(), &loaded.source, now);
        let query = DueQuery {
            bounds: &bounds,
            open_run: false,
            only_unneeded: true,
            after,
            limit: PAGE,
        };
        let rows = db::due::due(&tx, self.source.id, query).await?;
        let Some(last) = rows.last().map(|row| row.object.hash) else {
            // Superseded versions go through the same plan and the same check.
            let spares = db::groom::spares(&tx, self.source.id, None, Some(PAGE)).await?;
            let objects = spares.iter().map(SpareVersion::input).collect();
            let plan = self.planned(loaded.source, objects, now)?;
            let verdicts = plan.sources.iter().flat_map(|source| &source.objects);
            for (spare, verdict) in spares.iter().zip(verdicts) {
                if *verdict == ObjectVerdict::Delete {
                    db::groom::set_spare_deleting(&tx, self.source.id, spare).await?;
                }
            }
            tx.commit().await?;
            return Ok(Fenced::Nothing);
        };
        let objects = rows.iter().map(|row| row.input(false)).collect();
        let plan = self.planned(loaded.source, objects, now)?;
        let verdicts = plan.sources.iter().flat_map(|source| &source.objects);
        let going: Vec<ObjectHash> = rows
            .iter()
            .zip(verdicts)
            .filter(|(_, verdict)| **verdict == ObjectVerdict::Delete)
            .map(|(row, _)| row.object.hash)
            .collect();
        let set = db::groom::set_deleting(&tx, self.source.id, &going).await?;
        if set != going.len() as u64 {
            return Err(JobError::Internal("an object changed behind the fence".into()));
        }
        tx.commit().await?;
        Ok(Fenced::Some(last))
    }

    /// Steps 2 and 3, for everything that is `deleting` and unlocked.
    async fn delete_objects(&mut self, now: Timestamp) -> Result<(), JobError> {
        let mut after = None;
        loop {
            let tx = self.app.db.tenant(self.scope).await?;
            let rows = db::groom::deleting(&tx, self.source.id, now, after, PAGE).await?;
            drop(tx);
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = Some(last.object.hash);
            self.delete_page(rows, now).await?;
        }
    }

    async fn delete_page(&mut self, rows: Vec<LedgerObject>, now: Timestamp) -> Result<(), JobError> {
        let mut named: Vec<(usize, VersionName)> = Vec::with_capacity(rows.len());
        // How many versions of each object are still there.
        let mut left = vec![0_u64; rows.len()];
        for (place, row) in rows.iter().enumerate() {
            let key = row.key(&self.set.prefix, self.source.id);
            for version_id in self.versions_of(&key, row, now, &mut left[place]).await? {
                left[place] += 1;
                let key = key.clone();
                named.push((place, VersionName { key, version_id }));
            }
        }
        let versions: Vec<VersionName> = named.iter().map(|(_, version)| version.clone()).collect();
        let outcomes = self.store.delete_versions(&self.set.bucket, &versions).await;
        let mut gone = Gone::default();
        for ((place, version), outcome) in named.iter().zip(outcomes) {
            let size_bytes = rows[*place].object.size_bytes;
            match outcome {
                Ok(Deletion::Deleted) => {
                    left[*place] -= 1;
                    gone.versions += 1;
                    gone.bytes += size_bytes;
                }
                Ok(Deletion::Unknown) => {
                    left[*place] -= u64::from(self.is_gone(version, size_bytes).await?);
                }
                Err(error) => {
                    self.failed += 1;
                    let longer = self.longer_lock(version, now).await;
                    self.not_deleted(version, &error, longer);
                    if let Some(until) = longer {
                        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
                        let hash = rows[*place].object.hash;
                        db::groom::still_locked(&tx, self.source.id, hash, until).await?;
                        tx.commit().await?;
                    }
                }
            }
        }
        gone.objects = rows
            .iter()
            .zip(&left)
            .filter(|(_, left)| **left == 0)
            .map(|(row, _)| row.object.hash)
            .collect();
        self.forget(&gone, None).await
    }

    /// The versions to delete for one object: the ledger's, or where it was never seen, those that are what was signed. One of
    /// these that is still locked is left, and counted in `left`.
    async fn versions_of(
        &mut self,
        key: &str,
        row: &LedgerObject,
        now: Timestamp,
        left: &mut u64,
    ) -> Result<Vec<String>, JobError> {
        if let Some(lock) = &row.lock {
            return Ok(vec![lock.version_id.clone()]);
        }
        let found = match confirm::versions(self.store.as_ref(), &self.set.bucket, key, row).await {
            Ok(found) => found,
            Err(error) => {
                self.failed += 1;
                *left += 1;
                self.refuse_object(
                    key,
                    format!("it could not be looked up before its deletion: {error}."),
                );
                return Ok(Vec::new());
            }
        };
        let (locked, unlocked): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|head| head.lock.is_some_and(|lock| lock.retain_until >= now));
        *left += locked.len() as u64;
        Ok(unlocked.into_iter().map(|head| head.version_id).collect())
    }

    /// Versions that another one took the place of: the same three steps.
    async fn delete_spares(&mut self, now: Timestamp) -> Result<(), JobError> {
        loop {
            let tx = self.app.db.tenant(self.scope).await?;
            let spares = db::groom::spares(&tx, self.source.id, Some(now), Some(PAGE)).await?;
            drop(tx);
            if spares.is_empty() {
                return Ok(());
            }
            let versions: Vec<VersionName> = spares
                .iter()
                .map(|spare| VersionName {
                    key: spare.key.clone(),
                    version_id: spare.version_id.clone(),
                })
                .collect();
            let outcomes = self.store.delete_versions(&self.set.bucket, &versions).await;
            let mut gone = Gone::default();
            let mut forgotten = Vec::new();
            let mut stuck = false;
            for ((spare, version), outcome) in spares.into_iter().zip(&versions).zip(outcomes) {
                match outcome {
                    Ok(Deletion::Deleted) => {
                        gone.versions += 1;
                        gone.bytes += spare.size_bytes;
                        forgotten.push(spare);
                    }
                    Ok(Deletion::Unknown) => match self.is_gone(version, spare.size_bytes).await? {
                        true => forgotten.push(spare),
                        false => stuck = true,
                    },
                    Err(error) => {
                        stuck = true;
                        self.failed += 1;
                        let longer = self.longer_lock(version, now).await;
                        self.not_deleted(version, &error, longer);
                        if let Some(until) = longer {
                            let tx = self.app.db.of_source(self.scope, self.source.id).await?;
                            db::groom::spare_still_locked(&tx, self.source.id, &spare, until).await?;
                            tx.commit().await?;
                        }
                    }
                }
            }
            self.forget(&gone, Some(&forgotten)).await?;
            // What S3 refuses comes first in each page: leave it to the next sweep.
            if stuck {
                return Ok(());
            }
        }
    }

    /// The end of a version's lock as S3 shows it, if it is still to come: somebody with the bucket's keys has extended it.
    async fn longer_lock(&self, version: &VersionName, now: Timestamp) -> Option<Timestamp> {
        let head = self
            .store
            .head(&self.set.bucket, &version.key, Some(&version.version_id));
        let lock = head.await.ok().flatten()?.lock?;
        (lock.retain_until >= now).then_some(lock.retain_until)
    }

    fn not_deleted(&mut self, version: &VersionName, error: &S3Error, longer: Option<Timestamp>) {
        let is_denied = error.cause() == Some(Cause::Permission);
        let why = match longer {
            Some(until) => {
                format!("not deleted: somebody has extended its lock, S3 keeps it until {until:.0}.")
            }
            // S3 says so of a version under a legal hold, too.
            None if is_denied => format!("not deleted: {error}. Or look for a legal hold on it."),
            None => format!("not deleted: {error}."),
        };
        self.refuse_object(&version.key, why);
    }

    async fn forget(&mut self, gone: &Gone, spares: Option<&[SpareVersion]>) -> Result<(), JobError> {
        let now = self.app.clock.now();
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        db::groom::forget(&tx, self.source.id, &gone.objects).await?;
        for spare in spares.unwrap_or_default() {
            db::groom::forget_spare(&tx, self.source.id, spare).await?;
        }
        if gone.versions > 0 {
            let event = db::audit::Event {
                actor: "system",
                action: "objects.groom",
                subject: self.source.id.to_string(),
                detail: serde_json::json!({
                    "bucket": self.set.bucket, "versions": gone.versions, "bytes": gone.bytes,
                    "superseded": spares.is_some(),
                }),
            };
            db::audit::add(&tx, event, now).await?;
        }
        tx.commit().await?;
        self.report.deleted_versions += gone.versions;
        self.report.deleted_bytes += gone.bytes;
        Ok(())
    }
}

/// What the fence let through.
enum Fenced {
    /// A run of the source is open.
    RunOpen,
    /// There is nothing to delete.
    Nothing,
    /// Some objects are now `deleting`; the last one that was looked at.
    Some(ObjectHash),
}
