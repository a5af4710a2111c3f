//! Whether the store keeps COMPLIANCE locks: tried on the manifest of a set's first backup, by an attempt to shorten its lock.
//!
//! A refusal proves something only when the same key may move the lock at all, so it is extended by a second first. A store
//! that shortens it gets the date back at once, and each lock of the set is then asked for again and again.

use jiff::SignedDuration;
use shared::{api::agent::CommitRequest, object::ObjectKind, retention::LockMode};

use super::{
    failure::{Failure, of_extend, of_store},
    state::Commit,
};
use crate::{
    db,
    s3::{Lock, S3Error},
    use_cases::system::confirm,
};

/// How often an unproven set is tried again.
const TRY_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// By how much the trial would shorten the lock.
const SHORTER: SignedDuration = SignedDuration::from_hours(1);

impl Commit<'_> {
    /// Tries to shorten the lock of the manifest that was just sent, where nothing proves yet that the store refuses that.
    pub(super) async fn try_to_shorten(&mut self, request: &CommitRequest) -> Result<(), Failure> {
        let now = self.app.clock.now();
        let tried = self.set.compliance_tried_at;
        let due = tried.is_none_or(|at| now.duration_since(at).abs() >= TRY_EVERY);
        if self.set.policy.mode != LockMode::Compliance || self.set.compliance_proven_at.is_some() || !due {
            return Ok(());
        }
        let tx = self.app.db.tenant(self.scope).await?;
        let rows = db::ledger::find(&tx, self.source.id, &[request.manifest.hash]).await?;
        drop(tx);
        let Some((row, old)) = rows.iter().find_map(|row| Some((row, row.lock.clone()?))) else {
            return Ok(());
        };
        debug_assert_eq!(row.object.kind, ObjectKind::Manifest);
        let (store, bucket) = (self.store.clone(), self.set.bucket.clone());
        let key = row.key(&self.set.prefix, self.source.id);
        let mode = LockMode::Compliance;
        let longer = Lock {
            mode,
            retain_until: old.locked_until + SignedDuration::from_secs(1),
        };
        let extended = confirm::extend(store.as_ref(), &bucket, &key, &old, longer)
            .await
            .map_err(of_extend)?;
        let Ok(extended) = extended else {
            // Gone: what looks for everything says so next.
            return Ok(());
        };
        let shorter = Lock {
            mode,
            retain_until: extended.locked_until - SHORTER,
        };
        let answer = store
            .extend_lock(&bucket, &key, &extended.version_id, shorter)
            .await;
        if let Err(error) = &answer
            && error.is_passing()
        {
            return Err(of_store(
                "Whether locks can be shortened was not answered",
                error.clone(),
            ));
        }
        let refused = matches!(answer, Err(S3Error::Refused { .. }));
        let shown = confirm::shown(store.as_ref(), &bucket, &key, &extended)
            .await
            .map_err(|error| of_store("The lock could not be read back", error))?;
        let kept = shown.is_ok_and(|shown| shown.locked_until >= extended.locked_until && shown.mode == mode);
        if !kept {
            tracing::error!(set = %self.set.id, "the store shortened a COMPLIANCE lock");
            // Should it be gone by now, what looks for everything says so next.
            let _ = confirm::extend(store.as_ref(), &bucket, &key, &extended, longer)
                .await
                .map_err(of_extend)?;
        }
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        db::ledger::confirm(&tx, self.source.id, row.object.hash, &extended, now).await?;
        tx.commit().await?;
        let tx = self.app.db.tenant(self.scope).await?;
        db::backup_sets::set_compliance_trial(&tx, self.set.id, refused && kept, now).await?;
        let event = db::audit::Event {
            actor: "system",
            action: "backup_set.compliance_trial",
            subject: self.set.id.to_string(),
            detail: serde_json::json!({ "enforced": refused && kept }),
        };
        db::audit::add(&tx, event, now).await?;
        tx.commit().await?;
        self.set.compliance_tried_at = Some(now);
        self.set.compliance_proven_at = (refused && kept).then_some(now);
        Ok(())
    }
}
