//! A world to plan for: a server, agents with their sources, a bucket, and time that passes.
//!
//! What is true is kept apart from what the ledger says: each snapshot remembers the very objects that it needs
//! ([`Snapshot::needs`]) and the date that was promised for it, and the bucket keeps its own locks. `promises` looks at these alone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use shared::{
    retention::{
        Churn, LockAhead, LockMode, ObjectInput, ObjectState, Period, PlanInput, Policy, Provider, Seq,
        SnapshotInput, SnapshotState, Soundness, SourceInput, Tier, TieredSnapshot,
    },
    schedule::{Recurrence, Schedule},
};

use super::{
    bucket::{Bucket, Version},
    operator, promises,
    random::Random,
    runs,
    support::cases,
    support::hours,
    sweep,
};

pub type RowId = usize;

pub struct World {
    /// The true time, which is also S3's.
    pub time: Timestamp,
    /// How far the server's clock is ahead of it.
    pub skew: SignedDuration,
    pub policy: Policy,
    pub provider: Provider,
    pub bucket: Bucket,
    pub sources: Vec<Source>,
    pub last_sweep: Timestamp,
    /// Set at each sweep: a policy that is changed afterwards may hasten the next one, and must not put it off.
    pub sweep_by: Timestamp,
    pub random: Random,
    pub log: Vec<String>,
    pub tally: Tally,
}

/// What has happened, so that a test can tell that enough did.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub snapshots: usize,
    pub refreshes: usize,
    pub copies: usize,
    pub wishes: usize,
    pub deletes: usize,
    pub expiries: usize,
    pub returns: usize,
    pub promotions: usize,
    pub decisions: usize,
    pub late_tiers: usize,
}

pub struct Source {
    pub schedule: Schedule,
    pub interval: Option<SignedDuration>,
    pub retired: bool,
    pub silent_until: Option<Timestamp>,
    pub last_attempt: Timestamp,
    pub run: Option<Run>,
    /// A snapshot whose commit is durable, while its locks are being extended.
    pub locking: Option<Snapshot>,
    /// All that ever were complete.
    pub snapshots: Vec<Snapshot>,
    /// The ledger; `None` for what is gone.
    pub rows: Vec<Option<Row>>,
    pub do_not_reuse: BTreeSet<RowId>,
    pub lock_ahead_days: u32,
    /// The first and the last snapshot that ever needed a row: one between them may, for all that the ledger says.
    pub spans: BTreeMap<RowId, (u64, u64)>,
    /// The snapshots that were kept rolling at the last sweep, or have become complete since.
    pub rolling: BTreeSet<u64>,
}

pub struct Run {
    pub deadline: Timestamp,
    pub ends: Timestamp,
    pub policy: Policy,
    pub uploaded: Vec<RowId>,
    pub do_not_reuse: BTreeSet<RowId>,
}

#[derive(Clone)]
pub struct Snapshot {
    pub seq: u64,
    pub received_at: Timestamp,
    pub expired: bool,
    pub pinned: bool,
    /// Nothing was left out of it.
    pub clean: bool,
    /// Whether an anomaly was found in it, and what a person said of that.
    pub soundness: Soundness,
    pub tiers: Vec<Period>,
    pub protected_until: Option<Timestamp>,
    /// The policy that it is committed under.
    pub policy: Policy,
    /// What it needs, in truth.
    pub needs: BTreeSet<RowId>,
    /// Until when it was promised, in truth.
    pub promised: Timestamp,
}

#[derive(Clone)]
pub struct Row {
    pub version: Version,
    pub bytes: u64,
    pub live_bytes: u64,
    /// What the ledger knows of the lock.
    pub locked_until: Option<Timestamp>,
    pub born: Option<u64>,
    pub dropped: Option<u64>,
    pub state: ObjectState,
}

impl Source {
    pub fn newest(&self) -> Option<&Snapshot> {
        self.snapshots.iter().rfind(|snapshot| !snapshot.expired)
    }

