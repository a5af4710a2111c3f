//! The one rule by which attempts are repeated: what an error says of another attempt, for how long that is believed, and the
//! pauses in between.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use crate::{clock, random};

/// The pause before the attempt that follows so many failures of one request is logged as a warning: by then somebody may wonder.
const FAILURES_TO_TELL: u32 = 5;

/// What another attempt of a failed request may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The other side, or the way to it, is away or busy: the request is repeated for as long as [`Patience::away`].
    Away,
    /// The answer may be that of something in between, or of one moment. It is believed after so many attempts.
    Doubtful(u32),
    /// Time changes nothing.
    Final,
}

/// Attempts after which a doubtful answer is believed.
pub(crate) const DOUBTS: u32 = 6;

/// For how long requests are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// What is away is tried for so long, from the first failure on.
    pub away: Duration,
    /// The pause after the first failed attempt, at most; each further one is twice as long.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
    /// A connection on which nothing comes through for so long is dead.
    pub stall: Duration,
    /// A run is given up when a call into a file system does not come back for so long.
    pub hang: Duration,
}

impl Patience {
    /// For people who wait at a terminal.
    pub const SHORT: Self = Self {
        away: Duration::from_secs(40),
        first_pause: Duration::from_millis(300),
        longest_pause: Duration::from_secs(20),
        stall: Duration::from_secs(60),
        hang: Duration::from_hours(1),
    };
    /// For runs and restores: a restart of the server, or of a gateway of the storage, takes minutes. What lasts longer ends a run,
    /// which the server queues again.
    pub const LONG: Self = Self {
        away: Duration::from_mins(10),
        ..Self::SHORT
    };

    /// The pause after so many failed attempts: doubles with each, between half of it and all of it at random, so that agents
    /// which failed together do not come again together.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let full = self
            .first_pause
            .saturating_mul(1 << failures.saturating_sub(1).min(16))
            .min(self.longest_pause);
        full.mul_f64(0.5 + random::jitter() / 2.0)
    }
}

/// The pause after so many failed attempts in a row of somebody who never gives up.
pub(crate) fn pause(failures: u32) -> Duration {
    Patience::LONG.pause(failures)
}

/// The failures of one request.
#[derive(Debug)]
pub(crate) struct Tries {
    patience: Patience,
    failures: u32,
    doubts: u32,
    /// When the first failure was.
    since: Option<Instant>,
}

impl Tries {
    pub(crate) const fn new(patience: Patience) -> Self {
        Self {
            patience,
            failures: 0,
            doubts: 0,
            since: None,
        }
    }

    /// How long to wait before the next attempt after one that failed `now`; `None` when there is none.
    pub(crate) fn after(&mut self, verdict: Verdict, now: Instant) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        let again = match verdict {
            Verdict::Away => now.saturating_duration_since(since) < self.patience.away,
            Verdict::Doubtful(attempts) => {
                self.doubts += 1;
                self.doubts < attempts
            }
            Verdict::Final => false,
        };
        again.then(|| self.patience.pause(self.failures))
    }

    /// The same of an attempt that failed just now, which is logged. `what` names the request.
    pub(crate) fn failed(
        &mut self,
        what: &impl Display,
        error: &impl Display,
        verdict: Verdict,
    ) -> Option<Duration> {
        let pause = self.after(verdict, clock::monotonic())?;
        if self.failures == FAILURES_TO_TELL {
            tracing::warn!(%what, %error, for_at_most = ?self.patience.away, "no answer that is of use; it is tried again");
        } else {
            tracing::debug!(%what, failures = self.failures, %error, "trying again");
        }
        Some(pause)
    }
}

