//! The agent's clock: the one place that reads it.

use std::{sync::OnceLock, time::Instant};

use jiff::Timestamp;

/// The endpoint's time: a label on what it writes. The server plans by its own.
#[expect(clippy::disallowed_methods, reason = "the agent's one clock")]
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Milliseconds of [`monotonic`] since it was first asked for here, from 1 on: a moment that fits into an atomic.
#[must_use]
pub fn milliseconds() -> u64 {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let begin = *BEGIN.get_or_init(monotonic);
    let passed = monotonic().saturating_duration_since(begin).as_millis();
    u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1)
}

/// A clock that never jumps, for distances.
#[expect(clippy::disallowed_methods, reason = "the agent's one clock")]
#[must_use]
pub fn monotonic() -> Instant {
    Instant::now()
}
