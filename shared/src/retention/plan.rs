//! `plan`: from the ledger and an instant to a verdict on each snapshot and each object.
//!
//! The order of thought: which snapshots are kept, and why; what each kept snapshot needs of the locks below it; for each object
//! the largest of these needs; and where the lock falls short, the cheapest verdict that leaves no gap. An object is
//! looked at once, with two binary searches and one look-up, so that a plan's time grows with its objects alone.

use std::ops::Range;

use jiff::Timestamp;

use super::{
    Churn, KeepReason, Need, NeedKind, ObjectInput, ObjectState, ObjectVerdict, Plan, PlanError, PlanInput,
    Policy, Provider, Seq, SnapshotInput, SnapshotPlan, SnapshotState, SourceInput, SourcePlan,
    ceil_to_second,
    cost::PackUse,
    freeze::frozen_until,
    range_max::RangeMax,
    rule::{Rules, given, tier_days, tier_until},
};

/// Decides what is to become of everything in `input` at the instant `now`.
///
/// # Errors
/// When the input contradicts itself, or a lock that is needed would reach beyond the policy's cap. Nothing is planned then.
pub fn plan(input: &PlanInput, now: Timestamp) -> Result<Plan, PlanError> {
    input.validate()?;
    let sources = input
        .sources
        .iter()
        .map(|source| plan_source(&input.policy, &input.provider, source, now))
        .collect::<Result<_, _>>()?;
    Ok(Plan { sources })
}

fn plan_source(
    policy: &Policy,
    provider: &Provider,
    source: &SourceInput,
    now: Timestamp,
) -> Result<SourcePlan, PlanError> {
    let lock_ahead_days = Churn::of(source, policy).lock_ahead_days(policy, provider);
    let rules = Rules {
        policy,
        lock_ahead_days,
        next_due: source.next_due,
        now,
    };
    let snapshots = plan_snapshots(policy, source, now);
    let planner = Planner {
        rules,
        provider,
        source,
        is_frozen: is_frozen(source, now),
        kept: Kept::new(rules, source, &snapshots),
    };
    let objects = source
        .objects
        .iter()
        .map(|object| planner.verdict(object))
        .collect::<Result<_, _>>()?;
    Ok(SourcePlan {
        lock_ahead_days,
        snapshots,
        objects,
    })
}

/// The verdict on each snapshot of a source.
pub(super) fn plan_snapshots(policy: &Policy, source: &SourceInput, now: Timestamp) -> Vec<SnapshotPlan> {
    let last_good = LastGood::of(policy, source);
    let is_frozen = is_frozen(source, now);
    let reasons = |snapshot: &SnapshotInput| {
        let mut reasons = Vec::new();
        if snapshot.state == SnapshotState::Expired {
            return reasons;
        }
        if given(policy, &[], snapshot.received_at) >= now {
            reasons.push(KeepReason::WithinRetention);
        }
        if snapshot
            .protected_until
            .is_some_and(|promise| ceil_to_second(promise) >= now)
        {
            reasons.push(KeepReason::StoredPromise);
        }
        let has_tier = snapshot
            .tiers
            .iter()
            .any(|tier| tier_days(policy, *tier).is_some());
        if has_tier && given(policy, &snapshot.tiers, snapshot.received_at) >= now {
            reasons.push(KeepReason::Tier);
        }
        if last_good.contains(snapshot) {
            reasons.push(KeepReason::LastGood);
        }
        if snapshot.pinned {
            reasons.push(KeepReason::Pinned);
        }
        if is_frozen {
            reasons.push(KeepReason::Frozen);
        }
        reasons
    };
    source
        .snapshots
        .iter()
        .map(|snapshot| SnapshotPlan {
            protected_until: protection(policy, snapshot),
            reasons: reasons(snapshot),
        })
        .collect()
}

/// Whether an anomaly of the source waits for a decision.
fn is_frozen(source: &SourceInput, now: Timestamp) -> bool {
    frozen_until(&source.snapshots).is_some_and(|until| now < until)
}

/// The larger of the promise that was given and what today's policy gives.
fn protection(policy: &Policy, snapshot: &SnapshotInput) -> Timestamp {
    let promise = snapshot.protected_until.map(ceil_to_second);
    given(policy, &snapshot.tiers, snapshot.received_at).max(promise.unwrap_or(Timestamp::MIN))
}

// Promise: P3
/// The snapshots that never lapse: the `keep_last` newest of those that are complete and sound, and the newest complete one, which
/// the next run builds on. So the last sound one is held for as long as those after it are not sound.
#[derive(Default)]
struct LastGood {
    /// The newest complete snapshot; `None` when nothing is kept rolling.
    newest: Option<Seq>,
    /// The first of the newest sound ones.
    from: Option<Seq>,
}

