//! Schedules against the model, in all zones there are, mostly where something happens to the clocks or the calendar.

use jiff::{SignedDuration, Timestamp, civil::date, tz::TimeZone};
use proptest::{prelude::*, sample::select};

use super::{
    model, schedule,
    specs::{Spec, at_least_monthly, spec},
    ts,
};
use crate::{
    schedule::{Recurrence, ScheduleError},
    time_zone,
};

/// Zones with something odd: changes at midnight, by half an hour, by two hours, twice a year around Ramadan, a minute
/// past midnight, a skipped day, a negative summer time, offsets with quarters of an hour.
const ODD_ZONES: [&str; 26] = [
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/St_Johns",
    "America/Asuncion",
    "America/Sao_Paulo",
    "America/Havana",
    "America/Caracas",
    "America/Scoresbysund",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Monrovia",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Tehran",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Pyongyang",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Antarctica/Casey",
    "Pacific/Apia",
    "Pacific/Fakaofo",
    "Pacific/Kwajalein",
    "Pacific/Chatham",
];

/// The number of cases, unless `PROPTEST_CASES` says otherwise.
fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_some() {
        default
    } else {
        ProptestConfig { cases, ..default }
    }
}

fn zone() -> impl Strategy<Value = String> {
    let names = jiff::tz::db().available().map(|name| name.to_string());
    let all: Vec<String> = names.filter(|name| time_zone::iana(name).is_some()).collect();
    prop_oneof![2 => select(ODD_ZONES.as_slice()).prop_map(str::to_owned), 1 => select(all)]
}

