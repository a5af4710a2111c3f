//! Whether the store keeps COMPLIANCE locks: tried on the manifest of a set's first backup, by an attempt to shorten its lock.
//!
//! A refusal proves something only when the same key may move the lock at all, so it is extended by a second first. A store
//! that shortens it gets the date back at once, and each lock of the set is then asked for again and again.

use jiff::{SignedDuration, Timestamp};
use shared::{
    api::agent::CommitRequest,
    object::{ObjectHash, ObjectKind},
    retention::LockMode,
};

use super::{
    failure::{Failure, of_extend, of_store},
    state::Commit,
};
use crate::{
    db::{self, backup_sets::BackupSet, ledger::ConfirmedLock},
    presence::Unseen,
    s3::{Lock, S3Error},
    use_cases::system::confirm,
};

/// How often an unproven set is tried again.
const TRIAL_INTERVAL: SignedDuration = SignedDuration::from_hours(24);
/// By how much the trial would shorten the lock.
const TRIAL_SHORTENING: SignedDuration = SignedDuration::from_hours(1);

/// Whether it is time to try: the mode is COMPLIANCE, nothing proves yet that the store keeps it, and the last trial is old enough.
fn is_due(set: &BackupSet, now: Timestamp) -> bool {
    let tried_lately = |at: Timestamp| now.duration_since(at).abs() < TRIAL_INTERVAL;
    set.policy.mode == LockMode::Compliance
        && set.compliance_proven_at.is_none()
        && !set.compliance_tried_at.is_some_and(tried_lately)
}

/// What a trial showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    /// The lock is as long as before, and in COMPLIANCE mode.
    kept: bool,
    /// The store also refused to shorten it: that proves COMPLIANCE.
    enforced: bool,
}

/// Judges a trial by the answer to the attempt and by the lock that S3 shows after it.
fn outcome(
    before: &ConfirmedLock,
    answer: &Result<(), S3Error>,
    after: &Result<ConfirmedLock, Unseen>,
) -> Outcome {
    let refused = matches!(answer, Err(S3Error::Refused { .. }));
    let kept = after
        .as_ref()
        .is_ok_and(|after| after.locked_until >= before.locked_until && after.mode == LockMode::Compliance);
    Outcome {
        kept,
        enforced: refused && kept,
    }
}

impl Commit<'_> {
    /// Tries to shorten the lock of the manifest that was just sent, where nothing proves yet that the store refuses that.
    pub(super) async fn try_to_shorten(&mut self, request: &CommitRequest) -> Result<(), Failure> {
        let now = self.app.clock.now();
        if !is_due(&self.set, now) {
            return Ok(());
        }
        let tx = self.app.db.tenant(self.scope).await?;
        let rows = db::ledger::find(&tx, self.source.id, &[request.manifest.hash]).await?;
        drop(tx);
        let Some((row, old)) = rows.iter().find_map(|row| Some((row, row.lock.clone()?))) else {
            return Ok(());
        };
        debug_assert_eq!(row.object.kind, ObjectKind::Manifest);
        let key = row.key(&self.set.prefix, self.source.id);
        let Some((lock, outcome)) = self.attempt(&key, &old).await? else {
            // Gone: what looks for everything says so next.
            return Ok(());
        };
        self.record_trial(row.object.hash, &lock, outcome, now).await
    }

    /// Extends the lock by a second, and then tries to shorten it. Gives the extended lock and what the attempt showed; `None` when
    /// the version is gone.
    async fn attempt(
        &self,
        key: &str,
        old: &ConfirmedLock,
    ) -> Result<Option<(ConfirmedLock, Outcome)>, Failure> {
        let (store, bucket) = (self.store.as_ref(), &self.set.bucket);
        let mode = LockMode::Compliance;
        let longer = Lock {
            mode,
            retain_until: old.locked_until + SignedDuration::from_secs(1),
        };
        let extended = confirm::extend(store, bucket, key, old, longer)
            .await
            .map_err(of_extend)?;
        let Ok(extended) = extended else {
            return Ok(None);
        };
        let shorter = Lock {
            mode,
            retain_until: extended.locked_until - TRIAL_SHORTENING,
        };
        let answer = store
            .extend_lock(bucket, key, &extended.version_id, shorter)
            .await;
        if let Err(error) = &answer
            && error.is_passing()
        {
            let what = "Whether locks can be shortened was not answered";
            return Err(of_store(what, error.clone()));
        }
        let shown = confirm::shown(store, bucket, key, &extended)
            .await
            .map_err(|error| of_store("The lock could not be read back", error))?;
        let outcome = outcome(&extended, &answer, &shown);
        if !outcome.kept {
            tracing::error!(set = %self.set.id, "the store shortened a COMPLIANCE lock");
            // Should it be gone by now, what looks for everything says so next.
            let _ = confirm::extend(store, bucket, key, &extended, longer)
                .await
                .map_err(of_extend)?;
        }
        Ok(Some((extended, outcome)))
    }

    async fn record_trial(
        &mut self,
        manifest: ObjectHash,
        lock: &ConfirmedLock,
        Outcome { enforced, .. }: Outcome,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        db::ledger::confirm(&tx, self.source.id, manifest, lock, now).await?;
        tx.commit().await?;
        let tx = self.app.db.tenant(self.scope).await?;
        db::backup_sets::set_compliance_trial(&tx, self.set.id, enforced, now).await?;
        let event = db::audit::Event {
            actor: "system",
            action: "backup_set.compliance_trial",
            subject: self.set.id.to_string(),
            detail: serde_json::json!({ "enforced": enforced }),
        };
        db::audit::add(&tx, event, now).await?;
        tx.commit().await?;
        self.set.compliance_tried_at = Some(now);
        self.set.compliance_proven_at = enforced.then_some(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    fn lock(secs: i64, mode: LockMode) -> ConfirmedLock {
        ConfirmedLock {
            version_id: "v".to_owned(),
            mode,
            locked_until: at(secs),
        }
    }

    #[test]
    fn only_a_refusal_that_left_the_lock_as_it_was_proves_compliance() {
        use LockMode::{Compliance, Governance};
        let refused = || {
            Err(S3Error::Refused {
                code: "AccessDenied".to_owned(),
                status: 403,
                message: String::new(),
            })
        };
        let before = lock(100, Compliance);
        let cases = [
            (refused(), Ok(lock(100, Compliance)), (true, true)),
            (refused(), Ok(lock(99, Compliance)), (false, false)),
            (refused(), Ok(lock(100, Governance)), (false, false)),
            (refused(), Err(Unseen::Absent), (false, false)),
            // The store said yes and did nothing: no proof.
            (Ok(()), Ok(lock(100, Compliance)), (true, false)),
            (Ok(()), Ok(lock(50, Compliance)), (false, false)),
            (
                Err(S3Error::Malformed("no XML".to_owned())),
                Ok(lock(100, Compliance)),
                (true, false),
            ),
        ];
        for (answer, after, (kept, enforced)) in cases {
            assert_eq!(
                outcome(&before, &answer, &after),
                Outcome { kept, enforced },
                "{answer:?} {after:?}"
            );
        }
    }
}
