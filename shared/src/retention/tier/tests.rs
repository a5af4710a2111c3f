use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::retention::{LockMode, Tier};

fn policy(zone: &str, periods: &[Period]) -> Policy {
    Policy {
        time_zone: zone.into(),
        tiers: periods
            .iter()
            .map(|every| Tier {
                every: *every,
                retention_days: 400,
            })
            .collect(),
        lock_cap_days: 500,
        ..Policy::new(30, LockMode::Compliance).unwrap()
    }
}

/// A source's snapshots, and what happens to them.
struct Story {
    policy: Policy,
    snapshots: Vec<TieredSnapshot>,
}

impl Story {
    fn new(policy: Policy) -> Self {
        let snapshots = Vec::new();
        Self { policy, snapshots }
    }

    /// A commit; gives the tiers that it takes.
    fn commit(&mut self, received_at: Timestamp, clean: bool, sound: bool) -> Vec<Period> {
        let candidate = TierCandidate {
            received_at,
            clean,
            sound,
        };
        let tiers = assign_tiers(&self.policy, &self.snapshots, candidate).unwrap();
        self.snapshots.push(TieredSnapshot {
            received_at,
            tiers: tiers.clone(),
            clean,
            sound,
        });
        tiers
    }

    /// A person decides that a snapshot is good; gives the tiers that it gets on top.
    fn decide_good(&mut self, place: usize) -> Vec<Period> {
        let decided = self.snapshots[place].clone();
        let mut others = self.snapshots.clone();
        others.remove(place);
        let candidate = TierCandidate {
            received_at: decided.received_at,
            clean: decided.clean,
            sound: true,
        };
        let mut added = assign_tiers(&self.policy, &others, candidate).unwrap();
        added.retain(|tier| !decided.tiers.contains(tier));
        self.snapshots[place].sound = true;
        self.snapshots[place].tiers.extend(&added);
        added
    }

    /// Time passes: periods that have ended give what nobody has taken. Gives the place and the tiers of each that takes some.
    fn end_periods(&mut self, now: Timestamp) -> Vec<(usize, Vec<Period>)> {
        let snapshot = |(place, snapshot): (usize, &TieredSnapshot)| SnapshotInput {
            seq: Seq::new(place as u64 + 1).unwrap(),
            received_at: snapshot.received_at,
            state: SnapshotState::Complete,
            tiers: snapshot.tiers.clone(),
            protected_until: None,
            pinned: false,
            soundness: soundness(snapshot.sound),
        };
        let inputs: Vec<_> = self.snapshots.iter().enumerate().map(snapshot).collect();
        let given = tiers_at_end(&self.policy, &inputs, now).unwrap();
        let given = given.into_iter().map(|(seq, tiers)| {
            let place = usize::try_from(seq.get()).unwrap() - 1;
            (place, tiers)
        });
        let given: Vec<_> = given.collect();
        for (place, tiers) in &given {
            self.snapshots[*place].tiers.extend(tiers);
        }
        given
    }
}

/// Commits at these instants, each clean or not, all sound, and gives the tiers of each.
fn assigned(policy: Policy, commits: &[(&str, bool)]) -> Vec<Vec<Period>> {
    let mut story = Story::new(policy);
    let commit = |(at, clean): &(&str, bool)| story.commit(at.parse().unwrap(), *clean, true);
    commits.iter().map(commit).collect()
}

#[test]
fn the_first_of_a_period_in_the_policys_zone_carries_it() {
    use Period::{Day, Month, Week, Year};
    let got = assigned(
        policy("America/New_York", &[Year, Day, Week, Month]),
        &[
            ("2026-01-01T04:30:00Z", true), // still Wednesday 31 December 2025 in New York, ISO week 1 of 2026
            ("2026-01-01T05:30:00Z", true), // Thursday 1 January 2026: the same ISO week
            ("2026-01-01T20:00:00Z", true),
            ("2026-01-05T05:00:00Z", true), // Monday
        ],
    );
    let all = vec![Day, Week, Month, Year];
    assert_eq!(got, [all, vec![Day, Month, Year], vec![], vec![Day, Week]]);
}

