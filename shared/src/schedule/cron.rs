//! Cron lines: what of croner's language is read, and what is refused.
//!
//! croner reads the fields and says which dates match. It does not turn them into instants: it passes a gap or a
//! repeated hour differently from line to line, and gives up where the clocks jump by more than two hours.

use std::str::FromStr;

use croner::{Cron, CronPattern};
use jiff::civil::{Date, Time, date};

use crate::limits::Limit;

use super::error::{HourMinute, MIN_DISTANCE_MINUTES, ScheduleError};

/// Twenty-eight years hold each combination of weekday, date and leap year, and each pair of neighbouring days.
const CALENDARS: (Date, Date) = (date(2000, 1, 1), date(2027, 12, 31));

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        letters: Letters::None,
        allowed: "0 to 59, lists (0,30), ranges (0-30), steps (*/15) or *",
    },
    Field {
        name: "hour",
        letters: Letters::None,
        allowed: "0 to 23, lists (8,20), ranges (8-18), steps (*/4) or *",
    },
    Field {
        name: "day of month",
        letters: Letters::MonthDay,
        allowed: "1 to 31, lists (1,15), ranges (1-7), L for the last day, 15W for the nearest working day, or *",
    },
    Field {
        name: "month",
        letters: Letters::Names(&[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ]),
        allowed: "1 to 12 or JAN to DEC, lists (1,7), ranges (1-6), steps (*/3) or *",
    },
    Field {
        name: "day of week",
        letters: Letters::Names(&["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]),
        allowed: "0 (Sunday) to 7 (Sunday) or SUN to SAT, lists (1,4), ranges (1-5), 1#2 for the second Monday, 5L for \
                  the last Friday, or *",
    },
];

struct Field {
    name: &'static str,
    letters: Letters,
    allowed: &'static str,
}

/// Which words a field may hold besides digits and signs.
enum Letters {
    None,
    MonthDay,
    Names(&'static [&'static str]),
}

/// A line that has been read.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pattern: Box<CronPattern>,
    /// The times of each day that matches, in order; never empty.
    pub times: Vec<Time>,
    /// Whether each hour of the day is one of its hours.
    pub every_hour: bool,
}

impl Line {
    /// Reads a line, and refuses one that never fires or that fires too often.
    pub fn read(line: &str) -> Result<Self, ScheduleError> {
        if line.len() > Limit::CronLine.max() {
            return Err(ScheduleError::CronLength { length: line.len() });
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let Some(nickname) = fields.iter().find(|field| field.starts_with('@')) {
            return Err(ScheduleError::CronNickname((*nickname).to_owned()));
        }
        if fields.len() != FIELDS.len() {
            return Err(ScheduleError::CronFieldCount { count: fields.len() });
        }
        for (field, text) in FIELDS.iter().zip(&fields) {
            field.check(text)?;
        }
        let line = fields.join(" ");
        let Ok(Cron { pattern }) = Cron::from_str(&line) else {
            return Err(culprit(&fields));
        };
        let times = times(&pattern);
        let read = Self {
            every_hour: pattern.hours.values().len() == 24,
            pattern: Box::new(pattern),
            times,
        };
        if read.times.is_empty() || read.day_within(CALENDARS.0, CALENDARS.1).is_none() {
            return Err(ScheduleError::CronNever(line));
        }
        read.not_too_often()?;
        Ok(read)
    }

    /// The first day that matches, from `from` on.
    pub fn day_from(&self, from: Date) -> Option<Date> {
        self.day_within(from, Date::MAX)
    }

    fn day_within(&self, from: Date, to: Date) -> Option<Date> {
        let mut day = from;
        while day <= to {
            if !self.month_matches(day) {
                day = day.last_of_month().tomorrow().ok()?;
            } else if self.day_matches(day) {
                return Some(day);
            } else {
                day = day.tomorrow().ok()?;
            }
        }
        None
    }

    fn month_matches(&self, day: Date) -> bool {
        let month = u32::from(day.month().unsigned_abs());
        self.pattern.month_match(month).unwrap_or(false)
    }

    fn day_matches(&self, day: Date) -> bool {
        let weekday = u32::from(day.weekday().to_sunday_zero_offset().unsigned_abs());
        let matches = self.pattern.day_match(
            i32::from(day.year()),
            u32::from(day.month().unsigned_abs()),
            u32::from(day.day().unsigned_abs()),
            croner::Weekday::from_days_from_sunday(weekday),
        );
        matches.unwrap_or(false)
    }

    /// By the line alone: that a change of the clocks may bring two times closer together is no fault of it.
    fn not_too_often(&self) -> Result<(), ScheduleError> {
        let too_often = |first: Time, second: Time| ScheduleError::CronTooOften {
            first: HourMinute(first),
            second: HourMinute(second),
        };
        let close = self
            .times
            .windows(2)
            .find(|pair| minute_of_day(pair[1]) - minute_of_day(pair[0]) < MIN_DISTANCE_MINUTES);
        if let Some(pair) = close {
            return Err(too_often(pair[0], pair[1]));
        }
        if let (Some(&first), Some(&last)) = (self.times.first(), self.times.last())
            && minute_of_day(first) + 24 * 60 - minute_of_day(last) < MIN_DISTANCE_MINUTES
            && self.matches_two_days_running()
        {
            return Err(too_often(last, first));
        }
        Ok(())
    }

    fn matches_two_days_running(&self) -> bool {
        let (mut from, to) = CALENDARS;
        while let Some(day) = self.day_within(from, to) {
            let Ok(tomorrow) = day.tomorrow() else {
                return false;
            };
            if self.month_matches(tomorrow) && self.day_matches(tomorrow) {
                return true;
            }
            from = tomorrow;
        }
        false
    }
}

impl Field {
    /// croner replaces names wherever they stand, so that `1JAN` would be November, and passes over what is
    /// missing in a list. A backup schedule is better refused than guessed.
    fn check(&self, text: &str) -> Result<(), ScheduleError> {
        let items = text.strip_prefix('+').unwrap_or(text).split(',');
        for item in items {
            if item.is_empty() || !self.words_allowed(&item.to_ascii_uppercase()) {
                return Err(self.error(text));
            }
        }
        Ok(())
    }

