//! What can be wrong with a schedule.

use jiff::civil::Time;

use crate::limits::Limit;

/// The shortest time between two occurrences of a cron line, in minutes: a backup that is due again sooner cannot have ended.
pub(super) const MIN_DISTANCE_MINUTES: i32 = 5;

/// What is wrong with a schedule. The text begins with the field and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The zone is not in the time zone database.
    #[error("time_zone: `{0}` is not a time zone; use an IANA name such as Europe/Berlin or UTC")]
    UnknownTimeZone(String),
    /// A field is out of its range.
    #[error("{field}: {value} is out of range; use {range}")]
    OutOfRange {
        /// Which field.
        field: &'static str,
        /// What it held.
        value: i64,
        /// What it may hold.
        range: &'static str,
    },
    /// A week without a day.
    #[error("weekdays: choose at least one day of the week")]
    NoWeekday,
    /// The cron line is longer than any sensible one.
    #[error(
        "line: the cron line has {length} characters; use at most {}",
        Limit::CronLine.max()
    )]
    CronLength {
        /// How many it has.
        length: usize,
    },
    /// `@daily` and the like.
    #[error(
        "line: nicknames such as `{0}` are not read; write five fields instead, such as `30 2 * * *` for \
         each day at 02:30"
    )]
    CronNickname(String),
    /// Not five fields.
    #[error(
        "line: a cron line has five fields (minute, hour, day of month, month, day of week), this one has \
         {count}; seconds and years are not read. Write for example `30 2 * * 1-5`"
    )]
    CronFieldCount {
        /// How many there are.
        count: usize,
    },
    /// A field of the cron line can not be read.
    #[error("line: `{text}` is not understood as the {field} field; use {allowed}")]
    CronField {
        /// Which of the five.
        field: &'static str,
        /// What it holds.
        text: String,
        /// What it may hold.
        allowed: &'static str,
    },
    /// A range whose end is before its beginning.
    #[error("line: `{text}` runs backwards as the {field} field; write {instead}")]
    CronBackwards {
        /// Which of the five.
        field: &'static str,
        /// What it holds.
        text: String,
        /// What means the same.
        instead: String,
    },
    /// A step that is larger than its field.
    #[error(
        "line: `{text}` steps out of the {field} field, which goes from {low} to {high}; use a step of 1 to {high}, \
         or write {low} for that value alone"
    )]
    CronStep {
        /// Which of the five.
        field: &'static str,
        /// The part with the step.
        text: String,
        /// The lowest value.
        low: u16,
        /// The highest value.
        high: u16,
    },
    /// No date matches the line, such as 30 February.
    #[error("line: `{0}` never fires, because no such date exists; choose a day that its months have")]
    CronNever(String),
    /// Two times of the line are too close.
    #[error(
        "line: fires at {first} and again at {second}; leave at least {} minutes between two runs",
        MIN_DISTANCE_MINUTES
    )]
    CronTooOften {
        /// A time of day.
        first: HourMinute,
        /// The next.
        second: HourMinute,
    },
}

/// A time of day that prints as `02:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HourMinute(pub(super) Time);

impl std::fmt::Display for HourMinute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}
