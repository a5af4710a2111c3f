//! A snapshot that has its number and can not become complete: something it needs vanished before its commit record.

use shared::api::agent::RunState;

use super::state::Commit;
use crate::{
    db::{self, jobs::JobKind},
    jobs::error::JobError,
    random,
};

impl Commit<'_> {
    /// Ends the snapshot as `broken`, and its run as failed: the number stays, nothing was promised, and the next run builds
    /// on what is there.
    pub(super) async fn break_snapshot(&mut self, reason: String) -> Result<(), JobError> {
        let now = self.app.clock.now();
        let tx = self.app.db.tenant(self.scope).await?;
        let Some(source) = db::sources::lock(&tx, self.source.id).await? else {
            return Ok(());
        };
        let Some(mut run) = db::runs::lock(&tx, self.run.id).await? else {
            return Ok(());
        };
        // Another worker may have completed it meanwhile.
        if run.state == RunState::Locking
            && let Some(snapshot) = run.snapshot_id
        {
            tracing::warn!(run = %run.id, reason, "a numbered snapshot can not become complete");
            db::snapshots::set_broken(&tx, snapshot).await?;
            run.fail(reason.clone(), now);
            db::runs::save(&tx, &run).await?;
            let event = db::audit::Event {
                actor: "system",
                action: "snapshot.broken",
                subject: snapshot.to_string(),
                detail: serde_json::json!({ "source": source.id, "seq": source.newest_seq, "reason": reason }),
            };
            db::audit::add(&tx, event, now).await?;
            let sweep = random::uuid(now);
            db::jobs::queue_by(
                &tx,
                sweep,
                JobKind::Sweep,
                source.id.as_uuid(),
                Some(source.id),
                now,
            )
            .await?;
        }
        tx.commit().await?;
        self.app.jobs_changed();
        (self.run, self.source) = (run, source);
        self.announce();
        Ok(())
    }
}
