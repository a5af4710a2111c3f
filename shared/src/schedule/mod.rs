//! Recurrences: when a source's next run is due, in a named time zone.
//!
//! A schedule names local times. These are the rules by which they become instants:
//!
//! - **Fixed times** (daily, weekly, monthly, and cron lines of which neither minute nor hour begins with `*`): a local
//!   time is due at the first instant at which the local clock shows it or a later one. So a time that occurs twice in
//!   autumn is due once, the first time; one that the clocks skip in spring is due at the very instant of the jump
//!   (02:30 in Berlin: when 02:00 becomes 03:00, which is 01:00 UTC); and the times of a whole skipped day are due
//!   once, when the next day begins. No local time is ever lost, and several that a jump brings together are due once.
//! - **The running clock** (hourly, and cron lines of which minute or hour begins with `*`): due whenever the local clock
//!   shows the time, so in both passes of a repeated hour. Times that the clocks skip are due once, at the instant of the
//!   jump; where each hour of the day is named, an hour that is skipped as a whole is none.
//! - **Two day fields** of a cron line are joined by AND where one of them begins with `*` (or the day of week with `+`),
//!   by OR otherwise.
//! - **Months** without a 29th, 30th or 31st: their last day. No month goes without a backup.
//! - **Cron lines** keep to what they say: `0 3 29 2 *` is due in leap years only.
//!
//! Nothing here reads a clock. Offsets are those of the time zone database: the system's natively, the bundled one
//! in the browser.

mod cron;
mod cron_words;
mod days;
mod describe;
mod error;
mod field;
mod pattern;
mod recurrence;
mod timetable;
mod upcoming;

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::time_zone;

pub use days::{MonthDay, Weekdays};
pub use error::{HourMinute, ScheduleError};
pub use recurrence::Recurrence;
pub use timetable::Timetable;
pub use upcoming::{ClockChange, Upcoming};

/// A recurrence in a time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// How often.
    pub recurrence: Recurrence,
    /// An IANA name, such as `Europe/Berlin`.
    pub time_zone: String,
}

impl Schedule {
    /// A source that is backed up only when somebody asks.
    #[must_use]
    pub fn manual() -> Self {
        Self {
            recurrence: Recurrence::Manual,
            time_zone: "UTC".to_owned(),
        }
    }

    /// Checks every field of a new schedule, the zone too.
    ///
    /// # Errors
    /// Which field is wrong, and what to do.
    pub fn validate(&self) -> Result<(), ScheduleError> {
        if time_zone::iana(&self.time_zone).is_none() {
            return Err(ScheduleError::UnknownTimeZone(self.time_zone.clone()));
        }
        self.timetable()?;
        match &self.recurrence {
            Recurrence::Cron { line } => cron::Line::check_steps(line),
            _ => Ok(()),
        }
    }

    /// The schedule read and checked, for callers that ask it more than once. Less strict than [`Schedule::validate`],
    /// so that what earlier versions accepted and stored goes on: steps larger than their field, and names of zones
    /// that only this system knows.
    ///
    /// # Errors
    /// Which field is wrong, and what to do.
    pub fn timetable(&self) -> Result<Timetable, ScheduleError> {
        Timetable::read(&self.recurrence, &self.time_zone)
    }

    /// The first instant strictly after `after` at which a run is due, by the rules of [this module](self);
    /// `None` for a manual schedule, and where the calendar ends (after the year 9999).
    ///
    /// # Errors
    /// As [`Schedule::timetable`].
    pub fn next_after(&self, after: Timestamp) -> Result<Option<Timestamp>, ScheduleError> {
        Ok(self.timetable()?.next_after(after))
    }

    /// The instants after `from` and up to and including `to`, in order, each reckoned when it is asked for.
    ///
    /// # Errors
    /// As [`Schedule::timetable`].
    pub fn occurrences(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<impl Iterator<Item = Timestamp> + use<>, ScheduleError> {
        let timetable = self.timetable()?;
        let mut latest = from;
        Ok(std::iter::from_fn(move || {
            latest = timetable.occurrences(latest, to).next()?;
            Some(latest)
        }))
    }

    /// The longest time between an occurrence in the year (366 days) after `from` and the occurrence that follows it,
    /// wherever that lies; where the year has none, the time between the next two. `None` for a manual schedule.
    ///
    /// This is elapsed time: Monday to Friday at 02:30 gives three days in UTC and three days and an hour in Berlin,
    /// where a weekend in autumn has an hour more. So no run that keeps to its schedule comes later than this after the
    /// one before.
    ///
    /// # Errors
    /// As [`Schedule::timetable`].
    pub fn longest_interval(&self, from: Timestamp) -> Result<Option<SignedDuration>, ScheduleError> {
        Ok(self.timetable()?.longest_interval(from))
    }

    /// The schedule in words: `Every week on Mon, Thu at 02:30 (Europe/Berlin)`. A cron line as it was understood, and the
    /// line: `At 12:00 on days 1, 3, 5 … 31 of the month, but only if that is a Mon (UTC), cron 0 12 */2 * 1`.
    #[must_use]
    pub fn describe(&self) -> String {
        describe::describe(&self.recurrence, &self.time_zone)
    }
}
