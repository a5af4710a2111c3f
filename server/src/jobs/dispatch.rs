//! The dispatcher of the job queue.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, Semaphore};

use super::{
    check::Check,
    commit::Commit,
    error::JobError,
    job::{Context, perform},
    sweep::Sweep,
};
use crate::{
    app::App,
    db::{
        self, DbError,
        jobs::{Background, Ceilings, ClaimedJob, JobKind, Turns},
    },
    scope::TenantScope,
};

/// A worker that has not renewed its lease for so long is taken for dead, and the job is claimed anew.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// How often the queue is looked at when nothing wakes the dispatcher.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Jobs that run side by side.
const SLOTS: usize = 8;
/// How many of them at most are of one tenant, of one storage account, of one endpoint, and checks. None of these may have
/// all: a store that answers nothing, or a tenant with a thousand sources, leaves slots to the others. The last two are for
/// tenants that have none, and long sweeps leave two to commits, on each account and endpoint as well.
pub(crate) const CEILINGS: Ceilings = Ceilings {
    tenant: 4,
    account: 3,
    endpoint: 6,
    shared: 6,
    background: Background {
        account: 2,
        endpoint: 4,
        all: 6,
    },
    checks: 3,
};

/// How long a job waits for the trial request of another one.
const TRIAL_PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// Claims jobs and starts each as a task, for ever.
pub(super) async fn dispatch(app: App) {
    let slots = Arc::new(Semaphore::new(SLOTS));
    let ended = Arc::new(Notify::new());
    let mut turns = Turns::default();
    while let Ok(slot) = slots.clone().acquire_owned().await {
        match claim(&app, &turns).await {
            Ok(Some(job)) => {
                turns.had(&job);
                let (app, ended) = (app.clone(), ended.clone());
                tokio::spawn(async move {
                    if let Err(error) = run(&app, &job).await {
                        tracing::error!(%error, ?job, "a job could not be ended or put back; its lease will run out");
                    }
                    drop(slot);
                    // What waited for its end may run now.
                    ended.notify_one();
                });
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the job queue can not be read"),
        }
        drop(slot);
        let woken = async {
            tokio::select! {
                () = app.jobs.notified() => {}
                () = ended.notified() => {}
            }
        };
        tokio::time::timeout(POLL_INTERVAL, woken).await.ok();
    }
}

async fn claim(app: &App, turns: &Turns) -> Result<Option<ClaimedJob>, DbError> {
    let now = app.clock.now();
    let tx = app.db.instance().await?;
    let job = db::jobs::claim(&tx, now, now + LEASE, CEILINGS, turns).await?;
    tx.commit().await?;
    Ok(job)
}

async fn run(app: &App, job: &ClaimedJob) -> Result<(), DbError> {
    let scope = TenantScope::of_job(job);
    let held = hold(app, job);
    let context = Context {
        app,
        scope: &scope,
        subject: job.subject,
        attempt: job.attempt,
    };
    let work = async {
        match job.kind {
            JobKind::Commit => perform::<Commit<'_>>(context).await,
            JobKind::Sweep => perform::<Sweep<'_>>(context).await,
            JobKind::Check => perform::<Check<'_>>(context).await,
        }
    };
    // A panic must not take the slot's task with it before the job is put back.
    let work = AssertUnwindSafe(work).catch_unwind();
    let outcome = tokio::select! {
        outcome = work => outcome.unwrap_or_else(|_| Err(JobError::Internal("the job panicked".into()))),
        () = held => return Ok(()),
    };
    let now = app.clock.now();
    let tx = app.db.instance().await?;
    match outcome {
        Ok(()) | Err(JobError::GiveUp(_)) => db::jobs::finish(&tx, job).await?,
        Err(error) => {
            let at = next_try(app, job, now);
            tracing::warn!(%error, ?job, %at, "a job failed and will be tried again");
            db::jobs::postpone(&tx, job, at, &error.to_string()).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// When a job is tried again: when its silent store is, or after a pause that grows.
fn next_try(app: &App, job: &ClaimedJob, now: Timestamp) -> Timestamp {
    let silence = job.account.and_then(|account| app.breakers.silence(account));
    match silence {
        Some(silence) if silence.until > now => silence.until,
        // The trial request is under way.
        Some(_) => now + TRIAL_PAUSE,
        None => now + backoff(job.attempt),
    }
}

/// Renews the lease until somebody else has the job, or the future is dropped.
async fn hold(app: &App, job: &ClaimedJob) {
    loop {
        tokio::time::sleep(LEASE.unsigned_abs() / 3).await;
        let renewed = async {
            let tx = app.db.instance().await?;
            let renewed = db::jobs::renew(&tx, job, app.clock.now() + LEASE).await?;
            tx.commit().await?;
            Ok::<_, DbError>(renewed)
        };
        match renewed.await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, ?job, "a lease could not be renewed"),
        }
    }
}

/// 1, 2, 4 … seconds, a quarter of an hour at most.
fn backoff(attempt: i32) -> SignedDuration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0).min(10);
    SignedDuration::from_secs((1_i64 << doublings).min(900))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_have_every_slot() {
        let slots = i64::try_from(SLOTS).unwrap();
        for ceiling in [
            CEILINGS.tenant,
            CEILINGS.account,
            CEILINGS.endpoint,
            CEILINGS.shared,
            CEILINGS.background.all,
            CEILINGS.checks,
        ] {
            assert!(0 < ceiling && ceiling < slots);
        }
    }

    #[test]
    fn pauses_grow_to_a_quarter_of_an_hour() {
        let secs: Vec<i64> = (0..12).map(|attempt| backoff(attempt).as_secs()).collect();
        assert_eq!(secs, [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900]);
    }
}
