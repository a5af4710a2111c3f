//! Compares locks with promises, whoever keeps them.

use jiff::Timestamp;

use super::{
    calendar::{Calendar, DAY, Secs},
    live::Group,
    lock_rule::Newest,
    timeline::{Promises, Short},
};

/// The finding so far.
#[derive(Default)]
pub(super) struct Watch {
    uncovered_snapshots: u32,
    short_snapshots: u32,
    first_short: Option<(Newest, Secs)>,
    unlocked_since: Option<Secs>,
    last_good_unlocked_since: Option<Secs>,
}

fn earliest(known: &mut Option<Secs>, at: Secs) {
    *known = Some(known.map_or(at, |known| known.min(at)));
}

impl Watch {
    /// At an instant, before anything is done: does the newest snapshot still have its locks?
    pub fn look(&mut self, now: Secs, newest: Newest, first_lock: Option<Secs>) {
        let Some(lock) = first_lock.filter(|lock| *lock < now) else {
            return;
        };
        earliest(&mut self.last_good_unlocked_since, lock);
        if lock < newest.protected_until {
            earliest(&mut self.unlocked_since, lock);
        }
    }

    /// Everything that a snapshot needs is there, and no lock was moved for it yet; at its latest, its N days end at `until`.
    pub fn received(&mut self, until: Secs, first_lock: Option<Secs>) {
        self.uncovered_snapshots += u32::from(first_lock.is_some_and(|lock| lock < until));
    }

    /// A snapshot is complete.
    pub fn committed(&mut self, newest: Newest, first_lock: Option<Secs>) {
        if let Some(lock) = first_lock.filter(|lock| *lock < newest.protected_until) {
            self.short_snapshots += 1;
            self.first_short.get_or_insert((newest, lock));
        }
    }

    /// Objects are dropped, and will not be extended again; `needed` is the last promise that covers them.
    pub fn dropped(&mut self, group: &Group, needed: Secs) {
        if group.lock < needed {
            earliest(&mut self.unlocked_since, group.lock);
        }
    }

    /// Objects that a promise covers are about to be extended.
    pub fn extended(&mut self, lock: Secs, now: Secs) {
        if lock < now {
            earliest(&mut self.unlocked_since, lock);
        }
    }

    /// What was found until the end of the horizon.
    pub fn finish(&self, calendar: &Calendar, end: Secs) -> Promises {
        let ts = |at| Timestamp::from_second(at).unwrap_or(Timestamp::MAX);
        let within = |at: Option<Secs>| at.filter(|at| *at < end).map(ts);
        Promises {
            uncovered_snapshots: self.uncovered_snapshots,
            short_snapshots: self.short_snapshots,
            first_short: self.first_short.map(|(newest, lock)| Short {
                day: u32::try_from((newest.received_at - calendar.start) / DAY + 1).unwrap_or(u32::MAX),
                promised_until: ts(newest.protected_until),
                locked_until: ts(lock),
            }),
            unlocked_since: within(self.unlocked_since),
            last_good_unlocked_since: within(self.last_good_unlocked_since),
        }
    }
}
