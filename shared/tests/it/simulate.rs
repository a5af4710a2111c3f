//! `simulate` against `plan`: the same years with single objects, each plan carried out verdict by verdict. Every figure of every day must
//! be the same, to the last object, byte and second: groups are a way to count faster, not a second rule.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use shared::{
    object::ObjectHash,
    retention::{
        Day, Horizon, LockAhead, LockMode, ObjectInput, ObjectState, ObjectVerdict, Period, Plan, PlanInput,
        Policy, Provider, RunNumbers, Seq, Simulation, SnapshotInput, SnapshotState, SourceInput, Tier,
        TierCandidate, TieredSnapshot, Workload, assign_tiers, check, expected_tiers, plan, simulate,
        upload_lock,
    },
    schedule::{Recurrence, Schedule},
};

use crate::rounds::rounds;

/// The figures from which a simulation is made; whole numbers, so that the model can reckon exactly.
#[derive(Debug, Clone)]
struct Case {
    simulation: Simulation,
    churn_per_mille: i128,
    growth_quarters: i128,
}

/// A source with single objects.
struct Model<'a> {
    case: &'a Case,
    source: SourceInput,
    /// Pieces of each object: all, and those in use. Same places as the source's objects.
    pieces: Vec<(u64, u64)>,
    born_at: Vec<i64>,
    occurrences: Vec<Timestamp>,
    earlier: Vec<TieredSnapshot>,
    last_run: Option<Timestamp>,
    rest: i128,
    grown: i128,
    first_run: Option<Timestamp>,
    today: Day,
    byte_secs: i128,
    counted_until: Timestamp,
    last_lock: Option<Timestamp>,
}

fn secs(at: Timestamp) -> i128 {
    i128::from(at.as_second())
}

impl<'a> Model<'a> {
    fn new(case: &'a Case) -> Self {
        let simulation = &case.simulation;
        let (start, mut occurrences) = (simulation.horizon.start, Vec::new());
        let enough = start + SignedDuration::from_hours(24 * i64::from(simulation.horizon.days) + 48);
        let mut next = simulation
            .schedule
            .next_after(start - SignedDuration::from_secs(1))
            .unwrap();
        while let Some(due) = next {
            occurrences.push(due);
            next = (due <= enough)
                .then(|| simulation.schedule.next_after(due).unwrap())
                .flatten();
        }
        let interval = occurrences
            .windows(2)
            .map(|pair| pair[1].duration_since(pair[0]))
            .max();
        Self {
            case,
            source: SourceInput {
                retired: false,
                open_run: false,
                interval,
                next_due: None,
                snapshots: Vec::new(),
                objects: Vec::new(),
            },
            pieces: Vec::new(),
            born_at: Vec::new(),
            occurrences,
            earlier: Vec::new(),
            last_run: None,
            rest: 0,
            grown: 0,
            first_run: None,
            today: Day {
                day: 1,
                ..Day::default()
            },
            byte_secs: 0,
            counted_until: start,
            last_lock: None,
        }
    }

