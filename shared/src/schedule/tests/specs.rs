//! Recurrences as the model understands them, and how they are written for the code under test.

use jiff::civil::{Date, Weekday};
use proptest::{collection::btree_set, option, prelude::*};

use crate::schedule::{MonthDay, Recurrence, Weekdays};

/// A recurrence, spelled out.
#[derive(Debug, Clone)]
pub enum Spec {
    Hour(i64),
    Day(i64),
    Week(Vec<i8>, i64),
    Month(i8, i64),
    Cron(Cron),
}

/// A cron line, spelled out. `None` is `*`.
#[derive(Debug, Clone)]
pub struct Cron {
    minutes: Vec<i64>,
    hours: Option<Vec<i64>>,
    days: Option<Vec<DayOfMonth>>,
    months: Option<Vec<i8>>,
    weekdays: Option<Vec<DayOfWeek>>,
    both: bool,
}

#[derive(Debug, Clone)]
enum DayOfMonth {
    Number(i8),
    Last,
    NearestWorkingDay(i8),
}

/// Numbered 0 to 7 from Sunday.
#[derive(Debug, Clone)]
enum DayOfWeek {
    Each(i8),
    Nth(i8, i8),
    Last(i8),
}

impl Spec {
    pub fn running_hours(&self) -> bool {
        match self {
            Self::Hour(_) => true,
            Self::Cron(cron) => cron.hours.is_none(),
            _ => false,
        }
    }

    pub fn matches_minute(&self, minute_of_day: i64) -> bool {
        match self {
            Self::Hour(minute) => minute_of_day % 60 == *minute,
            Self::Day(at) | Self::Week(_, at) | Self::Month(_, at) => minute_of_day == *at,
            Self::Cron(cron) => {
                cron.minutes.contains(&(minute_of_day % 60))
                    && cron
                        .hours
                        .as_ref()
                        .is_none_or(|hours| hours.contains(&(minute_of_day / 60)))
            }
        }
    }

    pub fn matches_day(&self, date: Date) -> bool {
        match self {
            Self::Hour(_) | Self::Day(_) => true,
            Self::Week(days, _) => days.contains(&date.weekday().to_monday_one_offset()),
            Self::Month(day, _) => {
                date.day() == *day || date.day() < *day && date.tomorrow().unwrap().day() == 1
            }
            Self::Cron(cron) => cron.matches_day(date),
        }
    }

    /// As the code under test takes it.
    pub fn recurrence(&self) -> Recurrence {
        let hour = |at: &i64| i8::try_from(at / 60).unwrap();
        let minute = |at: &i64| i8::try_from(at % 60).unwrap();
        match self {
            Self::Hour(at) => Recurrence::Hour { minute: minute(at) },
            Self::Day(at) => Recurrence::Day {
                hour: hour(at),
                minute: minute(at),
            },
            Self::Week(days, at) => Recurrence::Week {
                weekdays: Weekdays::new(days.iter().copied()).unwrap(),
                hour: hour(at),
                minute: minute(at),
            },
            Self::Month(day, at) => Recurrence::Month {
                day: MonthDay::new(*day).unwrap(),
                hour: hour(at),
                minute: minute(at),
            },
            Self::Cron(cron) => Recurrence::Cron { line: cron.line() },
        }
    }
}

impl Cron {
    fn matches_day(&self, date: Date) -> bool {
        let day = self
            .days
            .as_ref()
            .map(|days| days.iter().any(|day| day.matches(date)));
        let weekday = self
            .weekdays
            .as_ref()
            .map(|days| days.iter().any(|day| day.matches(date)));
        let named = match (day, weekday) {
            (Some(day), Some(weekday)) if self.both => day && weekday,
            (Some(day), Some(weekday)) => day || weekday,
            (day, weekday) => day.or(weekday).unwrap_or(true),
        };
        named
            && self
                .months
                .as_ref()
                .is_none_or(|months| months.contains(&date.month()))
    }

