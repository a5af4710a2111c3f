//! What every kind of job is: loaded, worked on for a bounded time, and concluded.

use std::time::Duration;

use futures::future::BoxFuture;
use uuid::Uuid;

use super::error::JobError;
use crate::{app::App, scope::TenantScope};

/// What a job is given.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub app: &'a App,
    /// Of the tenant that it was queued under.
    pub scope: &'a TenantScope,
    /// The run, source or backup set.
    pub subject: Uuid,
    /// Counts the tries from 1.
    pub attempt: i32,
}

/// Work of one kind. It may be cut off at any line, by its deadline or with the server, and is then loaded and worked on again.
pub(super) trait Job<'a>: Sized + Send + 'a {
    /// For how long it may be at work. What it does is dropped then.
    const LONGEST: Duration;

    /// Reads what the work needs. `None` when its subject is gone, and there is nothing to do.
    fn load(context: Context<'a>) -> impl Future<Output = Result<Option<Self>, JobError>> + Send;

    /// Does the work.
    fn work(&mut self) -> impl Future<Output = Result<(), JobError>> + Send;

    /// Records how the work ended. Gives the error that decides whether the job is tried again.
    fn conclude(self, outcome: Result<(), JobError>) -> impl Future<Output = Result<(), JobError>> + Send;
}

/// Does a job from its beginning to its end.
///
/// # Errors
/// Those of loading, of the work, and of recording.
pub(super) fn perform<'a, J: Job<'a>>(context: Context<'a>) -> BoxFuture<'a, Result<(), JobError>> {
    Box::pin(async move {
        let Some(mut job) = J::load(context).await? else {
            return Ok(());
        };
        let outcome = within(J::LONGEST, job.work()).await;
        job.conclude(outcome).await
    })
}

/// Drops work that takes longer than `limit`.
async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, JobError>>) -> Result<T, JobError> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(JobError::TooLong(limit)),
    }
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
            std::future::pending::<Result<(), JobError>>().await
        };
        let error = within(Duration::from_millis(20), endless).await.unwrap_err();
        assert!(matches!(error, JobError::TooLong(_)), "{error}");
        assert!(dropped.get());
        let done = within(Duration::from_secs(3_600), async { Ok(7) }).await;
        assert_eq!(done.unwrap(), 7);
    }

    #[test]
    fn a_job_that_was_stopped_says_after_how_many_minutes() {
        let error = JobError::TooLong(Duration::from_secs(7_200));
        assert!(error.to_string().contains("longer than 120 min"), "{error}");
        assert_eq!(error.sentence(), Some(error.to_string()));
    }
}