    fn simulation(&self) -> &'a Simulation {
        &self.case.simulation
    }

    fn piece_bytes(&self) -> u64 {
        let workload = &self.simulation().workload;
        workload.object_bytes / u64::from(workload.pieces_per_object)
    }

    fn births_matter(&self) -> bool {
        let simulation = self.simulation();
        let policy = &simulation.policy;
        !policy.tiers.is_empty()
            || policy.keep_last > 1
            || simulation.provider.min_storage_days > 0
            || simulation.workload.pieces_per_object > 1
    }

    fn input(&self) -> PlanInput {
        PlanInput {
            policy: self.simulation().policy.clone(),
            provider: self.simulation().provider,
            sources: vec![self.source.clone()],
        }
    }

    fn plan(&self, now: Timestamp) -> Plan {
        let input = self.input();
        let plan = plan(&input, now).unwrap();
        assert_eq!(check(&input, &plan, now), []);
        plan
    }

    fn remove(&mut self, place: usize) {
        self.source.objects.swap_remove(place);
        self.pieces.swap_remove(place);
        self.born_at.swap_remove(place);
    }

    fn put(&mut self, object: ObjectInput, pieces: (u64, u64), now: Timestamp) {
        self.last_lock = self.last_lock.max(object.locked_until);
        self.source.objects.push(object);
        self.pieces.push(pieces);
        self.born_at.push(now.as_second());
        self.today.puts += 1;
        self.today.put_bytes += object.bytes;
        self.today.heads += 1;
    }

    fn extend(&mut self, place: usize, verdict: &ObjectVerdict) {
        match *verdict {
            ObjectVerdict::Refresh { until, .. } => {
                self.today.refreshes += 1;
                self.today.heads += 1;
                self.source.objects[place].locked_until = Some(until);
                self.last_lock = self.last_lock.max(Some(until));
            }
            ObjectVerdict::Copy { until, .. } => {
                let object = self.source.objects[place];
                // The new version takes the old one's place; the old one is nobody's.
                let old = ObjectInput {
                    born: None,
                    dropped: None,
                    state: ObjectState::Deleting,
                    ..object
                };
                self.source.objects[place].locked_until = Some(until);
                let born = Timestamp::from_second(self.born_at[place]).unwrap();
                self.put(old, self.pieces[place], born);
                self.last_lock = self.last_lock.max(Some(until));
                self.today.copies += 1;
            }
            _ => {}
        }
    }

    /// The commit: what falls short of the snapshot's own promise is extended, by the Q of the sweep before.
    fn commit(&mut self, now: Timestamp, lock_ahead_days: u32) {
        let mut input = self.input();
        input.policy.lock_ahead = LockAhead::Days(lock_ahead_days);
        let plan = plan(&input, now).unwrap();
        let source = &plan.sources[0];
        let promise = source.snapshots.last().map(|snapshot| snapshot.protected_until);
        for (place, verdict) in source.objects.iter().enumerate() {
            if self.live(place) && self.source.objects[place].locked_until < promise {
                self.extend(place, verdict);
            }
        }
    }

    /// Carries a plan out. Gives the places of what is to be added again.
    fn sweep(&mut self, now: Timestamp) -> Vec<usize> {
        let plan = self.plan(now);
        let source = &plan.sources[0];
        self.today.lock_ahead_days = source.lock_ahead_days;
        for (snapshot, verdict) in self.source.snapshots.iter_mut().zip(&source.snapshots) {
            if !verdict.keeps() {
                snapshot.state = SnapshotState::Expired;
            }
        }
        let mut delete = Vec::new();
        for (place, verdict) in source.objects.iter().enumerate() {
            match verdict {
                ObjectVerdict::Refresh { .. } | ObjectVerdict::Copy { .. } => self.extend(place, verdict),
                ObjectVerdict::Delete => delete.push(place),
                _ => {}
            }
        }
        if delete.is_empty() {
            let again = |verdict: &ObjectVerdict| matches!(verdict, ObjectVerdict::AddAgain { .. });
            let verdicts = source.objects.iter().enumerate();
            return verdicts
                .filter(|(_, verdict)| again(verdict))
                .map(|(place, _)| place)
                .collect();
        }
        let billed = 86_400 * i64::from(self.simulation().provider.min_storage_days);
        for place in delete.into_iter().rev() {
            let bytes = self.source.objects[place].bytes;
            self.today.deletes += 1;
            self.today.deleted_bytes += bytes;
            let early = (self.born_at[place] + billed - now.as_second()).max(0);
            self.byte_secs += i128::from(bytes) * i128::from(early);
            self.remove(place);
        }
        // Nothing else has changed, so the places of the rest are those of a second plan.
        let (refreshes, deletes) = (self.today.refreshes, self.today.deletes);
        let q = self.today.lock_ahead_days;
        let again = self.sweep(now);
        if self.today.lock_ahead_days == q {
            assert_eq!(
                (refreshes, deletes),
                (self.today.refreshes, self.today.deletes),
                "idempotent"
            );
        }
        self.today.lock_ahead_days = q;
        again
    }

    fn live(&self, place: usize) -> bool {
        let object = &self.source.objects[place];
        object.born.is_some() && object.dropped.is_none()
    }

    /// Lets pieces die, one in so many, over the live objects by lock, size, pieces in use and birth.
    fn kill(&mut self, deaths: u64, by: Seq) {
        type Key = (Timestamp, u64, u64, i64);
        let mut places: Vec<(Key, usize)> = (0..self.pieces.len())
            .filter(|place| self.live(*place))
            .map(|place| {
                let (size, live) = self.pieces[place];
                let born = if self.births_matter() {
                    self.born_at[place]
                } else {
                    0
                };
                (
                    (self.source.objects[place].locked_until.unwrap(), size, live, born),
                    place,
                )
            })
            .collect();
        places.sort_unstable();
        let total: u64 = places.iter().map(|(key, _)| key.2).sum();
        let mut position = 0;
        for group in places.chunk_by(|a, b| a.0 == b.0) {
            let mut turn = group.iter().cycle();
            for _ in 0..group.len() as u64 * group[0].0.2 {
                if (position + 1) * deaths / total > position * deaths / total {
                    let (_, place) = *turn.next().unwrap();
                    self.pieces[place].1 -= 1;
                    self.source.objects[place].live_bytes -= self.piece_bytes();
                    if self.pieces[place].1 == 0 {
                        self.source.objects[place].dropped = Some(by);
                    }
                }
                position += 1;
            }
        }
    }

    fn live_pieces(&self) -> u64 {
        (0..self.pieces.len())
            .filter(|place| self.live(*place))
            .map(|place| self.pieces[place].1)
            .sum()
    }

    fn run(&mut self, now: Timestamp, clean: bool) {
        let again = self.sweep(now);
        let lock_ahead_days = self.today.lock_ahead_days;
        let by = Seq::new(self.source.snapshots.len() as u64 + 1).unwrap();
        self.today.added_again += again.len() as u64;
        let mut added = 0;
        let total = self.live_pieces();
        for place in again {
            added += self.pieces[place].1;
            self.source.objects[place].dropped = Some(by);
        }
        let workload = &self.simulation().workload;
        let full = u64::from(workload.pieces_per_object);
        let alive = self.live_pieces();
        if let (Some(last), Some(first)) = (self.last_run, self.first_run) {
            self.rest += i128::from(total) * self.case.churn_per_mille * (secs(now) - secs(last));
            let deaths = u64::try_from(self.rest / 86_400_000).unwrap();
            self.rest %= 86_400_000;
            // What is added again changes like the rest, and is sent once in any case.
            let deaths = (deaths.min(total) * alive).checked_div(total).unwrap_or(0);
            self.kill(deaths, by);
            let grown = self.case.growth_quarters * i128::from(full) * (secs(now) - secs(first)) / 4 / 86_400;
            added += deaths + u64::try_from(grown - self.grown).unwrap();
            self.grown = grown;
        } else {
            self.first_run = Some(now);
            added = workload.objects * full;
        }
        self.last_run = Some(now);
        self.upload(now, by, added, lock_ahead_days);

        let policy = &self.simulation().policy;
        let candidate = TierCandidate {
            received_at: now,
            clean,
            sound: true,
        };
        let tiers = assign_tiers(policy, &self.earlier, candidate).unwrap();
        self.earlier.push(TieredSnapshot {
            received_at: now,
            tiers: tiers.clone(),
            clean,
            sound: true,
        });
        self.source.snapshots.push(SnapshotInput {
            seq: by,
            received_at: now,
            state: SnapshotState::Complete,
            tiers,
            protected_until: None,
            pinned: false,
            soundness: shared::retention::Soundness::Sound,
        });
        self.source.next_due = self.occurrences.iter().copied().find(|due| *due > now);
        self.today.runs += 1;
        self.commit(now, lock_ahead_days);
        self.sweep(now);
    }

    fn upload(&mut self, now: Timestamp, born: Seq, pieces: u64, lock_ahead_days: u32) {
        let simulation = self.simulation();
        let workload = &simulation.workload;
        let full = u64::from(workload.pieces_per_object);
        let slots = u64::from(simulation.horizon.upload_slots);
        let deadline = now + SignedDuration::from_hours(i64::from(workload.run_deadline_hours));
        let tiers = expected_tiers(&simulation.policy, &self.earlier, now).unwrap();
        // Dealt out like cards; what is less than an object goes with the first.
        for nth in 0..pieces.div_ceil(full) {
            let (size, slot) = if nth < pieces / full {
                (full, nth % slots)
            } else {
                (pieces % full, 0)
            };
            let spread = if slots == 1 {
                65_535
            } else {
                slot * 65_535 / (slots - 1)
            };
            let mut hash = [0; 32];
            hash[..2].copy_from_slice(&spread.to_be_bytes()[6..]);
            let lock = upload_lock(
                &simulation.policy,
                lock_ahead_days,
                &simulation.schedule,
                deadline,
                now,
                &tiers,
                &ObjectHash::from_bytes(hash),
            );
            let bytes = size * self.piece_bytes();
            let object = ObjectInput {
                bytes,
                live_bytes: bytes,
                locked_until: Some(lock.unwrap().retain_until),
                born: Some(born),
                dropped: None,
                state: ObjectState::Live,
            };
            self.put(object, (size, size), now);
        }
    }

    fn stored(&self) -> u64 {
        self.source.objects.iter().map(|object| object.bytes).sum()
    }

    fn end_day(&mut self, now: Timestamp) -> (Day, i128) {
        let next = self.today.day + 1;
        let mut day = std::mem::replace(
            &mut self.today,
            Day {
                day: next,
                ..Day::default()
            },
        );
        // Q is what the last sweep used.
        self.today.lock_ahead_days = day.lock_ahead_days;
        let kept = self.plan(now).sources[0]
            .snapshots
            .iter()
            .filter(|snapshot| snapshot.keeps())
            .count();
        day.snapshots = u32::try_from(kept).unwrap();
        day.objects = self.source.objects.len() as u64;
        day.bytes_live = self.live_pieces() * self.piece_bytes();
        day.bytes_stored = self.stored();
        let locked = self
            .source
            .objects
            .iter()
            .filter(|object| object.locked_until >= Some(now));
        day.bytes_locked = locked.map(|object| object.bytes).sum();
        let live = (0..self.pieces.len()).filter(|place| self.live(*place));
        day.safe_until = live
            .map(|place| self.source.objects[place].locked_until.unwrap())
            .min();
        day.emptiable_on = self.last_lock;
        (day, std::mem::take(&mut self.byte_secs))
    }

    /// All days, each with its byte-seconds.
    fn walk(mut self) -> Vec<(Day, i128)> {
        let simulation = self.simulation();
        let start = simulation.horizon.start;
        let day = |days: u32| start + SignedDuration::from_hours(24 * i64::from(days));
        let end = day(simulation.horizon.days);
        let due = if self.occurrences.is_empty() {
            vec![start]
        } else {
            self.occurrences.clone()
        };
        let due: Vec<Timestamp> = due.into_iter().filter(|due| *due < end).collect();
        let mut instants: Vec<Timestamp> = due.clone();
        instants.extend((1..=simulation.horizon.days).map(day));
        let mut sweep = start;
        while sweep < end {
            instants.push(sweep);
            sweep += simulation.policy.sweep_every();
        }
        instants.sort_unstable();
        instants.dedup();
        let mut days = Vec::new();
        for now in instants {
            self.byte_secs += i128::from(self.stored()) * (secs(now) - secs(self.counted_until));
            self.counted_until = now;
            if now == day(self.today.day) {
                days.push(self.end_day(now));
            }
            if now == end {
                break;
            }
            let number = due
                .iter()
                .position(|due| *due == now)
                .and_then(|at| u32::try_from(at + 1).ok());
            match number {
                Some(number) if !simulation.workload.missed.contains(number) => {
                    self.run(now, !simulation.workload.unclean.contains(number));
                }
                missed => {
                    self.today.missed_runs += u32::from(missed.is_some());
                    if (now.duration_since(start)).as_secs() % simulation.policy.sweep_every().as_secs() == 0
                    {
                        self.sweep(now);
                    }
                }
            }
        }
        days
    }
}