    fn words_allowed(&self, item: &str) -> bool {
        let is_letter = |c: char| c.is_ascii_alphabetic();
        let mut rest = item;
        let mut before = None;
        while let Some(start) = rest.find(is_letter) {
            let end = rest[start..]
                .find(|c| !is_letter(c))
                .map_or(rest.len(), |length| start + length);
            let word = &rest[start..end];
            let digit_before = rest[..start]
                .chars()
                .next_back()
                .or(before)
                .is_some_and(|c| c.is_ascii_digit());
            let digit_after = rest[end..].starts_with(|c: char| c.is_ascii_digit());
            let allowed = match self.letters {
                Letters::None => false,
                Letters::MonthDay => {
                    matches!(word, "L" | "LW") && !digit_before || word == "W" && digit_before
                }
                Letters::Names(names) => {
                    let name = word
                        .strip_suffix('L')
                        .filter(|name| names.contains(name))
                        .unwrap_or(word);
                    names.contains(&name) && !digit_before || word == "L" && start > 0
                }
            };
            if !allowed || digit_after {
                return false;
            }
            before = word.chars().next_back();
            rest = &rest[end..];
        }
        true
    }

    fn error(&self, text: &str) -> ScheduleError {
        ScheduleError::CronField {
            field: self.name,
            text: text.to_owned(),
            allowed: self.allowed,
        }
    }
}

/// croner does not say which field it could not read, so each is tried alone.
fn culprit(fields: &[&str]) -> ScheduleError {
    let unreadable = |index: usize| {
        let mut alone = ["*"; FIELDS.len()];
        alone[index] = fields[index];
        Cron::from_str(&alone.join(" ")).is_err()
    };
    let index = (0..FIELDS.len()).find(|index| unreadable(*index)).unwrap_or(0);
    FIELDS[index].error(fields[index])
}

fn times(pattern: &CronPattern) -> Vec<Time> {
    let hours = pattern.hours.values();
    let minutes = pattern.minutes.values();
    let small = |value: &u16| i8::try_from(*value).ok();
    hours
        .iter()
        .filter_map(small)
        .flat_map(|hour| {
            minutes
                .iter()
                .filter_map(small)
                .filter_map(move |minute| Time::new(hour, minute, 0, 0).ok())
        })
        .collect()
}

fn minute_of_day(time: Time) -> i32 {
    i32::from(time.hour()) * 60 + i32::from(time.minute())
}
