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

/// A cron line, spelled out. No months: `*`.
#[derive(Debug, Clone)]
pub struct Cron {
    minutes: Field<i64>,
    hours: Field<i64>,
    days: Field<DayOfMonth>,
    months: Option<Vec<i8>>,
    weekdays: Field<DayOfWeek>,
    both: bool,
}

#[derive(Debug, Clone)]
enum Field<T> {
    /// `*`
    Star,
    /// `*/3`
    Step(i8),
    List(Vec<T>),
}

impl<T> Field<T> {
    fn begins_with_star(&self) -> bool {
        !matches!(self, Self::List(_))
    }

    /// Whether a value matches that lies so far from the first of the field; `None` for any.
    fn matches(&self, from_first: i64, listed: impl Fn(&T) -> bool) -> Option<bool> {
        match self {
            Self::Star => None,
            Self::Step(step) => Some(from_first % i64::from(*step) == 0),
            Self::List(items) => Some(items.iter().any(listed)),
        }
    }

    fn write(&self, item: impl Fn(&T) -> String) -> String {
        match self {
            Self::Star => "*".to_owned(),
            Self::Step(step) => format!("*/{step}"),
            Self::List(items) => items.iter().map(item).collect::<Vec<_>>().join(","),
        }
    }
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
    /// Whether it follows the running clock, and not the times of day.
    pub fn wildcard(&self) -> bool {
        match self {
            Self::Hour(_) => true,
            Self::Cron(cron) => cron.minutes.begins_with_star() || cron.hours.begins_with_star(),
            _ => false,
        }
    }

    /// Whether each hour of the day is among its hours.
    pub fn every_hour(&self) -> bool {
        let all_hours = |hours: &Field<i64>| matches!(hours, Field::Star | Field::Step(1));
        match self {
            Self::Hour(_) => true,
            Self::Cron(cron) => all_hours(&cron.hours),
            _ => false,
        }
    }

    pub fn matches_minute(&self, minute_of_day: i64) -> bool {
        match self {
            Self::Hour(minute) => minute_of_day % 60 == *minute,
            Self::Day(at) | Self::Week(_, at) | Self::Month(_, at) => minute_of_day == *at,
            Self::Cron(cron) => {
                let (hour, minute) = (minute_of_day / 60, minute_of_day % 60);
                cron.minutes.matches(minute, |listed| *listed == minute) != Some(false)
                    && cron.hours.matches(hour, |listed| *listed == hour) != Some(false)
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
            .matches(i64::from(date.day()) - 1, |day| day.matches(date));
        let sunday_based = i64::from(date.weekday().to_sunday_zero_offset());
        let weekday = self.weekdays.matches(sunday_based, |day| day.matches(date));
        // Sunday is 7 too.
        let weekday = match (&self.weekdays, sunday_based) {
            (Field::Step(1 | 7), 0) => Some(true),
            _ => weekday,
        };
        let both = self.both || self.days.begins_with_star() || self.weekdays.begins_with_star();
        let named = match (day, weekday) {
            (Some(day), Some(weekday)) if both => day && weekday,
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
        let months = self.months.as_ref().map_or_else(
            || "*".to_owned(),
            |months| {
                months
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(",")
            },
        );
        let weekdays = self.weekdays.write(|day| match day {
            DayOfWeek::Each(day) => day.to_string(),
            DayOfWeek::Nth(day, nth) => format!("{day}#{nth}"),
            DayOfWeek::Last(day) => format!("{day}L"),
        });
        format!(
            "{} {} {} {months} {}{weekdays}",
            self.minutes.write(ToString::to_string),
            self.hours.write(ToString::to_string),
            self.days.write(|day| match day {
                DayOfMonth::Number(day) => day.to_string(),
                DayOfMonth::Last => "L".to_owned(),
                DayOfMonth::NearestWorkingDay(day) => format!("{day}W"),
            }),
            if self.both && !matches!(self.weekdays, Field::Star) {
                "+"
            } else {
                ""
            },
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
fn minutes() -> impl Strategy<Value = Field<i64>> {
    prop_oneof![
        2 => (0..60i64).prop_map(|minute| Field::List(vec![minute])),
        2 => (0..5i64, btree_set(0..11i64, 1..4)).prop_map(|(first, steps)| {
            Field::List(steps.into_iter().map(|step| first + step * 5).collect())
        }),
        1 => prop::sample::select(vec![5, 6, 9, 10, 11, 12, 15, 20, 25, 30, 45, 55]).prop_map(Field::Step),
    ]
}

fn hours() -> impl Strategy<Value = Field<i64>> {
    let hour = prop_oneof![0..4i64, 0..24i64];
    prop_oneof![
        2 => Just(Field::Star),
        1 => (1..=23i8).prop_map(Field::Step),
        4 => btree_set(hour, 1..5).prop_map(|hours| Field::List(hours.into_iter().collect())),
    ]
}

/// The field of a day: mostly any.
fn day_field<T: std::fmt::Debug + Clone>(
    item: impl Strategy<Value = T>,
    highest_step: i8,
) -> impl Strategy<Value = Field<T>> {
    prop_oneof![
        6 => Just(Field::Star),
        1 => (1..=highest_step).prop_map(Field::Step),
        3 => list(item).prop_map(Field::List),
    ]
}

fn list<T: Strategy<Value: std::fmt::Debug>>(item: T) -> impl Strategy<Value = Vec<T::Value>> {
    proptest::collection::vec(item, 1..4)
}

/// Cron lines of random parts, some of which never fire.
pub fn cron() -> impl Strategy<Value = Spec> {
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
        hours(),
        day_field(day, 31),
        option::weighted(0.2, list(1..=12i8)),
        day_field(weekday, 7),
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

/// Cron lines of each day.
fn daily_cron() -> impl Strategy<Value = Spec> {
    (minutes(), hours()).prop_map(|(minutes, hours)| {
        Spec::Cron(Cron {
            minutes,
            hours,
            days: Field::Star,
            months: None,
            weekdays: Field::Star,
            both: false,
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
        daily_cron(),
    ]
}

/// Any recurrence that has times.
pub fn spec() -> impl Strategy<Value = Spec> {
    prop_oneof![2 => at_least_monthly(), 1 => cron()]
}
