//! The rules, one example each. All dates can be looked up in a calendar.

use jiff::{SignedDuration, Timestamp, civil::Weekday};

use super::{cron, local, schedule, ts};
use crate::schedule::{MonthDay, Recurrence, Schedule, Weekdays};

fn daily(hour: i8, minute: i8, zone: &str) -> Schedule {
    schedule(Recurrence::Day { hour, minute }, zone)
}

fn hourly(minute: i8, zone: &str) -> Schedule {
    schedule(Recurrence::Hour { minute }, zone)
}

fn monthly(day: i8, zone: &str) -> Schedule {
    let day = MonthDay::new(day).unwrap();
    schedule(
        Recurrence::Month {
            day,
            hour: 2,
            minute: 30,
        },
        zone,
    )
}

fn weekly(days: &[i8], zone: &str) -> Schedule {
    let weekdays = Weekdays::new(days.iter().copied()).unwrap();
    schedule(
        Recurrence::Week {
            weekdays,
            hour: 2,
            minute: 30,
        },
        zone,
    )
}

#[test]
fn a_skipped_time_of_day_is_due_at_the_instant_of_the_jump() {
    let berlin = daily(2, 30, "Europe/Berlin");
    assert_eq!(
        local(&berlin, "2026-03-27T12:00:00Z", 3),
        [
            "Sat 2026-03-28 02:30 +01:00",
            "Sun 2026-03-29 03:00 +02:00",
            "Mon 2026-03-30 02:30 +02:00"
        ]
    );
    // To the second, and from the second before it.
    assert_eq!(
        berlin.next_after(ts("2026-03-29T00:59:59.999Z")),
        Ok(Some(ts("2026-03-29T01:00:00Z")))
    );
    assert_eq!(
        berlin.next_after(ts("2026-03-29T01:00:00Z")),
        Ok(Some(ts("2026-03-30T00:30:00Z")))
    );
}

#[test]
fn a_repeated_time_of_day_is_due_once_the_first_time() {
    let berlin = daily(2, 30, "Europe/Berlin");
    assert_eq!(
        local(&berlin, "2026-10-24T12:00:00Z", 2),
        ["Sun 2026-10-25 02:30 +02:00", "Mon 2026-10-26 02:30 +01:00"]
    );
    // Asked in the second pass, before the clock shows 02:30 again.
    assert_eq!(
        berlin.next_after(ts("2026-10-25T01:10:00Z")),
        Ok(Some(ts("2026-10-26T01:30:00Z")))
    );
}

#[test]
fn an_hourly_schedule_follows_the_running_hours() {
    let berlin = hourly(15, "Europe/Berlin");
    assert_eq!(
        local(&berlin, "2026-10-24T23:00:00Z", 4),
        [
            "Sun 2026-10-25 01:15 +02:00",
            "Sun 2026-10-25 02:15 +02:00",
            "Sun 2026-10-25 02:15 +01:00",
            "Sun 2026-10-25 03:15 +01:00"
        ]
    );
    assert_eq!(
        local(&berlin, "2026-03-29T00:00:00Z", 3),
        [
            "Sun 2026-03-29 01:15 +01:00",
            "Sun 2026-03-29 03:15 +02:00",
            "Sun 2026-03-29 04:15 +02:00"
        ]
    );
    // An offset that is not a whole hour: the minute is the local clock's.
    assert_eq!(
        hourly(15, "Asia/Kathmandu").next_after(ts("2026-11-22T22:15:00Z")),
        Ok(Some(ts("2026-11-22T22:30:00Z")))
    );
    assert_eq!(
        hourly(15, "UTC").next_after(ts("2026-11-22T22:15:00Z")),
        Ok(Some(ts("2026-11-22T23:15:00Z")))
    );
}