impl LastGood {
    fn of(policy: &Policy, source: &SourceInput) -> Self {
        if source.retired {
            return Self::default();
        }
        let is_complete = |snapshot: &&SnapshotInput| snapshot.state == SnapshotState::Complete;
        let complete = source.snapshots.iter().rev().filter(is_complete);
        let sound = complete.clone().filter(|snapshot| snapshot.soundness.is_sound());
        let seq = |snapshot: &SnapshotInput| snapshot.seq;
        Self {
            newest: complete.map(seq).next(),
            from: sound.map(seq).take(policy.keep_last as usize).last(),
        }
    }

    /// Whether one that is complete is among them.
    fn contains(&self, snapshot: &SnapshotInput) -> bool {
        let among_sound = self
            .from
            .is_some_and(|from| snapshot.soundness.is_sound() && snapshot.seq >= from);
        among_sound || self.newest == Some(snapshot.seq)
    }
}

/// What the kept snapshots of a source need of the objects below them.
pub(super) struct Kept {
    /// Their numbers, ascending.
    pub seqs: Vec<Seq>,
    /// What each of them needs, the newest one's look-ahead included.
    pub needs: Vec<Need>,
    /// The newest number that is known of, kept or not.
    pub newest_known: Option<Seq>,
    /// The newest complete snapshot's place among the kept, where it is kept rolling.
    pub newest: Option<usize>,
    /// Until when the upcoming snapshot's tier will ask for what it shares with the newest one. Nothing is locked for it before it
    /// is there; but what is worn is added to that snapshot again instead of being locked so long.
    pub next_tier: Option<Timestamp>,
    protections: RangeMax<Timestamp>,
    /// What will be asked for again, later: the rolling needs, and the newest snapshot's tier, which the first snapshot of the
    /// next period will take.
    rollings: RangeMax<Option<Timestamp>>,
    largest: RangeMax<Need>,
}

impl Kept {
    pub(super) fn new(rules: Rules<'_>, source: &SourceInput, plans: &[SnapshotPlan]) -> Self {
        let kept: Vec<_> = source
            .snapshots
            .iter()
            .zip(plans)
            .filter(|(_, plan)| plan.asks_for_locks())
            .collect();
        let seqs: Vec<Seq> = kept.iter().map(|(snapshot, _)| snapshot.seq).collect();
        let newest = (!source.retired).then(|| kept.len().checked_sub(1)).flatten();
        let rolling = |at: usize, plan: &SnapshotPlan| {
            let has = |reason| plan.reasons.contains(&reason);
            let roll = has(KeepReason::LastGood).then(|| rules.last_good(NeedKind::LastGood));
            let pin = has(KeepReason::Pinned).then(|| rules.last_good(NeedKind::Pinned));
            let upcoming = (newest == Some(at)).then(|| rules.upcoming());
            roll.max(pin).max(upcoming)
        };
        let rolling: Vec<Option<Need>> = kept
            .iter()
            .enumerate()
            .map(|(at, (_, plan))| rolling(at, plan))
            .collect();
        let protections: Vec<Timestamp> = kept.iter().map(|(_, plan)| plan.protected_until).collect();
        let needs: Vec<Need> = protections
            .iter()
            .zip(&rolling)
            .map(|(until, rolling)| {
                let fixed = Need {
                    until: *until,
                    kind: NeedKind::Protection,
                };
                rolling.map_or(fixed, |rolling| rolling.max(fixed))
            })
            .collect();
        let tier = |at: usize| {
            let snapshot = kept.get(at).filter(|_| newest == Some(at))?.0;
            tier_until(rules.policy, &snapshot.tiers, snapshot.received_at)
        };
        let rollings = rolling
            .iter()
            .enumerate()
            .map(|(at, need)| need.map(|need| need.until).max(tier(at)))
            .collect();
        Self {
            seqs,
            newest_known: source.snapshots.last().map(|snapshot| snapshot.seq),
            newest,
            next_tier: newest.and_then(|_| rules.next_tier(&source.snapshots)),
            largest: RangeMax::new(needs.clone()),
            needs,
            protections: RangeMax::new(protections),
            rollings: RangeMax::new(rollings),
        }
    }

    /// The places of the kept snapshots that need the object.
    fn needing(&self, object: &ObjectInput) -> Range<usize> {
        let Some(born) = object.born else { return 0..0 };
        let end = object
            .dropped
            .map_or(self.seqs.len(), |dropped| self.first_from(dropped));
        self.first_from(born)..end
    }

