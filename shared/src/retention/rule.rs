//! The rules on dates, each stated once: protection, need, and how far a refresh reaches. `plan`, the locks of uploads and the
//! commit are made of these. (`check` is not: it states them again, on purpose.)

use jiff::{SignedDuration, Timestamp};

use super::{
    Need, NeedKind, Period, Policy, SnapshotInput, TieredSnapshot, ceil_to_second, days, expected_tiers,
    later, tiers_look_back,
};

/// How long what an open run has uploaded is kept locked, at least.
const OPEN_RUN: SignedDuration = SignedDuration::from_hours(48);

/// The policy, at an instant, for one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub policy: &'a Policy,
    /// Q.
    pub lock_ahead_days: u32,
    pub next_due: Option<Timestamp>,
    pub now: Timestamp,
}

impl Rules<'_> {
    // Promise: P3
    /// N from now: what must never lapse reaches so far.
    pub fn last_good(&self, kind: NeedKind) -> Need {
        Need {
            until: ceil_to_second(later(self.now, self.policy.retention())),
            kind,
        }
    }

    /// The instant by which the upcoming run will have begun: max(now, next due) + grace.
    pub fn roll(&self) -> Timestamp {
        let due = self.next_due.map_or(self.now, |due| due.max(self.now));
        later(due, self.policy.grace())
    }

    // Promise: P2
    /// What the newest snapshot needs, so that the upcoming one is covered before it begins (P2).
    pub fn upcoming(&self) -> Need {
        Need {
            until: ceil_to_second(later(self.roll(), self.policy.retention())),
            kind: NeedKind::Upcoming,
        }
    }

    /// What an open run has uploaded.
    pub fn open_run(&self) -> Need {
        Need {
            until: ceil_to_second(later(self.now, OPEN_RUN)),
            kind: NeedKind::OpenRun,
        }
    }

    /// How far a refresh reaches: what is fixed, or what rolls and Q on top, whichever is later. The cap cuts Q, never a need.
    pub fn extend_to(&self, fixed: Option<Timestamp>, rolling: Option<Timestamp>) -> Option<Timestamp> {
        let need = fixed.max(rolling)?;
        let ahead = rolling.map(|rolling| later(rolling, days(self.lock_ahead_days)));
        let until = fixed.max(ahead)?;
        Some(until.min(self.policy.latest_lock(self.now)).max(need))
    }

    /// Whether a lock that falls short may wait for the next run to add the object's data again: that run is not late, and the
    /// lock lasts as long as what the snapshots that are there need (`owed`), and past the run after next, so that one run may
    /// be missed, and past the next sweep, which extends it then. For an agent that has gone silent nothing waits. S3 keeps whole
    /// seconds: a fraction of the lock counts for nothing.
    pub fn may_wait(&self, lock: Timestamp, owed: Timestamp, interval: SignedDuration) -> bool {
        let Some(next_due) = self.next_due else {
            return false;
        };
        let missed_too = ceil_to_second(later(self.roll(), interval));
        !self.is_late(next_due) && lock >= owed && lock.as_second() > missed_too.as_second()
    }

    fn is_late(&self, next_due: Timestamp) -> bool {
        self.now > later(next_due, self.policy.grace())
    }

    /// The end of the tier that the upcoming snapshot is expected to take: so long will whatever it shares with the newest one be
    /// locked then. `None` where no run is expected, or no tier.
    pub fn next_tier(&self, snapshots: &[SnapshotInput]) -> Option<Timestamp> {
        let next_due = self.next_due.filter(|due| !self.is_late(*due))?;
        if self.policy.tiers.is_empty() {
            return None;
        }
        let received_at = next_due.max(self.now);
        let tiered = |snapshot: &SnapshotInput| TieredSnapshot {
            received_at: snapshot.received_at,
            tiers: snapshot.tiers.clone(),
            // Whether it is makes no difference to what is expected.
            clean: true,
            sound: snapshot.soundness.is_sound(),
        };
        let since = tiers_look_back(received_at);
        let recent = snapshots.iter().filter(|snapshot| snapshot.received_at >= since);
        let recent: Vec<TieredSnapshot> = recent.map(tiered).collect();
        let tiers = expected_tiers(self.policy, &recent, received_at).ok()?;
        tier_until(self.policy, &tiers, received_at)
    }
}

// Promise: P9
/// What the policy gives a snapshot: `received_at` + N, or the longest of its tiers that the policy still has, whichever is
/// later; upwards to a whole second.
pub(super) fn given(policy: &Policy, tiers: &[Period], received_at: Timestamp) -> Timestamp {
    let plain = ceil_to_second(later(received_at, policy.retention()));
    tier_until(policy, tiers, received_at).map_or(plain, |until| until.max(plain))
}

/// Until when the longest of a snapshot's tiers that the policy still has protects it, upwards to a whole second.
pub(super) fn tier_until(policy: &Policy, tiers: &[Period], received_at: Timestamp) -> Option<Timestamp> {
    let longest = tiers
        .iter()
        .filter_map(|period| tier_days(policy, *period))
        .max()?;
    Some(ceil_to_second(later(received_at, days(longest))))
}

/// The retention of a tier, if the policy has it.
pub(super) fn tier_days(policy: &Policy, period: Period) -> Option<u32> {
    let tier = policy.tiers.iter().find(|tier| tier.every == period);
    tier.map(|tier| tier.retention_days)
}
