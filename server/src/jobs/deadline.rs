//! For how long a job may be at work.

use std::time::Duration;

use crate::{db::jobs::JobKind, error::ApiError};

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
pub(super) async fn within<T, E: From<ApiError>>(
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
}
