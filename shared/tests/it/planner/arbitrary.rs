//! Arbitrary inputs: also such as no world ever comes to. Dates are drawn near those at which something turns over.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use shared::retention::{
    ObjectInput, ObjectState, Period, PlanInput, Policy, Provider, Seq, SnapshotInput, SnapshotState,
    Soundness, SourceInput,
};

use super::{oracle, random::Random, support::hours, world::random_policy};

#[derive(Debug, Clone)]
pub struct Case {
    pub input: PlanInput,
    pub now: Timestamp,
    /// For whatever a test draws beyond.
    pub seed: u64,
}

/// Inputs that every plan accepts; a need beyond the cap is possible where `tight_caps`.
pub fn inputs(tight_caps: bool) -> impl Strategy<Value = Case> {
    let sizes = prop::collection::vec((0..8u64, 0..10u64), 0..3);
    (any::<u64>().no_shrink(), sizes).prop_map(move |(seed, sizes)| case(seed, &sizes, tight_caps))
}

fn case(seed: u64, sizes: &[(u64, u64)], tight_caps: bool) -> Case {
    let mut random = Random::new(seed);
    let base = random.pick(&[
        1_000_000,
        1_785_542_400,
        1_792_886_400,
        4_102_444_800,
        250_000_000_000,
    ]);
    let base = base + 3_600 * i64::try_from(random.below(1_000)).unwrap();
    let nanos = random.pick(&[0, 0, 0, 1, 500_000_000, 999_999_999]);
    let now = Timestamp::new(base, nanos).unwrap();
    let mut policy = random_policy(&mut random);
    policy.lock_cap_days = Policy::MAX_DAYS;
    if tight_caps && random.percent(40) {
        policy.lock_cap_days = policy.longest_retention_days() + random.days(0, 40);
    }
    let provider = Provider {
        can_extend: random.percent(60),
        put_usd_per_1000: random.pick(&[0.0, 0.005, 1.0, 1_000.0]),
        storage_usd_per_gb_month: random.pick(&[0.0, 0.023, 100.0]),
        ..Provider::AWS_STANDARD
    };
    let source = |(nth, (snapshots, objects)): (u64, &(u64, u64))| {
        source(
            Random::new(seed.wrapping_add(nth)),
            now,
            &policy,
            *snapshots,
            *objects,
        )
    };
    let sources = (1..).zip(sizes).map(source).collect();
    Case {
        input: PlanInput {
            policy,
            provider,
            sources,
        },
        now,
        seed,
    }
}

fn source(mut random: Random, now: Timestamp, policy: &Policy, snapshots: u64, objects: u64) -> SourceInput {
    let interval = match random.below(6) {
        0 => None,
        1 => Some(SignedDuration::from_nanos(1_500_000_000)),
        _ => Some(hours(random.pick(&[1, 24, 25, 168, 744]))),
    };
    let next_due = match random.below(5) {
        0 => None,
        _ => Some(near(&mut random, now, 40)),
    };
    let mut seq = random.pick(&[0, 0, 0, 7, 1_000, u64::MAX - 30]);
    let mut all = Vec::new();
    for _ in 0..snapshots {
        seq += random.pick(&[1, 1, 1, 2]);
        all.push(snapshot(&mut random, now, policy, seq));
    }
    let mut source = SourceInput {
        retired: random.percent(15),
        open_run: random.percent(40),
        interval,
        next_due,
        snapshots: all,
        objects: Vec::new(),
    };
    let mut turning = oracle::turning_points(policy, &source, now);
    turning.push(now);
    source.objects = (0..objects)
        .map(|_| object(&mut random, now, &source, &turning))
        .collect();
    source
}