#[test]
fn half_an_hour_of_summer_time_cuts_an_hour_short_and_repeats_half_of_one() {
    // 02:00 becomes 02:30: minute 15 of that hour is due then.
    assert_eq!(
        local(&hourly(15, "Australia/Lord_Howe"), "2025-10-04T14:00:00Z", 3),
        [
            "Sun 2025-10-05 01:15 +10:30",
            "Sun 2025-10-05 02:30 +11:00",
            "Sun 2025-10-05 03:15 +11:00"
        ]
    );
    // 02:00 becomes 01:30: minute 45 comes twice, minute 15 once.
    assert_eq!(
        local(&hourly(45, "Australia/Lord_Howe"), "2026-04-04T14:00:00Z", 3),
        [
            "Sun 2026-04-05 01:45 +11:00",
            "Sun 2026-04-05 01:45 +10:30",
            "Sun 2026-04-05 02:45 +10:30"
        ]
    );
    assert_eq!(
        local(&hourly(15, "Australia/Lord_Howe"), "2026-04-04T14:00:00Z", 2),
        ["Sun 2026-04-05 01:15 +11:00", "Sun 2026-04-05 02:15 +10:30"]
    );
    assert_eq!(
        local(&daily(1, 45, "Australia/Lord_Howe"), "2026-04-04T14:00:00Z", 2),
        ["Sun 2026-04-05 01:45 +11:00", "Mon 2026-04-06 01:45 +10:30"]
    );
}

#[test]
fn clocks_that_change_at_midnight_neither_lose_nor_double_a_day() {
    // Asunción, 1 October 2023: 00:00 becomes 01:00.
    assert_eq!(
        local(&daily(0, 0, "America/Asuncion"), "2023-09-30T12:00:00Z", 2),
        ["Sun 2023-10-01 01:00 -03:00", "Mon 2023-10-02 00:00 -03:00"]
    );
    // Asunción, 24 March 2024: 00:00 becomes 23:00 of the day before.
    assert_eq!(
        local(&daily(23, 30, "America/Asuncion"), "2024-03-23T12:00:00Z", 2),
        ["Sat 2024-03-23 23:30 -03:00", "Sun 2024-03-24 23:30 -04:00"]
    );
    assert_eq!(
        local(&daily(0, 0, "America/Asuncion"), "2024-03-23T12:00:00Z", 2),
        ["Sun 2024-03-24 00:00 -04:00", "Mon 2024-03-25 00:00 -04:00"]
    );
    // Cairo, Friday 28 April 2023: 00:00 becomes 01:00; a Friday all the same.
    let friday = schedule(
        Recurrence::Week {
            weekdays: Weekday::Friday.into(),
            hour: 0,
            minute: 30,
        },
        "Africa/Cairo",
    );
    assert_eq!(
        local(&friday, "2023-04-27T12:00:00Z", 2),
        ["Fri 2023-04-28 01:00 +03:00", "Fri 2023-05-05 00:30 +03:00"]
    );
}

#[test]
fn a_day_that_a_zone_skips_is_due_when_the_next_begins() {
    // Samoa went from Thursday 29 to Saturday 31 December 2011.
    assert_eq!(
        local(&daily(2, 30, "Pacific/Apia"), "2011-12-29T00:00:00Z", 4),
        [
            "Thu 2011-12-29 02:30 -10:00",
            "Sat 2011-12-31 00:00 +14:00",
            "Sat 2011-12-31 02:30 +14:00",
            "Sun 2012-01-01 02:30 +14:00"
        ]
    );
    assert_eq!(
        local(&monthly(30, "Pacific/Apia"), "2011-12-01T00:00:00Z", 2),
        ["Sat 2011-12-31 00:00 +14:00", "Mon 2012-01-30 02:30 +14:00"]
    );
    assert_eq!(
        local(&hourly(30, "Pacific/Apia"), "2011-12-30T09:00:00Z", 2),
        ["Thu 2011-12-29 23:30 -10:00", "Sat 2011-12-31 00:30 +14:00"]
    );
}

