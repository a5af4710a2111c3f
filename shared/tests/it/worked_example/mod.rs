//! The worked example of `docs/RETENTION.md`: 90 days, weekly runs from day 1, a grace of one day, data that never changes.
//!
//! Day 1 is 1 January, so that day d of the timeline is the d-th of the year. Only a sliver of the data changes, so that each run has
//! something to commit.

use shared::{
    retention::{
        Baseline, EventKind, Horizon, LockAhead, LockMode, Policy, Provider, RunNumbers, Simulation,
        Timeline, Workload, simulate, simulate_baseline,
    },
    schedule::{Recurrence, Schedule, Weekdays},
};

mod picture;

use picture::day;

/// 90 days and weekly runs on Thursdays at midnight; 1 January 2026 is one.
pub fn example(lock_ahead_days: u32) -> Simulation {
    Simulation {
        policy: Policy {
            lock_ahead: LockAhead::Days(lock_ahead_days),
            grace_hours: 24,
            ..Policy::new(90, LockMode::Compliance).unwrap()
        },
        provider: Provider::AWS_STANDARD,
        schedule: Schedule {
            recurrence: Recurrence::Week {
                weekdays: Weekdays::new([4]).unwrap(),
                hour: 0,
                minute: 0,
            },
            time_zone: "UTC".to_owned(),
        },
        workload: Workload {
            objects: 1_000,
            object_bytes: 16 << 20,
            pieces_per_object: 1,
            growth_objects_per_day: 0.0,
            churn_per_day: 0.0,
            missed: RunNumbers::default(),
            unclean: RunNumbers::default(),
            run_deadline_hours: 24,
        },
        horizon: Horizon {
            start: "2026-01-01T00:00:00Z".parse().unwrap(),
            days: 190,
            // The whole of Q for every object, so that all are touched on one day and the days can be named.
            upload_slots: 1,
        },
    }
}

/// The days on which locks were moved.
fn refreshed(timeline: &Timeline) -> Vec<u32> {
    let touched = timeline.days.iter().filter(|day| day.refreshes > 0);
    touched.map(|day| day.day).collect()
}

/// The vendor's literal rule: locked for 90 days at the upload; a run adds again what would lapse before the next one.
#[test]
fn the_literal_rule_leaves_a_gap() {
    let timeline = simulate_baseline(&example(14), Baseline::UploadAgain).unwrap();
    // What was put on day 1 unlocks on day 91. The run of day 85 looks ahead to day 92, and adds all of it again.
    let again: Vec<u32> = timeline
        .days
        .iter()
        .filter(|day| day.added_again > 0)
        .map(|day| day.day)
        .collect();
    assert_eq!(again, [85, 169]);
    // Until then nothing new is locked: the snapshot of day 22 is promised until day 112 and rests on the objects of day 1.
    let on_day_22 = &timeline.days[21];
    assert_eq!(on_day_22.safe_until.map(day), Some(91));
    // No run found locks that suffice as they stood (P2): even what it uploaded itself has 90 days and no hour for being late.
    assert_eq!(
        u64::from(timeline.promises.uncovered_snapshots),
        timeline.totals.runs
    );
    // So P1 is broken from the second snapshot on: day 8, promised until day 98. From day 91 the promises are open.
    let short = timeline.promises.first_short.unwrap();
    assert_eq!(
        (short.day, day(short.promised_until), day(short.locked_until)),
        (8, 98, 91)
    );
    assert_eq!(timeline.promises.unlocked_since.map(day), Some(91));
}

/// Ours with Q = 80: what was put on day 1 is locked until day 179 (the run of day 8, a day of grace, 90 days, Q). It suffices
/// until the run of day 85, whose upcoming run asks for day 183.
#[test]
fn a_long_look_ahead_touches_the_data_first_on_day_85() {
    let timeline = simulate(&example(80)).unwrap();
    assert_eq!(timeline.days[0].safe_until.map(day), Some(8 + 1 + 90 + 80));
    assert_eq!(refreshed(&timeline), [85, 169]);
    assert_eq!(timeline.days[84].safe_until.map(day), Some(92 + 1 + 90 + 80));
    assert!(timeline.promises.kept());
}

/// Ours with Q = 14: locked until day 113, which suffices until day 15; then about once in 14 days, which is each third run.
#[test]
fn a_short_look_ahead_touches_it_every_third_week() {
    let timeline = simulate(&example(14)).unwrap();
    assert_eq!(timeline.days[0].safe_until.map(day), Some(8 + 1 + 90 + 14));
    assert_eq!(refreshed(&timeline)[..4], [22, 43, 64, 85]);
    assert!(timeline.promises.kept());
    // At the end of each day all that the newest snapshot needs is locked past the run after next: its promise, and more.
    for today in &timeline.days {
        let newest_run = i64::from((today.day - 1) / 7 * 7 + 1);
        assert!(
            today.safe_until.map(day) >= Some(newest_run + 7 + 1 + 90),
            "day {}",
            today.day
        );
    }
}

/// The example's price of a shorter Q: more refreshes now, an earlier day on which the bucket can be emptied.
#[test]
fn q_trades_calls_against_the_day_on_which_the_bucket_can_be_emptied() {
    let (short, long) = (simulate(&example(14)).unwrap(), simulate(&example(80)).unwrap());
    assert!(short.totals.refreshes > long.totals.refreshes);
    assert!(short.days[99].emptiable_on < long.days[99].emptiable_on);
    let first = |timeline: &Timeline| {
        let mut events = timeline.events.iter();
        events
            .find(|event| event.kind == EventKind::Refresh)
            .map(|event| event.day)
    };
    assert_eq!((first(&short), first(&long)), (Some(22), Some(85)));
}

/// The picture in the documents is drawn from these timelines. `HOLDFAST_DRAW=1` draws it anew.
#[test]
fn the_picture_in_the_documents_is_what_simulate_says() {
    let drawn = picture::draw(&[
        (
            "The literal rule: added again when it would lapse",
            &simulate_baseline(&example(14), Baseline::UploadAgain).unwrap(),
        ),
        ("Holdfast, Q = 80 days", &simulate(&example(80)).unwrap()),
        ("Holdfast, Q = 14 days", &simulate(&example(14)).unwrap()),
    ]);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/retention.svg");
    if std::env::var_os("HOLDFAST_DRAW").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == drawn,
        "docs/retention.svg is out of date: run this test with HOLDFAST_DRAW=1"
    );
}
