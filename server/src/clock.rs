//! The server's clock: the one place that reads the time. Everything else is handed `now`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::SystemTime,
};

use jiff::{SignedDuration, Timestamp};

/// Tells the time, cut to microseconds, which is what Postgres keeps: a time then reads back as it was written.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    travelled_secs: Arc<AtomicI64>,
    error_secs: Arc<AtomicI64>,
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
        let error = SignedDuration::from_secs(self.error_secs.load(Ordering::Relaxed));
        micros + self.travelled() + error
    }

    /// The time now, for what signs requests.
    #[must_use]
    pub fn system_time(&self) -> SystemTime {
        self.now().into()
    }

    /// Moves this clock, and every copy of it, forward: for tests that live through a year. It is a journey of the whole
    /// world: other clocks are read as if they had come along.
    pub fn advance(&self, by: SignedDuration) {
        self.travelled_secs.fetch_add(by.as_secs(), Ordering::Relaxed);
    }

    /// How far the world was moved by [`advance`](Self::advance).
    #[must_use]
    pub fn travelled(&self) -> SignedDuration {
        SignedDuration::from_secs(self.travelled_secs.load(Ordering::Relaxed))
    }

    /// Sets this clock, and every copy of it, wrong by so much: for tests of what happens then.
    pub fn set_error(&self, error: SignedDuration) {
        self.error_secs.store(error.as_secs(), Ordering::Relaxed);
    }
}
