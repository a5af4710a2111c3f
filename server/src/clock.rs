//! The server's clock: the one place that reads the time. Everything else is handed `now`.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp};

/// Tells the time, cut to microseconds, which is what Postgres keeps: a time then reads back as it was written.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_secs: Arc<AtomicI64>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock module")]
        let now = Timestamp::now();
        let micros = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        micros + SignedDuration::from_secs(self.offset_secs.load(Ordering::Relaxed))
    }

    /// Moves this clock, and every copy of it, forward: for tests that live through a year.
    pub fn advance(&self, by: SignedDuration) {
        self.offset_secs.fetch_add(by.as_secs(), Ordering::Relaxed);
    }
}
