//! Instants as whole seconds: the arithmetic of `check` shares nothing with the planner's.

use jiff::Timestamp;

/// Seconds since 1970. Dates are compared in whole seconds: what must last is rounded up.
pub(super) type Secs = i64;

/// A day.
pub(super) const DAY: Secs = 86_400;

/// An instant as whole seconds, upwards.
pub(super) fn up(at: Timestamp) -> Secs {
    let whole = at.as_second();
    // Before 1970 jiff counts fractions downwards; either way a positive rest lies above the whole second.
    if at.subsec_nanosecond() > 0 {
        whole + 1
    } else {
        whole
    }
}

pub(super) const NOTHING: Secs = Secs::MIN;
