//! What people type into a field: trimmed, bounded, and refused with a sentence that says what to do. Forms call these functions
//! while a field is filled in, use cases before anything is kept.

mod error;
mod paths;
mod policy;
mod storage;
mod text;

pub use error::InputError;
pub use paths::{excludes, lines, paths};
pub use policy::{grace_hours, keep_last, lock_ahead, retention_days, tier_days, time_zone};
pub use storage::{access_key, bucket, endpoint, prefix, region, secret_key};
pub use text::{bounded, name, text, whole_number};
