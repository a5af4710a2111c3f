//! Schedules in words.

use jiff::civil::Weekday;

use super::{cron::Line, cron_words, recurrence::Recurrence};

pub(super) fn describe(recurrence: &Recurrence, zone: &str) -> String {
    match recurrence {
        Recurrence::Manual => "Only when somebody asks".to_owned(),
        Recurrence::Hour { minute: 0 } => format!("Every hour, on the hour ({zone})"),
        Recurrence::Hour { minute } => format!("Every hour, {minute} min past ({zone})"),
        Recurrence::Day { hour, minute } => format!("Every day at {hour:02}:{minute:02} ({zone})"),
        Recurrence::Week {
            weekdays,
            hour,
            minute,
        } => {
            let days: Vec<_> = weekdays.iter().map(short_name).collect();
            format!(
                "Every week on {} at {hour:02}:{minute:02} ({zone})",
                days.join(", ")
            )
        }
        Recurrence::Month { day, hour, minute } => {
            let day = match day.number() {
                None => "the last day".to_owned(),
                Some(day @ 29..) => format!("day {day} (or the last)"),
                Some(day) => format!("day {day}"),
            };
            format!("Every month on {day} at {hour:02}:{minute:02} ({zone})")
        }
        Recurrence::Cron { line } => {
            let fields: Vec<_> = line.split_whitespace().collect();
            let fields = fields.join(" ");
            match Line::read(line) {
                Ok(read) => format!("{} ({zone}), cron {fields}", cron_words::words(&read)),
                Err(_) => format!("Cron {fields} ({zone})"),
            }
        }
    }
}

fn short_name(weekday: Weekday) -> &'static str {
    match weekday {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}
