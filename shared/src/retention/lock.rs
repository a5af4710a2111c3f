//! Lock dates outside a plan: at upload and at commit. Made of the same rules as the plan's.

use jiff::{SignedDuration, Timestamp};

use super::{Policy, PolicyError, ceil_to_second, days, later, rule::Rules};
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

/// Until when everything that a snapshot committed at `received_at` needs must be locked for the snapshot to
/// complete: its own promise (P1). What falls short of that is extended far enough that the upcoming snapshot is covered too.
/// What falls short of the upcoming snapshot's need alone (P2) is left to the sweep that follows: it may be worth more to add it
/// to that snapshot again. `lock_ahead_days` is Q.
///
/// # Errors
/// When the schedule is malformed, or the date would reach beyond the policy's cap.
pub fn commit_lock(
    policy: &Policy,
    lock_ahead_days: u32,
    schedule: &Schedule,
    received_at: Timestamp,
) -> Result<CommitLock, LockError> {
    let rules = Rules {
        policy,
        lock_ahead_days,
        next_due: schedule.next_after(received_at)?,
        now: received_at,
    };
    let (own, upcoming) = (protected_until(policy, received_at), rules.upcoming().until);
    policy.within_cap(received_at, own.max(upcoming))?;
    Ok(CommitLock {
        need: own,
        extend_to: rules.extend_to(Some(own), Some(upcoming)).unwrap_or(own),
    })
}

/// The lock that is signed into an upload at `signing_time`: with
/// D = min(run deadline, signing time + 24 h), `next_due(D) + grace + N + Q·u` for a scheduled source and
/// `D + 24 h + N + Q·u` for an unscheduled one. u ∈ [½, 1] comes from the object's hash, so that objects of one
/// run do not all fall due for a refresh on one day. `lock_ahead_days` is Q.
///
/// # Errors
/// When the schedule is malformed, or the date would reach beyond the policy's cap.
pub fn upload_lock(
    policy: &Policy,
    lock_ahead_days: u32,
    schedule: &Schedule,
    deadline: Timestamp,
    signing_time: Timestamp,
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
    Ok(rules.upload(last_commit, spread)?)
}

/// D: the last instant at which what is signed now may be committed.
pub(super) fn last_commit(deadline: Timestamp, signing_time: Timestamp) -> Timestamp {
    deadline.min(later(signing_time, DAY))
}

impl Rules<'_> {
    /// The lock of an upload that is signed now and committed by `last_commit`, after which [`Rules::next_due`] comes. `spread`
    /// is u: 0 for ½, the largest for 1.
    pub fn upload(&self, last_commit: Timestamp, spread: u16) -> Result<UploadLock, PolicyError> {
        let policy = self.policy;
        let covered = match self.next_due {
            Some(next_due) => later(next_due, policy.grace()),
            // The commit asks for grace + N; a grace above a day must not make every commit extend all it has sent.
            None => later(last_commit, DAY.max(policy.grace())),
        };
        let need = ceil_to_second(later(covered, policy.retention()));
        policy.within_cap(self.now, need)?;
        let retain_until = ceil_to_second(later(need, ahead(self.lock_ahead_days, spread)));
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
    use crate::{retention::LockMode, schedule::Recurrence};
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
        let lock = |first| upload_lock(&policy, 14, &daily(), deadline, signing, &hash(first)).unwrap();
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
        let lock = |cap| upload_lock(&policy(cap), 14, &daily(), signing, signing, &hash(0xff));
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
        ) {
            let policy = Policy { grace_hours, ..Policy::new(retention_days, LockMode::Compliance).unwrap() };
            let signing = Timestamp::new(signing, nanos).unwrap();
            let deadline = signing + SignedDuration::from_secs(run_secs);
            let lock = upload_lock(&policy, 14, &schedule, deadline, signing, &hash(first)).unwrap();
            let received_at = signing + SignedDuration::from_secs(run_secs.min(86_400) * commit_part / 1_000);
            let commit = commit_lock(&policy, 14, &schedule, received_at).unwrap();
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
            prop_assert_eq!(lock.retain_until.subsec_nanosecond(), 0);
        }
    }
}
