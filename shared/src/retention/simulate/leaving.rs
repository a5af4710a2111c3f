//! What no snapshot that is kept needs: it waits for its lock to end, and is deleted.

use super::{
    calendar::{DAY, Secs},
    live::Group,
};

/// Objects that are deleted by the first sweep after a date.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Deleted once this has passed.
    until: Secs,
    group: Group,
    /// The snapshot that dropped them, by number; 0 for an old version that a copy has replaced.
    dropped_by: u32,
}

/// What was deleted at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deleted {
    pub group: Group,
    pub dropped_by: u32,
}

/// The waiting, by day.
pub(super) struct Leaving {
    start: Secs,
    /// Entries by the day of their date; what outlasts the horizon is not kept.
    days: Vec<Vec<Entry>>,
    /// The first day that may still hold entries.
    first: usize,
    /// Pieces whose lock ends on each day.
    lapses: Vec<u64>,
    lapsed_days: usize,
    /// Pieces that were without a lock when the last day ended.
    unlocked: u64,
}

impl Leaving {
    pub fn new(start: Secs, days: u32) -> Self {
        Self {
            start,
            days: vec![Vec::new(); days as usize],
            first: 0,
            lapses: vec![0; days as usize],
            lapsed_days: 0,
            unlocked: 0,
        }
    }

    fn day(&self, at: Secs) -> usize {
        usize::try_from((at - self.start).div_euclid(DAY)).unwrap_or(0)
    }

    /// Waits for its lock, and for `needed`, the end of what the snapshots promised that need it.
    pub fn push(&mut self, group: Group, needed: Secs, dropped_by: u32) {
        let until = group.lock.max(needed);
        let lapse = self.day(group.lock);
        if lapse < self.lapsed_days {
            self.unlocked += group.pieces();
        } else if let Some(lapses) = self.lapses.get_mut(lapse) {
            *lapses += group.pieces();
        }
        let day = self.day(until);
        if let Some(entries) = self.days.get_mut(day) {
            entries.push(Entry {
                until,
                group,
                dropped_by,
            });
            self.first = self.first.min(day);
        }
    }

    /// Deletes what `now` lies behind.
    pub fn delete(&mut self, now: Secs, mut deleted: impl FnMut(Deleted)) {
        let today = self.day(now);
        while let Some(entries) = self.days.get_mut(self.first) {
            let (lapsed_days, start) = (self.lapsed_days, self.start);
            let (unlocked, lapses) = (&mut self.unlocked, &mut self.lapses);
            entries.retain(|entry| {
                if entry.until >= now {
                    return true;
                }
                let lapse = usize::try_from((entry.group.lock - start).div_euclid(DAY)).unwrap_or(0);
                if lapse < lapsed_days {
                    *unlocked -= entry.group.pieces();
                } else if let Some(lapses) = lapses.get_mut(lapse) {
                    *lapses -= entry.group.pieces();
                }
                deleted(Deleted {
                    group: entry.group,
                    dropped_by: entry.dropped_by,
                });
                false
            });
            if self.first >= today {
                return;
            }
            self.first += 1;
        }
    }

    /// Ends a day; gives the pieces that have no lock any more.
    pub fn end_day(&mut self) -> u64 {
        self.unlocked += self.lapses.get(self.lapsed_days).copied().unwrap_or(0);
        self.lapsed_days += 1;
        self.unlocked
    }
}