    /// The first scheduled instant after the newest snapshot.
    pub fn next_due(&self) -> Option<Timestamp> {
        let newest = self.newest()?;
        self.schedule.next_after(newest.received_at).unwrap()
    }

    pub fn row(&self, id: RowId) -> &Row {
        self.rows[id].as_ref().unwrap()
    }

    pub fn row_mut(&mut self, id: RowId) -> &mut Row {
        self.rows[id].as_mut().unwrap()
    }

    pub fn live_rows(&self) -> Vec<RowId> {
        (0..self.rows.len())
            .filter(|id| self.rows[*id].is_some())
            .collect()
    }

    /// What the tiers of another snapshot depend on: all but the one with the number `without`.
    pub fn tiered(&self, without: u64) -> Vec<TieredSnapshot> {
        let others = self.snapshots.iter().filter(|snapshot| snapshot.seq != without);
        let tiered = |snapshot: &Snapshot| TieredSnapshot {
            received_at: snapshot.received_at,
            tiers: snapshot.tiers.clone(),
            clean: snapshot.clean,
            sound: snapshot.soundness.is_sound(),
        };
        others.map(tiered).collect()
    }

    /// As SQL would fetch it. The rows' ids come in the order of the objects.
    pub fn input(&self) -> (SourceInput, Vec<RowId>) {
        let seq = |seq| Seq::new(seq).unwrap();
        let ids = self.live_rows();
        let object = |id: &RowId| {
            let row = self.row(*id);
            ObjectInput {
                bytes: row.bytes,
                live_bytes: row.live_bytes,
                locked_until: row.locked_until,
                born: row.born.map(seq),
                dropped: row.dropped.map(seq),
                state: row.state,
            }
        };
        let snapshot = |snapshot: &Snapshot| SnapshotInput {
            seq: seq(snapshot.seq),
            received_at: snapshot.received_at,
            state: if snapshot.expired {
                SnapshotState::Expired
            } else {
                SnapshotState::Complete
            },
            tiers: snapshot.tiers.clone(),
            protected_until: snapshot.protected_until,
            pinned: snapshot.pinned,
            soundness: snapshot.soundness,
        };
        let input = SourceInput {
            retired: self.retired,
            open_run: self.run.is_some(),
            interval: self.interval,
            next_due: self.next_due(),
            snapshots: self.snapshots.iter().map(snapshot).collect(),
            objects: ids.iter().map(object).collect(),
        };
        (input, ids)
    }
}

