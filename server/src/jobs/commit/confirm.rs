//! Confirming objects by HEAD: what S3 shows goes into the ledger.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
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
    jobs::error::JobError,
    presence::Unseen,
    s3::Lock,
    use_cases::system::confirm::{self, NotConfirmed},
};

/// Confirmations written in one transaction, and shown as progress.
const BATCH: usize = 64;

/// What S3 is asked of one object.
#[derive(Debug, PartialEq, Eq)]
enum Question<'a> {
    /// Extend the lock of this version, and show it.
    Extend(&'a ConfirmedLock, Lock),
    /// The lock of this version. It counts as it is shown, as that of anything inherited: what falls short is extended.
    LockOf(&'a ConfirmedLock),
    /// Whether a version is there as it was signed, and its lock.
    AsSigned,
}

impl<'a> Question<'a> {
    fn of(object: &'a LedgerObject, extend_to: Option<Lock>) -> Self {
        match (extend_to, &object.lock) {
            (Some(lock), Some(old)) => Self::Extend(old, lock),
            (None, Some(old)) if !object.missing => Self::LockOf(old),
            _ => Self::AsSigned,
        }
    }
}

/// Those of the ledger's `rows` that S3 has to confirm: what it never confirmed, what counts as gone, and what it last confirmed
/// before `ask_before`, if that is given.
///
/// # Errors
/// When `rows` are not exactly what is wanted, as it was signed.
fn unconfirmed(
    wanted: &[ObjectRef],
    rows: Vec<LedgerObject>,
    ask_before: Option<Timestamp>,
) -> Result<Vec<LedgerObject>, Failure> {
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
    let is_old =
        |row: &LedgerObject| ask_before.is_some_and(|before| row.confirmed_at.is_none_or(|at| at < before));
    let open = rows
        .into_values()
        .filter(|row| row.lock.is_none() || row.missing || is_old(row));
    Ok(open.collect())
}

impl Commit<'_> {
    /// Confirms objects that the agent sent, as they were signed.
    pub(super) async fn confirm_objects(&mut self, wanted: &[ObjectRef]) -> Result<(), Failure> {
        let hashes: Vec<ObjectHash> = wanted.iter().map(|object| object.hash).collect();
        let tx = self.app.db.tenant(self.scope).await?;
        let rows = db::ledger::find(&tx, self.source.id, &hashes).await?;
        drop(tx);
        // What an older snapshot needed and this one needs again may have lost its lock in between.
        let ask_before = (!self.locks_are_kept()).then(|| self.asked_before());
        let open = unconfirmed(wanted, rows, ask_before)?;
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
                let (store, bucket) = (store.as_ref(), &set.bucket);
                let confirmed = match Question::of(&object, lock) {
                    Question::Extend(old, lock) => confirm::extend(store, bucket, &key, old, lock)
                        .await
                        .map_err(of_extend)?,
                    Question::LockOf(old) => confirm::shown(store, bucket, &key, old)
                        .await
                        .map_err(|error| of_store("The locks could not be confirmed", error))?,
                    Question::AsSigned => match confirm::confirm(store, bucket, &key, &object, mode).await {
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
    ) -> Result<db::absence::Noted, JobError> {
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

#[cfg(test)]
mod tests {
    use shared::{
        object::ObjectKind,
        retention::{LockMode, ObjectState},
    };

    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hour * 3_600).unwrap()
    }

    fn object(byte: u8) -> ObjectRef {
        ObjectRef {
            kind: ObjectKind::Pack,
            hash: ObjectHash::from_bytes([byte; 32]),
            size_bytes: 9,
        }
    }

    fn row(byte: u8, confirmed_at: Option<i64>, missing: bool) -> LedgerObject {
        LedgerObject {
            object: object(byte),
            content_md5: [byte; 16],
            state: ObjectState::Live,
            signed_until: at(900),
            signed_at: None,
            lock: confirmed_at.map(|_| ConfirmedLock {
                version_id: "v".to_owned(),
                mode: LockMode::Compliance,
                locked_until: at(900),
            }),
            confirmed_at: confirmed_at.map(at),
            missing,
            missing_since: None,
            in_doubt: missing,
            born: None,
            dropped: None,
            live_bytes: None,
        }
    }

    #[test]
    fn what_was_confirmed_lately_is_not_asked_for_again() {
        let cases = [
            ("never confirmed", row(1, None, false), None, true),
            ("counts as gone", row(1, Some(10), true), None, true),
            ("confirmed, locks are kept", row(1, Some(1), false), None, false),
            ("confirmed long ago", row(1, Some(9), false), Some(10), true),
            ("confirmed lately", row(1, Some(10), false), Some(10), false),
        ];
        for (case, row, ask_before, asked) in cases {
            let open = unconfirmed(&[object(1)], vec![row], ask_before.map(at));
            assert_eq!(
                open.ok().map(|open| open.len()),
                Some(usize::from(asked)),
                "{case}"
            );
        }
    }

    #[test]
    fn objects_that_were_not_signed_so_end_the_run() {
        let mut other = row(1, Some(1), false);
        other.object.size_bytes += 1;
        for (wanted, rows) in [
            (vec![object(1), object(2)], vec![row(1, Some(1), false)]),
            (vec![object(1), object(1)], vec![row(1, Some(1), false)]),
            (vec![object(1)], vec![other]),
        ] {
            assert!(matches!(unconfirmed(&wanted, rows, None), Err(Failure::Run(_))));
        }
    }

    #[test]
    fn a_version_that_counts_as_gone_is_looked_for_as_it_was_signed() {
        let longer = Lock {
            mode: LockMode::Compliance,
            retain_until: at(999),
        };
        let (sound, gone, new) = (row(1, Some(1), false), row(2, Some(1), true), row(3, None, false));
        let lock = |row: &LedgerObject| row.lock.clone().unwrap();
        assert_eq!(Question::of(&sound, None), Question::LockOf(&lock(&sound)));
        assert_eq!(
            Question::of(&sound, Some(longer)),
            Question::Extend(&lock(&sound), longer)
        );
        assert_eq!(Question::of(&gone, None), Question::AsSigned);
        assert_eq!(
            Question::of(&gone, Some(longer)),
            Question::Extend(&lock(&gone), longer)
        );
        assert_eq!(Question::of(&new, None), Question::AsSigned);
        assert_eq!(Question::of(&new, Some(longer)), Question::AsSigned);
    }
}