    fn line(&self) -> String {
        fn list<T>(items: Option<&Vec<T>>, write: impl Fn(&T) -> String) -> String {
            items.map_or_else(
                || "*".to_owned(),
                |items| items.iter().map(write).collect::<Vec<_>>().join(","),
            )
        }
        let both = if self.both && self.weekdays.is_some() {
            "+"
        } else {
            ""
        };
        format!(
            "{} {} {} {} {both}{}",
            list(Some(&self.minutes), ToString::to_string),
            list(self.hours.as_ref(), ToString::to_string),
            list(self.days.as_ref(), |day| match day {
                DayOfMonth::Number(day) => day.to_string(),
                DayOfMonth::Last => "L".to_owned(),
                DayOfMonth::NearestWorkingDay(day) => format!("{day}W"),
            }),
            list(self.months.as_ref(), ToString::to_string),
            list(self.weekdays.as_ref(), |day| match day {
                DayOfWeek::Each(day) => day.to_string(),
                DayOfWeek::Nth(day, nth) => format!("{day}#{nth}"),
                DayOfWeek::Last(day) => format!("{day}L"),
            }),
        )
    }
}

impl DayOfMonth {
    fn matches(&self, date: Date) -> bool {
        match self {
            Self::Number(day) => date.day() == *day,
            Self::Last => date.tomorrow().unwrap().day() == 1,
            Self::NearestWorkingDay(day) => {
                // The nearest of the month's working days; at a tie there is none, since weekends have two days.
                let working = |date: &Date| !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
                *day <= date.days_in_month()
                    && date
                        .first_of_month()
                        .series(jiff::Span::new().days(1))
                        .take_while(|other| other.month() == date.month())
                        .filter(working)
                        .min_by_key(|other| (other.day() - day).abs())
                        == Some(date)
            }
        }
    }
}

impl DayOfWeek {
    fn matches(&self, date: Date) -> bool {
        let is = |day: i8| date.weekday().to_sunday_zero_offset() == day % 7;
        match self {
            Self::Each(day) => is(*day),
            Self::Nth(day, nth) => is(*day) && (date.day() - 1) / 7 + 1 == *nth,
            Self::Last(day) => is(*day) && date.day() + 7 > date.days_in_month(),
        }
    }
}

fn minute_of_day() -> impl Strategy<Value = i64> {
    // Most changes of the clocks are in the first hours of a day, or at its end.
    prop_oneof![2 => 0..4 * 60i64, 1 => 23 * 60..24 * 60i64, 2 => 0..24 * 60i64]
}

/// Minutes that keep the least distance, also to the next hour's.
fn minutes() -> impl Strategy<Value = Vec<i64>> {
    prop_oneof![
        (0..60i64).prop_map(|minute| vec![minute]),
        (0..5i64, btree_set(0..11i64, 1..4))
            .prop_map(|(first, steps)| { steps.into_iter().map(|step| first + step * 5).collect() }),
    ]
}

fn list<T: Strategy<Value: std::fmt::Debug>>(item: T) -> impl Strategy<Value = Vec<T::Value>> {
    proptest::collection::vec(item, 1..4)
}

fn cron() -> impl Strategy<Value = Spec> {
    let hour = prop_oneof![0..4i64, 0..24i64];
    let day = prop_oneof![
        4 => (1..=31i8).prop_map(DayOfMonth::Number),
        1 => Just(DayOfMonth::Last),
        1 => (1..=31i8).prop_map(DayOfMonth::NearestWorkingDay),
    ];
    let weekday = prop_oneof![
        4 => (0..=7i8).prop_map(DayOfWeek::Each),
        1 => (0..=7i8, 1..=5i8).prop_map(|(day, nth)| DayOfWeek::Nth(day, nth)),
        1 => (0..=7i8).prop_map(DayOfWeek::Last),
    ];
    (
        minutes(),
        option::weighted(
            0.6,
            btree_set(hour, 1..5).prop_map(|hours| hours.into_iter().collect()),
        ),
        option::weighted(0.4, list(day)),
        option::weighted(0.2, list(1..=12i8)),
        option::weighted(0.4, list(weekday)),
        any::<bool>(),
    )
        .prop_map(|(minutes, hours, days, months, weekdays, both)| {
            Spec::Cron(Cron {
                minutes,
                hours,
                days,
                months,
                weekdays,
                both,
            })
        })
}

/// Recurrences that are due at least once in 31 days.
pub fn at_least_monthly() -> impl Strategy<Value = Spec> {
    prop_oneof![
        (0..60i64).prop_map(Spec::Hour),
        minute_of_day().prop_map(Spec::Day),
        (btree_set(1..=7i8, 1..=7), minute_of_day())
            .prop_map(|(days, at)| Spec::Week(days.into_iter().collect(), at)),
        (1..=31i8, minute_of_day()).prop_map(|(day, at)| Spec::Month(day, at)),
    ]
}

/// Any recurrence that has times.
pub fn spec() -> impl Strategy<Value = Spec> {
    prop_oneof![2 => at_least_monthly(), 1 => cron()]
}
