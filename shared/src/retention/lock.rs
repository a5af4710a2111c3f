//! Lock dates outside a plan: at upload and at commit. Made of the same rules as the plan's.

use jiff::{SignedDuration, Timestamp};

use super::{
    Period, Policy, PolicyError, ceil_to_second, days, later,
    rule::{Rules, tier_until},
};
use crate::{
    object::ObjectHash,
    schedule::{Schedule, ScheduleError},
};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What is signed into an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLock {
    /// The date that the object is locked until, in whole seconds.
    pub retain_until: Timestamp,
    /// Below this the lock would have to be extended right at the commit.
    pub need: Timestamp,
}

/// What a commit needs of the locks of all that its snapshot needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitLock {
    /// A lock that ends before this is extended before the snapshot is complete.
    pub need: Timestamp,
    /// To this.
    pub extend_to: Timestamp,
}

/// An error of a lock date: the policy's or the schedule's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// See [`PolicyError`].
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// See [`ScheduleError`].
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

/// Until when a snapshot is promised at its commit: `received_at` + N, upwards to a whole second (P1).
#[must_use]
pub fn protected_until(policy: &Policy, received_at: Timestamp) -> Timestamp {
    ceil_to_second(later(received_at, policy.retention()))
}

// Promise: P1
/// Until when everything that a snapshot committed at `received_at` needs must be locked for the snapshot to
/// complete: its own promise (P1). What falls short of that is extended far enough that the upcoming snapshot is covered too.
/// What falls short of the upcoming snapshot's need alone (P2) is left to the sweep that follows: it may be worth more to add it
/// to that snapshot again. `lock_ahead_days` is Q, `tiers` are those that the snapshot takes: what is extended is extended for them
/// as well, so that its promotion finds it locked.
///
/// # Errors
/// When the schedule is malformed, or the date would reach beyond the policy's cap.
pub fn commit_lock(
    policy: &Policy,
    lock_ahead_days: u32,
    schedule: &Schedule,
    received_at: Timestamp,
    tiers: &[Period],
) -> Result<CommitLock, LockError> {
    let rules = Rules {
        policy,
        lock_ahead_days,
        next_due: schedule.next_after(received_at)?,
        now: received_at,
    };
    let (own, upcoming) = (protected_until(policy, received_at), rules.upcoming().until);
    policy.within_cap(received_at, own.max(upcoming))?;
    let tier = tier_until(policy, tiers, received_at);
    let until = rules
        .extend_to(Some(own), tier.max(Some(upcoming)))
        .unwrap_or(own);
    Ok(CommitLock {
        need: own,
        // The cap may cut what a tier asks for: that is not promised yet.
        extend_to: until.min(policy.latest_lock(received_at)).max(own),
    })
}

// Promise: P8
/// The lock that is signed into an upload at `signing_time`: with
/// D = min(run deadline, signing time + 24 h), `next_due(D) + grace + N + Q·u` for a scheduled source and
/// `D + 24 h + N + Q·u` for an unscheduled one; where the snapshot is expected to take `tiers`
/// ([`expected_tiers`](super::expected_tiers)), until `D + tier + Q·u` if that is later, which spares a refresh right after the
/// commit. u ∈ [½, 1] comes from the object's hash, so that objects of one run do not all fall due for a refresh on one day.
/// `lock_ahead_days` is Q.
///
/// # Errors
/// When the schedule is malformed, or the date would reach beyond the policy's cap.
pub fn upload_lock(
    policy: &Policy,
    lock_ahead_days: u32,
    schedule: &Schedule,
    deadline: Timestamp,
    signing_time: Timestamp,
    tiers: &[Period],
    object: &ObjectHash,
) -> Result<UploadLock, LockError> {
    let last_commit = last_commit(deadline, signing_time);
    let [high, low, ..] = *object.as_bytes();
    let spread = u16::from_be_bytes([high, low]);
    let next_due = schedule.next_after(last_commit)?;
    let rules = Rules {
        policy,
        lock_ahead_days,
        next_due,
        now: signing_time,
    };
    Ok(rules.upload(last_commit, tiers, spread)?)
}

/// D: the last instant at which what is signed now may be committed.
pub(super) fn last_commit(deadline: Timestamp, signing_time: Timestamp) -> Timestamp {
    deadline.min(later(signing_time, DAY))
}

