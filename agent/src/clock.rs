//! The agent's clock: the one place that reads it.

use std::time::Instant;

use jiff::Timestamp;

/// The endpoint's time: a label on what it writes. The server plans by its own.
#[expect(clippy::disallowed_methods, reason = "the agent's one clock")]
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A clock that never jumps, for distances.
#[expect(clippy::disallowed_methods, reason = "the agent's one clock")]
#[must_use]
pub fn monotonic() -> Instant {
    Instant::now()
}