#[test]
fn hours_that_bear_one_name_in_autumn_are_two() {
    let commits = [
        "2026-10-25T00:10:00Z",
        "2026-10-25T00:50:00Z",
        "2026-10-25T01:10:00Z",
    ]
    .map(|at| (at, true));
    let got = assigned(policy("Europe/Berlin", &[Period::Hour]), &commits);
    assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 1]);
}

/// The first takes the tier with warnings too; the first clean one takes it once more; then nobody does.
#[test]
fn a_period_that_was_taken_with_warnings_is_taken_once_more_by_a_clean_one() {
    let commits = [
        ("2026-03-01T01:00:00Z", false),
        ("2026-03-01T02:00:00Z", false),
        ("2026-03-01T03:00:00Z", true),
        ("2026-03-01T04:00:00Z", false),
        ("2026-03-01T05:00:00Z", true),
    ];
    let got = assigned(policy("UTC", &[Period::Day]), &commits);
    assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 1, 0, 0]);
}

/// An hourly source with a socket in its tree, or a log that is appended to: 720 runs in a month, none of them clean.
#[test]
fn a_month_of_hourly_runs_with_warnings_takes_each_tier_once_a_period() {
    use Period::{Day, Month, Week, Year};
    let tiers = [Day, Week, Month, Year];
    let count = |clean: fn(u32) -> bool| {
        let mut story = Story::new(policy("UTC", &tiers));
        let start: Timestamp = "2026-06-01T00:15:00Z".parse().unwrap();
        for hour in 0..720u32 {
            story.commit(start + SignedDuration::from_hours(hour.into()), clean(hour), true);
        }
        tiers.map(|tier| {
            let carry = |snapshot: &&TieredSnapshot| snapshot.tiers.contains(&tier);
            story.snapshots.iter().filter(carry).count()
        })
    };
    // 1 June 2026 is a Monday.
    assert_eq!(count(|_| false), [30, 5, 1, 1]);
    assert_eq!(count(|_| true), [30, 5, 1, 1]);
    // Each day's runs are clean from noon on: the better one takes the tier as well, in each period that began with a worse.
    assert_eq!(count(|hour| hour % 24 >= 12), [60, 10, 2, 2]);
}

#[test]
fn a_tier_that_is_new_in_the_policy_begins_at_once() {
    let mut story = Story::new(policy("UTC", &[Period::Day]));
    story.commit("2026-03-02T01:00:00Z".parse().unwrap(), true, true);
    story.policy = policy("UTC", &[Period::Day, Period::Week]);
    let tiers = story.commit("2026-03-02T02:00:00Z".parse().unwrap(), true, true);
    assert_eq!(tiers, [Period::Week]);
}

#[test]
fn a_snapshot_with_an_anomaly_takes_no_tier_until_somebody_decides_or_the_period_ends() {
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    let mut story = Story::new(policy("UTC", &[Period::Day]));
    assert_eq!(story.commit(at("2026-03-01T01:00:00Z"), true, false), []);
    assert_eq!(
        story.commit(at("2026-03-01T02:00:00Z"), false, true),
        [Period::Day]
    );
    // Clean, and decided to be good while the tier is held by one with warnings.
    assert_eq!(story.decide_good(0), [Period::Day]);
    assert_eq!(story.decide_good(0), []);

    assert_eq!(story.commit(at("2026-03-02T01:00:00Z"), true, false), []);
    assert_eq!(story.commit(at("2026-03-02T02:00:00Z"), true, false), []);
    assert_eq!(story.end_periods(at("2026-03-02T23:59:59Z")), []);
    assert_eq!(
        story.end_periods(at("2026-03-03T00:00:00Z")),
        [(3, vec![Period::Day])]
    );
    assert_eq!(story.end_periods(at("2026-03-09T00:00:00Z")), []);
    // It took it as one that is not clean: a clean one that turns out to be good takes it too, and then it is used up.
    assert_eq!(story.decide_good(2), [Period::Day]);
    assert_eq!(story.decide_good(3), []);
}

fn soundness(sound: bool) -> Soundness {
    if sound {
        Soundness::Sound
    } else {
        Soundness::Undecided
    }
}