/// Clocks that did what they hardly ever do, in UTC.
const EVENTS: [(&str, &str); 22] = [
    // A day is skipped.
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("Pacific/Fakaofo", "2011-12-30T11:00:00Z"),
    ("Pacific/Kiritimati", "1994-12-31T10:00:00Z"),
    ("Pacific/Kwajalein", "1993-08-21T12:00:00Z"),
    // Half an hour or less.
    ("Asia/Kathmandu", "1985-12-31T18:30:00Z"),
    ("America/Caracas", "2007-12-09T07:00:00Z"),
    ("America/Caracas", "2016-05-01T07:00:00Z"),
    ("Asia/Pyongyang", "2015-08-14T15:00:00Z"),
    ("Asia/Pyongyang", "2018-05-04T15:00:00Z"),
    ("Australia/Lord_Howe", "1985-10-26T15:30:00Z"),
    ("Australia/Lord_Howe", "2025-10-04T15:30:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    // At midnight, or a minute past.
    ("America/Asuncion", "2023-10-01T04:00:00Z"),
    ("America/Asuncion", "2024-03-24T03:00:00Z"),
    ("Africa/Cairo", "2014-05-15T22:00:00Z"),
    ("Africa/Cairo", "2014-06-26T21:00:00Z"),
    ("Africa/Cairo", "2023-04-27T22:00:00Z"),
    ("America/St_Johns", "2006-04-02T03:31:00Z"),
    ("America/St_Johns", "2006-10-29T02:31:00Z"),
    // By two hours, and by three.
    ("Antarctica/Troll", "2026-03-29T01:00:00Z"),
    ("Antarctica/Troll", "2026-10-25T01:00:00Z"),
    ("Antarctica/Casey", "2020-10-03T16:01:00Z"),
];

/// A zone, and an instant to look around.
fn moment() -> impl Strategy<Value = (String, Timestamp)> {
    let near = |change: fn(Timestamp, &TimeZone) -> Timestamp| {
        (zone(), ABOUT).prop_map(move |(name, about)| {
            let about = Timestamp::from_second(about).unwrap();
            let zone = TimeZone::get(&name).unwrap();
            (name, change(about, &zone))
        })
    };
    prop_oneof![
        1 => near(|about, _| about),
        1 => near(|about, zone| {
            let march = date(zone.to_datetime(about).year(), 3, 1);
            march.to_zoned(zone.clone()).unwrap().timestamp()
        }),
        3 => near(|about, zone| zone.following(about).next().map_or(about, |change| change.timestamp())),
        2 => select(EVENTS.as_slice()).prop_map(|(name, at)| (name.to_owned(), ts(at))),
    ]
}

/// Seconds from 1973, when the last offset with seconds was gone, to 2110: beyond the tables of changes, and over a
/// leap year that is left out.
const ABOUT: std::ops::Range<i64> = 94_694_400..4_417_977_600;

/// A cron line of random parts may never fire; that one is refused, and nothing else.
fn readable(spec: &Spec, zone: &str) -> Result<bool, TestCaseError> {
    match schedule(spec.recurrence(), zone).validate() {
        Ok(()) => Ok(true),
        Err(ScheduleError::CronNever(_)) => Ok(false),
        Err(other) => Err(TestCaseError::fail(other.to_string())),
    }
}

proptest! {
    #![proptest_config(config(2_048))]

    /// The occurrences of some days are those of the model.
    #[test]
    fn occurrences_are_those_of_the_model(
        spec in spec(),
        (zone_name, moment) in moment(),
        before_mins in 0..2 * 24 * 60i64,
        millis in prop_oneof![Just(0), 0..60_000i64],
        days in 1..6i64,
    ) {
        let zone = TimeZone::get(&zone_name).unwrap();
        let from = moment - SignedDuration::from_mins(before_mins) + SignedDuration::from_millis(millis);
        let to = from + SignedDuration::from_hours(24 * days);
        if readable(&spec, &zone_name)? {
            let schedule = schedule(spec.recurrence(), &zone_name);
            let found: Vec<_> = schedule.occurrences(from, to).unwrap().collect();
            prop_assert_eq!(&found, &model::due(&spec, &zone, from, to));
            // From any instant in between, the next is the next.
            let middle = from + SignedDuration::from_mins(days * 24 * 60 / 2);
            let next = schedule.next_after(middle).unwrap().filter(|next| *next <= to);
            prop_assert_eq!(next, found.iter().copied().find(|due| *due > middle));
        }
    }
}

proptest! {
    #![proptest_config(config(256))]

    /// Whatever somebody writes as a cron line is read or refused, and what is read has a next time.
    #[test]
    fn no_cron_line_is_too_odd(line in "([0-9*/,LW#+?A-Z-]{1,6} ){4}[0-9*/,LW#+?A-Z-]{1,6}|\\PC{0,30}") {
        let schedule = schedule(Recurrence::Cron { line }, "Europe/Berlin");
        match schedule.validate() {
            Ok(()) => prop_assert!(schedule.next_after(Timestamp::UNIX_EPOCH).unwrap().is_some()),
            Err(error) => prop_assert!(error.to_string().starts_with("line: "), "{error}"),
        }
    }
}

proptest! {
    #![proptest_config(config(8))]

    /// A whole year, and the longest interval in it.
    #[test]
    fn a_year_is_that_of_the_model(spec in at_least_monthly(), zone_name in zone(), about in ABOUT) {
        let zone = TimeZone::get(&zone_name).unwrap();
        let from = Timestamp::from_second(about).unwrap();
        let horizon = from + SignedDuration::from_hours(366 * 24);
        let to = horizon + SignedDuration::from_hours(33 * 24);
        let schedule = schedule(spec.recurrence(), &zone_name);
        let found: Vec<_> = schedule.occurrences(from, to).unwrap().collect();
        let model = model::due(&spec, &zone, from, to);
        prop_assert_eq!(&found, &model);
        let longest = model
            .windows(2)
            .filter(|pair| pair[0] <= horizon)
            .map(|pair| pair[1].duration_since(pair[0]))
            .max();
        prop_assert_eq!(schedule.longest_interval(from).unwrap(), longest);
    }
}
