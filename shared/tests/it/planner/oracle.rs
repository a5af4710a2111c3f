//! A second opinion: section 5 of the design written down as plainly as it can be, in nanoseconds, each object held against
//! each snapshot. Slow, and with no clever step in it.

use jiff::{Timestamp, ToSpan};
use shared::retention::{
    KeepReason, LockAhead, Need, NeedKind, ObjectInput, ObjectState, ObjectVerdict, Period, PlanInput,
    Policy, Provider, SnapshotInput, SnapshotPlan, SnapshotState, Soundness, SourceInput, SourcePlan,
};

type Nanos = i128;
const SECOND: Nanos = 1_000_000_000;
const HOUR: Nanos = 3_600 * SECOND;
const DAY: Nanos = 24 * HOUR;

fn at(date: Timestamp) -> Nanos {
    date.as_nanosecond()
}

fn date(at: Nanos) -> Timestamp {
    Timestamp::from_nanosecond(at).unwrap()
}

/// The next whole second.
fn up(at: Nanos) -> Nanos {
    -(-at).div_euclid(SECOND) * SECOND
}

fn down(at: Nanos) -> Nanos {
    at.div_euclid(SECOND) * SECOND
}

/// What one snapshot asks of the locks of all that it needs.
struct Ask {
    fixed: Nanos,
    rolling: Vec<(Nanos, NeedKind)>,
    /// The newest snapshot's tier: a date that is fixed, and that another snapshot will ask for again, later.
    tier_again: Option<Nanos>,
    is_newest: bool,
}

impl Ask {
    fn largest(&self) -> (Nanos, NeedKind) {
        let fixed = (self.fixed, NeedKind::Protection);
        self.rolling.iter().copied().fold(fixed, Ord::max)
    }
}

struct Opinion<'a> {
    policy: &'a Policy,
    provider: &'a Provider,
    source: &'a SourceInput,
    now: Nanos,
    lock_ahead_days: u32,
}

/// The plan of one source; `None` when a lock would reach beyond the cap.
pub fn plan_one(input: &PlanInput, source: &SourceInput, now: Timestamp) -> Option<SourcePlan> {
    let (policy, provider) = (&input.policy, &input.provider);
    let lock_ahead_days = lock_ahead_days(policy, provider, source);
    let opinion = Opinion {
        policy,
        provider,
        source,
        now: at(now),
        lock_ahead_days,
    };
    let objects: Option<Vec<_>> = source
        .objects
        .iter()
        .map(|object| opinion.object(object))
        .collect();
    let snapshot = |snapshot: &SnapshotInput| SnapshotPlan {
        protected_until: date(opinion.protected(snapshot)),
        reasons: opinion.reasons(snapshot),
    };
    Some(SourcePlan {
        lock_ahead_days,
        snapshots: source.snapshots.iter().map(snapshot).collect(),
        objects: objects?,
    })
}

/// Whether an object whose lock falls short may wait for the next run, whether or not that pays.
pub fn may_wait(input: &PlanInput, source: &SourceInput, object: &ObjectInput, now: Timestamp) -> bool {
    let (policy, provider) = (&input.policy, &input.provider);
    let opinion = Opinion {
        policy,
        provider,
        source,
        now: at(now),
        lock_ahead_days: 1,
    };
    object
        .locked_until
        .is_some_and(|lock| opinion.may_wait(object, at(lock), &opinion.asks(object)))
}

/// Whether an object whose lock suffices may be added again to the next snapshot, whose tier will ask for more.
pub fn may_wait_for_tier(
    input: &PlanInput,
    source: &SourceInput,
    object: &ObjectInput,
    now: Timestamp,
) -> bool {
    let tier = next_tier(&input.policy, source, now);
    input.provider.can_extend && object.locked_until < tier && may_wait(input, source, object, now)
}

