//! The next occurrences, with what changes of the clocks do to them: for people who look at a schedule.

use std::fmt;

use jiff::{SignedDuration, Timestamp, Zoned, civil::DateTime, tz::AmbiguousOffset};

use super::timetable::Timetable;

/// An occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upcoming {
    /// When, in the schedule's zone.
    pub at: Zoned,
    /// What the clocks do at this time, or did since the occurrence before.
    pub change: Option<ClockChange>,
}

/// What changes of the clocks have to do with an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockChange {
    /// It is due at the instant at which the clocks jump over some time.
    Jump {
        /// The first local time that the clocks do not show.
        from: DateTime,
        /// The local time that they show instead.
        to: DateTime,
    },
    /// The clocks show its local time twice, and this is the first time.
    FirstPass,
    /// The clocks show its local time twice, and this is the second time.
    SecondPass,
    /// The clocks have been set forward, or back where negative, by so much since the occurrence before.
    Since(SignedDuration),
}

impl Timetable {
    /// The next `count` occurrences after `after`. A change of the clocks since the occurrence before, or since `after`,
    /// is told of the first one that follows the change.
    #[must_use]
    pub fn upcoming(&self, after: Timestamp, count: usize) -> Vec<Upcoming> {
        let mut before = self.zone().to_offset(after);
        self.occurrences(after, Timestamp::MAX)
            .take(count)
            .map(|due| {
                let at = due.to_zoned(self.zone().clone());
                let change = at_the_jump(&at).or_else(|| pass(&at)).or_else(|| {
                    let by = at.offset().seconds() - before.seconds();
                    (by != 0).then(|| ClockChange::Since(SignedDuration::from_secs(i64::from(by))))
                });
                before = at.offset();
                Upcoming { at, change }
            })
            .collect()
    }
}

fn at_the_jump(at: &Zoned) -> Option<ClockChange> {
    let just_before = at.timestamp().checked_sub(SignedDuration::from_nanos(1)).ok()?;
    let left = at.time_zone().to_offset(just_before).to_datetime(at.timestamp());
    (left < at.datetime()).then(|| ClockChange::Jump {
        from: left,
        to: at.datetime(),
    })
}

fn pass(at: &Zoned) -> Option<ClockChange> {
    match at.time_zone().to_ambiguous_timestamp(at.datetime()).offset() {
        AmbiguousOffset::Fold { before, .. } if before == at.offset() => Some(ClockChange::FirstPass),
        AmbiguousOffset::Fold { .. } => Some(ClockChange::SecondPass),
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Gap { .. } => None,
    }
}

impl fmt::Display for ClockChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jump { from, to } if from.date() == to.date() => write!(
                f,
                "the clocks go forward from {} to {} then",
                from.strftime("%H:%M"),
                to.strftime("%H:%M")
            ),
            Self::Jump { from, to } => write!(
                f,
                "the clocks go forward from {} to {} then",
                from.strftime("%a %H:%M"),
                to.strftime("%a %H:%M")
            ),
            Self::FirstPass => f.write_str("the clocks go back: the first of two such times"),
            Self::SecondPass => f.write_str("the clocks have gone back: the second of two such times"),
            Self::Since(by) => {
                let mins = by.as_mins().abs();
                let way = if by.is_negative() { "back" } else { "forward" };
                write!(f, "the clocks have gone {way} by ")?;
                match (mins / 60, mins % 60) {
                    (0, mins) => write!(f, "{mins} min"),
                    (hours, 0) => write!(f, "{hours} h"),
                    (hours, mins) => write!(f, "{hours} h {mins} min"),
                }
            }
        }
    }
}