fn recurrences() -> impl Strategy<Value = (Recurrence, u32)> {
    prop_oneof![
        3 => (0..24i8, 0..60i8).prop_map(|(hour, minute)| (Recurrence::Day { hour, minute }, 45)),
        3 => (1..=7i8, 0..24i8).prop_map(|(weekday, hour)| (Recurrence::Week { weekdays: shared::schedule::Weekdays::new([weekday]).unwrap(), hour, minute: 0 }, 90)),
        1 => (0..60i8).prop_map(|minute| (Recurrence::Hour { minute }, 6)),
        1 => Just((Recurrence::Manual, 30)),
    ]
}

fn run_numbers() -> impl Strategy<Value = RunNumbers> {
    let from = prop_oneof![3 => Just(None), 1 => (2..20u32).prop_map(Some)];
    (
        prop_oneof![2 => Just(0), 1 => 2..6u32],
        prop::collection::vec(1..40u32, 0..4),
        from,
    )
        .prop_map(|(every, runs, from)| RunNumbers { every, runs, from })
}

fn tiers() -> impl Strategy<Value = Vec<Tier>> {
    let period = prop::sample::select(vec![
        Period::Hour,
        Period::Day,
        Period::Week,
        Period::Month,
        Period::Year,
    ]);
    prop::collection::btree_map(period, 1..40u32, 0..3).prop_map(|tiers| {
        let tier = |(every, retention_days)| Tier {
            every,
            retention_days,
        };
        tiers.into_iter().map(tier).collect()
    })
}

