//! Carrying out what a plan says of locks: extended, put again, or left to the next run.

use futures::{StreamExt, stream};
use jiff::Timestamp;
use shared::{
    object::ObjectHash,
    retention::{ObjectVerdict, Plan, due},
};

use super::state::{Pace, Sweep};
use crate::{
    db::{
        self,
        due::DueQuery,
        groom::SpareVersion,
        ledger::{ConfirmedLock, LedgerObject},
    },
    jobs::error::JobError,
    presence::Unseen,
    s3::{Lock, ObjectStore, S3Error, SignPut},
    use_cases::system::confirm::{self, NotExtended},
};

/// Objects that are looked at together.
const PAGE: u64 = 10_000;
/// Objects whose locks are moved side by side.
const PARALLEL: usize = 16;
/// Confirmations written in one transaction.
const BATCH: usize = 64;

/// What became of one object.
enum Outcome {
    /// Its lock is confirmed; with it, the version that was the ledger's before and is no longer.
    Locked(ConfirmedLock, Option<SpareVersion>),
    /// S3 does not show it.
    Unseen(Unseen),
    /// It was not done, and why not.
    Failed(String),
}

/// What is to be done to one object.
#[derive(Debug, Clone, Copy)]
enum Move {
    Extend(Timestamp),
    Copy(Timestamp),
}

impl Sweep<'_> {
    // Promise: P2
    /// Refreshes what falls short at `now`.
    pub(super) async fn refresh(&mut self, now: Timestamp) -> Result<Pace, JobError> {
        let mut after = None;
        loop {
            let tx = self.app.db.tenant(self.scope).await?;
            let loaded = self.source_input(&tx, now).await?;
            let bounds = due(&self.policy(), &loaded.source, now);
            let query = DueQuery {
                bounds: &bounds,
                open_run: loaded.source.open_run,
                only_unneeded: false,
                after,
                limit: PAGE,
            };
            let rows = db::due::due(&tx, self.source.id, query).await?;
            drop(tx);
            let Some(last) = rows.last() else {
                return Ok(Pace::GoOn);
            };
            after = Some(last.object.hash);
            let open_run = loaded.source.open_run;
            let objects = rows.iter().map(|row| row.input(open_run)).collect();
            let plan = self.planned(loaded.source, objects, now)?;
            if self.carry_out(&plan, rows, now).await? == Pace::GiveWay {
                return Ok(Pace::GiveWay);
            }
        }
    }

    async fn carry_out(
        &mut self,
        plan: &Plan,
        rows: Vec<LedgerObject>,
        now: Timestamp,
    ) -> Result<Pace, JobError> {
        let verdicts = plan.sources.iter().flat_map(|source| &source.objects);
        let mut again: Vec<ObjectHash> = Vec::new();
        let mut moves: Vec<(LedgerObject, Move)> = Vec::new();
        for (row, verdict) in rows.into_iter().zip(verdicts) {
            // Asked for at the beginning of the sweep, and not there.
            if row.missing {
                continue;
            }
            match verdict {
                ObjectVerdict::Refresh { until, .. } => moves.push((row, Move::Extend(*until))),
                ObjectVerdict::Copy { until, .. } => moves.push((row, Move::Copy(*until))),
                ObjectVerdict::AddAgain { .. } => again.push(row.object.hash),
                ObjectVerdict::Hold { .. } | ObjectVerdict::AwaitUnlock { .. } | ObjectVerdict::Delete => {}
            }
        }
        if !again.is_empty() {
            let tx = self.app.db.of_source(self.scope, self.source.id).await?;
            self.report.add_again += db::groom::set_add_again(&tx, self.source.id, &again, now).await?;
            tx.commit().await?;
        }
        let mut moves = moves.into_iter();
        loop {
            let batch: Vec<_> = moves.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(Pace::GoOn);
            }
            self.move_locks(batch).await?;
            if self.pace().await? == Pace::GiveWay {
                return Ok(Pace::GiveWay);
            }
        }
    }

    async fn move_locks(&mut self, batch: Vec<(LedgerObject, Move)>) -> Result<(), JobError> {
        let (store, set, source) = (self.store.clone(), self.set.clone(), self.source.id);
        let work = batch.into_iter().map(|(row, todo)| {
            let store = store.clone();
            let set = &set;
            async move {
                let key = row.key(&set.prefix, source);
                let (Some(old), mode) = (&row.lock, set.policy.mode) else {
                    return (
                        row,
                        todo,
                        Outcome::Failed("no version of it is known.".to_owned()),
                    );
                };
                let outcome = match todo {
                    Move::Extend(retain_until) => {
                        let lock = Lock { mode, retain_until };
                        extend(store.as_ref(), &set.bucket, &key, old, lock).await
                    }
                    Move::Copy(retain_until) => {
                        let lock = Lock { mode, retain_until };
                        copy(store.as_ref(), &set.bucket, &key, &row, old, lock).await
                    }
                };
                (row, todo, outcome)
            }
        });
        let done: Vec<_> = stream::iter(work).buffer_unordered(PARALLEL).collect().await;
        let now = self.app.clock.now();
        let tx = self.app.db.of_source(self.scope, source).await?;
        let mut absent = Vec::new();
        for (row, todo, outcome) in done {
            let hash = row.object.hash;
            match outcome {
                Outcome::Locked(lock, spare) => {
                    db::ledger::confirm(&tx, source, hash, &lock, now).await?;
                    db::groom::add_spares(&tx, source, spare.as_slice()).await?;
                    match todo {
                        Move::Extend(_) => self.report.refreshed += 1,
                        Move::Copy(_) => self.report.copied += 1,
                    }
                }
                Outcome::Unseen(how) => absent.push((hash, how)),
                Outcome::Failed(why) => {
                    self.failed += 1;
                    self.refuse_object(&row.key(&set.prefix, source), why);
                }
            }
        }
        self.note_absent(&tx, &absent, now).await?;
        Ok(tx.commit().await?)
    }

    /// Raises the stored promise of snapshots that a tier or a longer policy gives more, once everything they need is
    /// confirmed to be locked for so long. Only then is it shown.
    pub(super) async fn promote(&mut self, now: Timestamp) -> Result<(), JobError> {
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        let loaded = self.source_input(&tx, now).await?;
        let plan = self.planned(loaded.source.clone(), Vec::new(), now)?;
        let verdicts = plan.sources.iter().flat_map(|source| &source.snapshots);
        let mut promoted = 0;
        for ((snapshot, id), verdict) in loaded
            .source
            .snapshots
            .iter()
            .zip(&loaded.snapshot_ids)
            .zip(verdicts)
        {
            let promise = snapshot.protected_until;
            if !verdict.asks_for_locks() || promise.is_some_and(|promise| promise >= verdict.protected_until)
            {
                continue;
            }
            let earliest = db::due::earliest_lock(&tx, self.source.id, snapshot.seq).await?;
            if earliest.is_some_and(|earliest| earliest >= verdict.protected_until) {
                db::snapshots::promote(&tx, *id, verdict.protected_until).await?;
                let event = db::audit::Event {
                    actor: "system",
                    action: "snapshot.promote",
                    subject: id.to_string(),
                    detail: serde_json::json!({
                        "source": self.source.id, "seq": snapshot.seq, "protected_until": verdict.protected_until,
                    }),
                };
                db::audit::add(&tx, event, now).await?;
                promoted += 1;
            }
        }
        tx.commit().await?;
        self.report.promoted += promoted;
        Ok(())
    }
}

