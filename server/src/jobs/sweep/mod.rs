//! The sweep of a source: what falls short is refreshed (promises P2 and P3), what is neither needed nor locked is deleted
//! (P4). The planner decides; this carries out, and refuses when `check` finds anything in the plan, or the clocks disagree
//! (P8).
//!
//! 1. What was not found before is asked for again, by name: see [`doubt`]. Q is reckoned from the ledger's sums. Periods that have
//!    ended and whose snapshots nobody has decided on give their tiers: see [`anomaly`].
//! 2. Locks that fall short are extended, page by page. One object's failure does not stop the others.
//! 3. Snapshots whose longer protection is now confirmed in whole are promoted to it.
//! 4. Snapshots that nothing keeps expire. That is stored before anything is deleted.
//! 5. Objects are groomed, behind a fence: see [`groom`]. Not while an anomaly waits for a decision.
//!
//! A sweep may be cut off anywhere: the next one begins with what it finds.

mod anomaly;
mod doubt;
mod gone;
mod groom;
mod input;
mod refresh;
mod refusals;
mod state;

use std::time::Duration;

use jiff::Timestamp;
use shared::{
    api::view::{AwaitReason, AwaitingUnlock, LiveEvent, SweepReport},
    ids::SourceId,
    retention::{Policy, due},
    words::counted,
};

use self::state::Pace;
pub(super) use self::state::Sweep;
use super::{
    error::JobError,
    job::{Context, Job},
};
use crate::{
    clocks::{ClocksError, Reading},
    db::{self, jobs::JobKind, sweeps},
};

impl<'a> Job<'a> for Sweep<'a> {
    /// What was refreshed and deleted is kept, so the next try goes on from there.
    const LONGEST: Duration = Duration::from_secs(2 * 3_600);

    async fn load(context: Context<'a>) -> Result<Option<Self>, JobError> {
        Self::read(context, SourceId::from_uuid(context.subject)).await
    }

    async fn work(&mut self) -> Result<(), JobError> {
        self.drive().await
    }

    /// Writes the report. What was not done is in it.
    async fn conclude(mut self, outcome: Result<(), JobError>) -> Result<(), JobError> {
        match &outcome {
            // What is incomplete is told of already.
            Ok(()) | Err(JobError::Incomplete(_)) => {}
            Err(error) => self.refuse(error.sentence().unwrap_or_else(|| {
                "The sweep broke off; the server's log says why. It is tried again.".to_owned()
            })),
        }
        self.record().await?;
        outcome
    }
}

impl Sweep<'_> {
    async fn drive(&mut self) -> Result<(), JobError> {
        let clocks = self.clocks().await?;
        self.ask_for_doubtful().await?;
        let days = self.reckon_lock_ahead().await?;
        self.report.lock_ahead_days = days;
        self.end_periods(clocks.earliest()).await?;
        let mut pace = self.refresh(clocks.server).await?;
        if pace == Pace::GoOn {
            self.promote(clocks.server).await?;
            // Nothing is given up or deleted that one of the clocks still protects.
            self.expire(clocks.earliest()).await?;
            pace = self.groom(clocks.earliest()).await?;
        }
        self.await_unlock(clocks.server).await?;
        let now = self.app.clock.now();
        let next = match pace {
            Pace::GoOn if self.suspected > 0 => now + doubt::DOUBT_INTERVAL,
            Pace::GoOn => now + self.set.policy.sweep_every(),
            Pace::GiveWay => now,
        };
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        db::sources::set_next_sweep(&tx, self.source.id, next).await?;
        tx.commit().await?;
        if self.failed > 0 {
            return Err(JobError::Incomplete(format!(
                "{} tried again soon.",
                counted(self.failed, "object is", "objects are")
            )));
        }
        Ok(())
    }

    /// The three clocks, if they agree; a store that does not answer is told in words.
    async fn clocks(&self) -> Result<Reading, JobError> {
        let (account, bucket) = (self.set.storage_account_id, &self.set.bucket);
        let compared = self
            .app
            .clocks
            .compare(account, self.store.as_ref(), bucket)
            .await;
        compared.map_err(|error| match error {
            ClocksError::Disagree(_) => error.into(),
            error => {
                tracing::warn!(%error, source = %self.source.id, "a sweep could not begin");
                JobError::store(format!(
                    "The S3 endpoint or the database could not be asked, so nothing was done: {error}."
                ))
            }
        })
    }

    /// The policy with Q as it was reckoned: a plan of a page of the ledger must not reckon it from that page.
    fn policy(&self) -> Policy {
        Policy {
            lock_ahead: shared::retention::LockAhead::Days(self.report.lock_ahead_days),
            ..self.set.policy.clone()
        }
    }

    /// What nobody needs and is still locked.
    async fn await_unlock(&mut self, now: Timestamp) -> Result<(), JobError> {
        let tx = self.app.db.tenant(self.scope).await?;
        let input = self.source_input(&tx, now).await?;
        let bounds = due(&self.policy(), &input.source, now);
        let rows = db::due::awaiting(&tx, self.source.id, &bounds, input.source.open_run).await?;
        let spares = db::groom::spares(&tx, self.source.id, None, None).await?;
        drop(tx);
        self.report.awaiting = rows
            .into_iter()
            .map(|row| AwaitingUnlock {
                reason: if row.of_broken_run {
                    AwaitReason::BrokenRun
                } else {
                    AwaitReason::Dropped
                },
                objects: row.objects,
                bytes: row.bytes,
                first: row.first,
                last: row.last,
            })
            .collect();
        // They are ordered by the end of their locks.
        if let (Some(first), Some(last)) = (spares.first(), spares.last()) {
            self.report.awaiting.push(AwaitingUnlock {
                reason: AwaitReason::Superseded,
                objects: spares.len() as u64,
                bytes: spares.iter().map(|spare| spare.size_bytes).sum(),
                first: first.locked_until,
                last: last.locked_until,
            });
        }
        Ok(())
    }

    /// Whether a commit of this source waits. It must not wait for a long sweep: agents and technicians look at it.
    ///
    /// # Errors
    /// `Store` when the store has fallen silent: what is left is not asked for object by object.
    async fn pace(&self) -> Result<Pace, JobError> {
        if let Some(silence) = self.app.breakers.silence(self.set.storage_account_id) {
            return Err(JobError::store(format!(
                "The S3 endpoint has not answered since {:.0}. The sweep goes on when it does.",
                silence.since
            )));
        }
        let tx = self.app.db.tenant(self.scope).await?;
        let waits =
            db::jobs::another_waits(&tx, self.source.id, JobKind::Sweep, self.app.clock.now()).await?;
        Ok(if waits { Pace::GiveWay } else { Pace::GoOn })
    }

    async fn record(&self) -> Result<(), JobError> {
        let ended_at = self.app.clock.now();
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        let sweep = sweeps::Sweep {
            source_id: self.source.id,
            began_at: self.began_at,
            // A clock that was set back in between makes no sweep end before it began.
            ended_at: ended_at.max(self.began_at),
            report: SweepReport {
                refused: self.refusals.sentences(),
                ..self.report.clone()
            },
        };
        sweeps::add(&tx, &sweep).await?;
        tx.commit().await?;
        self.app.live.send(
            self.scope.tenant(),
            LiveEvent::Sweep {
                source: self.source.id,
            },
        );
        Ok(())
    }
}