fn snapshot(random: &mut Random, now: Timestamp, policy: &Policy, seq: u64) -> SnapshotInput {
    let mut tiers: Vec<Period> = Vec::new();
    for period in [
        Period::Hour,
        Period::Day,
        Period::Week,
        Period::Month,
        Period::Year,
    ] {
        if random.percent(30) {
            tiers.push(period);
        }
    }
    // So that N, or a tier's length, ends about now.
    let mut lengths: Vec<u32> = policy.tiers.iter().map(|tier| tier.retention_days).collect();
    lengths.extend([policy.retention_days, policy.retention_days, 0]);
    let length = hours(24 * u64::from(random.pick(&lengths)));
    let received_at = if random.percent(50) {
        nudged(random, now - length)
    } else {
        near(random, now - length / 2, 60)
    };
    let protected_until = match random.below(4) {
        0 => None,
        1 => Some(nudged(random, now)),
        2 => Some(near(random, now, 100)),
        _ => Some(nudged(
            random,
            received_at + hours(24 * u64::from(policy.retention_days)),
        )),
    };
    SnapshotInput {
        seq: Seq::new(seq).unwrap(),
        received_at,
        state: if random.percent(20) {
            SnapshotState::Expired
        } else {
            SnapshotState::Complete
        },
        tiers,
        protected_until,
        pinned: random.percent(15),
        soundness: random.pick(&[
            Soundness::Sound,
            Soundness::Sound,
            Soundness::Sound,
            Soundness::Undecided,
            Soundness::Bad,
        ]),
    }
}

fn object(random: &mut Random, now: Timestamp, source: &SourceInput, turning: &[Timestamp]) -> ObjectInput {
    let seqs: Vec<u64> = source
        .snapshots
        .iter()
        .map(|snapshot| snapshot.seq.get())
        .collect();
    let about = |random: &mut Random| {
        let seq = if seqs.is_empty() { 3 } else { random.pick(&seqs) };
        (seq + random.pick(&[0, 0, 0, 1, 2]))
            .saturating_sub(random.pick(&[0, 0, 1]))
            .max(1)
    };
    let born = random.percent(80).then(|| about(random));
    let dropped = born
        .filter(|_| random.percent(50))
        .map(|born| about(random).max(born + 1));
    let state = match born {
        Some(_) => random.pick(&[
            ObjectState::Live,
            ObjectState::Live,
            ObjectState::Live,
            ObjectState::Live,
            ObjectState::Unknown,
            ObjectState::Deleting,
            ObjectState::Pending,
        ]),
        None => random.pick(&[
            ObjectState::Pending,
            ObjectState::Pending,
            ObjectState::Unknown,
            ObjectState::Deleting,
        ]),
    };
    let locked_until = match random.below(12) {
        0 => None,
        1 => Some(near(random, now, 1)),
        2..5 => Some(near(random, now, 120)),
        _ => {
            let at = random.pick(turning);
            Some(nudged(random, at))
        }
    };
    // S3 keeps whole seconds; a file may say anything.
    let whole = random.percent(90);
    let locked_until = locked_until.map(|at| {
        if whole {
            Timestamp::from_second(at.as_second()).unwrap()
        } else {
            at
        }
    });
    let bytes = random.pick(&[0, 1, 1 << 20, 24 << 20, 5 << 30]);
    let live_bytes = random.pick(&[0, bytes / 10, bytes, bytes + 1]);
    let seq = |seq| Seq::new(seq).unwrap();
    ObjectInput {
        bytes,
        live_bytes,
        locked_until,
        born: born.map(seq),
        dropped: dropped.map(seq),
        state,
    }
}

/// The instant, or hardly beside it.
fn nudged(random: &mut Random, at: Timestamp) -> Timestamp {
    let nanos = random.pick(&[
        0,
        0,
        0,
        0,
        1,
        -1,
        500_000_000,
        -500_000_000,
        1_000_000_000,
        -1_000_000_000,
    ]);
    at + SignedDuration::from_nanos(nanos)
}

/// Up to so many days before or after.
fn near(random: &mut Random, at: Timestamp, days: u64) -> Timestamp {
    let at = at - hours(24 * days) + hours(random.below(48 * days + 1));
    nudged(random, at)
}
