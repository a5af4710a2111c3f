//! Lines that people bring from crontab: the same days and instants as crond's (Debian 3.0pl1, cronie 1.7), and words
//! that tell what was understood.

use super::{cron, local, ts};

/// The dates in a month on which a line is due.
fn dates(line: &str, month: &str) -> Vec<i8> {
    let from = ts(&format!("{month}-01T00:00:00Z")) - jiff::SignedDuration::from_secs(1);
    let schedule = cron(line, "UTC");
    schedule
        .occurrences(from, from + jiff::SignedDuration::from_hours(32 * 24))
        .unwrap()
        .map(|due| due.to_zoned(jiff::tz::TimeZone::UTC).date())
        .filter(|date| date.to_string().starts_with(month))
        .map(jiff::civil::Date::day)
        .collect()
}

#[test]
fn day_fields_are_joined_by_and_where_one_begins_with_a_star() {
    // November 2026: the 1st is a Sunday.
    for (line, days) in [
        ("0 12 */2 * 1", vec![9, 23]),
        ("0 0 */2 * sun", vec![1, 15, 29]),
        ("0 0 13 * */5", vec![13]),
        ("0 0 */10,13 * 5", vec![13]),
        ("0 0 ? * 1", vec![2, 9, 16, 23, 30]),
        ("0 0 * * 1", vec![2, 9, 16, 23, 30]),
        ("0 0 13 * *", vec![13]),
        // Neither begins with one.
        ("0 0 13 * 1", vec![2, 9, 13, 16, 23, 30]),
        ("0 0 13,*/15 * 1", vec![1, 2, 9, 13, 16, 23, 30, 31]),
        ("0 0 1-31/15 * 1", vec![1, 2, 9, 16, 23, 30, 31]),
    ] {
        let days: Vec<_> = days.into_iter().filter(|day| *day <= 30).collect();
        assert_eq!(dates(line, "2026-11"), days, "{line}");
    }
}

#[test]
fn sunday_has_two_numbers_and_a_range_may_end_on_it() {
    for line in ["0 0 * * SAT-SUN", "0 0 * * 6-7", "0 0 * * 0,6"] {
        assert_eq!(
            dates(line, "2026-11"),
            [1, 7, 8, 14, 15, 21, 22, 28, 29],
            "{line}"
        );
    }
    // crond takes this for each Monday.
    assert_eq!(dates("0 0 * * 1#2", "2026-11"), [9]);
}

#[test]
fn a_repeated_hour_counts_twice_where_minute_or_hour_begins_with_a_star() {
    let night = |line: &str, count: usize| local(&cron(line, "Europe/Berlin"), "2026-10-24T22:59:59Z", count);
    let times = |times: &[&str]| -> Vec<String> {
        times
            .iter()
            .map(|time| format!("Sun 2026-10-25 {time}"))
            .collect()
    };
    assert_eq!(
        night("*/30 1-3 * * *", 8),
        times(&[
            "01:00 +02:00",
            "01:30 +02:00",
            "02:00 +02:00",
            "02:30 +02:00",
            "02:00 +01:00",
            "02:30 +01:00",
            "03:00 +01:00",
            "03:30 +01:00",
        ])
    );
    assert_eq!(
        night("0 */2 * * *", 3),
        times(&["02:00 +02:00", "02:00 +01:00", "04:00 +01:00"])
    );
    // Every quarter of an hour of eight hours and the repeated one.
    let quarters = cron("*/15 22-23,0-5 * * *", "Europe/Berlin");
    let due: Vec<_> = quarters
        .occurrences(ts("2026-10-24T19:59:00Z"), ts("2026-10-25T04:45:00Z"))
        .unwrap()
        .collect();
    assert_eq!(due.len(), 9 * 4);
    assert!(
        due.windows(2)
            .all(|pair| pair[1].duration_since(pair[0]).as_mins() == 15)
    );
    // Fixed times once, also where they name every hour.
    assert_eq!(
        night("0,30 1-3 * * *", 6),
        times(&[
            "01:00 +02:00",
            "01:30 +02:00",
            "02:00 +02:00",
            "02:30 +02:00",
            "03:00 +01:00",
            "03:30 +01:00",
        ])
    );
    assert_eq!(
        night("15 0-23 * * *", 3),
        times(&["01:15 +02:00", "02:15 +02:00", "03:15 +01:00"])
    );
}

