//! The one place in xtask that reads a clock.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment to measure from.
pub fn start() -> Instant {
    Instant::now()
}

/// Seconds since 1970.
pub fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Asks `ready` every `every` until it answers with a value, at most for `timeout`.
pub async fn poll<T, F>(timeout: Duration, every: Duration, mut ready: F) -> anyhow::Result<Option<T>>
where
    F: AsyncFnMut() -> anyhow::Result<Option<T>>,
{
    let begun = start();
    loop {
        if let Some(value) = ready().await? {
            return Ok(Some(value));
        }
        if begun.elapsed() >= timeout {
            return Ok(None);
        }
        tokio::time::sleep(every).await;
    }
}
