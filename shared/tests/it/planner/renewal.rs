//! Adding again what has worn out, on one pack whose story is plain: a quarter of it is still in use, and its lock falls short of
//! what the upcoming run needs by a second.

use jiff::{SignedDuration, Timestamp};
use shared::retention::{
    LockAhead, LockMode, ObjectInput, ObjectState, ObjectVerdict, PlanInput, Policy, Provider, Seq,
    SnapshotInput, SnapshotState, Soundness, SourceInput, plan,
};

use super::support::hours;

const DAY: u64 = 24;

/// Daily snapshots for 200 days, the pack first needed by one of them, `late` hours after the next run was due.
fn verdict(age_days: u64, late_hours: u64) -> ObjectVerdict {
    let newest: Timestamp = "2026-07-20T00:00:00Z".parse().unwrap();
    let snapshot = |age: u64| SnapshotInput {
        seq: Seq::new(201 - age).unwrap(),
        received_at: newest - hours(DAY * age),
        state: SnapshotState::Complete,
        tiers: Vec::new(),
        protected_until: None,
        pinned: false,
        soundness: Soundness::Sound,
    };
    let due = newest + hours(DAY);
    let now = if late_hours == 0 {
        newest
    } else {
        due + hours(late_hours)
    };
    // Next due or now, a day of grace, 90 days.
    let need = due.max(now) + hours(DAY + 90 * DAY);
    let input = PlanInput {
        policy: Policy {
            lock_ahead: LockAhead::Days(10),
            ..Policy::new(90, LockMode::Compliance).unwrap()
        },
        provider: Provider::AWS_STANDARD,
        sources: vec![SourceInput {
            retired: false,
            open_run: false,
            interval: Some(hours(DAY)),
            next_due: Some(due),
            snapshots: (0..=200).rev().map(snapshot).collect(),
            objects: vec![ObjectInput {
                bytes: 16 << 20,
                live_bytes: 4 << 20,
                locked_until: Some(need - SignedDuration::from_secs(1)),
                born: Seq::new(201 - age_days),
                dropped: None,
                state: ObjectState::Live,
            }],
        }],
    };
    plan(&input, now).unwrap().sources[0].objects[0]
}

/// The younger a pack that has worn so far, the sooner the rest of it will be gone as well: B/L − 1 = 3 is more than
/// ln 4 · (1 + 88.7 days / age) from 76.2 days on. Its age is that of the first snapshot that needs it, to the day.
#[test]
fn a_pack_is_as_old_as_the_first_snapshot_that_needs_it() {
    assert!(matches!(verdict(76, 0), ObjectVerdict::Refresh { .. }));
    assert!(matches!(verdict(77, 0), ObjectVerdict::AddAgain { .. }));
    assert!(matches!(verdict(200, 0), ObjectVerdict::AddAgain { .. }));
}

/// Nobody waits for a run that is later than the grace.
#[test]
fn a_run_that_is_late_is_not_waited_for() {
    assert!(matches!(verdict(80, 24), ObjectVerdict::AddAgain { .. }));
    assert!(matches!(verdict(80, 25), ObjectVerdict::Refresh { .. }));
}
