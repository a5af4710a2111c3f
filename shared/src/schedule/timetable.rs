//! From local times to instants: the one place that knows of changes of the clocks.

use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::DateTime,
    tz::{AmbiguousOffset, Offset, TimeZone},
};

use super::{
    error::ScheduleError,
    pattern::{Clock, Pattern},
    recurrence::Recurrence,
};
use crate::time_zone;

/// How far [`Timetable::longest_interval`] looks: a leap year.
const YEAR: SignedDuration = SignedDuration::from_hours(366 * 24);

/// A [`Schedule`](super::Schedule) that has been read and checked: for callers that ask it more than once.
#[derive(Debug, Clone)]
pub struct Timetable {
    /// `None`: only by hand.
    pattern: Option<Pattern>,
    zone: TimeZone,
}

impl Timetable {
    /// Reads a recurrence in the zone of this name.
    pub(super) fn read(recurrence: &Recurrence, zone: &str) -> Result<Self, ScheduleError> {
        Ok(Self {
            zone: time_zone::stored(zone).ok_or_else(|| ScheduleError::UnknownTimeZone(zone.to_owned()))?,
            pattern: Pattern::read(recurrence)?,
        })
    }

    /// The zone that the schedule counts in.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// See [`Schedule::next_after`](super::Schedule::next_after).
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let pattern = self.pattern.as_ref()?;
        match pattern.clock() {
            Clock::Fixed => self.next_of_fixed_times(pattern, after),
            Clock::Running | Clock::RunningHours => self.next_of_running_clock(pattern, after),
        }
    }

    /// See [`Schedule::occurrences`](super::Schedule::occurrences).
    pub fn occurrences(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        let mut latest = from;
        std::iter::from_fn(move || {
            let due = self.next_after(latest).filter(|due| *due <= to)?;
            latest = due;
            Some(due)
        })
    }

    /// See [`Schedule::longest_interval`](super::Schedule::longest_interval).
    #[must_use]
    pub fn longest_interval(&self, from: Timestamp) -> Option<SignedDuration> {
        let horizon = from.checked_add(YEAR).unwrap_or(Timestamp::MAX);
        let mut earlier = self.next_after(from)?;
        let mut longest = None;
        loop {
            // A line may have hundreds of times a day, and most days are alike.
            if let Some((last, within)) = self
                .rest_of_plain_day(earlier)
                .filter(|(last, _)| *last <= horizon)
            {
                longest = longest.max(Some(within));
                earlier = last;
            }
            let Some(later) = self.next_after(earlier) else {
                return longest;
            };
            longest = longest.max(Some(later.duration_since(earlier)));
            if later > horizon {
                return longest;
            }
            earlier = later;
        }
    }

    /// When `first` is the first of several occurrences of a local day, and the clocks do not change before the last: that
    /// last one, and the longest time between two of them.
    fn rest_of_plain_day(&self, first: Timestamp) -> Option<(Timestamp, SignedDuration)> {
        let local = self.zone.to_datetime(first);
        let (last, within) = self.pattern.as_ref()?.rest_of_day(local.time())?;
        let last = first.checked_add(local.time().duration_until(last)).ok()?;
        let change = self.zone.following(first).next();
        change
            .is_none_or(|change| change.timestamp() > last)
            .then_some((last, within))
    }

    /// A time of day is due when the clock first shows it or a later one. So instants come in the order of the
    /// local times, and no later local time can be due before the first that is found here.
    fn next_of_fixed_times(&self, pattern: &Pattern, after: Timestamp) -> Option<Timestamp> {
        let mut from = next_minute(self.zone.to_datetime(after))?;
        loop {
            let time = pattern.at_or_after(from)?;
            // In the second pass of a repeated hour, its times have been due already.
            let due = self.first_shown(time)?;
            if due > after {
                return Some(due);
            }
            from = next_minute(time)?;
        }
    }

    /// The first instant at which the local clock shows `time` or a later one.
    fn first_shown(&self, time: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(time).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(time).ok(),
            AmbiguousOffset::Gap { after, .. } => {
                let before_the_jump = after.to_timestamp(time).ok()?;
                self.zone
                    .following(before_the_jump)
                    .find(|change| change.offset().to_datetime(change.timestamp()) > time)
                    .map(|change| change.timestamp())
            }
        }
    }

    /// Follows the clock from one change to the next: in between, local time and time run alike.
    fn next_of_running_clock(&self, pattern: &Pattern, after: Timestamp) -> Option<Timestamp> {
        let mut offset = self.zone.to_offset(after);
        let mut from = next_minute(offset.to_datetime(after))?;
        let mut changes = self.zone.following(after);
        loop {
            let due = instant(pattern.at_or_after(from)?, offset);
            let Some(change) = changes.next() else {
                return due;
            };
            let jump = change.timestamp();
            if due.is_some_and(|due| due < jump) {
                return due;
            }
            let (left, reached) = (offset.to_datetime(jump), change.offset().to_datetime(jump));
            if misses_a_time(pattern, left, reached)? {
                return Some(jump);
            }
            offset = change.offset();
            from = whole_minute(reached)?;
        }
    }
}

/// Whether clocks that jump from `left` to `reached` skip a time that is then due at the jump. Of a pattern of every
/// hour, an hour that is skipped as a whole is none: the next one comes an hour of elapsed time after the one before.
fn misses_a_time(pattern: &Pattern, left: DateTime, reached: DateTime) -> Option<bool> {
    let mut from = whole_minute(left)?;
    while from < reached {
        let time = pattern.at_or_after(from)?;
        if time >= reached {
            return Some(false);
        }
        let hour = time.date().at(time.hour(), 0, 0, 0);
        let cut_short = hour < left || hour.checked_add(1.hour()).ok()? > reached;
        if cut_short || pattern.clock() == Clock::Running {
            return Some(true);
        }
        from = next_minute(time)?;
    }
    Some(false)
}

fn instant(time: DateTime, offset: Offset) -> Option<Timestamp> {
    offset.to_timestamp(time).ok()
}

/// The first whole minute after `time`.
fn next_minute(time: DateTime) -> Option<DateTime> {
    let minute = time.date().at(time.hour(), time.minute(), 0, 0);
    minute.checked_add(1.minute()).ok()
}

/// The first whole minute at `time` or after.
fn whole_minute(time: DateTime) -> Option<DateTime> {
    let minute = time.date().at(time.hour(), time.minute(), 0, 0);
    if minute == time {
        Some(time)
    } else {
        next_minute(time)
    }
}