prop_compose! {
    fn policies()(
        retention_days in 1..25u32,
        tiers in prop_oneof![2 => Just(Vec::new()), 1 => tiers()],
        keep_last in prop_oneof![2 => Just(1u32), 1 => 2..6u32],
        lock_ahead in prop_oneof![1 => Just(LockAhead::Auto), 2 => (1..20u32).prop_map(LockAhead::Days)],
        grace_hours in prop_oneof![2 => Just(24u32), 1 => 3..60u32],
        lock_cap_days in prop_oneof![1 => Just(70u32), 2 => Just(300u32)],
        time_zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York"]),
    ) -> Policy {
        Policy {
            time_zone: time_zone.to_owned(), tiers, keep_last, lock_ahead, grace_hours, lock_cap_days,
            ..Policy::new(retention_days, LockMode::Compliance).unwrap()
        }
    }
}

prop_compose! {
    fn cases()(
        policy in policies(),
        (recurrence, days) in recurrences(),
        time_zone in prop::sample::select(vec!["UTC", "Europe/Berlin"]),
        objects in 0..30u64,
        // Small objects too, where adding again is the cheaper way.
        object_bytes in prop_oneof![Just(16u64 << 20), 2_000..100_000u64],
        pieces_per_object in prop_oneof![Just(1u32), 2..6u32],
        growth_quarters in 0..8i128,
        churn_per_mille in prop_oneof![1 => Just(0i128), 4 => 1..150i128],
        missed in run_numbers(),
        unclean in run_numbers(),
        run_deadline_hours in 1..30u32,
        can_extend in prop::bool::weighted(0.7),
        min_storage_days in prop_oneof![2 => Just(0u32), 1 => 1..60u32],
        start in 1_770_000_000..1_800_000_000i64,
        upload_slots in prop::sample::select(vec![1u32, 2, 4, 16]),
    ) -> Case {
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let (growth, churn) = (growth_quarters as f64 / 4.0, churn_per_mille as f64 / 1_000.0);
        Case {
            simulation: Simulation {
                policy,
                provider: Provider { can_extend, min_storage_days, ..Provider::AWS_STANDARD },
                schedule: Schedule { recurrence, time_zone: time_zone.to_owned() },
                workload: Workload {
                    objects, object_bytes, pieces_per_object, missed, unclean, run_deadline_hours,
                    growth_objects_per_day: growth,
                    churn_per_day: churn,
                },
                horizon: Horizon { start: Timestamp::from_second(start).unwrap(), days, upload_slots },
            },
            churn_per_mille,
            growth_quarters,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: rounds(300),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_day_is_as_with_single_objects(case in cases()) {
        let timeline = match simulate(&case.simulation) {
            Ok(timeline) => timeline,
            // The cap does not allow what is needed; then `plan` or `upload_lock` refuse it as well.
            Err(error) => {
                prop_assert!(error.to_string().contains("lock_cap"), "{error}");
                return Ok(());
            }
        };
        let provider = &case.simulation.provider;
        for (mut day, byte_secs) in Model::new(&case).walk() {
            let simulated = &timeline.days[day.day as usize - 1];
            #[expect(clippy::cast_precision_loss, reason = "dollars")]
            let storage = byte_secs as f64 / 86_400e9 * provider.storage_usd_per_gb_day();
            prop_assert!((simulated.usd.storage - storage).abs() <= 1e-12 + storage * 1e-12);
            day.usd = simulated.usd;
            prop_assert_eq!(simulated, &day);
        }
        // Whatever happened, the locks reached as far as what was promised.
        prop_assert!(timeline.promises.kept(), "{:?}", timeline.promises);
        prop_assert_eq!(timeline.promises.uncovered_snapshots, 0);
        prop_assert_eq!(timeline.promises.last_good_unlocked_since, None);
    }
}