/// Calls `attempt` until it succeeds, and gives its last error when `verdict` and the patience say so. `what` names the operation
/// in the log.
///
/// Dropping the future cancels the attempt or the pause. `attempt` limits its own duration.
pub(crate) async fn retry<T, E, F>(
    patience: Patience,
    what: impl Display,
    mut attempt: impl FnMut() -> F,
    verdict: impl Fn(&E) -> Verdict,
) -> Result<T, E>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    let mut tries = Tries::new(patience);
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        match tries.failed(&what, &error, verdict(&error)) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTEMPT: Duration = Duration::from_millis(10);

    #[test]
    fn pauses_grow_and_end_growing() {
        let Patience {
            first_pause,
            longest_pause,
            ..
        } = Patience::LONG;
        for failures in 1..40 {
            let pause = pause(failures);
            assert!(pause >= first_pause / 2 && pause <= longest_pause);
        }
        assert!(pause(30) >= longest_pause / 2);
    }

    /// One request whose nth attempt has the nth verdict, the last of them for ever; success when `well` says so of the time that has
    /// passed. Gives the time of the end and the attempts, and whether it ended well.
    fn simulated(
        patience: Patience,
        verdicts: &[Verdict],
        well: impl Fn(Duration) -> bool,
    ) -> (Duration, u32, bool) {
        let begin = clock::monotonic();
        let mut passed = Duration::ZERO;
        let mut tries = Tries::new(patience);
        for attempt in 1.. {
            passed += ATTEMPT;
            if well(passed) {
                return (passed, attempt, true);
            }
            let nth = (attempt as usize - 1).min(verdicts.len() - 1);
            match tries.after(verdicts[nth], begin + passed) {
                Some(pause) => passed += pause,
                None => return (passed, attempt, false),
            }
        }
        unreachable!("patience is finite")
    }

    /// A store that is away for 90 s costs 90 s and at most the longest pause, and some ten attempts.
    #[test]
    fn what_comes_back_within_the_patience_is_met_soon_after() {
        for seconds in [1, 28, 90, 300, 590] {
            let outage = Duration::from_secs(seconds);
            let (end, attempts, well) = simulated(Patience::LONG, &[Verdict::Away], |passed| passed > outage);
            assert!(well, "{seconds}");
            assert!(
                end <= outage + Patience::LONG.longest_pause + ATTEMPT,
                "{end:?} after {seconds} s"
            );
            assert!(
                u64::from(attempts) <= 12 + seconds / 10,
                "{attempts} attempts for {seconds} s"
            );
        }
    }

    #[test]
    fn what_stays_away_is_given_up() {
        let never = |_| false;
        for patience in [Patience::SHORT, Patience::LONG] {
            let (end, _, well) = simulated(patience, &[Verdict::Away], never);
            assert!(!well && end >= patience.away && end <= patience.away + patience.longest_pause * 2);
        }
    }

    #[test]
    fn a_doubtful_answer_is_believed_after_its_attempts_and_a_final_one_at_once() {
        use Verdict::{Away, Doubtful, Final};
        let attempts = |verdicts: &[Verdict]| simulated(Patience::LONG, verdicts, |_| false).1;
        assert_eq!(attempts(&[Final]), 1);
        assert_eq!(attempts(&[Doubtful(4)]), 4);
        assert_eq!(attempts(&[Doubtful(1)]), 1);
        assert_eq!(attempts(&[Away, Away, Final]), 3);
        // What was away in between does not count.
        assert_eq!(attempts(&[Doubtful(3), Away, Away, Doubtful(3), Doubtful(3)]), 5);
    }

    #[tokio::test]
    async fn attempts_end_with_success_or_with_the_last_error() {
        let hurried = Patience {
            first_pause: Duration::ZERO,
            longest_pause: Duration::ZERO,
            ..Patience::SHORT
        };
        for (good, expected) in [(1, Ok(1)), (3, Ok(3)), (9, Err(4))] {
            let begun = std::cell::Cell::new(0);
            let attempt = || {
                begun.set(begun.get() + 1);
                let nth = begun.get();
                async move { if nth == good { Ok(nth) } else { Err(nth) } }
            };
            let outcome = retry(hurried, "a test", attempt, |_| Verdict::Doubtful(4)).await;
            assert_eq!(outcome, expected);
        }
    }
}
