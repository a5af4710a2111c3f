//! Retention: what must be locked until when, what is to be refreshed, and what may go.
//!
//! One rule, one place: the server signs uploads, completes commits, extends locks and grooms by these functions and by
//! no others; the console and the command line reckon with the same ones. [`plan`] decides, [`check`] distrusts it,
//! [`due`] says what both must see. The rules in prose stand in `docs/RETENTION.md`, whose names these are.

mod check;
mod cost;
mod due;
mod file;
mod freeze;
mod input;
#[cfg(feature = "schedule")]
mod lock;
mod lock_ahead;
mod plan;
mod policy;
mod provider;
mod range_max;
mod rule;
#[cfg(feature = "schedule")]
mod simulate;
mod tier;
mod verdict;

pub use check::{Violation, ViolationKind, check};
pub use due::{Bounds, due};
pub use file::{
    ObjectEntry, ObjectLine, PlanFile, PlanFileError, PlanReport, SnapshotEntry, SnapshotLine, SourceEntry,
};
pub use freeze::{FREEZE_DAYS, frozen_until};
pub use input::{
    ObjectInput, ObjectState, PlanError, PlanInput, Seq, SnapshotInput, SnapshotState, Soundness, SourceInput,
};
#[cfg(feature = "schedule")]
pub use lock::{CommitLock, LockError, UploadLock, commit_lock, protected_until, upload_lock};
pub use lock_ahead::{Churn, ChurnWindow};
pub use plan::plan;
pub use policy::{LockAhead, LockMode, Period, Policy, PolicyError, Tier, days};
pub use provider::{LockStrategy, Provider, ProviderError, gb};
#[cfg(feature = "schedule")]
pub use simulate::{
    Baseline, Day, Event, EventKind, Horizon, Promises, RunNumbers, SimulateError, Simulation, Timeline,
    Totals, Usd, Workload, simulate, simulate_baseline,
};
pub use tier::{TierCandidate, TieredSnapshot, assign_tiers, expected_tiers, tiers_at_end, tiers_look_back};
pub use verdict::{KeepReason, Need, NeedKind, ObjectVerdict, Plan, SnapshotPlan, SourcePlan};

use jiff::{SignedDuration, Timestamp};

/// Rounds up to a whole second: S3 keeps retention dates in whole seconds and cuts the rest off, so a date
/// with a fraction would end up earlier than what was promised.
#[must_use]
pub fn ceil_to_second(at: Timestamp) -> Timestamp {
    let fraction = i64::from(at.subsec_nanosecond()).rem_euclid(1_000_000_000);
    if fraction == 0 {
        at
    } else {
        later(at, SignedDuration::from_nanos(1_000_000_000 - fraction))
    }
}

/// `by` after `at`, or the end of time.
fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// `by` before `at`, or the beginning of time.
fn earlier(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}