/// The end of the longest tier that nobody has taken yet in the period in which the next run comes.
pub fn next_tier(policy: &Policy, source: &SourceInput, now: Timestamp) -> Option<Timestamp> {
    let due = source.next_due?;
    if source.retired || at(now) > at(due) + HOUR * Nanos::from(policy.grace_hours) {
        return None;
    }
    let comes = due.max(now);
    let begins = |period: Period, at: Timestamp| {
        let here = at.to_zoned(policy.zone().unwrap());
        let day = here.date();
        let first = match period {
            Period::Hour | Period::Day => day,
            Period::Week => day - day.weekday().to_monday_zero_offset().days(),
            Period::Month => day.first_of_month(),
            Period::Year => day.first_of_year(),
        };
        let hour = (here.hour(), here.offset());
        (first, (period == Period::Hour).then_some(hour))
    };
    let mut dates = Vec::new();
    for tier in &policy.tiers {
        let taken = source.snapshots.iter().any(|s| {
            s.tiers.contains(&tier.every) && begins(tier.every, s.received_at) == begins(tier.every, comes)
        });
        if !taken {
            dates.push(date(up(at(comes) + DAY * Nanos::from(tier.retention_days))));
        }
    }
    dates.into_iter().max()
}

/// The dates at which a verdict on an object of this source turns over.
pub fn turning_points(policy: &Policy, source: &SourceInput, now: Timestamp) -> Vec<Timestamp> {
    let provider = &Provider::AWS_STANDARD;
    let opinion = Opinion {
        policy,
        provider,
        source,
        now: at(now),
        lock_ahead_days: 1,
    };
    let interval = source.interval.map_or(0, |interval| interval.as_nanos());
    let mut points = vec![
        opinion.now + 48 * HOUR,
        opinion.roll() + interval,
        up(opinion.roll() + interval),
    ];
    for ask in source
        .snapshots
        .iter()
        .filter_map(|snapshot| opinion.ask(snapshot))
    {
        points.extend([ask.fixed, ask.largest().0]);
    }
    let mut points: Vec<Timestamp> = points.into_iter().map(date).collect();
    points.extend(next_tier(policy, source, now));
    points
}

fn lock_ahead_days(policy: &Policy, provider: &Provider, source: &SourceInput) -> u32 {
    let LockAhead::Auto = policy.lock_ahead else {
        let LockAhead::Days(days) = policy.lock_ahead else {
            unreachable!()
        };
        return days;
    };
    let interval = source.interval.map_or(0, |interval| interval.as_nanos());
    let whole_days = -(-(interval - interval % SECOND)).div_euclid(DAY);
    let lowest = u32::try_from(whole_days).unwrap().max(1);
    let mut longest = policy.retention_days;
    for tier in &policy.tiers {
        longest = longest.max(tier.retention_days);
    }
    let highest = lowest.max(longest.min(90));
    let complete = |s: &&SnapshotInput| s.state == SnapshotState::Complete;
    let gb_day = provider.storage_usd_per_gb_month * 12.0 / 365.0;
    let refresh = (provider.put_usd_per_1000 + provider.head_usd_per_1000) / 1_000.0;
    // The smallest number of days whose square reaches it.
    let least = |objects: usize, gb_a_day: f64| {
        let best = 2.0 * objects as f64 * refresh / (gb_a_day * gb_day);
        (lowest..highest)
            .find(|days| f64::from(*days).powi(2) >= best * (1.0 - 1e-12))
            .unwrap_or(highest)
    };
    let Some(newest) = source.snapshots.iter().rfind(complete) else {
        // A hundredth a day of packs of 16 MiB.
        return least(1, 0.16777216e-3);
    };
    let needed = |o: &&ObjectInput| {
        o.born.is_some_and(|born| born <= newest.seq) && o.dropped.is_none_or(|d| d > newest.seq)
    };
    let objects = source.objects.iter().filter(needed).count();
    let bytes: u64 = source.objects.iter().filter(needed).map(|o| o.bytes).sum();
    let since = at(newest.received_at) - DAY * Nanos::from(policy.retention_days);
    let in_window = |s: &&SnapshotInput| (since..=at(newest.received_at)).contains(&at(s.received_at));
    let window: Vec<_> = source.snapshots.iter().filter(in_window).collect();
    let mut dropped_bytes = 0;
    for object in &source.objects {
        let counts = |dropped| dropped <= newest.seq && window.len() > 1 && window[1].seq <= dropped;
        if object.dropped.is_some_and(counts) {
            dropped_bytes += object.bytes;
        }
    }
    let length = at(newest.received_at)
        - window
            .first()
            .map_or(at(newest.received_at), |s| at(s.received_at));
    // A week, or a whole interval: what of it nobody has seen is taken to lose a hundredth a day.
    let watch = (7 * DAY).max(interval);
    let unseen = (watch - length).max(0) as f64 / DAY as f64;
    let lost = dropped_bytes as f64 / 1e9 + bytes as f64 / 1e9 / 100.0 * unseen;
    if lost == 0.0 || provider.storage_usd_per_gb_month <= 0.0 {
        return highest;
    }
    least(objects, lost / (length.max(watch) as f64 / DAY as f64))
}