#[test]
fn every_month_has_its_day() {
    assert_eq!(
        local(&monthly(30, "UTC"), "2027-12-31T00:00:00Z", 4),
        [
            "Sun 2028-01-30 02:30 +00:00",
            "Tue 2028-02-29 02:30 +00:00",
            "Thu 2028-03-30 02:30 +00:00",
            "Sun 2028-04-30 02:30 +00:00"
        ]
    );
    let last = ["Sun 2027-01-31 02:30 +00:00", "Sun 2027-02-28 02:30 +00:00"];
    assert_eq!(local(&monthly(31, "UTC"), "2026-12-31T02:30:00Z", 2), last);
    assert_eq!(MonthDay::new(31), Ok(MonthDay::LAST));
}

#[test]
fn weeks_have_one_day_or_several() {
    assert_eq!(
        local(&weekly(&[4, 1], "Europe/Berlin"), "2026-11-23T00:00:00Z", 3),
        [
            "Mon 2026-11-23 02:30 +01:00",
            "Thu 2026-11-26 02:30 +01:00",
            "Mon 2026-11-30 02:30 +01:00"
        ]
    );
    assert_eq!(
        local(&weekly(&[7], "UTC"), "2026-11-29T02:30:00Z", 1),
        ["Sun 2026-12-06 02:30 +00:00"]
    );
}

#[test]
fn cron_lines_keep_to_what_they_say() {
    assert_eq!(
        local(&cron("0 3 29 2 *", "Europe/Berlin"), "2026-01-01T00:00:00Z", 2),
        ["Tue 2028-02-29 03:00 +01:00", "Sun 2032-02-29 03:00 +01:00"]
    );
    // 2100 is no leap year.
    assert_eq!(
        local(&cron("0 3 29 2 *", "UTC"), "2096-03-01T00:00:00Z", 1),
        ["Fri 2104-02-29 03:00 +00:00"]
    );
    assert_eq!(
        local(&cron("30 2 31 * *", "UTC"), "2026-01-31T02:30:00Z", 1),
        ["Tue 2026-03-31 02:30 +00:00"]
    );
    // Day of month or day of week; with a plus sign, both.
    assert_eq!(
        local(&cron("0 3 13 * FRI", "UTC"), "2026-11-01T00:00:00Z", 2),
        ["Fri 2026-11-06 03:00 +00:00", "Fri 2026-11-13 03:00 +00:00"]
    );
    assert_eq!(
        local(&cron("0 3 13 * +FRI", "UTC"), "2026-11-01T00:00:00Z", 2),
        ["Fri 2026-11-13 03:00 +00:00", "Fri 2027-08-13 03:00 +00:00"]
    );
    assert_eq!(
        local(&cron("  0\t3 L  * * ", "UTC"), "2026-11-01T00:00:00Z", 1),
        ["Mon 2026-11-30 03:00 +00:00"]
    );
}

#[test]
fn cron_lines_pass_the_changes_of_the_clocks_by_the_same_rules() {
    // Several hours are times of day. croner alone would leave the skipped one out and run the repeated one twice.
    let several = cron("30 2,14 * * *", "Europe/Berlin");
    assert_eq!(
        local(&several, "2026-03-28T14:00:00Z", 2),
        ["Sun 2026-03-29 03:00 +02:00", "Sun 2026-03-29 14:30 +02:00"]
    );
    assert_eq!(
        local(&several, "2026-10-24T14:00:00Z", 2),
        ["Sun 2026-10-25 02:30 +02:00", "Sun 2026-10-25 14:30 +01:00"]
    );
    // Two skipped times are due once.
    assert_eq!(
        local(
            &cron("0,30 2,4 * * *", "Europe/Berlin"),
            "2026-03-29T00:00:00Z",
            2
        ),
        ["Sun 2026-03-29 03:00 +02:00", "Sun 2026-03-29 04:00 +02:00"]
    );
    // Every hour: as an hourly schedule.
    for (line, minute) in [("15 * * * *", 15), ("0 */1 * * *", 0)] {
        for from in ["2026-03-29T00:00:00Z", "2026-10-24T23:00:00Z"] {
            assert_eq!(
                local(&cron(line, "Europe/Berlin"), from, 5),
                local(&hourly(minute, "Europe/Berlin"), from, 5),
                "{line}"
            );
        }
    }
}

