//! What an anomaly changes in a sweep: nothing of the source is given up or deleted until somebody decides, and a period whose
//! snapshots nobody has decided on still gives its tier.

use jiff::Timestamp;
use shared::retention::{frozen_until, tiers_at_end};

use super::state::Sweep;
use crate::{db, jobs::error::JobError};

impl Sweep<'_> {
    /// Until when nothing is given up or deleted, if that is so at `now`.
    pub(super) async fn frozen_until(&self, now: Timestamp) -> Result<Option<Timestamp>, JobError> {
        let tx = self.app.db.tenant(self.scope).await?;
        let loaded = self.source_input(&tx, now).await?;
        Ok(frozen_until(&loaded.source.snapshots).filter(|until| now < *until))
    }

    /// Gives the tiers of periods that have ended at `now` and whose snapshots are all undecided.
    pub(super) async fn end_periods(&self, now: Timestamp) -> Result<(), JobError> {
        if self.set.policy.tiers.is_empty() {
            return Ok(());
        }
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        let loaded = self.source_input(&tx, now).await?;
        let snapshots = &loaded.source.snapshots;
        let given = tiers_at_end(&self.set.policy, snapshots, now)
            .map_err(|error| JobError::Internal(format!("source {}: {error}", self.source.id)))?;
        for (seq, more) in given {
            let Some(place) = snapshots.iter().position(|snapshot| snapshot.seq == seq) else {
                continue;
            };
            let id = loaded.snapshot_ids[place];
            let mut tiers = snapshots[place].tiers.clone();
            tiers.extend(&more);
            tiers.sort_unstable();
            db::snapshots::set_tiers(&tx, id, &tiers).await?;
            let event = db::audit::Event {
                actor: "system",
                action: "snapshot.tier",
                subject: id.to_string(),
                detail: serde_json::json!({ "source": self.source.id, "seq": seq, "tiers": more }),
            };
            db::audit::add(&tx, event, now).await?;
        }
        Ok(tx.commit().await?)
    }
}