impl Opinion<'_> {
    fn retention(&self) -> Nanos {
        DAY * Nanos::from(self.policy.retention_days)
    }

    fn roll(&self) -> Nanos {
        let due = self.source.next_due.map_or(self.now, at);
        due.max(self.now) + HOUR * Nanos::from(self.policy.grace_hours)
    }

    /// The end of the snapshot's longest tier; one that is shorter than N gives it nothing.
    fn longest_tier(&self, snapshot: &SnapshotInput) -> Option<Nanos> {
        let policy = self
            .policy
            .tiers
            .iter()
            .filter(|tier| snapshot.tiers.contains(&tier.every));
        let longest = policy.map(|tier| tier.retention_days).max()?;
        Some(at(snapshot.received_at) + DAY * Nanos::from(longest))
    }

    fn tier(&self, snapshot: &SnapshotInput) -> Option<Nanos> {
        let plain = at(snapshot.received_at) + self.retention();
        Some(self.longest_tier(snapshot)?.max(plain))
    }

    fn protected(&self, snapshot: &SnapshotInput) -> Nanos {
        let plain = at(snapshot.received_at) + self.retention();
        let tier = self.tier(snapshot).unwrap_or(plain);
        up(plain)
            .max(up(tier))
            .max(up(snapshot.protected_until.map_or(plain, at)))
    }

    /// The complete snapshots after this one.
    fn newer(&self, snapshot: &SnapshotInput) -> impl Iterator<Item = &SnapshotInput> {
        let complete = self
            .source
            .snapshots
            .iter()
            .filter(|other| other.state == SnapshotState::Complete);
        complete.filter(move |other| other.seq > snapshot.seq)
    }

    fn is_newest(&self, snapshot: &SnapshotInput) -> bool {
        !self.source.retired && self.newer(snapshot).count() == 0
    }

    /// One of the last that are known to be good.
    fn is_last_good(&self, snapshot: &SnapshotInput) -> bool {
        let better = self
            .newer(snapshot)
            .filter(|other| other.soundness.is_sound())
            .count();
        !self.source.retired && snapshot.soundness.is_sound() && better < self.policy.keep_last as usize
    }

    fn reasons(&self, snapshot: &SnapshotInput) -> Vec<KeepReason> {
        if snapshot.state == SnapshotState::Expired {
            return Vec::new();
        }
        let lasts = |until: Nanos| up(until) >= self.now;
        let mut reasons = Vec::new();
        if lasts(at(snapshot.received_at) + self.retention()) {
            reasons.push(KeepReason::WithinRetention);
        }
        if snapshot.protected_until.is_some_and(|until| lasts(at(until))) {
            reasons.push(KeepReason::StoredPromise);
        }
        if self.tier(snapshot).is_some_and(lasts) {
            reasons.push(KeepReason::Tier);
        }
        if self.is_last_good(snapshot) || self.is_newest(snapshot) {
            reasons.push(KeepReason::LastGood);
        }
        if snapshot.pinned {
            reasons.push(KeepReason::Pinned);
        }
        if self.is_frozen() {
            reasons.push(KeepReason::Frozen);
        }
        reasons
    }

    /// Somebody is still to decide on a snapshot after the last sound one, and the first of these is no 30 days old.
    fn is_frozen(&self) -> bool {
        let all = &self.source.snapshots;
        let last_sound = all
            .iter()
            .filter(|s| s.soundness == Soundness::Sound)
            .map(|s| s.seq)
            .max();
        let open: Vec<_> = all
            .iter()
            .filter(|s| s.soundness == Soundness::Undecided && Some(s.seq) > last_sound)
            .collect();
        open.iter().any(|s| s.state == SnapshotState::Complete)
            && open.iter().all(|s| self.now < at(s.received_at) + 30 * DAY)
    }

    /// `None` for a snapshot that is not kept.
    fn ask(&self, snapshot: &SnapshotInput) -> Option<Ask> {
        let reasons = self.reasons(snapshot);
        // One that is only frozen stays as it is.
        if reasons.iter().all(|reason| *reason == KeepReason::Frozen) {
            return None;
        }
        let mut rolling = Vec::new();
        if reasons.contains(&KeepReason::LastGood) {
            rolling.push((up(self.now + self.retention()), NeedKind::LastGood));
        }
        if reasons.contains(&KeepReason::Pinned) {
            rolling.push((up(self.now + self.retention()), NeedKind::Pinned));
        }
        let is_newest = self.is_newest(snapshot);
        if is_newest {
            rolling.push((up(self.roll() + self.retention()), NeedKind::Upcoming));
        }
        Some(Ask {
            fixed: self.protected(snapshot),
            rolling,
            tier_again: self.longest_tier(snapshot).filter(|_| is_newest).map(up),
            is_newest,
        })
    }

    fn asks(&self, object: &ObjectInput) -> Vec<Ask> {
        let needs = |s: &&SnapshotInput| {
            object.born.is_some_and(|born| born <= s.seq)
                && object.dropped.is_none_or(|dropped| s.seq < dropped)
        };
        self.source
            .snapshots
            .iter()
            .filter(needs)
            .filter_map(|s| self.ask(s))
            .collect()
    }

    /// `None` when its lock would reach beyond the cap.
    fn object(&self, object: &ObjectInput) -> Option<ObjectVerdict> {
        let needs = |s: &&SnapshotInput| {
            object.born.is_some_and(|born| born <= s.seq)
                && object.dropped.is_none_or(|dropped| s.seq < dropped)
        };
        let asks: Vec<Ask> = self
            .source
            .snapshots
            .iter()
            .filter(needs)
            .filter_map(|s| self.ask(s))
            .collect();
        let newest_known = self.source.snapshots.iter().map(|s| s.seq).max();
        let of_commit = object.born.is_some() && object.born > newest_known;
        let of_run = of_commit || (object.state == ObjectState::Pending && self.source.open_run);
        let of_run = of_run.then(|| up(self.now + 48 * HOUR));
        let needed = asks.iter().map(Ask::largest).max();
        let Some((until, kind)) = needed.max(of_run.map(|until| (until, NeedKind::OpenRun))) else {
            return Some(match object.locked_until {
                Some(lock)
                    if object.state != ObjectState::Unknown && at(lock) < self.now && !self.is_frozen() =>
                {
                    ObjectVerdict::Delete
                }
                Some(lock) if object.state != ObjectState::Unknown && at(lock) >= self.now => {
                    ObjectVerdict::AwaitUnlock { until: lock }
                }
                _ => ObjectVerdict::Hold { need: None },
            });
        };
        let need = Need {
            until: date(until),
            kind,
        };
        let lock = object.locked_until.map(at);
        let never_seen = object.state == ObjectState::Pending && lock.is_none();
        if lock.is_some_and(|lock| lock >= until && self.waits_for_tier(object, lock, &asks)) {
            return Some(ObjectVerdict::AddAgain { need });
        }
        if never_seen || lock.is_some_and(|lock| lock >= until) {
            return Some(ObjectVerdict::Hold { need: Some(need) });
        }
        if lock.is_some_and(|lock| self.may_wait(object, lock, &asks) && self.adding_again_pays(object, lock))
        {
            return Some(ObjectVerdict::AddAgain { need });
        }
        let cap = down(self.now) + DAY * Nanos::from(self.policy.lock_cap_days);
        if until > cap {
            return None;
        }
        let ahead = DAY * Nanos::from(self.lock_ahead_days);
        let rolling = asks.iter().flat_map(|ask| &ask.rolling).map(|(until, _)| *until);
        let rolling = rolling.chain(asks.iter().filter_map(|ask| ask.tier_again));
        let rolling = rolling.map(|until| until + ahead);
        let fixed = asks.iter().map(|ask| ask.fixed).chain(of_run);
        let to = date(rolling.chain(fixed).max().unwrap().min(cap));
        Some(match self.provider.can_extend {
            true => ObjectVerdict::Refresh { need, until: to },
            false => ObjectVerdict::Copy { need, until: to },
        })
    }

    fn waits_for_tier(&self, object: &ObjectInput, lock: Nanos, asks: &[Ask]) -> bool {
        let tier = next_tier(self.policy, self.source, date(self.now));
        self.provider.can_extend
            && tier.is_some_and(|tier| lock < at(tier))
            && self.may_wait(object, lock, asks)
            && self.adding_again_pays(object, lock)
    }

    fn may_wait(&self, object: &ObjectInput, lock: Nanos, asks: &[Ask]) -> bool {
        let (Some(interval), Some(due)) = (self.source.interval, self.source.next_due) else {
            return false;
        };
        let open = |ask: &Ask| lock < if ask.is_newest { ask.fixed } else { ask.largest().0 };
        object.state == ObjectState::Live
            && asks.iter().any(|ask| ask.is_newest)
            && !asks.iter().any(open)
            && self.now <= at(due) + HOUR * Nanos::from(self.policy.grace_hours)
            && down(lock) > up(self.roll() + interval.as_nanos())
    }

    fn adding_again_pays(&self, object: &ObjectInput, lock: Nanos) -> bool {
        if !self.provider.can_extend {
            return true;
        }
        let first = self
            .source
            .snapshots
            .iter()
            .find(|s| Some(s.seq) >= object.born)
            .unwrap();
        let days = |time: Nanos| time as f64 / DAY as f64;
        let age = days(self.now - at(first.received_at));
        if object.live_bytes >= object.bytes || age <= 0.0 {
            return false;
        }
        let in_use = object.live_bytes as f64 / object.bytes as f64;
        if in_use == 0.0 {
            return true;
        }
        let call = (self.provider.put_usd_per_1000 + self.provider.head_usd_per_1000) / 1_000.0;
        let stored = object.bytes as f64 / 1e9 * self.provider.storage_usd_per_gb_month * 12.0 / 365.0;
        let a_day = stored + call / f64::from(self.lock_ahead_days);
        let old_stays = days(lock - self.now).max(f64::from(self.provider.min_storage_days) - age);
        // All that it has cost by the time it is added again, for all the days and bytes that it was of use.
        let spent = a_day * age + call + stored * old_stays.max(0.0);
        let used = age * (1.0 - in_use) / (1.0 / in_use).ln();
        // Going on costs more for each byte in use than it has cost so far.
        a_day / in_use > spent / used
    }
}
