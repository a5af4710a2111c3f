//! How long `plan` and `check` take, and what memory: run by `cargo xtask bench planner`, which prints it as a table.
//!
//! Prints one JSON object. The shape of the ledger is the argument: `steady`, where most locks suffice, `raised`, where every
//! object is to be refreshed because the policy was raised, or `groom`, where half of it is to be deleted.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::{env, fs, time::Instant};

use jiff::{SignedDuration, Timestamp};
use shared::retention::{
    LockMode, ObjectInput, ObjectState, ObjectVerdict, PlanInput, Policy, Provider, Seq, SnapshotInput,
    SnapshotState, SourceInput, check, plan,
};

const OBJECTS: u64 = 10_000_000;
const SNAPSHOTS: u64 = 1_000;
const PACK_BYTES: u64 = 16 << 20;
const RETENTION_DAYS: u32 = 1_100;

fn main() {
    let shape = env::args().nth(1).unwrap_or_else(|| "steady".to_owned());
    let (input, now) = ledger(&shape);
    let input_kib = peak_kib();
    let begun = Instant::now();
    let planned = plan(&input, now).expect("the input is sound");
    let plan_seconds = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let violations = check(&input, &planned, now);
    let check_seconds = begun.elapsed().as_secs_f64();
    assert!(violations.is_empty(), "{}", violations[0]);
    let verdicts = &planned.sources[0].objects;
    let count =
        |wanted: fn(&ObjectVerdict) -> bool| verdicts.iter().filter(|verdict| wanted(verdict)).count();
    println!(
        "{{\"plan_seconds\": {plan_seconds}, \"check_seconds\": {check_seconds}, \"input_kib\": {input_kib}, \"peak_kib\": {}, \
         \"refresh\": {}, \"delete\": {}}}",
        peak_kib(),
        count(|verdict| matches!(verdict, ObjectVerdict::Refresh { .. })),
        count(|verdict| matches!(verdict, ObjectVerdict::Delete)),
    );
}

/// One source of daily snapshots. Half of its objects are still needed by the newest, the others by up to 300 older ones.
fn ledger(shape: &str) -> (PlanInput, Timestamp) {
    let first: Timestamp = "2024-01-01T00:00:00Z".parse().expect("a date");
    let day = |day: u64| first + SignedDuration::from_hours(24 * i64::try_from(day).expect("a small number"));
    let now = day(SNAPSHOTS) + SignedDuration::from_hours(2);
    let retention_days = if shape == "groom" { 90 } else { RETENTION_DAYS };
    let policy = Policy {
        lock_cap_days: 4_000,
        ..Policy::new(retention_days, LockMode::Compliance).expect("a policy")
    };
    let snapshots = (1..=SNAPSHOTS).map(|seq| SnapshotInput {
        seq: Seq::new(seq).expect("not 0"),
        received_at: day(seq),
        state: SnapshotState::Complete,
        tiers: Vec::new(),
        protected_until: None,
        pinned: false,
        soundness: shared::retention::Soundness::Sound,
    });
    let mut state = 1_u64;
    let mut roll = |sides: u64| {
        // xorshift64: the same ledger each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % sides
    };
    let objects = (0..OBJECTS).map(|_| {
        let born = 1 + roll(SNAPSHOTS);
        let dropped = Some(born + 1 + roll(300)).filter(|dropped| roll(2) == 0 && *dropped <= SNAPSHOTS);
        let last_needed = dropped.unwrap_or(SNAPSHOTS + 2);
        let locked_until = match shape {
            "raised" => day(SNAPSHOTS - 100),
            _ => day(last_needed + u64::from(retention_days) + 3 + roll(60)),
        };
        ObjectInput {
            bytes: PACK_BYTES,
            live_bytes: PACK_BYTES,
            locked_until: Some(locked_until),
            born: Seq::new(born),
            dropped: dropped.and_then(Seq::new),
            state: ObjectState::Live,
        }
    });
    let source = SourceInput {
        retired: false,
        open_run: false,
        interval: Some(SignedDuration::from_hours(24)),
        next_due: Some(day(SNAPSHOTS + 1)),
        snapshots: snapshots.collect(),
        objects: objects.collect(),
    };
    let input = PlanInput {
        policy,
        provider: Provider::AWS_STANDARD,
        sources: vec![source],
    };
    (input, now)
}

/// The process's largest resident memory so far.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