fn failed(what: &str, error: &S3Error) -> Outcome {
    Outcome::Failed(format!("{what}: {error}."))
}

async fn extend(
    store: &dyn ObjectStore,
    bucket: &str,
    key: &str,
    old: &ConfirmedLock,
    lock: Lock,
) -> Outcome {
    match confirm::extend(store, bucket, key, old, lock).await {
        Ok(Ok(lock)) => Outcome::Locked(lock, None),
        Ok(Err(how)) => Outcome::Unseen(how),
        Err(NotExtended::Store(error)) => failed("its lock could not be extended", &error),
        Err(NotExtended::NotShown { .. }) => {
            Outcome::Failed("S3 accepted a longer lock and does not show it.".to_owned())
        }
    }
}

/// Puts the sealed bytes again, as a new version with a longer lock. Not by CopyObject: some providers drop its lock headers.
async fn copy(
    store: &dyn ObjectStore,
    bucket: &str,
    key: &str,
    row: &LedgerObject,
    old: &ConfirmedLock,
    lock: Lock,
) -> Outcome {
    let again = "it could not be put again with a longer lock";
    let wanted = |shown: &Lock| shown.mode == lock.mode && shown.retain_until >= lock.retain_until;
    let longest = async {
        let versions = confirm::versions(store, bucket, key, row).await?;
        Ok::<_, S3Error>(versions.into_iter().find_map(|head| {
            let shown = head.lock.filter(wanted)?;
            Some(ConfirmedLock {
                version_id: head.version_id,
                mode: shown.mode,
                locked_until: shown.retain_until,
            })
        }))
    };
    match confirm::shown(store, bucket, key, old).await {
        Ok(Ok(_)) => {}
        Ok(Err(how)) => return Outcome::Unseen(how),
        Err(error) => return failed(again, &error),
    }
    let bytes = match store
        .get(bucket, key, &old.version_id, row.object.kind.max_bytes() as u64)
        .await
    {
        Ok(bytes) => bytes,
        Err(error) => return failed(again, &error),
    };
    if repository::hash(&bytes) != row.object.hash {
        let why = "the stored bytes are not what was sent, so they were not put again.";
        return Outcome::Failed(why.to_owned());
    }
    let put = SignPut {
        bucket,
        key,
        size_bytes: row.object.size_bytes,
        content_md5: row.content_md5,
        lock,
    };
    if let Err(error) = store.put_locked(put, bytes).await {
        return failed(again, &error);
    }
    match longest.await {
        Ok(Some(lock)) => Outcome::Locked(
            lock,
            Some(SpareVersion {
                key: key.to_owned(),
                version_id: old.version_id.clone(),
                size_bytes: row.object.size_bytes,
                locked_until: old.locked_until,
            }),
        ),
        Ok(None) => Outcome::Failed("it was put again, and S3 does not show the longer lock.".to_owned()),
        Err(error) => failed(again, &error),
    }
}
