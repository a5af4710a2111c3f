//! Recurrences: when a source's next run is due, in a named time zone.

use jiff::{
    SignedDuration, Timestamp, ToSpan, Zoned,
    civil::{Time, Weekday},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};

/// How often a source is backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "every", rename_all = "snake_case")]
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
    /// Each week, on this day at this time.
    Week {
        /// 1 = Monday … 7 = Sunday, as in ISO 8601.
        weekday: i8,
        /// 0–23.
        hour: i8,
        /// 0–59.
        minute: i8,
    },
}

/// A recurrence in a time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// How often.
    pub recurrence: Recurrence,
    /// An IANA name, such as `Europe/Berlin`.
    pub time_zone: String,
}

/// What is wrong with a schedule.
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
        value: i8,
        /// What it may hold.
        range: &'static str,
    },
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

    /// The first instant strictly after `after` at which a run is due; `None` for a manual schedule.
    ///
    /// A time that the clocks skip in spring is due when they have jumped; one that occurs twice in autumn is
    /// due once, the first time. Hours count by the absolute clock, so each of the two autumn hours is due.
    ///
    /// # Errors
    /// When the zone is unknown or a field is out of range.
    pub fn next_after(&self, after: Timestamp) -> Result<Option<Timestamp>, ScheduleError> {
        let zone = TimeZone::get(&self.time_zone)
            .map_err(|_| ScheduleError::UnknownTimeZone(self.time_zone.clone()))?;
        let local = after.to_zoned(zone.clone());
        Ok(match self.recurrence {
            Recurrence::Manual => None,
            Recurrence::Hour { minute } => {
                within("minute", minute, 0, 59, "0 to 59")?;
                let into_hour =
                    SignedDuration::from_secs(i64::from(local.minute()) * 60 + i64::from(local.second()))
                        + SignedDuration::from_nanos(i64::from(local.subsec_nanosecond()));
                let this_hour = after - into_hour + SignedDuration::from_mins(i64::from(minute));
                Some(if this_hour > after {
                    this_hour
                } else {
                    this_hour + SignedDuration::from_hours(1)
                })
            }
            Recurrence::Day { hour, minute } => {
                let at = time_of_day(hour, minute)?;
                first_after(&local, &zone, after, 2, |_| true, at)
            }
            Recurrence::Week {
                weekday,
                hour,
                minute,
            } => {
                let at = time_of_day(hour, minute)?;
                let wanted =
                    Weekday::from_monday_one_offset(weekday).map_err(|_| ScheduleError::OutOfRange {
                        field: "weekday",
                        value: weekday,
                        range: "1 (Monday) to 7 (Sunday)",
                    })?;
                first_after(&local, &zone, after, 8, |day| day == wanted, at)
            }
        })
    }
}

fn within(
    field: &'static str,
    value: i8,
    low: i8,
    high: i8,
    range: &'static str,
) -> Result<(), ScheduleError> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(ScheduleError::OutOfRange { field, value, range })
    }
}

fn time_of_day(hour: i8, minute: i8) -> Result<Time, ScheduleError> {
    within("hour", hour, 0, 23, "0 to 23")?;
    within("minute", minute, 0, 59, "0 to 59")?;
    Ok(Time::constant(hour, minute, 0, 0))
}

/// Walks the local days from the one before `local` on. The day before counts too: where the clocks jump at
/// midnight, yesterday's time may have become today's.
fn first_after(
    local: &Zoned,
    zone: &TimeZone,
    after: Timestamp,
    days: i32,
    wanted: impl Fn(Weekday) -> bool,
    at: Time,
) -> Option<Timestamp> {
    (-1..=days)
        .filter_map(|offset| local.date().checked_add(offset.days()).ok())
        .filter(|date| wanted(date.weekday()))
        .filter_map(|date| zone.to_ambiguous_zoned(date.to_datetime(at)).compatible().ok())
        .map(|due| due.timestamp())
        .find(|due| *due > after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn next(recurrence: Recurrence, zone: &str, after: &str) -> Option<Timestamp> {
        Schedule {
            recurrence,
            time_zone: zone.into(),
        }
        .next_after(ts(after))
        .unwrap()
    }

    #[test]
    fn daily_crosses_both_changes_of_the_clocks() {
        let daily = Recurrence::Day { hour: 2, minute: 30 };
        // 29 March 2026, 02:30 does not exist in Berlin: due at 03:30 local time, 01:30 UTC.
        let spring = next(daily.clone(), "Europe/Berlin", "2026-03-28T12:00:00Z");
        assert_eq!(spring, Some(ts("2026-03-29T01:30:00Z")));
        assert_eq!(
            next(daily.clone(), "Europe/Berlin", "2026-03-29T01:30:00Z"),
            Some(ts("2026-03-30T00:30:00Z"))
        );
        // 25 October 2026, 02:30 exists twice: due once, at the first.
        assert_eq!(
            next(daily.clone(), "Europe/Berlin", "2026-10-24T12:00:00Z"),
            Some(ts("2026-10-25T00:30:00Z"))
        );
        assert_eq!(
            next(daily, "Europe/Berlin", "2026-10-25T00:30:00Z"),
            Some(ts("2026-10-26T01:30:00Z"))
        );
    }

    #[test]
    fn weekly_and_hourly() {
        let weekly = Recurrence::Week {
            weekday: 7,
            hour: 23,
            minute: 0,
        };
        assert_eq!(
            next(weekly.clone(), "UTC", "2026-11-22T22:59:59Z"),
            Some(ts("2026-11-22T23:00:00Z"))
        );
        assert_eq!(
            next(weekly, "UTC", "2026-11-22T23:00:00Z"),
            Some(ts("2026-11-29T23:00:00Z"))
        );
        let hourly = Recurrence::Hour { minute: 15 };
        assert_eq!(
            next(hourly.clone(), "UTC", "2026-11-22T22:15:00Z"),
            Some(ts("2026-11-22T23:15:00Z"))
        );
        // A zone whose offset is not a whole hour: minute 15 of the local hour.
        assert_eq!(
            next(hourly, "Asia/Kolkata", "2026-11-22T22:00:00Z"),
            Some(ts("2026-11-22T22:45:00Z"))
        );
        assert_eq!(next(Recurrence::Manual, "UTC", "2026-11-22T22:00:00Z"), None);
    }

    #[test]
    fn bad_schedules_name_the_field() {
        let schedule = |recurrence, zone: &str| Schedule {
            recurrence,
            time_zone: zone.into(),
        };
        let error = |s: Schedule| s.next_after(Timestamp::UNIX_EPOCH).unwrap_err().to_string();
        assert!(error(schedule(Recurrence::Manual, "Mars/Olympus")).contains("Mars/Olympus"));
        assert!(error(schedule(Recurrence::Day { hour: 24, minute: 0 }, "UTC")).starts_with("hour: 24"));
        assert!(
            error(schedule(
                Recurrence::Week {
                    weekday: 0,
                    hour: 1,
                    minute: 0
                },
                "UTC"
            ))
            .starts_with("weekday: 0")
        );
    }
}