impl Rules<'_> {
    /// The lock of an upload that is signed now and committed by `last_commit`, after which [`Rules::next_due`] comes. `spread`
    /// is u: 0 for ½, the largest for 1. The cap cuts what is not needed: Q, and what a tier asks for.
    pub fn upload(
        &self,
        last_commit: Timestamp,
        tiers: &[Period],
        spread: u16,
    ) -> Result<UploadLock, PolicyError> {
        let policy = self.policy;
        let covered = match self.next_due {
            Some(next_due) => later(next_due, policy.grace()),
            // The commit asks for grace + N; a grace above a day must not make every commit extend all it has sent.
            None => later(last_commit, DAY.max(policy.grace())),
        };
        let need = ceil_to_second(later(covered, policy.retention()));
        policy.within_cap(self.now, need)?;
        let tier = tier_until(policy, tiers, last_commit);
        let wanted = tier.map_or(need, |tier| tier.max(need));
        let retain_until = later(wanted, ahead(self.lock_ahead_days, spread));
        Ok(UploadLock {
            retain_until: retain_until.min(policy.latest_lock(self.now)).max(need),
            need,
        })
    }
}

/// Q·u with u ∈ [½, 1].
fn ahead(lock_ahead_days: u32, spread: u16) -> SignedDuration {
    let half = days(lock_ahead_days).as_secs() / 2;
    SignedDuration::from_secs(half + half * i64::from(spread) / i64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        retention::{LockMode, Tier},
        schedule::Recurrence,
    };
    use proptest::prelude::*;

    fn hash(first: u8) -> ObjectHash {
        let mut bytes = [0; 32];
        bytes[0] = first;
        bytes[1] = first;
        ObjectHash::from_bytes(bytes)
    }

    fn daily() -> Schedule {
        Schedule {
            recurrence: Recurrence::Day { hour: 0, minute: 0 },
            time_zone: "UTC".into(),
        }
    }

    /// 90 days, daily, Q = 14.
    #[test]
    fn an_upload_is_locked_past_the_next_run() {
        let policy = Policy::new(90, LockMode::Compliance).unwrap();
        let signing: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let deadline = signing + SignedDuration::from_hours(12);
        let lock = |first| upload_lock(&policy, 14, &daily(), deadline, signing, &[], &hash(first)).unwrap();
        // Next run 2 January, a day of grace, 90 days: 3 April; 14 days of Q on top.
        assert_eq!(lock(0xff).need, "2026-04-03T00:00:00Z".parse().unwrap());
        assert_eq!(lock(0xff).retain_until, "2026-04-17T00:00:00Z".parse().unwrap());
        assert_eq!(lock(0).retain_until, "2026-04-10T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn the_cap_cuts_q_and_refuses_a_need() {
        let policy = |lock_cap_days| Policy {
            lock_cap_days,
            ..Policy::new(90, LockMode::Compliance).unwrap()
        };
        let signing: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let lock = |cap| upload_lock(&policy(cap), 14, &daily(), signing, signing, &[], &hash(0xff));
        assert_eq!(
            lock(92).unwrap().retain_until,
            "2026-04-03T00:00:00Z".parse().unwrap()
        );
        let error = lock(91);
        assert!(
            matches!(
                error,
                Err(LockError::Policy(PolicyError::BeyondCap {
                    cap_days: 91,
                    needed_days: 92
                }))
            ),
            "{error:?}"
        );
    }

    /// N = 30, Q = 14, a tier day/90: what the first run of a day sends is locked for the tier at once, and what its commit extends
    /// as well; the cap cuts Q and the tier, since neither is promised yet.
    #[test]
    fn what_the_first_run_of_a_period_locks_suffices_for_its_tier() {
        let policy = |lock_cap_days| Policy {
            tiers: vec![Tier {
                every: Period::Day,
                retention_days: 90,
            }],
            lock_cap_days,
            ..Policy::new(30, LockMode::Compliance).unwrap()
        };
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let signing = at("2026-01-01T00:00:00Z");
        let deadline = signing + SignedDuration::from_hours(12);
        let upload = |cap, tiers: &[Period]| {
            upload_lock(&policy(cap), 14, &daily(), deadline, signing, tiers, &hash(0xff)).unwrap()
        };
        // Next run 2 January, a day of grace, 30 days, Q.
        assert_eq!(upload(200, &[]).retain_until, at("2026-02-16T00:00:00Z"));
        // The last commit at noon, 90 days, Q. A period that the policy does not have gives nothing.
        assert_eq!(
            upload(200, &[Period::Day]).retain_until,
            at("2026-04-15T12:00:00Z")
        );
        assert_eq!(upload(200, &[Period::Week]), upload(200, &[]));
        assert_eq!(upload(200, &[Period::Day]).need, upload(200, &[]).need);
        assert_eq!(
            upload(90, &[Period::Day]).retain_until,
            at("2026-04-01T00:00:00Z")
        );

        let commit = |cap, tiers: &[Period]| commit_lock(&policy(cap), 14, &daily(), signing, tiers).unwrap();
        assert_eq!(commit(200, &[]).extend_to, at("2026-02-16T00:00:00Z"));
        assert_eq!(commit(200, &[Period::Day]).extend_to, at("2026-04-15T00:00:00Z"));
        assert_eq!(commit(200, &[Period::Day]).need, at("2026-01-31T00:00:00Z"));
        assert_eq!(commit(90, &[Period::Day]).extend_to, at("2026-04-01T00:00:00Z"));
    }

    fn schedules() -> impl Strategy<Value = Schedule> {
        let recurrence = prop_oneof![
            Just(Recurrence::Manual),
            (0..60i8).prop_map(|minute| Recurrence::Hour { minute }),
            (0..24i8, 0..60i8).prop_map(|(hour, minute)| Recurrence::Day { hour, minute }),
        ];
        let zones = prop_oneof![
            Just("UTC"),
            Just("Europe/Berlin"),
            Just("America/New_York"),
            Just("Australia/Lord_Howe")
        ];
        (recurrence, zones).prop_map(|(recurrence, zone)| Schedule {
            recurrence,
            time_zone: zone.into(),
        })
    }

    proptest! {
        /// Whatever is signed suffices for a commit at any instant up to the deadline or 24 hours on: such an
        /// object never needs an extension at its own commit.
        #[test]
        fn an_upload_lock_covers_its_own_commit(
            schedule in schedules(),
            retention_days in 1..4_000u32,
            grace_hours in 1..100u32,
            signing in 1_700_000_000..2_000_000_000i64,
            nanos in 0..1_000_000_000i32,
            run_secs in 60..172_800i64,
            commit_part in 0..=1_000i64,
            first in any::<u8>(),
            tier_days in 1..4_000u32,
            has_tier in any::<bool>(),
        ) {
            let policy = Policy {
                grace_hours,
                tiers: vec![Tier { every: Period::Day, retention_days: tier_days }],
                lock_cap_days: Policy::MAX_DAYS,
                ..Policy::new(retention_days, LockMode::Compliance).unwrap()
            };
            let tiers: &[Period] = if has_tier { &[Period::Day] } else { &[] };
            let signing = Timestamp::new(signing, nanos).unwrap();
            let deadline = signing + SignedDuration::from_secs(run_secs);
            let lock = upload_lock(&policy, 14, &schedule, deadline, signing, tiers, &hash(first)).unwrap();
            let received_at = signing + SignedDuration::from_secs(run_secs.min(86_400) * commit_part / 1_000);
            let commit = commit_lock(&policy, 14, &schedule, received_at, tiers).unwrap();
            // Neither for its snapshot's promise, nor for what the upcoming run needs.
            let upcoming = Rules {
                policy: &policy,
                lock_ahead_days: 14,
                next_due: schedule.next_after(received_at).unwrap(),
                now: received_at,
            };
            prop_assert!(lock.need >= commit.need && lock.need >= upcoming.upcoming().until);
            prop_assert_eq!(commit.need, protected_until(&policy, received_at));
            prop_assert!(commit.extend_to >= commit.need);
            prop_assert!(lock.retain_until >= lock.need);
            // And where a tier was expected and comes, not for that either.
            let tier = tier_until(&policy, tiers, received_at);
            prop_assert!(tier.is_none_or(|tier| tier <= lock.retain_until && tier <= commit.extend_to));
            prop_assert_eq!(lock.retain_until.subsec_nanosecond(), 0);
        }
    }
}
