//! The model: it walks minute by minute, reads the local clock at each, and keeps a list of what is due. It knows
//! offsets at instants, and neither jiff's nor our way from local times to instants.

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, date},
    tz::TimeZone,
};

use super::specs::Spec;

const DAY: i64 = 24 * 60;
const HOUR: i64 = 60;

/// Local minutes since 1970, as a clock on the wall shows them.
struct Walls<'a> {
    spec: &'a Spec,
    minutes: Vec<bool>,
    /// The day that was asked for last, and whether it matches.
    day: (i64, bool),
}

impl Walls<'_> {
    fn matches(&mut self, local: i64) -> bool {
        let minute = usize::try_from(local.rem_euclid(DAY)).unwrap();
        if !self.minutes[minute] {
            return false;
        }
        let day = local.div_euclid(DAY);
        if self.day.0 != day {
            self.day = (day, self.spec.matches_day(civil(day)));
        }
        self.day.1
    }
}

fn civil(day: i64) -> Date {
    date(1970, 1, 1).checked_add(day.days()).unwrap()
}

/// What is due in (from, to].
pub fn due(spec: &Spec, zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let local = |minute: i64| {
        let offset = zone
            .to_offset(Timestamp::from_second(minute * 60).unwrap())
            .seconds();
        assert_eq!(offset % 60, 0, "the model knows offsets of whole minutes");
        minute + i64::from(offset / 60)
    };
    let mut walls = Walls {
        spec,
        minutes: (0..DAY).map(|minute| spec.matches_minute(minute)).collect(),
        day: (i64::MIN, false),
    };
    // Far enough back that no repeated hours are under way.
    let start = from.as_second().div_euclid(60) - DAY;
    let mut before = local(start);
    let mut latest_shown = before;
    let mut all = Vec::new();
    for minute in start + 1..=to.as_second().div_euclid(60) {
        let shown = local(minute);
        let hit = if spec.wildcard() {
            let missed = |skipped: i64| {
                let hour = skipped.div_euclid(HOUR);
                let shown_in_part = hour == before.div_euclid(HOUR) || hour == shown.div_euclid(HOUR);
                shown_in_part || !spec.every_hour()
            };
            walls.matches(shown)
                || (before + 1..shown).any(|skipped| missed(skipped) && walls.matches(skipped))
        } else {
            (latest_shown + 1..=shown).any(|reached| walls.matches(reached))
        };
        latest_shown = latest_shown.max(shown);
        before = shown;
        let at = Timestamp::from_second(minute * 60).unwrap();
        if hit && at > from {
            all.push(at);
        }
    }
    all
}
