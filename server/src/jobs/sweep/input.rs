//! What the planner is given of a source.

use jiff::Timestamp;
use shared::{
    ids::SnapshotId,
    retention::{
        Churn, ChurnWindow, ObjectInput, Plan, PlanInput, SnapshotInput, SnapshotState, SourceInput, check,
        plan,
    },
};

use super::state::Sweep;
use crate::{
    db::{self, TenantTx},
    jobs::error::JobError,
};

/// A source without its objects, and the ids of its snapshots, in the same order.
pub(super) struct Loaded {
    pub source: SourceInput,
    pub snapshot_ids: Vec<SnapshotId>,
}

impl Sweep<'_> {
    /// The source and its snapshots as this transaction sees them. A snapshot whose locks are still being extended is left
    /// out, and so is a broken one: the planner keeps what lies beyond those that it knows, which the next run builds on.
    pub(super) async fn source_input(&self, tx: &TenantTx, now: Timestamp) -> Result<Loaded, JobError> {
        let id = self.source.id;
        let source = db::sources::find(tx, id)
            .await?
            .ok_or_else(|| JobError::Internal(format!("source {id} is gone")))?;
        let open_run = db::runs::is_active(tx, id).await?;
        let held = db::restores::holding(tx, id, now).await?;
        let rows = db::snapshots::of_source(tx, id).await?;
        let newest = rows
            .iter()
            .rfind(|row| row.state == shared::api::view::SnapshotState::Complete);
        let next_due = match newest {
            Some(newest) => source.schedule.next_after(newest.received_at)?,
            None => None,
        };
        let mut snapshots = Vec::with_capacity(rows.len());
        for row in &rows {
            snapshots.push(row.input(held.contains(&row.id))?);
        }
        Ok(Loaded {
            source: SourceInput {
                retired: source.retired_at.is_some(),
                open_run,
                interval: source.schedule.longest_interval(now)?,
                next_due,
                snapshots,
                objects: Vec::new(),
            },
            snapshot_ids: rows.iter().map(|row| row.id).collect(),
        })
    }

    /// Reckons Q from the ledger's sums and keeps it for uploads and commits until the next sweep.
    pub(super) async fn reckon_lock_ahead(&mut self) -> Result<u32, JobError> {
        let now = self.app.clock.now();
        let tx = self.app.db.tenant(self.scope).await?;
        let source = self.source_input(&tx, now).await?.source;
        let mut churn = Churn::unknown(source.interval);
        let complete = |snapshot: &&SnapshotInput| snapshot.state == SnapshotState::Complete;
        if let Some(newest) = source.snapshots.iter().rfind(complete) {
            let known = source
                .snapshots
                .iter()
                .map(|snapshot| (snapshot.seq, snapshot.received_at));
            let window = ChurnWindow::new(known, newest.received_at, &self.set.policy);
            let sums = db::due::churn(&tx, self.source.id, window.first, newest.seq).await?;
            churn.objects = sums.objects;
            churn.dropped_gb_per_day = window.gb_per_day(sums.bytes, sums.dropped_bytes, source.interval);
        }
        let days = churn.lock_ahead_days(&self.set.policy, &self.provider);
        // The sums of a large source take a while: its row is held after that only.
        drop(tx);
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        db::sources::set_lock_ahead(&tx, self.source.id, days).await?;
        tx.commit().await?;
        Ok(days)
    }

    /// Plans these objects, and has the plan checked. A plan in which `check` finds anything is not carried out, not even in
    /// part.
    pub(super) fn planned(
        &self,
        mut source: SourceInput,
        objects: Vec<ObjectInput>,
        now: Timestamp,
    ) -> Result<Plan, JobError> {
        source.objects = objects;
        let input = PlanInput {
            policy: self.policy(),
            provider: self.provider,
            sources: vec![source],
        };
        let plan = plan(&input, now).map_err(|error| {
            JobError::unworkable(format!("Nothing could be planned, so nothing was done: {error}."))
        })?;
        let violations = check(&input, &plan, now);
        if let Some(first) = violations.first() {
            tracing::error!(source = %self.source.id, ?violations, "a plan was refused by its check");
            return Err(JobError::unworkable(format!(
                "The plan was refused by its own check, so nothing was done; report this as a fault: {first} (and {} more).",
                violations.len() - 1
            )));
        }
        Ok(plan)
    }
}
