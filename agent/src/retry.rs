//! Attempts that are repeated, and the pauses between them.

use std::{fmt::Display, time::Duration};

use crate::random;

/// The pause after the first failed attempt, at most; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// The pause after so many failed attempts: doubles with each, between half of it and all of it at random, so that agents
/// which failed together do not come again together.
pub(crate) fn pause(failures: u32) -> Duration {
    let full = FIRST_PAUSE
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(LONGEST_PAUSE);
    full.mul_f64(0.5 + random::jitter() / 2.0)
}

/// Calls `attempt` until it succeeds, and gives its last error after `attempts` failures, or at once after an error of which
/// `may_pass` is false. `what` names the operation in the log.
///
/// Dropping the future cancels the attempt or the pause. `attempt` limits its own duration: the pauses between 8 attempts come to 38 s
/// at most.
pub(crate) async fn retry<T, E, F>(
    attempts: u32,
    what: impl Display,
    attempt: impl FnMut() -> F,
    may_pass: impl Fn(&E) -> bool,
) -> Result<T, E>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    retry_after(pause, attempts, what, attempt, may_pass).await
}

/// As [`retry`], with these pauses.
async fn retry_after<T, E, F>(
    pause: impl Fn(u32) -> Duration,
    attempts: u32,
    what: impl Display,
    mut attempt: impl FnMut() -> F,
    may_pass: impl Fn(&E) -> bool,
) -> Result<T, E>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    let mut failures = 0;
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        failures += 1;
        if failures >= attempts || !may_pass(&error) {
            return Err(error);
        }
        tracing::debug!(%what, failures, %error, "trying again");
        tokio::time::sleep(pause(failures)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[test]
    fn pauses_grow_and_end_growing() {
        for failures in 1..40 {
            let pause = pause(failures);
            assert!(pause >= FIRST_PAUSE / 2 && pause <= LONGEST_PAUSE);
        }
        assert!(pause(30) >= LONGEST_PAUSE / 2);
    }

    /// Fails with 1, 2, 3 … until the `good`th attempt; gives the outcome, how many attempts there were, and after which failures
    /// there was a pause.
    async fn run(
        good: u32,
        attempts: u32,
        may_pass: impl Fn(&u32) -> bool,
    ) -> (Result<(), u32>, u32, Vec<u32>) {
        let (begun, pauses) = (Cell::new(0), RefCell::new(Vec::new()));
        let pause = |failures| {
            pauses.borrow_mut().push(failures);
            Duration::ZERO
        };
        let attempt = || {
            begun.set(begun.get() + 1);
            let nth = begun.get();
            async move { if nth == good { Ok(()) } else { Err(nth) } }
        };
        let outcome = retry_after(pause, attempts, "a test", attempt, may_pass).await;
        (outcome, begun.get(), pauses.into_inner())
    }

    #[tokio::test]
    async fn attempts_end_with_success_with_their_number_or_with_a_final_error() {
        assert_eq!(run(1, 8, |_| true).await, (Ok(()), 1, vec![]));
        assert_eq!(run(3, 8, |_| true).await, (Ok(()), 3, vec![1, 2]));
        assert_eq!(run(9, 4, |_| true).await, (Err(4), 4, vec![1, 2, 3]));
        assert_eq!(run(9, 8, |error| *error < 2).await, (Err(2), 2, vec![1]));
        assert_eq!(run(9, 1, |_| true).await, (Err(1), 1, vec![]));
    }
}