#[test]
fn occurrences_lie_after_the_first_instant_and_up_to_the_second() {
    let daily = daily(2, 30, "UTC");
    let between = |from, to| daily.occurrences(ts(from), ts(to)).unwrap().count();
    assert_eq!(between("2026-01-01T02:30:00Z", "2026-01-03T02:30:00Z"), 2);
    assert_eq!(between("2026-01-01T02:29:59.5Z", "2026-01-03T02:29:59Z"), 2);
    assert_eq!(between("2026-01-03T00:00:00Z", "2026-01-01T00:00:00Z"), 0);
    let manual = Schedule::manual();
    assert_eq!(
        manual
            .occurrences(Timestamp::MIN, Timestamp::MAX)
            .unwrap()
            .count(),
        0
    );
    assert_eq!(manual.next_after(Timestamp::UNIX_EPOCH), Ok(None));
    // The calendar ends, and begins, without a panic.
    for schedule in [
        daily,
        hourly(30, "Europe/Berlin"),
        monthly(31, "Asia/Tokyo"),
        cron("0 0 1 1 *", "UTC"),
    ] {
        assert_eq!(schedule.next_after(Timestamp::MAX), Ok(None));
        assert!(schedule.next_after(Timestamp::MIN).unwrap().is_some());
        assert_eq!(schedule.longest_interval(Timestamp::MAX), Ok(None));
    }
}

#[test]
fn the_longest_interval_of_a_year() {
    let longest = |schedule: &Schedule| {
        let longest = schedule.longest_interval(ts("2026-11-24T12:00:00Z")).unwrap();
        longest.map(|longest| longest.as_secs() / 3_600)
    };
    assert_eq!(longest(&Schedule::manual()), None);
    assert_eq!(longest(&hourly(0, "Europe/Berlin")), Some(1));
    assert_eq!(longest(&daily(2, 30, "UTC")), Some(24));
    // The day on which the clocks go back has an hour more.
    assert_eq!(longest(&daily(12, 0, "Europe/Berlin")), Some(25));
    assert_eq!(longest(&weekly(&[1, 2, 3, 4, 5], "UTC")), Some(3 * 24));
    assert_eq!(
        longest(&weekly(&[1, 2, 3, 4, 5], "Europe/Berlin")),
        Some(3 * 24 + 1)
    );
    assert_eq!(longest(&weekly(&[4], "UTC")), Some(7 * 24));
    assert_eq!(longest(&monthly(31, "UTC")), Some(31 * 24));
    // Once a year: to the one after next. Once in four years: none in the year ahead, so the next two.
    assert_eq!(longest(&cron("0 3 1 7 *", "UTC")), Some(366 * 24));
    assert_eq!(longest(&cron("0 3 29 2 *", "UTC")), Some((4 * 365 + 1) * 24));
}

/// What the interval promises: within the year, nobody waits longer from one occurrence to the next.
#[test]
fn no_two_neighbours_are_further_apart_than_the_longest_interval() {
    let schedule = cron("30 2 1,9,11 * *", "America/New_York");
    let from = ts("2026-11-24T12:00:00Z");
    let longest = schedule.longest_interval(from).unwrap().unwrap();
    let year: Vec<_> = schedule
        .occurrences(from, from + SignedDuration::from_hours(366 * 24))
        .unwrap()
        .collect();
    assert_eq!(year.len(), 36);
    let apart = year.windows(2).map(|pair| pair[1].duration_since(pair[0]));
    assert_eq!(apart.max(), Some(longest));
}
