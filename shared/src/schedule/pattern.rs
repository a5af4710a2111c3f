//! The local dates and times that a recurrence names, without a zone: whole minutes of a clock that never jumps.

use jiff::{
    SignedDuration, ToSpan,
    civil::{Date, DateTime, Time},
};

use super::{
    cron::Line,
    days::{MonthDay, Weekdays},
    error::ScheduleError,
    recurrence::Recurrence,
};

/// What a recurrence names: some times of day, on some days.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    days: Days,
    /// In order, at least one.
    times: Vec<Time>,
    clock: Clock,
}

/// What counts where the clocks jump: see the module's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// Times of day, each once.
    Fixed,
    /// Whatever the clock shows, as often as the clock shows it.
    Running,
    /// As `Running`, at each hour of the day: an hour that is skipped as a whole is not missed.
    RunningHours,
}

#[derive(Debug, Clone)]
enum Days {
    Every,
    Week(Weekdays),
    Month(MonthDay),
    Cron(Line),
}

impl Pattern {
    /// Reads a recurrence; `None` for one without times.
    pub fn read(recurrence: &Recurrence) -> Result<Option<Self>, ScheduleError> {
        let at = |days: Days, hour: i8, minute: i8| {
            Ok(Some(Self {
                days,
                times: vec![time_of_day(hour, minute)?],
                clock: Clock::Fixed,
            }))
        };
        match recurrence {
            Recurrence::Manual => Ok(None),
            Recurrence::Hour { minute } => Ok(Some(Self {
                days: Days::Every,
                times: (0..24)
                    .map(|hour| time_of_day(hour, *minute))
                    .collect::<Result<_, _>>()?,
                clock: Clock::RunningHours,
            })),
            Recurrence::Day { hour, minute } => at(Days::Every, *hour, *minute),
            Recurrence::Week {
                weekdays,
                hour,
                minute,
            } => at(Days::Week(*weekdays), *hour, *minute),
            Recurrence::Month { day, hour, minute } => at(Days::Month(*day), *hour, *minute),
            Recurrence::Cron { line } => {
                let mut line = Line::read(line)?;
                Ok(Some(Self {
                    times: std::mem::take(&mut line.times),
                    clock: match (line.wildcard, line.hours().len()) {
                        (false, _) => Clock::Fixed,
                        (true, 24) => Clock::RunningHours,
                        (true, _) => Clock::Running,
                    },
                    days: Days::Cron(line),
                }))
            }
        }
    }

    /// What counts where the clocks jump.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Where `first` is the first of several times of a day: the last, and the longest time between two of them.
    pub fn rest_of_day(&self, first: Time) -> Option<(Time, SignedDuration)> {
        let within = self
            .times
            .windows(2)
            .map(|pair| pair[0].duration_until(pair[1]))
            .max()?;
        (self.times.first() == Some(&first)).then_some((*self.times.last()?, within))
    }

    /// The first date and time at `from` or later; `None` when the calendar ends before.
    pub fn at_or_after(&self, from: DateTime) -> Option<DateTime> {
        let day = self.days.at_or_after(from.date())?;
        if day > from.date() {
            return Some(day.to_datetime(*self.times.first()?));
        }
        let passed = self.times.partition_point(|time| *time < from.time());
        if let Some(time) = self.times.get(passed) {
            return Some(day.to_datetime(*time));
        }
        let day = self.days.at_or_after(day.tomorrow().ok()?)?;
        Some(day.to_datetime(*self.times.first()?))
    }
}

impl Days {
    fn at_or_after(&self, from: Date) -> Option<Date> {
        match self {
            Self::Every => Some(from),
            Self::Week(weekdays) => (0..7)
                .filter_map(|days| from.checked_add(days.days()).ok())
                .find(|day| weekdays.contains(day.weekday())),
            Self::Month(day) => {
                let this_month = day.in_month_of(from);
                if this_month >= from {
                    return Some(this_month);
                }
                let next_month = from.last_of_month().tomorrow().ok()?;
                Some(day.in_month_of(next_month))
            }
            Self::Cron(line) => line.day_from(from),
        }
    }
}

fn time_of_day(hour: i8, minute: i8) -> Result<Time, ScheduleError> {
    within("hour", hour, 23, "0 to 23")?;
    within("minute", minute, 59, "0 to 59")?;
    Ok(Time::constant(hour, minute, 0, 0))
}

fn within(field: &'static str, value: i8, highest: i8, range: &'static str) -> Result<(), ScheduleError> {
    if (0..=highest).contains(&value) {
        Ok(())
    } else {
        Err(ScheduleError::OutOfRange {
            field,
            value: i64::from(value),
            range,
        })
    }
}
