//! Work that goes on without anybody asking: the job queue and the periodic rounds.
//!
//! One dispatcher claims jobs and starts each as a task. No tenant, no storage account and no endpoint can have all of the
//! slots ([`CEILINGS`]), tenants and accounts take turns, and a job that is at work for longer than its kind may is stopped
//! and goes on later ([`within`]).

mod check;
mod commit;
mod rounds;
mod sweep;

pub use rounds::{forget_ended_commits, once as round};

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, Semaphore};

use crate::{
    app::App,
    db::{
        self,
        jobs::{Background, Ceilings, Job, JobKind, Turns},
    },
    error::ApiError,
    scope::TenantScope,
};

/// A worker that has not renewed its lease for so long is taken for dead, and the job is claimed anew.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// How often the queue is looked at when nothing wakes the dispatcher.
const POLL: Duration = Duration::from_secs(1);
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

/// For how long a job may be at work. Everything but a check keeps what it has done, so the next try goes on from there.
fn longest(kind: JobKind) -> Duration {
    const HOUR: u64 = 3_600;
    Duration::from_secs(match kind {
        JobKind::Commit => HOUR,
        JobKind::Sweep => 2 * HOUR,
        JobKind::Check => 6 * HOUR,
    })
}

/// Does the work of a job, which is dropped when it takes longer than its kind may.
///
/// # Errors
/// Those of the work; `Conflict` when it was dropped.
async fn within<T, E: From<ApiError>>(
    kind: JobKind,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    within_limit(longest(kind), work).await
}

async fn within_limit<T, E: From<ApiError>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(ApiError::conflict(
            "deadline",
            format!(
                "It was stopped because it took longer than {} min. What was done is kept, and it goes on soon.",
                limit.as_secs() / 60
            ),
        )
        .into()),
    }
}

/// Starts the dispatcher and the periodic rounds. They end when the runtime does: a job that is cut off is claimed
/// again when its lease has run out.
pub fn start(app: &App) {
    tokio::spawn(dispatch(app.clone()));
    tokio::spawn(rounds::schedule(app.clone()));
    tokio::spawn(rounds::tidy(app.clone()));
}

async fn dispatch(app: App) {
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
        tokio::time::timeout(POLL, woken).await.ok();
    }
}

async fn claim(app: &App, turns: &Turns) -> Result<Option<Job>, ApiError> {
    let now = app.clock.now();
    let tx = app.db.instance().await?;
    let job = db::jobs::claim(&tx, now, now + LEASE, CEILINGS, turns).await?;
    tx.commit().await?;
    Ok(job)
}

async fn run(app: &App, job: &Job) -> Result<(), ApiError> {
    let scope = TenantScope::of_job(job);
    let held = hold(app, job);
    let work = async {
        match job.kind {
            JobKind::Commit => commit::execute(app, &scope, job.subject, job.attempt).await,
            JobKind::Sweep => sweep::execute(app, &scope, job.subject).await,
            JobKind::Check => check::execute(app, &scope, job.subject).await,
        }
    };
    // A panic must not take the slot's task with it before the job is put back.
    let work = AssertUnwindSafe(work).catch_unwind();
    let outcome = tokio::select! {
        outcome = work => outcome.unwrap_or_else(|_| Err(ApiError::Internal("the job panicked".into()))),
        () = held => return Ok(()),
    };
    let now = app.clock.now();
    let tx = app.db.instance().await?;
    match outcome {
        Ok(()) => db::jobs::finish(&tx, job).await?,
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
fn next_try(app: &App, job: &Job, now: Timestamp) -> Timestamp {
    let silence = job.account.and_then(|account| app.breakers.silence(account));
    match silence {
        Some(silence) if silence.until > now => silence.until,
        // The trial request is under way.
        Some(_) => now + TRIAL_PAUSE,
        None => now + backoff(job.attempt),
    }
}

/// Renews the lease until somebody else has the job, or the future is dropped.
async fn hold(app: &App, job: &Job) {
    loop {
        tokio::time::sleep(LEASE.unsigned_abs() / 3).await;
        let renewed = async {
            let tx = app.db.instance().await?;
            let renewed = db::jobs::renew(&tx, job, app.clock.now() + LEASE).await?;
            tx.commit().await?;
            Ok::<_, ApiError>(renewed)
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

    #[tokio::test]
    async fn work_that_takes_too_long_is_dropped_and_says_so() {
        struct Dropped<'a>(&'a std::cell::Cell<bool>);
        impl Drop for Dropped<'_> {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let dropped = std::cell::Cell::new(false);
        let endless = async {
            let _dropped = Dropped(&dropped);
            std::future::pending::<Result<(), ApiError>>().await
        };
        let error = within_limit(Duration::from_millis(20), endless)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ApiError::Conflict { code: "deadline", .. }),
            "{error}"
        );
        assert!(dropped.get());
        let done = within_limit(Duration::from_secs(3_600), async { Ok::<_, ApiError>(7) }).await;
        assert_eq!(done.unwrap(), 7);
    }

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