impl World {
    pub fn new(seed: u64, sources: usize) -> Self {
        let mut random = Random::new(seed);
        // Between 1999 and 2090, at any nanosecond.
        let start = i64::try_from(random.between(915_000_000, 3_800_000_000)).unwrap();
        let nanos = random.pick(&[0, 0, 1, 500_000_000, 999_999_999]);
        let time = Timestamp::new(start, nanos).unwrap();
        let policy = random_policy(&mut random);
        let mut provider = Provider {
            can_extend: random.percent(75),
            ..Provider::AWS_STANDARD
        };
        // At some prices adding again pays, at others it never does.
        provider.put_usd_per_1000 = random.pick(&[0.0, 0.005, 5.0]);
        provider.storage_usd_per_gb_month = random.pick(&[0.0, 0.023, 2.3]);
        let sources = (0..sources)
            .map(|_| random_source(&mut random, time, &policy, &provider))
            .collect();
        Self {
            time,
            skew: SignedDuration::ZERO,
            policy,
            provider,
            bucket: Bucket::default(),
            sources,
            last_sweep: time,
            sweep_by: time,
            random,
            log: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// The server's clock.
    pub fn now(&self) -> Timestamp {
        self.time + self.skew
    }

    pub fn input(&self) -> (PlanInput, Vec<Vec<RowId>>) {
        let (sources, ids) = self.sources.iter().map(Source::input).unzip();
        let input = PlanInput {
            policy: self.policy.clone(),
            provider: self.provider,
            sources,
        };
        (input, ids)
    }

    pub fn note(&mut self, what: impl FnOnce() -> String) {
        self.log.push(format!("{} {}", self.time, what()));
    }

    /// Ends the test with the last that happened.
    #[track_caller]
    pub fn fail(&self, what: &str) -> ! {
        let from = self.log.len().saturating_sub(40);
        panic!(
            "{what}\nat {} (server {}), policy {:?}\n{}",
            self.time,
            self.now(),
            self.policy,
            self.log[from..].join("\n")
        );
    }

    fn step(&mut self) {
        let bound = self
            .sweep_by
            .min(self.last_sweep + self.policy.sweep_every())
            .max(self.time);
        self.time = self.next_instant(bound);
        promises::always(self);
        operator::meddle(self);
        for source in 0..self.sources.len() {
            runs::act(self, source);
        }
        promises::always(self);
        if self.time == bound || self.random.percent(25) {
            sweep::sweep(self);
            promises::always(self);
        }
    }

    /// The latest instant allowed, an instant at which something turns over, or any other.
    fn next_instant(&mut self, bound: Timestamp) -> Timestamp {
        let left = bound.duration_since(self.time);
        if left <= SignedDuration::ZERO || self.random.percent(45) {
            return bound;
        }
        let mut turning: Vec<Timestamp> = Vec::new();
        for source in &self.sources {
            turning.extend(source.next_due());
            turning.extend(source.snapshots.iter().map(|snapshot| snapshot.promised));
            turning.extend(source.rows.iter().flatten().filter_map(|row| row.locked_until));
        }
        let near = SignedDuration::from_nanos(self.random.pick(&[-1, 0, 0, 1, 1_000_000_000]));
        turning = turning.into_iter().map(|at| at + near - self.skew).collect();
        turning.retain(|at| *at > self.time && *at < bound);
        if turning.is_empty() || self.random.percent(40) {
            return self.time + self.random.part_of(left);
        }
        self.random.pick(&turning)
    }

    /// Everything is given up; once the last lock has ended, the bucket is empty.
    fn wind_up(&mut self) {
        self.skew = SignedDuration::ZERO;
        for source in 0..self.sources.len() {
            runs::close(self, source);
            self.sources[source].retired = true;
            let versions: Vec<_> = self.sources[source]
                .rows
                .iter()
                .flatten()
                .map(|row| row.version)
                .collect();
            let locks: Vec<_> = versions
                .into_iter()
                .map(|version| self.bucket.lock(version))
                .collect();
            let rows = self.sources[source].rows.iter_mut().flatten();
            for (row, lock) in rows.zip(locks) {
                row.locked_until = lock;
                if row.state == ObjectState::Unknown {
                    row.state = if row.born.is_some() {
                        ObjectState::Live
                    } else {
                        ObjectState::Pending
                    };
                }
            }
            for snapshot in &mut self.sources[source].snapshots {
                snapshot.pinned = false;
                // And somebody decides.
                if snapshot.soundness == Soundness::Undecided {
                    snapshot.soundness = Soundness::Bad;
                }
            }
        }
        sweep::groom(self);
        let kept = self.sources.iter().flat_map(|source| &source.snapshots);
        let last_kept = kept
            .filter(|snapshot| !snapshot.expired)
            .filter_map(|s| s.protected_until)
            .max();
        let end = self.bucket.latest_lock().max(last_kept).unwrap_or(self.time);
        let longest = hours(24 * u64::from(self.policy.longest_retention_days()));
        self.time = self.time.max(end).max(self.time + longest) + SignedDuration::from_secs(1);
        // Each may break off before S3 is called.
        for _ in 0..8 {
            sweep::groom(self);
        }
        if self.bucket.count() > 0 {
            self.fail(
                "P4: the last source is retired and the last lock has ended, but the bucket is not empty",
            );
        }
    }
}

/// Values of every size, so that every term of a need is the largest somewhere.
pub fn random_policy(random: &mut Random) -> Policy {
    let retention_days = random.pick(&[1, 1, 2, 3, 5, 7, 14, 30, 90]);
    let mut tiers = Vec::new();
    for every in [
        Period::Hour,
        Period::Day,
        Period::Week,
        Period::Month,
        Period::Year,
    ] {
        if random.percent(20) {
            tiers.push(Tier {
                every,
                retention_days: random.days(1, 4 * retention_days),
            });
        }
    }
    let lock_ahead = match random.below(2) {
        0 => LockAhead::Auto,
        _ => LockAhead::Days(random.days(1, 20)),
    };
    let zones = ["UTC", "Europe/Berlin", "America/New_York"];
    Policy {
        time_zone: random.pick(&zones).to_owned(),
        tiers,
        keep_last: random.pick(&[1, 1, 1, 2, 3, 5]),
        lock_ahead,
        grace_hours: random.pick(&[1, 5, 24, 48, 48, 72, 240]),
        // Now and then so tight that Q is cut: a need reaches at most 4 × 90 days, or two runs and grace (≤ 19 days) beyond N.
        lock_cap_days: random.pick(&[380, 1_000, Policy::MAX_DAYS]),
        ..Policy::new(retention_days, LockMode::Compliance).unwrap()
    }
}

fn random_source(random: &mut Random, time: Timestamp, policy: &Policy, provider: &Provider) -> Source {
    let zone = random.pick(&["UTC", "Europe/Berlin", "America/New_York"]);
    let hour = random.pick(&[0, 2, 13, 23]);
    // The longest distance is an hour longer where the clocks are set back.
    let (recurrence, interval) = match random.below(6) {
        0 => (Recurrence::Manual, None),
        1 => (Recurrence::Hour { minute: 15 }, Some(hours(1))),
        2 | 3 => (Recurrence::Day { hour, minute: 30 }, Some(hours(25))),
        _ => (
            Recurrence::Week {
                weekdays: jiff::civil::Weekday::Wednesday.into(),
                hour,
                minute: 0,
            },
            Some(hours(7 * 24 + 1)),
        ),
    };
    Source {
        schedule: Schedule {
            recurrence,
            time_zone: zone.to_owned(),
        },
        interval,
        retired: false,
        silent_until: None,
        last_attempt: time,
        run: None,
        locking: None,
        snapshots: Vec::new(),
        rows: Vec::new(),
        do_not_reuse: BTreeSet::new(),
        lock_ahead_days: Churn::unknown(interval).lock_ahead_days(policy, provider),
        spans: BTreeMap::new(),
        rolling: BTreeSet::new(),
    }
}

fn walk(seed: u64, sources: usize, steps: usize) -> Tally {
    let mut world = World::new(seed, sources);
    for _ in 0..steps {
        world.step();
    }
    world.wind_up();
    world.tally
}

proptest! {
    #![proptest_config(cases(150))]

    /// P1 to P4 through weeks to years of a world in which everything happens.
    #[test]
    fn the_promises_are_kept(seed in any::<u64>().no_shrink(), sources in 1..3usize, steps in 1..400usize) {
        walk(seed, sources, steps);
    }
}

/// A walk tests nothing in which nothing happens.
#[test]
fn worlds_are_eventful() {
    let mut sum = Tally::default();
    for seed in 0..20 {
        let tally = walk(seed, 1, 400);
        sum.snapshots += tally.snapshots;
        sum.refreshes += tally.refreshes;
        sum.copies += tally.copies;
        sum.wishes += tally.wishes;
        sum.deletes += tally.deletes;
        sum.expiries += tally.expiries;
        sum.returns += tally.returns;
        sum.promotions += tally.promotions;
        sum.decisions += tally.decisions;
        sum.late_tiers += tally.late_tiers;
    }
    let counts = [sum.snapshots, sum.refreshes, sum.copies, sum.wishes];
    let others = [sum.deletes, sum.expiries, sum.returns, sum.promotions];
    let judged = [sum.decisions, sum.late_tiers];
    assert!(
        counts
            .iter()
            .chain(&others)
            .chain(&judged)
            .all(|count| *count >= 20),
        "{sum:?}"
    );
}
