//! The fields of a schedule as people type them. Read by the same code when they are posted and while they are typed.

use jiff::Timestamp;
use shared::schedule::{MonthDay, Recurrence, Schedule, Weekdays};

/// What the fields hold. Those that do not count for the chosen recurrence are not read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleForm {
    /// `hour`, `day`, `week`, `month`, `cron` or `manual`.
    pub every: String,
    /// Time of day.
    pub time: String,
    /// Numbers of the days of the week that are ticked.
    pub weekdays: Vec<String>,
    /// Day of the month: a number or `last`.
    pub day: String,
    /// Minutes past the hour.
    pub minute: String,
    /// Cron line.
    pub line: String,
    /// Name of the time zone.
    pub time_zone: String,
}

impl ScheduleForm {
    /// What a form that came back holds, by `typed`, which gives the text of a field. The days of the week are one text.
    pub fn typed(typed: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let text = |field: &str| typed(field).unwrap_or_default();
        Some(Self {
            every: typed("every")?,
            time: text("time"),
            weekdays: text("weekdays").split(',').map(str::to_owned).collect(),
            day: text("day"),
            minute: text("minute"),
            line: text("line"),
            time_zone: text("time_zone"),
        })
    }

    /// The schedule, or a sentence that says which field is wrong and what to do.
    pub fn read(&self) -> Result<Schedule, String> {
        let schedule = Schedule {
            recurrence: self.recurrence()?,
            time_zone: self.time_zone.trim().to_owned(),
        };
        schedule.validate().map_err(|error| error.to_string())?;
        Ok(schedule)
    }

    fn recurrence(&self) -> Result<Recurrence, String> {
        Ok(match self.every.as_str() {
            "manual" => Recurrence::Manual,
            "hour" => Recurrence::Hour {
                minute: number(&self.minute).ok_or("minute: write a whole number from 0 to 59")?,
            },
            "day" => {
                let (hour, minute) = self.time()?;
                Recurrence::Day { hour, minute }
            }
            "week" => {
                let (hour, minute) = self.time()?;
                let numbers = self.weekdays.iter().map(|day| number(day).unwrap_or(0));
                Recurrence::Week {
                    weekdays: Weekdays::new(numbers).map_err(|error| error.to_string())?,
                    hour,
                    minute,
                }
            }
            "month" => {
                let (hour, minute) = self.time()?;
                let day = match self.day.trim() {
                    "last" => MonthDay::LAST,
                    day => MonthDay::new(number(day).unwrap_or(0)).map_err(|error| error.to_string())?,
                };
                Recurrence::Month { day, hour, minute }
            }
            "cron" => Recurrence::Cron {
                line: self.line.trim().to_owned(),
            },
            _ => return Err("schedule: choose how often to back up".to_owned()),
        })
    }

    fn time(&self) -> Result<(i8, i8), String> {
        // Some browsers send seconds along.
        let mut parts = self.time.trim().splitn(3, ':');
        let mut part = || parts.next().and_then(number);
        part()
            .zip(part())
            .ok_or_else(|| "time: write hours and minutes, such as 02:30".to_owned())
    }
}

fn number(text: &str) -> Option<i8> {
    text.trim().parse().ok()
}

/// A run to come, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextRun {
    /// When, in the schedule's own zone: `Mon 23 Nov 2026, 02:30 CET`.
    pub at: String,
    /// What the clocks do at this time, or did since the run before.
    pub change: Option<String>,
}

/// The next `count` runs after `now`.
pub fn next_runs(schedule: &Schedule, now: Timestamp, count: usize) -> Vec<NextRun> {
    let Ok(timetable) = schedule.timetable() else {
        return Vec::new();
    };
    let upcoming = timetable.upcoming(now, count);
    let shown = upcoming.iter().map(|next| NextRun {
        at: next.at.strftime("%a %-d %b %Y, %H:%M %Z").to_string(),
        change: next.change.map(|change| change.to_string()),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(every: &str) -> ScheduleForm {
        ScheduleForm {
            every: every.into(),
            time: "02:30:00".into(),
            weekdays: vec!["1".into(), "4".into()],
            day: "last".into(),
            minute: " 7 ".into(),
            line: " 30 2 * * 1-5 ".into(),
            time_zone: " Europe/Berlin ".into(),
        }
    }

    #[test]
    fn the_form_s_fields_become_a_schedule() {
        let words = |every| form(every).read().map(|schedule| schedule.describe());
        for (every, description) in [
            ("manual", "Only when somebody asks"),
            ("hour", "Every hour, 7 min past (Europe/Berlin)"),
            ("day", "Every day at 02:30 (Europe/Berlin)"),
            ("week", "Every week on Mon, Thu at 02:30 (Europe/Berlin)"),
            ("month", "Every month on the last day at 02:30 (Europe/Berlin)"),
            (
                "cron",
                "At 02:30 on Mon to Fri (Europe/Berlin), cron 30 2 * * 1-5",
            ),
        ] {
            assert_eq!(words(every).as_deref(), Ok(description));
        }
        assert!(words("yearly").is_err());
    }

    #[test]
    fn a_form_that_came_back_is_read_again() {
        let form = form("week");
        let typed = |field: &str| match field {
            "every" => Some(form.every.clone()),
            "time" => Some(form.time.clone()),
            "weekdays" => Some(form.weekdays.join(",")),
            "time_zone" => Some(form.time_zone.clone()),
            _ => None,
        };
        assert_eq!(ScheduleForm::typed(typed).unwrap().read(), form.read());
        assert_eq!(ScheduleForm::typed(|_| None), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |every: &str, change: fn(&mut ScheduleForm)| {
            let mut form = form(every);
            change(&mut form);
            form.read().unwrap_err()
        };
        for (error, field) in [
            (refused("day", |form| form.time = "half two".into()), "time: "),
            (refused("day", |form| form.time = "25:00".into()), "hour: "),
            (refused("hour", |form| form.minute = String::new()), "minute: "),
            (refused("week", |form| form.weekdays.clear()), "weekdays: "),
            (
                refused("week", |form| form.weekdays.push("x".into())),
                "weekdays: ",
            ),
            (refused("month", |form| form.day = "32".into()), "day: "),
            (refused("cron", |form| form.line = "@daily".into()), "line: "),
            (
                refused("manual", |form| form.time_zone = "Mars".into()),
                "time_zone: ",
            ),
        ] {
            assert!(error.starts_with(field), "{error}");
        }
    }

    #[test]
    fn the_next_runs_are_told_in_the_schedule_s_zone() {
        let now = "2026-10-23T12:00:00Z".parse().unwrap();
        let daily = form("day").read().unwrap();
        let told: Vec<_> = next_runs(&daily, now, 3)
            .into_iter()
            .map(|run| (run.at, run.change.unwrap_or_default()))
            .collect();
        assert_eq!(
            told,
            [
                ("Sat 24 Oct 2026, 02:30 CEST".to_owned(), String::new()),
                (
                    "Sun 25 Oct 2026, 02:30 CEST".to_owned(),
                    "the clocks go back: the first of two such times".to_owned()
                ),
                (
                    "Mon 26 Oct 2026, 02:30 CET".to_owned(),
                    "the clocks have gone back by 1 h".to_owned()
                ),
            ]
        );
        assert!(next_runs(&Schedule::manual(), now, 5).is_empty());
    }
}
