//! The commit of a run: from "the agent says it is all there" to a complete snapshot (promise P1).
//!
//! 1. `committing`: every new object is confirmed by a HEAD, the manifest is read, verified and compared with the ledger, and
//!    the bucket's listing shows everything that the snapshot needs. What is missing fails the run; no number is used up.
//! 2. In one transaction the snapshot gets its number, and the ledger what was added and dropped: `locking`.
//! 3. What is locked too short for the promise is extended, and confirmed again.
//! 4. The commit record is put, locked and confirmed. Then, and only then, the snapshot is `complete`. What vanishes before
//!    that leaves it `broken`: it has a number and no promise, and the next run builds on it.
//!
//! What is lost before the number goes onto the list of what the next run must not reuse, and its data enters that backup
//! again. Once the commit record may be in the bucket, only the bucket's answer that it is not there lets the snapshot break:
//! whoever reads the bucket would take it for complete. What is lost from then on is damage.
//!
//! Every step can be repeated: after a crash the job is claimed again and finds what is already done. Nothing fails by one
//! answer of S3: what is not found is asked for over minutes (see [`crate::presence`]), and a refusal is believed when it
//! met tries in a row for minutes (see [`failure`]). After [`GIVE_UP_AFTER`] the run ends, whatever it waits for.

mod broken;
mod change;
mod confirm;
mod failure;
mod finish;
mod manifest;
mod number;
mod presence;
mod set;
mod state;
mod trial;

use std::time::Duration;

use shared::{
    api::agent::{CommitRequest, RunState},
    ids::RunId,
};

pub(super) use self::{failure::GIVE_UP_AFTER, state::Commit};
use self::{
    failure::{Failure, Next, Tries, next, words},
    state::Gone,
};
use super::{
    error::JobError,
    job::{Context, Job},
};
use crate::db::{self, runs::Refusals};

impl<'a> Job<'a> for Commit<'a> {
    /// What was confirmed and extended is kept, so the next try goes on from there.
    const LONGEST: Duration = Duration::from_secs(3_600);

    async fn load(context: Context<'a>) -> Result<Option<Self>, JobError> {
        Self::read(context, RunId::from_uuid(context.subject)).await
    }

    async fn work(&mut self) -> Result<(), JobError> {
        self.drive().await.map_err(Failure::into_job_error)
    }

    /// Ends the run or notes why it waits.
    async fn conclude(mut self, outcome: Result<(), JobError>) -> Result<(), JobError> {
        let Err(error) = outcome else {
            return Ok(());
        };
        let tries = Tries {
            refusals: self.run.refusals,
            since: self.run.received_at.unwrap_or(self.run.created_at),
            attempt: self.attempt,
        };
        match next(error, tries, self.app.clock.now()) {
            Next::End(reason) => {
                self.end(reason.clone()).await?;
                Err(JobError::GiveUp(reason))
            }
            Next::Again { error, refusals } => {
                self.note_waiting(&error, refusals).await?;
                Err(error)
            }
        }
    }
}

impl Commit<'_> {
    // Promise: P1
    async fn drive(&mut self) -> Result<(), Failure> {
        let account = self.set.storage_account_id;
        self.app
            .clocks
            .must_agree(account, self.store.as_ref(), &self.set.bucket)
            .await?;
        if self.run.state == RunState::Committing {
            let request = self.request().await?;
            if let Err(failure) = self.confirm_added(&request).await {
                // What else is missing is asked for meanwhile: the next run is to send all of it again.
                if matches!(failure, Failure::Run(_) | Failure::Passing(_)) {
                    self.look_for_all().await?;
                }
                return Err(failure);
            }
            let manifest = self.read_manifest(&request).await?;
            self.try_to_shorten(&request).await?;
            self.find_needed(&request).await?;
            self.extend_inherited(&request).await?;
            self.number(&request, &manifest).await?;
        }
        if self.run.state == RunState::Locking {
            let snapshot = self.snapshot().await?;
            let record = match self.placed_record(&snapshot).await? {
                Some(record) => {
                    self.extend_short(&snapshot, Gone::IsDamage).await?;
                    record
                }
                None => {
                    self.extend_short(&snapshot, Gone::Breaks).await?;
                    self.look_again().await?;
                    self.none_missing(snapshot.seq).await?;
                    self.put_record(&snapshot).await?
                }
            };
            self.complete(&snapshot, record).await?;
        }
        Ok(())
    }

    /// What the snapshot will need is in the bucket, what it shares with its parent as well as what was sent: also what an
    /// earlier run had sent, and what was confirmed while it was pending.
    async fn find_needed(&mut self, request: &CommitRequest) -> Result<(), Failure> {
        self.ask_for_locks(request.parent_seq).await?;
        self.look_for_all().await?;
        self.none_missing_of_change(request).await
    }

    /// The run does not become a complete snapshot. Before it has a number that costs nothing but the run.
    async fn end(&mut self, reason: String) -> Result<(), JobError> {
        if self.run.state == RunState::Locking {
            self.break_snapshot(reason).await
        } else {
            self.fail(reason).await
        }
    }

    async fn fail(&mut self, reason: String) -> Result<(), JobError> {
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        let Some(mut run) = db::runs::lock(&tx, self.run.id).await? else {
            return Ok(());
        };
        // Another worker may have numbered it meanwhile: then it is no longer ours to fail.
        if run.state == RunState::Committing {
            tracing::warn!(run = %run.id, reason, "a commit was refused");
            run.fail(reason, self.app.clock.now());
            db::runs::save(&tx, &run).await?;
        }
        tx.commit().await?;
        self.run = run;
        self.announce();
        Ok(())
    }

    /// Tells the technician why it is taking so long.
    async fn note_waiting(&mut self, error: &JobError, refusals: Option<Refusals>) -> Result<(), JobError> {
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        let Some(mut run) = db::runs::lock(&tx, self.run.id).await? else {
            return Ok(());
        };
        if !run.state.is_final() {
            run.error = Some(format!("Waiting to try again: {}", words(error)));
            run.refusals = refusals;
            db::runs::save(&tx, &run).await?;
        }
        tx.commit().await?;
        self.run = run;
        self.announce();
        Ok(())
    }
}
