//! Confirming objects by HEAD: what S3 shows goes into the ledger.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use shared::object::{ObjectHash, ObjectRef};

use super::{
    failure::{Failure, of_confirm, of_extend, of_store},
    presence,
    state::{Commit, PARALLEL},
};
use crate::{
    db::{
        self,
        ledger::{ConfirmedLock, LedgerObject},
    },
    error::ApiError,
    presence::Unseen,
    s3::Lock,
    use_cases::system::confirm::{self, NotConfirmed},
};

/// Confirmations written in one transaction, and shown as progress.
const BATCH: usize = 64;

impl Commit<'_> {
    /// Confirms objects that the agent sent, as they were signed.
    pub(super) async fn confirm_objects(&mut self, wanted: &[ObjectRef]) -> Result<(), Failure> {
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
    pub(super) async fn confirm_all(
        &mut self,
        objects: Vec<LedgerObject>,
        lock: Option<Lock>,
    ) -> Result<(), Failure> {
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
    pub(super) fn absent_decides(&mut self) -> Result<(), Failure> {
        match std::mem::take(&mut self.absent) {
            db::absence::Noted {
                suspected: suspected @ 1..,
                ..
            } => Err(presence::suspected(suspected)),
            db::absence::Noted { gone: 0, .. } => Ok(()),
            db::absence::Noted { gone, .. } => Err(presence::gone(gone)),
        }
    }

    pub(super) async fn write_confirmed(
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
}