#[test]
fn at_a_periods_end_the_tier_goes_to_the_last_that_is_still_there() {
    let snapshot = |seq, state, soundness| SnapshotInput {
        seq: Seq::new(seq).unwrap(),
        received_at: "2026-03-01T00:00:00Z".parse::<Timestamp>().unwrap()
            + SignedDuration::from_mins(i64::try_from(seq).unwrap()),
        state,
        tiers: Vec::new(),
        protected_until: None,
        pinned: false,
        soundness,
    };
    let policy = policy("UTC", &[Period::Week, Period::Day]);
    let now = "2026-03-02T00:00:00Z".parse().unwrap();
    let (complete, expired) = (SnapshotState::Complete, SnapshotState::Expired);
    let given = |snapshots: &[SnapshotInput]| tiers_at_end(&policy, snapshots, now).unwrap();
    let undecided = [
        snapshot(4, complete, Soundness::Undecided),
        snapshot(5, complete, Soundness::Undecided),
        snapshot(6, expired, Soundness::Undecided),
        // What a person found to be bad takes nothing.
        snapshot(7, complete, Soundness::Bad),
    ];
    // 1 March 2026 is a Sunday: the week has ended with the day.
    let both = vec![Period::Day, Period::Week];
    assert_eq!(given(&undecided), [(Seq::new(5).unwrap(), both)]);
    assert_eq!(given(&undecided[2..]), []);
    assert_eq!(given(&[]), []);
    // A sound one among them: the period was not all undecided.
    let mut one_sound = undecided.to_vec();
    one_sound.push(snapshot(8, complete, Soundness::Sound));
    assert_eq!(given(&one_sound), []);
}

#[derive(Debug, Clone, Copy)]
enum Event {
    /// So many minutes later.
    Commit { minutes: u32, clean: bool, sound: bool },
    /// On one of the snapshots so far that is undecided.
    DecideGood(prop::sample::Index),
    /// The sweep looks whether a period has ended.
    Sweep,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (1..900u32, any::<bool>(), prop::bool::weighted(0.4))
            .prop_map(|(minutes, clean, sound)| Event::Commit { minutes, clean, sound }),
        2 => any::<prop::sample::Index>().prop_map(Event::DecideGood),
        1 => Just(Event::Sweep),
    ];
    prop::collection::vec(event, 1..60)
}

/// What a model knows of one day.
#[derive(Default, Clone, PartialEq, Eq)]
struct ModelDay {
    /// Who carries its tier.
    holders: Vec<usize>,
    /// A snapshot that is clean and sound carries it, or two do.
    used_up: bool,
}

/// The rule told once more, a day at a time: a good snapshot takes an untouched day; a clean one uses it up.
struct Model {
    /// Day, clean, sound.
    snapshots: Vec<(i64, bool, bool)>,
    days: BTreeMap<i64, ModelDay>,
}

impl Model {
    fn good(&mut self, place: usize) -> bool {
        let (day, clean, _) = self.snapshots[place];
        self.snapshots[place].2 = true;
        let day = self.days.entry(day).or_default();
        let takes = !day.holders.contains(&place) && (day.holders.is_empty() || (clean && !day.used_up));
        if takes {
            day.holders.push(place);
        }
        day.used_up |= day.holders.contains(&place) && clean;
        takes
    }

