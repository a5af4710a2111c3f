//! Work that goes on without anybody asking: the job queue's workers and the periodic rounds.

mod check;
mod commit;
mod rounds;
mod sweep;

pub use rounds::{forget_ended_commits, once as round};

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use jiff::SignedDuration;

use crate::{
    app::App,
    db::{
        self,
        jobs::{Job, JobKind},
    },
    error::ApiError,
    scope::TenantScope,
};

/// A worker that has not renewed its lease for so long is taken for dead, and the job is claimed anew.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// How often the queue is looked at when nothing wakes the worker.
const POLL: Duration = Duration::from_secs(1);
/// Jobs that run side by side.
const WORKERS: usize = 4;

/// Starts the workers and the periodic rounds. They end when the runtime does: a job that is cut off is claimed
/// again when its lease has run out.
pub fn start(app: &App) {
    for _ in 0..WORKERS {
        tokio::spawn(work(app.clone()));
    }
    tokio::spawn(rounds::schedule(app.clone()));
    tokio::spawn(rounds::tidy(app.clone()));
}

async fn work(app: App) {
    let mut changed = app.work.subscribe();
    loop {
        match claim(&app).await {
            Ok(Some(job)) => {
                if let Err(error) = run(&app, &job).await {
                    tracing::error!(%error, ?job, "a job could not be ended or put back; its lease will run out");
                }
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the job queue can not be read"),
        }
        tokio::time::timeout(POLL, changed.changed()).await.ok();
    }
}

async fn claim(app: &App) -> Result<Option<Job>, ApiError> {
    let now = app.clock.now();
    let tx = app.db.instance().await?;
    let job = db::jobs::claim(&tx, now, now + LEASE).await?;
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
    // A panic must not take the worker with it, and the next one, and the next.
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
            let wait = backoff(job.attempt);
            tracing::warn!(%error, ?job, wait_secs = wait.as_secs(), "a job failed and will be tried again");
            db::jobs::postpone(&tx, job, now + wait, &error.to_string()).await?;
        }
    }
    tx.commit().await?;
    Ok(())
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
