//! The clock of a lockbox: the one place in this crate that reads the machine's time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use time::OffsetDateTime;

/// Where a lockbox takes the time from: for dates of objects, ends of locks, the age of requests and
/// the `Date` header.
#[derive(Clone, Debug)]
pub struct Clock(ClockSource);

#[derive(Clone, Debug)]
enum ClockSource {
    System,
    Manual(Arc<AtomicI64>),
}

/// Sets the time of the manual [`Clock`] that it was made with.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

/// An instant with the precision that the index keeps: milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Millis(i64);

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(ClockSource::System)
    }

    /// A clock that stands still at `start` until the [`ManualClock`] moves it.
    ///
    /// `start` should be at or after the real time: s3s compares the expiry of presigned URLs with
    /// the machine's clock as well and cannot be told another one, so a lockbox in the past would
    /// refuse them. Clients must sign with the same simulated time.
    #[must_use]
    pub fn manual(start: SystemTime) -> (Self, ManualClock) {
        let cell = Arc::new(AtomicI64::new(Millis::from(start).0));
        (Self(ClockSource::Manual(Arc::clone(&cell))), ManualClock(cell))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        match &self.0 {
            ClockSource::System => system_now(),
            ClockSource::Manual(cell) => Millis(cell.load(Ordering::SeqCst)).system_time(),
        }
    }

    pub(crate) fn millis(&self) -> Millis {
        Millis::from(self.now())
    }
}

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the clock, also backwards.
    pub fn set(&self, to: SystemTime) {
        self.0.store(Millis::from(to).0, Ordering::SeqCst);
    }

    /// The time that the clock shows.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        Millis(self.0.load(Ordering::SeqCst)).system_time()
    }
}

/// The machine's steady clock, which no test sets.
#[expect(
    clippy::disallowed_methods,
    reason = "this module is where lockbox reads the clock"
)]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "this module is where lockbox reads the clock"
)]
fn system_now() -> SystemTime {
    SystemTime::now()
}

impl Millis {
    pub(crate) fn offset(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    pub(crate) fn get(self) -> i64 {
        self.0
    }

    fn system_time(self) -> SystemTime {
        let span = Duration::from_millis(self.0.unsigned_abs());
        if self.0 < 0 {
            SystemTime::UNIX_EPOCH - span
        } else {
            SystemTime::UNIX_EPOCH + span
        }
    }
}

impl From<SystemTime> for Millis {
    fn from(time: SystemTime) -> Self {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self(millis(after)),
            Err(before) => Self(-millis(before.duration())),
        }
    }
}

impl From<Millis> for s3s::dto::Timestamp {
    fn from(at: Millis) -> Self {
        at.offset().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
        let (clock, hand) = Clock::manual(start);
        assert_eq!(clock.now(), start);
        hand.advance(Duration::from_secs(90));
        assert_eq!(clock.now(), start + Duration::from_secs(90));
        hand.set(start);
        assert_eq!(clock.clone().now(), hand.now());
    }
}