    /// The place of the first kept snapshot whose number is not below `seq`.
    fn first_from(&self, seq: Seq) -> usize {
        // Mostly the numbers have no gaps, and a look at one place spares a search.
        let first = self.seqs.first().map_or(0, |first| first.get());
        let guess = usize::try_from(seq.get().saturating_sub(first)).unwrap_or(usize::MAX);
        if self.seqs.get(guess) == Some(&seq) {
            return guess;
        }
        self.seqs.partition_point(|kept| *kept < seq)
    }

    /// Whether a snapshot may need the object that is not in the list yet: its commit is under way.
    pub(super) fn beyond(&self, object: &ObjectInput) -> bool {
        object
            .born
            .is_some_and(|born| self.newest_known.is_none_or(|known| born > known))
    }
}

struct Planner<'a> {
    rules: Rules<'a>,
    provider: &'a Provider,
    source: &'a SourceInput,
    is_frozen: bool,
    kept: Kept,
}

impl Planner<'_> {
    fn verdict(&self, object: &ObjectInput) -> Result<ObjectVerdict, PlanError> {
        let needing = self.kept.needing(object);
        let of_snapshots = self.kept.largest.max(needing.clone());
        let of_run = self.in_open_run(object).then(|| self.rules.open_run());
        let Some(need) = of_snapshots.max(of_run) else {
            return Ok(self.unneeded(object));
        };
        // What was never seen in the bucket has no lock to move.
        let unseen = object.state == ObjectState::Pending && object.locked_until.is_none();
        if unseen || object.locked_until.is_some_and(|lock| lock >= need.until) {
            let for_tier = object.locked_until < self.kept.next_tier && self.provider.can_extend;
            return Ok(if for_tier && self.may_be_added_again(object, needing) {
                ObjectVerdict::AddAgain { need }
            } else {
                ObjectVerdict::Hold { need: Some(need) }
            });
        }
        if self.may_be_added_again(object, needing.clone()) {
            return Ok(ObjectVerdict::AddAgain { need });
        }
        self.rules.policy.within_cap(self.rules.now, need.until)?;
        let fixed = self.kept.protections.max(needing.clone());
        let rolling = self.kept.rollings.max(needing).flatten();
        let fixed = fixed.max(of_run.map(|need| need.until));
        let until = self.rules.extend_to(fixed, rolling).unwrap_or(need.until);
        Ok(if self.provider.can_extend {
            ObjectVerdict::Refresh { need, until }
        } else {
            ObjectVerdict::Copy { need, until }
        })
    }

    fn in_open_run(&self, object: &ObjectInput) -> bool {
        (object.state == ObjectState::Pending && self.source.open_run) || self.kept.beyond(object)
    }

    fn unneeded(&self, object: &ObjectInput) -> ObjectVerdict {
        match object.locked_until {
            _ if object.state == ObjectState::Unknown => ObjectVerdict::Hold { need: None },
            None => ObjectVerdict::Hold { need: None },
            Some(until) if until >= self.rules.now => ObjectVerdict::AwaitUnlock { until },
            Some(_) if self.is_frozen => ObjectVerdict::Hold { need: None },
            Some(_) => ObjectVerdict::Delete,
        }
    }

    /// Whether the next run may be asked to add the object's data again, although its lock falls short or will: only where nothing
    /// but the newest snapshot's rolling need is open, where one missed run leaves no gap, and where it is the cheaper way.
    fn may_be_added_again(&self, object: &ObjectInput, needing: Range<usize>) -> bool {
        let (Some(newest), Some(lock), Some(interval)) =
            (self.kept.newest, object.locked_until, self.source.interval)
        else {
            return false;
        };
        // The newest snapshot must need it: what a commit under way needs alone is for that run's sake.
        let newest_needs_it = needing.contains(&newest);
        if object.state != ObjectState::Live || !newest_needs_it {
            return false;
        }
        let others = self.kept.largest.max(needing.start..newest);
        // Its own promise, and whatever older ones need.
        let own = self.kept.protections.max(newest..newest + 1);
        let owed = own.max(others.map(|need| need.until)).unwrap_or(Timestamp::MAX);
        if !self.rules.may_wait(lock, owed, interval) {
            return false;
        }
        if !self.provider.can_extend {
            return true;
        }
        let now = self.rules.now;
        // The newest snapshot needs it, so that one at least is not before it.
        let first = self
            .source
            .snapshots
            .partition_point(|snapshot| Some(snapshot.seq) < object.born);
        let born_at = self
            .source
            .snapshots
            .get(first)
            .map_or(now, |snapshot| snapshot.received_at);
        let pack_use = PackUse {
            bytes: object.bytes,
            live_bytes: object.live_bytes,
            age: now.duration_since(born_at),
            still_locked: lock.duration_since(now),
        };
        pack_use.is_cheaper_added_again(self.provider, self.rules.lock_ahead_days)
    }
}
