//! The snapshots: how many are kept, and what those promised that need an object.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use jiff::{Timestamp, tz::TimeZone};

use super::{calendar::Secs, live::Live, lock_rule::Newest, simulation::Simulation};
use crate::retention::{
    Churn, ChurnWindow, Period, PolicyError, Seq,
    rule::{given, tier_until},
    tier::PeriodId,
};

fn at(secs: Secs) -> Timestamp {
    Timestamp::from_second(secs).unwrap_or(Timestamp::MAX)
}

/// A period that has given its tier.
struct Taken {
    id: PeriodId,
    /// Only a snapshot has it that is not clean: a clean one takes it too.
    by_unclean: bool,
}

/// All snapshots so far.
pub(super) struct History<'a> {
    simulation: &'a Simulation,
    zone: TimeZone,
    /// Of each period, the last one that has given its tier.
    taken: BTreeMap<Period, Taken>,
    pub snapshots: Vec<Newest>,
    /// The end of each promise that has not passed when it was last counted.
    open: BinaryHeap<Reverse<Secs>>,
    /// Those snapshots that no later one outlives: by number ascending, by promise descending.
    longest: Vec<Newest>,
    /// Bytes that each snapshot dropped and that are still there.
    dropped_bytes: Vec<u64>,
    /// The snapshots whose drops are today's churn: the first one's place, and the bytes that they dropped.
    window: usize,
    window_bytes: u64,
}

impl<'a> History<'a> {
    pub fn new(simulation: &'a Simulation) -> Result<Self, PolicyError> {
        Ok(Self {
            simulation,
            zone: simulation.policy.zone()?,
            taken: BTreeMap::new(),
            snapshots: Vec::new(),
            open: BinaryHeap::new(),
            longest: Vec::new(),
            dropped_bytes: Vec::new(),
            window: 0,
            window_bytes: 0,
        })
    }

    pub fn newest(&self) -> Option<Newest> {
        self.snapshots.last().copied()
    }

    /// The number of the snapshot to come.
    pub fn next_number(&self) -> u32 {
        self.newest().map_or(1, |newest| newest.number + 1)
    }

    /// The tiers that a snapshot takes at `now`: as `assign_tiers`, in step with time.
    fn tiers(&self, now: Timestamp, clean: bool) -> Vec<Period> {
        let is_open = |period: &Period| match self.taken.get(period) {
            Some(taken) if taken.id == PeriodId::of(*period, now, &self.zone) => clean && taken.by_unclean,
            _ => true,
        };
        let periods = self.simulation.policy.tiers.iter().map(|tier| tier.every);
        periods.filter(is_open).collect()
    }

    /// The tiers that a snapshot at `now` takes in any case.
    pub fn expected_tiers(&self, now: Secs) -> Vec<Period> {
        self.tiers(at(now), false)
    }

    /// A snapshot is complete, and carries its tiers.
    pub fn commit(&mut self, now: Secs, clean: bool) -> Newest {
        let policy = &self.simulation.policy;
        let tiers = self.tiers(at(now), clean);
        for period in &tiers {
            let taken = Taken {
                id: PeriodId::of(*period, at(now), &self.zone),
                by_unclean: !clean,
            };
            self.taken.insert(*period, taken);
        }
        let newest = Newest {
            number: self.next_number(),
            received_at: now,
            protected_until: given(policy, &tiers, at(now)).as_second(),
            tier_until: tier_until(policy, &tiers, at(now)).map(Timestamp::as_second),
        };
        self.snapshots.push(newest);
        self.open.push(Reverse(newest.protected_until));
        while self
            .longest
            .pop_if(|last| last.protected_until <= newest.protected_until)
            .is_some()
        {}
        self.longest.push(newest);
        self.dropped_bytes.push(0);
        self.move_window(now);
        newest
    }

    /// The last promise of the snapshots from `born` on, without the newest: what an object was needed for that the newest drops.
    pub fn promised_before_newest(&self, born: Secs) -> Secs {
        let Some((newest, before)) = self.snapshots.split_last() else {
            return Secs::MIN;
        };
        // The newest has taken the place of shorter ones; what it hides lies right before it.
        let hidden = before.last().map_or(Secs::MIN, |last| last.protected_until);
        let open = self
            .longest
            .iter()
            .filter(|snapshot| snapshot.number < newest.number);
        open.filter(|snapshot| snapshot.received_at >= born)
            .map(|snapshot| snapshot.protected_until)
            .fold(hidden, Secs::max)
    }

    /// How many are kept at `now`.
    pub fn kept(&mut self, now: Secs) -> u32 {
        while self.open.peek().is_some_and(|first| first.0 < now) {
            self.open.pop();
        }
        let keep_last = self.simulation.policy.keep_last as usize;
        let last_good = self.snapshots.iter().rev().take(keep_last);
        let lapsed = last_good
            .filter(|snapshot| snapshot.protected_until < now)
            .count();
        u32::try_from(self.open.len() + lapsed).unwrap_or(u32::MAX)
    }

    fn move_window(&mut self, newest: Secs) {
        let begin = newest - self.simulation.policy.retention().as_secs();
        while self.snapshots[self.window].received_at < begin {
            // The first one inside marks where the window begins; its own drops lie before it.
            self.window += 1;
            self.window_bytes -= self.dropped_bytes.get(self.window).copied().unwrap_or(0);
        }
    }

    /// The newest snapshot dropped bytes.
    pub fn dropped(&mut self, bytes: u64) {
        let newest = self.snapshots.len() - 1;
        self.dropped_bytes[newest] += bytes;
        if newest > self.window {
            self.window_bytes += bytes;
        }
    }

    /// Bytes that a snapshot dropped are deleted.
    pub fn deleted(&mut self, dropped_by: u32, bytes: u64) {
        let Some(place) = (dropped_by as usize).checked_sub(1) else {
            return;
        };
        self.dropped_bytes[place] -= bytes;
        if place > self.window {
            self.window_bytes -= bytes;
        }
    }

    /// Q, as `plan` reckons it.
    pub fn lock_ahead_days(&self, live: &Live, interval: Option<jiff::SignedDuration>) -> u32 {
        let (policy, provider) = (&self.simulation.policy, &self.simulation.provider);
        if self.snapshots.is_empty() {
            return Churn::unknown(interval).lock_ahead_days(policy, provider);
        }
        let length = match (self.snapshots.get(self.window), self.snapshots.last()) {
            (Some(oldest), Some(newest)) => newest.received_at - oldest.received_at,
            _ => 0,
        };
        let window = ChurnWindow {
            first: Seq::new(self.window as u64 + 2),
            length: jiff::SignedDuration::from_secs(length),
        };
        let bytes = live.pieces * self.simulation.workload.piece_bytes();
        let churn = Churn {
            objects: live.objects,
            dropped_gb_per_day: window.gb_per_day(bytes, self.window_bytes, interval),
            interval,
        };
        churn.lock_ahead_days(policy, provider)
    }
}
