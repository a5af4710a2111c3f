//! How often a source is backed up.

use serde::{Deserialize, Serialize};

use super::days::{MonthDay, Weekdays};

/// How often a source is backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "every", rename_all = "snake_case", deny_unknown_fields)]
pub enum Recurrence {
    /// Only when somebody asks.
    Manual,
    /// Each hour, at this minute.
    Hour {
        /// 0–59.
        minute: i8,
    },
    /// Each day, at this time.
    Day {
        /// 0–23.
        hour: i8,
        /// 0–59.
        minute: i8,
    },
    /// Each week, on these days at this time.
    Week {
        /// One or more. Stored as `weekday` with one number when a schedule had one day.
        #[serde(alias = "weekday")]
        weekdays: Weekdays,
        /// 0–23.
        hour: i8,
        /// 0–59.
        minute: i8,
    },
    /// Each month, on this day at this time.
    Month {
        /// The day, or the last day of a shorter month.
        day: MonthDay,
        /// 0–23.
        hour: i8,
        /// 0–59.
        minute: i8,
    },
    /// By a cron line.
    Cron {
        /// Five fields: minute, hour, day of month, month, day of week, such as `30 2 * * 1-5`. Names (`MON`,
        /// `JAN`), `L`, `15W`, `1#2` and `5L` are read. A line with a day of month and a day of week is due on either;
        /// only on days that are both where one of the two begins with `*` (`*/2`), as crond has it, or where the day
        /// of week begins with `+`. Seconds, years and nicknames (`@daily`) are refused, and so are ranges that run
        /// backwards, steps larger than their field, and a line that never fires, or that fires twice within less
        /// than five minutes.
        line: String,
    },
}
