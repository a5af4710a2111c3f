//! Cron lines: what of croner's language is read, and what is refused.
//!
//! croner reads the fields and says which dates match. It does not turn them into instants: it passes a gap or a
//! repeated hour differently from line to line, and gives up where the clocks jump by more than two hours.

use std::str::FromStr;

use croner::{Cron, CronPattern, parser::CronParser};
use jiff::civil::{Date, Time, date};

use crate::limits::Limit;

use super::{
    error::{HourMinute, MIN_DISTANCE_MINUTES, ScheduleError},
    field::FIELDS,
};

/// Twenty-eight years hold each combination of weekday, date and leap year, and each pair of neighbouring days.
const CALENDARS: (Date, Date) = (date(2000, 1, 1), date(2027, 12, 31));

/// A line that has been read.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pattern: Box<CronPattern>,
    /// In capitals, since croner keeps no text of single fields.
    fields: [String; 5],
    /// The times of each day that matches, in order; never empty.
    pub times: Vec<Time>,
    /// Whether the field of minutes or that of hours begins with `*`: crond then follows the running clock, and not
    /// the times of day.
    pub wildcard: bool,
}

impl Line {
    /// Reads a line, and refuses one that never fires or that fires too often.
    pub fn read(line: &str) -> Result<Self, ScheduleError> {
        if line.len() > Limit::CronLine.max() {
            return Err(ScheduleError::CronLength { length: line.len() });
        }
        let fields = fields_of(line);
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
        let [minute, hour, month_day, _, weekday] = [fields[0], fields[1], fields[2], fields[3], fields[4]];
        // croner joins two day fields by OR unless one is exactly `*`; crond by AND also where one only begins so.
        let parser = CronParser::builder()
            .dom_and_dow(begins_with_star(month_day) || begins_with_star(weekday))
            .build();
        let Ok(Cron { pattern }) = parser.parse(&line) else {
            return Err(culprit(&fields));
        };
        let times = times(&pattern);
        let read = Self {
            wildcard: begins_with_star(minute) || begins_with_star(hour),
            pattern: Box::new(pattern),
            fields: std::array::from_fn(|index| fields[index].to_ascii_uppercase()),
            times,
        };
        if read.times.is_empty() || read.day_within(CALENDARS.0, CALENDARS.1).is_none() {
            return Err(ScheduleError::CronNever(line));
        }
        read.not_too_often()?;
        Ok(read)
    }

    /// Refuses steps that are larger than their field. Not part of [`Line::read`]: lines with such steps were accepted
    /// by earlier versions, and those that are stored go on.
    pub fn check_steps(line: &str) -> Result<(), ScheduleError> {
        for (field, text) in FIELDS.iter().zip(fields_of(line)) {
            field.check_steps(text)?;
        }
        Ok(())
    }

    /// The numbers of the minutes, in order.
    pub fn minutes(&self) -> Vec<u16> {
        self.pattern.minutes.values()
    }

    /// The numbers of the hours, in order.
    pub fn hours(&self) -> Vec<u16> {
        self.pattern.hours.values()
    }

    /// The numbers of the months, from 1, in order.
    pub fn months(&self) -> Vec<u16> {
        self.pattern.months.values()
    }

    /// What the day of month holds; `None` for any day.
    pub fn month_days(&self) -> Option<DayField<'_>> {
        let any = self.pattern.is_dom_wildcard();
        (!any).then(|| DayField::new(self.pattern.days.values(), &self.fields[2]))
    }

    /// What the day of week holds, Sunday being 0; `None` for any day.
    pub fn weekdays(&self) -> Option<DayField<'_>> {
        let any = self.pattern.is_dow_wildcard();
        (!any).then(|| DayField::new(self.pattern.days_of_week.values(), &self.fields[4]))
    }

    /// Whether a day must match both day fields, and not only one of them.
    pub fn needs_both_days(&self) -> bool {
        self.pattern.matches_dom_and_dow()
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

/// One of the two fields of days.
pub(super) struct DayField<'a> {
    /// The plain numbers, in order.
    pub values: Vec<u16>,
    /// What depends on the month, as it was written but in capitals: `L`, `15W`, `FRI#2`, `5L`.
    pub special: Vec<&'a str>,
}

impl<'a> DayField<'a> {
    fn new(values: Vec<u16>, text: &'a str) -> Self {
        // Of the names of weekdays, none ends so.
        let is_special = |item: &&str| item.contains('#') || item.ends_with(['W', 'L']);
        Self {
            values,
            special: text
                .trim_start_matches('+')
                .split(',')
                .filter(is_special)
                .collect(),
        }
    }
}

fn fields_of(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// `?` is `*`, in the fields that may hold it.
fn begins_with_star(field: &str) -> bool {
    field.starts_with(['*', '?'])
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
