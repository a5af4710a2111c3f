//! Tests of schedules: the rules by example, what is stored and refused, and a model that walks the clock.

mod crontab;
mod examples;
mod gaps;
mod model;
mod properties;
mod refused;
mod specs;

use jiff::{Timestamp, tz::TimeZone};

use super::{Recurrence, Schedule};

fn ts(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn schedule(recurrence: Recurrence, zone: &str) -> Schedule {
    Schedule {
        recurrence,
        time_zone: zone.into(),
    }
}

fn cron(line: &str, zone: &str) -> Schedule {
    schedule(Recurrence::Cron { line: line.into() }, zone)
}

/// The first `count` occurrences after `after` as local times with their offsets.
fn local(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    let zone = TimeZone::get(&schedule.time_zone).unwrap();
    schedule
        .occurrences(ts(after), Timestamp::MAX)
        .unwrap()
        .take(count)
        .map(|due| {
            due.to_zoned(zone.clone())
                .strftime("%a %Y-%m-%d %H:%M %:z")
                .to_string()
        })
        .collect()
}
