//! Lock dates: at upload and at commit.

use jiff::{SignedDuration, Timestamp};

use super::{Policy, PolicyError, ceil_to_second};
use crate::{
    object::ObjectHash,
    schedule::{Schedule, ScheduleError},
};

/// What is signed into an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLock {
    /// The date that the object is locked until, in whole seconds.
    pub retain_until: Timestamp,
    /// Below this the lock would have to be extended right at the commit.
    pub need: Timestamp,
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

/// Until when a snapshot is promised: `received_at` + N, upwards to a whole second (P1).
#[must_use]
pub fn protected_until(policy: &Policy, received_at: Timestamp) -> Timestamp {
    ceil_to_second(received_at + policy.retention())
}

/// Until when everything that a snapshot committed at `received_at` needs must be locked for the snapshot to
/// complete: its own promise (P1), and far enough that the upcoming snapshot will be covered before it
/// starts: (next due + grace) + N (P2).
///
/// # Errors
/// When the schedule is malformed.
pub fn commit_need(
    policy: &Policy,
    schedule: &Schedule,
    received_at: Timestamp,
) -> Result<Timestamp, ScheduleError> {
    let own = protected_until(policy, received_at);
    Ok(match schedule.next_after(received_at)? {
        None => own,
        Some(next_due) => own.max(ceil_to_second(next_due + policy.grace() + policy.retention())),
    })
}

/// The lock that is signed into an upload at `signing_time` (design, "lock at upload"): with
/// D = min(run deadline, signing time + 24 h), `next_due(D) + grace + N + Q·u` for a scheduled source and
/// `D + 24 h + N + Q·u` for an unscheduled one. u ∈ [½, 1] comes from the object's hash, so that objects of one
/// run do not all fall due for a refresh on one day.
///
/// # Errors
/// When the schedule is malformed, or the date would reach beyond the policy's cap.
pub fn upload_lock(
    policy: &Policy,
    schedule: &Schedule,
    deadline: Timestamp,
    signing_time: Timestamp,
    object: &ObjectHash,
) -> Result<UploadLock, LockError> {
    let day = SignedDuration::from_hours(24);
    let last_commit = deadline.min(signing_time + day);
    let covered = match schedule.next_after(last_commit)? {
        Some(next_due) => next_due + policy.grace(),
        None => last_commit + day,
    };
    let need = ceil_to_second(covered + policy.retention());
    let retain_until = ceil_to_second(need + spread(policy.lock_ahead(), object));
    policy.within_cap(signing_time, retain_until)?;
    Ok(UploadLock { retain_until, need })
}

/// Q·u with u ∈ [½, 1] from the first two bytes of the hash.
fn spread(lock_ahead: SignedDuration, object: &ObjectHash) -> SignedDuration {
    let [high, low, ..] = *object.as_bytes();
    let part = i64::from(u16::from_be_bytes([high, low]));
    let half = lock_ahead.as_secs() / 2;
    SignedDuration::from_secs(half + half * part / i64::from(u16::MAX))
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

    fn weekly() -> Schedule {
        Schedule {
            recurrence: Recurrence::Week {
                weekday: 4,
                hour: 0,
                minute: 0,
            },
            time_zone: "UTC".into(),
        }
    }

    /// 90 days, weekly on Thursdays, Q = 14: the first upload of the worked example.
    #[test]
    fn a_weekly_source_is_locked_past_its_next_run() {
        let policy = Policy::new(90, LockMode::Compliance).unwrap();
        let signing: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let deadline = signing + SignedDuration::from_hours(12);
        let lock = upload_lock(&policy, &weekly(), deadline, signing, &hash(0xff)).unwrap();
        // Next run 8 January, a day of grace, 90 days: 9 April; 14 days of Q on top.
        assert_eq!(lock.need, "2026-04-09T00:00:00Z".parse().unwrap());
        assert_eq!(lock.retain_until, "2026-04-23T00:00:00Z".parse().unwrap());
        let early = upload_lock(&policy, &weekly(), deadline, signing, &hash(0)).unwrap();
        assert_eq!(early.retain_until, "2026-04-16T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn a_date_beyond_the_cap_is_refused() {
        let policy = Policy {
            lock_cap_days: 91,
            ..Policy::new(90, LockMode::Compliance).unwrap()
        };
        let error = upload_lock(
            &policy,
            &weekly(),
            Timestamp::MAX,
            "2026-01-01T00:00:00Z".parse().unwrap(),
            &hash(9),
        );
        assert!(
            matches!(
                error,
                Err(LockError::Policy(PolicyError::BeyondCap { cap_days: 91, .. }))
            ),
            "{error:?}"
        );
    }

    #[test]
    fn bad_policies_name_the_field() {
        assert_eq!(
            Policy::new(0, LockMode::Compliance).unwrap_err().to_string(),
            "retention_days: 0 is out of range; use 1 to 36400"
        );
        assert!(Policy::new(36_401, LockMode::Compliance).is_err());
    }

    fn schedules() -> impl Strategy<Value = Schedule> {
        let recurrence = prop_oneof![
            Just(Recurrence::Manual),
            (0..60i8).prop_map(|minute| Recurrence::Hour { minute }),
            (0..24i8, 0..60i8).prop_map(|(hour, minute)| Recurrence::Day { hour, minute }),
            (1..8i8, 0..24i8, 0..60i8).prop_map(|(weekday, hour, minute)| Recurrence::Week {
                weekday,
                hour,
                minute
            }),
        ];
        (
            recurrence,
            prop_oneof![
                Just("UTC"),
                Just("Europe/Berlin"),
                Just("America/New_York"),
                Just("Australia/Lord_Howe")
            ],
        )
            .prop_map(|(recurrence, zone)| Schedule {
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
            days in 1..4_000u32,
            signing in 1_700_000_000..2_000_000_000i64,
            nanos in 0..1_000_000_000i32,
            run_secs in 60..172_800i64,
            commit_part in 0..=1_000i64,
            first in any::<u8>(),
        ) {
            let policy = Policy::new(days, LockMode::Compliance).unwrap();
            let signing = Timestamp::new(signing, nanos).unwrap();
            let deadline = signing + SignedDuration::from_secs(run_secs);
            let lock = upload_lock(&policy, &schedule, deadline, signing, &hash(first)).unwrap();
            let received_at = signing + SignedDuration::from_secs(run_secs.min(86_400) * commit_part / 1_000);
            prop_assert!(lock.need >= commit_need(&policy, &schedule, received_at).unwrap());
            prop_assert!(lock.need >= protected_until(&policy, received_at));
            prop_assert!(lock.retain_until >= lock.need);
            prop_assert_eq!(lock.retain_until.subsec_nanosecond(), 0);
        }

        /// The next occurrence is later, and nothing is skipped: asking from just before it gives it again.
        #[test]
        fn next_due_moves_forward(schedule in schedules(), at in 1_700_000_000..2_000_000_000i64) {
            let at = Timestamp::from_second(at).unwrap();
            if let Some(next) = schedule.next_after(at).unwrap() {
                prop_assert!(next > at);
                let again = schedule.next_after(next - SignedDuration::from_nanos(1)).unwrap();
                prop_assert_eq!(again, Some(next));
                prop_assert!(next.duration_since(at) <= SignedDuration::from_hours(8 * 24));
            }
        }
    }
}