#[test]
fn times_that_the_clocks_skip_are_due_once_at_the_jump() {
    let night = |line: &str, count: usize| local(&cron(line, "Europe/Berlin"), "2026-03-28T22:59:59Z", count);
    let times = |times: &[&str]| -> Vec<String> {
        times
            .iter()
            .map(|time| format!("Sun 2026-03-29 {time}"))
            .collect()
    };
    for (line, due) in [
        ("0 */2 * * *", ["00:00 +01:00", "03:00 +02:00", "04:00 +02:00"]),
        ("20 */2 * * *", ["00:20 +01:00", "03:00 +02:00", "04:20 +02:00"]),
        ("*/30 1-3 * * *", ["01:00 +01:00", "01:30 +01:00", "03:00 +02:00"]),
        ("0,30 1-3 * * *", ["01:00 +01:00", "01:30 +01:00", "03:00 +02:00"]),
        ("15 * * * *", ["00:15 +01:00", "01:15 +01:00", "03:15 +02:00"]),
        ("15 0-23 * * *", ["00:15 +01:00", "01:15 +01:00", "03:00 +02:00"]),
    ] {
        assert_eq!(night(line, 3), times(&due), "{line}");
    }
    assert_eq!(
        local(&cron("*/15 2 * * *", "Europe/Berlin"), "2026-03-28T12:00:00Z", 2),
        ["Sun 2026-03-29 03:00 +02:00", "Mon 2026-03-30 02:00 +02:00"]
    );
}

#[test]
fn a_line_in_words() {
    for (line, words) in [
        ("30 2 * * *", "At 02:30 every day"),
        ("30 2 * * 1-5", "At 02:30 on Mon to Fri"),
        ("0 8,20 * * 6,7", "At 08:00 and 20:00 on Sat and Sun"),
        ("0 0 * * SAT-SUN", "At 00:00 on Sat and Sun"),
        (
            "0 12 */2 * 1",
            "At 12:00 on days 1, 3, 5 … 31 of the month, but only if that is a Mon",
        ),
        (
            "0 12 1-7 * +mon-wed",
            "At 12:00 on days 1 to 7 of the month, but only if that is one of Mon to Wed",
        ),
        (
            "0 3 13 * 5",
            "At 03:00 on day 13 of the month, and besides on each Fri",
        ),
        ("0 3 * * 1#2", "At 03:00 on the second Mon of the month"),
        ("0 3 * * FRIL,2", "At 03:00 on Tue and the last Fri of the month"),
        ("0 3 L * *", "At 03:00 on the last day of the month"),
        ("0 3 LW * *", "At 03:00 on the last working day of the month"),
        (
            "0 3 1,15W * *",
            "At 03:00 on day 1 and the working day nearest to day 15 of the month",
        ),
        ("0 3 29 2 *", "At 03:00 on day 29 of the month, in Feb"),
        (
            "0 3 1 */3 *",
            "At 03:00 on day 1 of the month, in Jan, Apr, Jul and Oct",
        ),
        ("*/15 * * * *", "Every 15 minutes"),
        ("0 * * * *", "Every hour, on the hour"),
        ("7 * * * 1-5", "Every hour, 7 min past on Mon to Fri"),
        ("5,35 * * * *", "Every hour, 5 and 35 min past"),
        ("0 */2 * * *", "Every 2 hours, from 00:00"),
        ("30 1-23/2 * * *", "Every 2 hours, from 01:30"),
        ("0 */5 * * *", "At 0 min past the hours 0, 5, 10 … 20"),
        (
            "*/15 22-23,0-5 * * *",
            "Every 15 minutes in the hours 0 to 5, 22 and 23",
        ),
        ("*/25 1-3 * * *", "At 0, 25 and 50 min past the hours 1 to 3"),
    ] {
        assert_eq!(
            cron(line, "UTC").describe(),
            format!("{words} (UTC), cron {line}")
        );
    }
}

#[test]
fn the_next_occurrences_tell_of_changes_of_the_clocks() {
    let told = |line: &str, zone: &str, after: &str, count: usize| -> Vec<String> {
        let timetable = cron(line, zone).timetable().unwrap();
        timetable
            .upcoming(ts(after), count)
            .iter()
            .map(|next| {
                let at = next.at.strftime("%a %H:%M %:z").to_string();
                match next.change {
                    Some(change) => format!("{at}, {change}"),
                    None => at,
                }
            })
            .collect()
    };
    assert_eq!(
        told("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
        [
            "Sat 02:30 +01:00",
            "Sun 03:00 +02:00, the clocks go forward from 02:00 to 03:00 then",
            "Mon 02:30 +02:00",
        ]
    );
    assert_eq!(
        told("0 */2 * * *", "Europe/Berlin", "2026-10-24T22:30:00Z", 3),
        [
            "Sun 02:00 +02:00, the clocks go back: the first of two such times",
            "Sun 02:00 +01:00, the clocks have gone back: the second of two such times",
            "Sun 04:00 +01:00",
        ]
    );
    assert_eq!(
        told("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        [
            "Sun 02:30 +02:00, the clocks go back: the first of two such times",
            "Mon 02:30 +01:00, the clocks have gone back by 1 h",
        ]
    );
    assert_eq!(
        told("0 12 * * *", "Australia/Lord_Howe", "2025-10-04T12:00:00Z", 2),
        [
            "Sun 12:00 +11:00, the clocks have gone forward by 30 min",
            "Mon 12:00 +11:00",
        ]
    );
    assert_eq!(
        told("30 2 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", 2),
        [
            "Thu 02:30 -10:00",
            "Sat 00:00 +14:00, the clocks go forward from Fri 00:00 to Sat 00:00 then",
        ]
    );
}