    fn sweep(&mut self, today: i64) -> Vec<usize> {
        let mut given = Vec::new();
        for day in 0..today {
            let of_day = self
                .snapshots
                .iter()
                .enumerate()
                .filter(|(_, snapshot)| snapshot.0 == day);
            let of_day: Vec<_> = of_day.collect();
            let undecided = of_day.iter().all(|(_, snapshot)| !snapshot.2);
            let held = self.days.get(&day).is_some_and(|day| !day.holders.is_empty());
            if let Some((last, _)) = of_day.last()
                && undecided
                && !held
            {
                self.days.entry(day).or_default().holders.push(*last);
                given.push(*last);
            }
        }
        given
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, in whatever order: the model says the same, nobody takes a tier as the third of its period, a second one
    /// takes it only where it is better than the first, and no period with a good snapshot goes without.
    #[test]
    fn a_tier_is_given_once_and_once_more_to_a_better_one(events in events()) {
        let mut story = Story::new(policy("UTC", &[Period::Day]));
        let mut model = Model { snapshots: Vec::new(), days: BTreeMap::new() };
        let mut now = Timestamp::UNIX_EPOCH;
        let day = |at: Timestamp| at.as_second() / 86_400;
        for event in events {
            match event {
                Event::Commit { minutes, clean, sound } => {
                    now += SignedDuration::from_mins(minutes.into());
                    let tiers = story.commit(now, clean, sound);
                    model.snapshots.push((day(now), clean, sound));
                    let takes = sound && model.good(model.snapshots.len() - 1);
                    prop_assert_eq!(takes, !tiers.is_empty());
                }
                Event::DecideGood(index) => {
                    let undecided: Vec<usize> =
                        (0..story.snapshots.len()).filter(|place| !story.snapshots[*place].sound).collect();
                    if undecided.is_empty() {
                        continue;
                    }
                    let place = *index.get(&undecided);
                    prop_assert_eq!(model.good(place), !story.decide_good(place).is_empty());
                }
                Event::Sweep => {
                    let given: Vec<usize> = story.end_periods(now).into_iter().map(|(place, _)| place).collect();
                    prop_assert_eq!(given, model.sweep(day(now)));
                    prop_assert_eq!(story.end_periods(now), vec![]);
                }
            }
            for today in 0..=day(now) {
                let of_day = |snapshot: &&TieredSnapshot| day(snapshot.received_at) == today;
                let of_day: Vec<_> = story.snapshots.iter().filter(of_day).collect();
                let holders: Vec<_> = of_day.iter().filter(|snapshot| !snapshot.tiers.is_empty()).collect();
                prop_assert!(holders.len() <= 2, "day {} is held by {}", today, holders.len());
                prop_assert!(holders.len() < 2 || holders.iter().any(|holder| holder.clean && holder.sound));
                prop_assert!(!holders.is_empty() || of_day.iter().all(|snapshot| !snapshot.sound));
                let good = |snapshot: &&&TieredSnapshot| snapshot.clean && snapshot.sound;
                let has_good = of_day.iter().filter(good).count() > 0;
                prop_assert!(!has_good || holders.len() == 2 || holders.iter().any(|holder| holder.clean && holder.sound));
            }
        }
    }

    /// Several periods at once, in any zone: each is held by two snapshots at most, and not one tier of another period differs for it.
    #[test]
    fn periods_do_not_disturb_each_other(events in events(), zone in prop::sample::select(vec!["UTC", "Europe/Berlin"])) {
        let all = [Period::Hour, Period::Day, Period::Week, Period::Month, Period::Year];
        let mut together = Story::new(policy(zone, &all));
        let mut single = all.map(|period| Story::new(policy(zone, &[period])));
        let mut now: Timestamp = "2026-10-20T00:00:00Z".parse().unwrap();
        for event in events {
            let (mut of_single, of_all) = match event {
                Event::Commit { minutes, clean, sound } => {
                    now += SignedDuration::from_mins(minutes.into());
                    let of_single = single.iter_mut().flat_map(|story| story.commit(now, clean, sound)).collect();
                    (of_single, together.commit(now, clean, sound))
                }
                Event::DecideGood(_) if together.snapshots.is_empty() => continue,
                Event::DecideGood(index) => {
                    let place = index.index(together.snapshots.len());
                    let of_single: Vec<_> = single.iter_mut().flat_map(|story| story.decide_good(place)).collect();
                    (of_single, together.decide_good(place))
                }
                Event::Sweep => {
                    let of_single = single.iter_mut().flat_map(|story| story.end_periods(now));
                    let of_single: Vec<_> = of_single.flat_map(|(_, tiers)| tiers).collect();
                    (of_single, together.end_periods(now).into_iter().flat_map(|(_, tiers)| tiers).collect())
                }
            };
            let mut of_all = of_all;
            of_single.sort_unstable();
            of_all.sort_unstable();
            prop_assert_eq!(of_single, of_all);
        }
    }
}
