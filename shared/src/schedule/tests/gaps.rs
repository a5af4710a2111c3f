//! How long a line may be silent, wherever and whenever the clocks change: no longer than its own largest step and the
//! change together.

use std::{collections::BTreeMap, io::Write};

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, date},
    tz::TimeZone,
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

use super::{
    schedule,
    specs::{Spec, cron},
    ts,
};
use crate::schedule::Timetable;

const YEARS: (&str, &str) = ("2020-01-01T00:00:00Z", "2041-01-01T00:00:00Z");

/// How many lines are made, and how many of them are tried at each change.
const LINES: usize = 120;
const LINES_PER_CHANGE: usize = 5;

/// A change of some zone's clocks.
struct Change {
    zone: TimeZone,
    name: String,
    at: Timestamp,
}

/// By how much the clocks change between two instants, at most.
fn largest_change(zone: &TimeZone, from: Timestamp, to: Timestamp) -> SignedDuration {
    let mut offset = zone.to_offset(from);
    let mut largest = SignedDuration::ZERO;
    for change in zone.following(from).take_while(|change| change.timestamp() <= to) {
        let by = i64::from(change.offset().seconds() - offset.seconds());
        largest = largest.max(SignedDuration::from_secs(by.abs()));
        offset = change.offset();
    }
    largest
}

/// Each change of each zone. Zones that change alike, with the same changes before and after, are one.
fn changes() -> Vec<Change> {
    let (from, to) = (ts(YEARS.0), ts(YEARS.1));
    let mut all = BTreeMap::new();
    for name in jiff::tz::db().available() {
        let name = name.to_string();
        let Some(zone) = crate::time_zone::iana(&name) else {
            continue;
        };
        for change in zone.following(from).take_while(|change| change.timestamp() < to) {
            let at = change.timestamp();
            let before = zone.to_offset(at - SignedDuration::from_nanos(1));
            let neighbours = [
                zone.preceding(at).next().map(|change| change.timestamp()),
                zone.following(at).next().map(|change| change.timestamp()),
            ];
            if change.offset() != before {
                all.entry((at, before, change.offset(), neighbours))
                    .or_insert_with(|| Change {
                        zone: zone.clone(),
                        name: name.clone(),
                        at,
                    });
            }
        }
    }
    all.into_values().collect()
}

/// The longest time between two local times of the line, as if no clock ever changed; `None` for a line that has fewer
/// than two days.
fn largest_step(spec: &Spec) -> Option<SignedDuration> {
    let minutes: Vec<i64> = (0..24 * 60)
        .filter(|minute| spec.matches_minute(*minute))
        .collect();
    let days: Vec<Date> = date(2018, 1, 1)
        .series(jiff::Span::new().days(1))
        .take_while(|day| day.year() < 2043)
        .filter(|day| spec.matches_day(*day))
        .collect();
    let within = minutes.windows(2).map(|pair| pair[1] - pair[0]).max();
    let overnight = days
        .windows(2)
        .map(|pair| pair[0].duration_until(pair[1]).as_mins() + minutes[0] - minutes[minutes.len() - 1])
        .max()?;
    Some(SignedDuration::from_mins(within.max(Some(overnight))?))
}

struct Line {
    spec: Spec,
    step: SignedDuration,
}

fn lines() -> Vec<Line> {
    let mut runner = TestRunner::deterministic();
    let specs = cron();
    std::iter::repeat_with(|| specs.new_tree(&mut runner).unwrap().current())
        .filter_map(|spec| {
            let step = largest_step(&spec)?;
            // Rarer lines have too few occurrences in these years.
            (step < SignedDuration::from_hours(24 * 800)).then_some(Line { spec, step })
        })
        .take(LINES)
        .collect()
}

/// The first gap around the change that is too long.
fn too_long(line: &Line, timetable: &Timetable, change: &Change) -> Option<String> {
    let mut latest = change.at - line.step - SignedDuration::from_hours(4);
    while latest < change.at + SignedDuration::from_hours(4) {
        let next = timetable.next_after(latest)?;
        let allowed = line.step + largest_change(&change.zone, latest, next);
        if next.duration_since(latest) > allowed {
            return Some(format!(
                "{:?} in {}: from {latest} to {next}",
                line.spec.recurrence(),
                change.name
            ));
        }
        latest = next;
    }
    None
}

#[test]
fn no_gap_is_longer_than_the_largest_step_and_the_change_of_the_clocks() {
    let (lines, changes) = (lines(), changes());
    let mut tried = 0;
    for (index, change) in changes.iter().enumerate() {
        for line in lines
            .iter()
            .cycle()
            .skip(index * LINES_PER_CHANGE % LINES)
            .take(LINES_PER_CHANGE)
        {
            let timetable = schedule(line.spec.recurrence(), &change.name)
                .timetable()
                .unwrap();
            assert_eq!(too_long(line, &timetable, change), None);
            tried += 1;
        }
    }
    assert!(changes.len() > 1_000, "{} changes", changes.len());
    let _ = writeln!(
        std::io::stderr(),
        "{} lines, {} changes of clocks, {tried} pairs",
        lines.len(),
        changes.len()
    );
}
