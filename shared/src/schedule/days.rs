//! Days of a week and of a month, as people choose them. Both are checked when they are made or read.

use std::fmt;

use jiff::civil::{Date, Weekday};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess, Visitor},
};

use super::ScheduleError;

/// One or more days of the week.
///
/// In JSON a list of numbers, 1 for Monday to 7 for Sunday as in ISO 8601. A single number is read too: so it
/// was stored when a schedule had one day.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Weekdays(u8);

impl Weekdays {
    /// The days with these ISO 8601 numbers, in any order; one that is named twice counts once.
    ///
    /// # Errors
    /// When there is none, or a number is not 1 to 7.
    pub fn new(numbers: impl IntoIterator<Item = i8>) -> Result<Self, ScheduleError> {
        let mut bits = 0;
        for number in numbers {
            bits |= Self::from(weekday(i64::from(number))?).0;
        }
        Self::non_empty(bits)
    }

    fn non_empty(bits: u8) -> Result<Self, ScheduleError> {
        if bits == 0 {
            Err(ScheduleError::NoWeekday)
        } else {
            Ok(Self(bits))
        }
    }

    /// Whether the day is one of them.
    #[must_use]
    pub fn contains(self, weekday: Weekday) -> bool {
        self.0 & Self::from(weekday).0 != 0
    }

    /// The days, from Monday on.
    pub fn iter(self) -> impl Iterator<Item = Weekday> {
        Weekday::Monday
            .cycle_forward()
            .take(7)
            .filter(move |day| self.contains(*day))
    }
}

impl From<Weekday> for Weekdays {
    fn from(weekday: Weekday) -> Self {
        Self(1 << weekday.to_monday_zero_offset())
    }
}

impl fmt::Debug for Weekdays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Weekdays {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Weekday::to_monday_one_offset))
    }
}

impl<'de> Deserialize<'de> for Weekdays {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;

        impl<'de> Visitor<'de> for Numbers {
            type Value = Weekdays;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of days, 1 (Monday) to 7 (Sunday)")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Weekdays, E> {
                weekday(number).map(Weekdays::from).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Weekdays, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Weekdays, A::Error> {
                let mut bits = 0;
                while let Some(number) = numbers.next_element()? {
                    bits |= Weekdays::from(weekday(number).map_err(de::Error::custom)?).0;
                }
                Weekdays::non_empty(bits).map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(Numbers)
    }
}

fn weekday(number: i64) -> Result<Weekday, ScheduleError> {
    i8::try_from(number)
        .ok()
        .and_then(|number| Weekday::from_monday_one_offset(number).ok())
        .ok_or(ScheduleError::OutOfRange {
            field: "weekdays",
            value: number,
            range: "1 (Monday) to 7 (Sunday)",
        })
}

/// A day that every month has: in a month without a 29th, 30th or 31st these mean its last day. A schedule that
/// skipped short months would leave a gap of two.
///
/// In JSON 1 to 30, or `"last"`; 31 is read as `"last"`, which it is in every month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MonthDay(i8);

impl MonthDay {
    /// The last day of each month.
    pub const LAST: Self = Self(31);

    /// The day with this number, or the month's last one if it is shorter.
    ///
    /// # Errors
    /// When the number is not 1 to 31.
    pub fn new(number: i8) -> Result<Self, ScheduleError> {
        Self::numbered(i64::from(number))
    }

    fn numbered(number: i64) -> Result<Self, ScheduleError> {
        i8::try_from(number)
            .ok()
            .filter(|day| (1..=31).contains(day))
            .map(Self)
            .ok_or(ScheduleError::OutOfRange {
                field: "day",
                value: number,
                range: "1 to 31, or last",
            })
    }

    /// The number; `None` for the last day.
    #[must_use]
    pub fn number(self) -> Option<i8> {
        (self != Self::LAST).then_some(self.0)
    }

    /// This day in the month of `date`.
    pub(super) fn in_month_of(self, date: Date) -> Date {
        Date::constant(date.year(), date.month(), self.0.min(date.days_in_month()))
    }
}

impl Serialize for MonthDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.number() {
            Some(number) => serializer.serialize_i8(number),
            None => serializer.serialize_str("last"),
        }
    }
}

impl<'de> Deserialize<'de> for MonthDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Day;

        impl Visitor<'_> for Day {
            type Value = MonthDay;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a day, 1 to 31 or \"last\"")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<MonthDay, E> {
                MonthDay::numbered(number).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<MonthDay, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<MonthDay, E> {
                match text {
                    "last" => Ok(MonthDay::LAST),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
        }

        deserializer.deserialize_any(Day)
    }
}
