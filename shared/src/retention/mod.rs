//! Retention: until when an object must be locked, and what a snapshot is promised.
//!
//! One rule, one place: the server signs uploads, confirms commits and extends locks by these functions and by
//! no others. The names follow `docs/RETENTION.md`.

mod lock;
mod policy;

pub use lock::{LockError, UploadLock, commit_need, protected_until, upload_lock};
pub use policy::{LockMode, Policy, PolicyError};

use jiff::{SignedDuration, Timestamp};

/// Rounds up to a whole second: S3 keeps retention dates in whole seconds and cuts the rest off, so a date
/// with a fraction would end up earlier than what was promised.
#[must_use]
pub fn ceil_to_second(at: Timestamp) -> Timestamp {
    let fraction = i64::from(at.subsec_nanosecond()).rem_euclid(1_000_000_000);
    if fraction == 0 {
        at
    } else {
        at + SignedDuration::from_nanos(1_000_000_000 - fraction)
    }
}
