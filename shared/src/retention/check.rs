//! `check`: distrusts a plan.
//!
//! It shares no code with `plan`: the rules are stated here a second time, in whole seconds and with another structure, so that
//! an error in one of the two shows. A groom run calls it right before anything is deleted.

mod max_tree;
mod next_tier;
mod secs;

use std::{fmt, ops::Range};

use jiff::Timestamp;

use self::{
    max_tree::MaxTree,
    next_tier::next_tier,
    secs::{DAY, NOTHING, Secs, up},
};
use super::{
    KeepReason, LockAhead, NeedKind, ObjectInput, ObjectState, ObjectVerdict, Plan, PlanInput, Policy, Seq,
    SnapshotInput, SnapshotState, Soundness, SourceInput, SourcePlan,
};

/// A verdict that breaks a promise, wastes what should go, or cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The source's place in the input.
    pub source: usize,
    /// What is wrong with what.
    pub kind: ViolationKind,
}

/// What is wrong. Places are those of the source's own lists.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ViolationKind {
    /// The plan does not have one verdict for each source, snapshot and object.
    Shape,
    /// Q is not what the policy says, or out of its range.
    LockAhead {
        /// What the plan used, in days.
        days: u32,
    },
    /// A snapshot is given up that must be kept.
    SnapshotLost {
        /// The snapshot's place.
        snapshot: usize,
    },
    /// A snapshot is kept for nothing, or one that has expired is revived.
    SnapshotLeaked {
        /// The snapshot's place.
        snapshot: usize,
    },
    /// A snapshot's protection date or a reason to keep it is wrong.
    SnapshotMisread {
        /// The snapshot's place.
        snapshot: usize,
    },
    /// An object would be deleted that a kept snapshot, an open run or an unknown state holds.
    DeletesNeeded {
        /// The object's place.
        object: usize,
    },
    /// An object would be deleted while an anomaly of its source waits for a decision.
    DeletesFrozen {
        /// The object's place.
        object: usize,
    },
    /// An object would be deleted whose lock has not ended.
    DeletesLocked {
        /// The object's place.
        object: usize,
    },
    /// An object's lock ends before it is needed no longer, and nothing is done about it.
    LockTooShort {
        /// The object's place.
        object: usize,
    },
    /// A new lock date is too early, no later than the old one, not in whole seconds, or not the one that the need, Q and the
    /// cap give.
    BadDate {
        /// The object's place.
        object: usize,
    },
    /// The provider cannot do this to an object in this state, or the next run would come too late.
    NotPossible {
        /// The object's place.
        object: usize,
    },
    /// An object is kept that nobody needs.
    ObjectLeaked {
        /// The object's place.
        object: usize,
    },
    /// The need that a verdict names, or the date that it waits for, is wrong.
    ObjectMisread {
        /// The object's place.
        object: usize,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ViolationKind as Kind;
        write!(f, "sources[{}]", self.source)?;
        match self.kind {
            Kind::Shape => f.write_str(": the plan does not match the input"),
            Kind::LockAhead { days } => write!(f, ": a look-ahead of {days} days is not the policy's"),
            Kind::SnapshotLost { snapshot } => write!(f, ".snapshots[{snapshot}]: expires, but must be kept"),
            Kind::SnapshotLeaked { snapshot } => write!(f, ".snapshots[{snapshot}]: kept without a reason"),
            Kind::SnapshotMisread { snapshot } => {
                write!(
                    f,
                    ".snapshots[{snapshot}]: its protection or its reasons are wrong"
                )
            }
            Kind::DeletesNeeded { object } => write!(f, ".objects[{object}]: deleted, but needed"),
            Kind::DeletesFrozen { object } => {
                write!(f, ".objects[{object}]: deleted while an anomaly is open")
            }
            Kind::DeletesLocked { object } => write!(f, ".objects[{object}]: deleted, but locked"),
            Kind::LockTooShort { object } => write!(f, ".objects[{object}]: locked too short, and left so"),
            Kind::BadDate { object } => write!(f, ".objects[{object}]: the new lock date is wrong"),
            Kind::NotPossible { object } => write!(f, ".objects[{object}]: this can not be done with it"),
            Kind::ObjectLeaked { object } => write!(f, ".objects[{object}]: kept, but nobody needs it"),
            Kind::ObjectMisread { object } => write!(f, ".objects[{object}]: names a wrong need or date"),
        }
    }
}

// Promise: P4
/// Finds everything in `plan` that breaks a promise. Empty for a plan that `plan` made from the same input at the same instant.
#[must_use]
pub fn check(input: &PlanInput, plan: &Plan, now: Timestamp) -> Vec<Violation> {
    if plan.sources.len() != input.sources.len() {
        let (source, kind) = (0, ViolationKind::Shape);
        return vec![Violation { source, kind }];
    }
    let mut violations = Vec::new();
    for (index, (source, planned)) in input.sources.iter().zip(&plan.sources).enumerate() {
        let mut report = |kind| violations.push(Violation { source: index, kind });
        if planned.snapshots.len() != source.snapshots.len() || planned.objects.len() != source.objects.len()
        {
            report(ViolationKind::Shape);
            continue;
        }
        let checker = Checker::new(input, source, planned.lock_ahead_days, now);
        checker.check_lock_ahead(&mut report);
        checker.check_snapshots(planned, &mut report);
        for (place, (object, verdict)) in source.objects.iter().zip(&planned.objects).enumerate() {
            if let Some(kind) = checker.fault(place, object, verdict) {
                report(kind);
            }
        }
    }
    violations
}

struct Checker<'a> {
    policy: &'a Policy,
    source: &'a SourceInput,
    can_extend: bool,
    lock_ahead: Secs,
    lock_ahead_days: u32,
    /// Upwards: a date in whole seconds has not passed when it is at least this.
    now: Secs,
    exact_now: Timestamp,
    /// How many of the newest complete snapshots never lapse.
    never_lapse: usize,
    newest: Option<usize>,
    /// An anomaly waits for a decision, and has not waited for 30 days.
    frozen: bool,
    /// The snapshots' numbers, side by side: they are searched twice for each object.
    seqs: Vec<Seq>,
    needs: MaxTree,
    /// How far a new lock reaches for each snapshot's sake.
    reaches: MaxTree,
    /// The end of the tier that the next run's snapshot will take; `NOTHING` where none is expected.
    next_tier: Secs,
}

/// Whether the oldest snapshot that is newer than every sound one, and that nobody has judged, is younger than 30 days, and one of
/// these is still there.
fn is_frozen(source: &SourceInput, now: Timestamp) -> bool {
    let mut oldest = None;
    let mut is_there = false;
    for snapshot in &source.snapshots {
        match snapshot.soundness {
            Soundness::Sound => (oldest, is_there) = (None, false),
            Soundness::Bad => {}
            Soundness::Undecided => {
                let received = snapshot.received_at;
                oldest = Some(oldest.map_or(received, |other: Timestamp| other.min(received)));
                is_there |= snapshot.state == SnapshotState::Complete;
            }
        }
    }
    let waited = |since: Timestamp| now.as_nanosecond() - since.as_nanosecond();
    is_there && oldest.is_some_and(|since| waited(since) < 30 * i128::from(DAY) * 1_000_000_000)
}

impl<'a> Checker<'a> {
    fn new(input: &'a PlanInput, source: &'a SourceInput, lock_ahead_days: u32, now: Timestamp) -> Self {
        let policy = &input.policy;
        let rolls = !source.retired;
        let complete = |snapshot: &SnapshotInput| snapshot.state == SnapshotState::Complete;
        let mut checker = Self {
            policy,
            source,
            can_extend: input.provider.can_extend,
            lock_ahead: DAY * Secs::from(lock_ahead_days),
            lock_ahead_days,
            now: up(now),
            exact_now: now,
            never_lapse: if rolls { policy.keep_last as usize } else { 0 },
            newest: source.snapshots.iter().rposition(|s| rolls && complete(s)),
            frozen: is_frozen(source, now),
            seqs: source.snapshots.iter().map(|snapshot| snapshot.seq).collect(),
            needs: MaxTree::new(&[]),
            reaches: MaxTree::new(&[]),
            next_tier: next_tier(policy, source, now).unwrap_or(NOTHING),
        };
        let of_all = |date: &dyn Fn(usize) -> Secs| {
            let dates: Vec<Secs> = (0..source.snapshots.len()).map(date).collect();
            MaxTree::new(&dates)
        };
        let needs = of_all(&|place| checker.need_of(place));
        let reaches = of_all(&|place| checker.reach_of(place));
        (checker.needs, checker.reaches) = (needs, reaches);
        checker
    }

    fn retention(&self) -> Secs {
        DAY * Secs::from(self.policy.retention_days)
    }

    /// max(now, next due) + grace.
    fn roll(&self) -> Secs {
        let due = self.source.next_due.map_or(self.now, up);
        due.max(self.now) + 3_600 * Secs::from(self.policy.grace_hours)
    }

    fn plain(&self, snapshot: &SnapshotInput) -> Secs {
        up(snapshot.received_at) + self.retention()
    }

    fn longest_tier(&self, snapshot: &SnapshotInput) -> Option<Secs> {
        let tiers = self
            .policy
            .tiers
            .iter()
            .filter(|tier| snapshot.tiers.contains(&tier.every));
        let longest = tiers.map(|tier| tier.retention_days).max()?;
        Some(up(snapshot.received_at) + DAY * Secs::from(longest))
    }

    fn tiered(&self, snapshot: &SnapshotInput) -> Option<Secs> {
        // A tier that is shorter than N gives nothing, and takes nothing away.
        Some(self.longest_tier(snapshot)?.max(self.plain(snapshot)))
    }

    fn protection(&self, snapshot: &SnapshotInput) -> Secs {
        let mut latest = self.plain(snapshot);
        for other in [self.tiered(snapshot), snapshot.protected_until.map(up)]
            .into_iter()
            .flatten()
        {
            latest = latest.max(other);
        }
        latest
    }

    fn reasons(&self, place: usize) -> Vec<KeepReason> {
        let snapshot = &self.source.snapshots[place];
        if snapshot.state == SnapshotState::Expired {
            return Vec::new();
        }
        let newer = self.source.snapshots[place + 1..].iter();
        let newer = newer
            .filter(|s| s.state == SnapshotState::Complete && s.soundness == Soundness::Sound)
            .take(self.never_lapse)
            .count();
        let is_good = snapshot.soundness == Soundness::Sound && newer < self.never_lapse;
        [
            (KeepReason::WithinRetention, self.plain(snapshot) >= self.now),
            (
                KeepReason::StoredPromise,
                snapshot.protected_until.is_some_and(|date| up(date) >= self.now),
            ),
            (
                KeepReason::Tier,
                self.tiered(snapshot).is_some_and(|date| date >= self.now),
            ),
            (KeepReason::LastGood, is_good || self.newest == Some(place)),
            (KeepReason::Pinned, snapshot.pinned),
            (KeepReason::Frozen, self.frozen),
        ]
        .into_iter()
        .filter_map(|(reason, holds)| holds.then_some(reason))
        .collect()
    }

    /// Until when everything below the snapshot must be locked; `NOTHING` when it is not kept.
    fn need_of(&self, place: usize) -> Secs {
        match self.kept(place) {
            None => NOTHING,
            Some((protection, rolling)) => protection.max(rolling),
        }
    }

    /// The date to which a lock that falls short is moved for the snapshot's sake: what it was promised, or Q beyond what will be
    /// needed again. That is what rolls on, and the newest snapshot's tier: another snapshot will take it.
    fn reach_of(&self, place: usize) -> Secs {
        let Some((protection, rolling)) = self.kept(place) else {
            return NOTHING;
        };
        let mut again = rolling;
        if self.newest == Some(place) {
            again = again.max(
                self.longest_tier(&self.source.snapshots[place])
                    .unwrap_or(NOTHING),
            );
        }
        protection.max(again.saturating_add(self.lock_ahead))
    }

    /// The protection of a snapshot that is kept, and what it asks for beyond, from now on.
    fn kept(&self, place: usize) -> Option<(Secs, Secs)> {
        let mut reasons = self.reasons(place);
        reasons.retain(|reason| *reason != KeepReason::Frozen);
        if reasons.is_empty() {
            return None;
        }
        let mut rolling = NOTHING;
        if reasons.contains(&KeepReason::LastGood) || reasons.contains(&KeepReason::Pinned) {
            rolling = rolling.max(self.now + self.retention());
        }
        if self.newest == Some(place) {
            rolling = rolling.max(self.roll() + self.retention());
        }
        Some((self.protection(&self.source.snapshots[place]), rolling))
    }

    fn check_lock_ahead(&self, report: &mut impl FnMut(ViolationKind)) {
        let days = self.lock_ahead_days;
        let right = match self.policy.lock_ahead {
            LockAhead::Days(wanted) => days == wanted,
            LockAhead::Auto => {
                let interval = self.source.interval.map_or(1, |interval| interval.as_secs());
                let lowest = (interval.saturating_add(DAY - 1) / DAY).max(1);
                let tiers = self.policy.tiers.iter().map(|tier| tier.retention_days);
                let longest = tiers.chain([self.policy.retention_days]).max().unwrap_or(0);
                let highest = lowest.max(Secs::from(longest.min(90)));
                (lowest..=highest).contains(&Secs::from(days))
            }
        };
        if !right {
            report(ViolationKind::LockAhead { days });
        }
    }

    fn check_snapshots(&self, planned: &SourcePlan, report: &mut impl FnMut(ViolationKind)) {
        for (snapshot, plan) in planned.snapshots.iter().enumerate() {
            let reasons = self.reasons(snapshot);
            let protection = self.protection(&self.source.snapshots[snapshot]);
            match (reasons.is_empty(), plan.reasons.is_empty()) {
                (false, true) => report(ViolationKind::SnapshotLost { snapshot }),
                (true, false) => report(ViolationKind::SnapshotLeaked { snapshot }),
                _ if plan.reasons != reasons || plan.protected_until.as_second() != protection => {
                    report(ViolationKind::SnapshotMisread { snapshot });
                }
                _ => {}
            }
        }
    }

    /// The places of the snapshots `born ≤ seq < dropped`.
    fn span(&self, object: &ObjectInput) -> Range<usize> {
        let first_at_least = |seq| self.seqs.binary_search(&seq).unwrap_or_else(|place| place);
        match object.born {
            None => 0..0,
            Some(born) => first_at_least(born)..object.dropped.map_or(self.seqs.len(), first_at_least),
        }
    }

    /// Until when the object must be locked; `NOTHING` when nobody is known to need it.
    fn need(&self, object: &ObjectInput) -> Secs {
        self.needs.max(self.span(object)).max(self.need_of_run(object))
    }

    /// The date to which its lock is moved when it falls short, before the cap.
    fn reach(&self, object: &ObjectInput) -> Secs {
        self.reaches.max(self.span(object)).max(self.need_of_run(object))
    }

    fn need_of_run(&self, object: &ObjectInput) -> Secs {
        let last = self.seqs.last().copied();
        let unlisted = object.born.is_some() && object.born > last;
        if unlisted || (object.state == ObjectState::Pending && self.source.open_run) {
            self.now + 2 * DAY
        } else {
            NOTHING
        }
    }

    fn fault(&self, object: usize, input: &ObjectInput, verdict: &ObjectVerdict) -> Option<ViolationKind> {
        use ViolationKind as Kind;
        let need = self.need(input);
        let needed = need != NOTHING;
        // S3 keeps whole seconds: a fraction of the date is no protection.
        let lock = input.locked_until.map(Timestamp::as_second);
        let suffices = lock.is_some_and(|lock| lock >= need);
        let ended = input.locked_until.is_some_and(|lock| lock < self.exact_now);
        let unseen = input.state == ObjectState::Pending && lock.is_none();
        let unknown = input.state == ObjectState::Unknown;
        if verdict
            .need()
            .is_some_and(|named| named.until.as_second() != need)
        {
            return Some(Kind::ObjectMisread { object });
        }
        match verdict {
            ObjectVerdict::Hold { need: named } => {
                if needed && !suffices && !unseen {
                    return Some(Kind::LockTooShort { object });
                }
                if needed != named.is_some() {
                    return Some(Kind::ObjectMisread { object });
                }
                let waits = self.frozen && ended;
                (!needed && !unknown && !waits && lock.is_some()).then_some(Kind::ObjectLeaked { object })
            }
            ObjectVerdict::Refresh { until, .. } | ObjectVerdict::Copy { until, .. } => {
                let extends = matches!(verdict, ObjectVerdict::Refresh { .. });
                if !needed || unseen || extends != self.can_extend {
                    return Some(Kind::NotPossible { object });
                }
                let secs = until.as_second();
                let cap = self.exact_now.as_second() + DAY * Secs::from(self.policy.lock_cap_days);
                let whole = until.subsec_nanosecond() == 0;
                let reach = self.reach(input).min(cap);
                // What falls short and is moved to its need or beyond, is moved to a later date. Short of its reach it would be safe,
                // and be touched again too soon.
                (suffices || !whole || secs < need || secs != reach).then_some(Kind::BadDate { object })
            }
            ObjectVerdict::AddAgain { need: named } => {
                // Where nothing is open the data may enter the next backup all the same, if that one's tier would ask for more.
                let for_tier = suffices && self.can_extend && lock < Some(self.next_tier);
                if !needed || (suffices && !for_tier) || (!suffices && named.kind != NeedKind::Upcoming) {
                    return Some(Kind::ObjectMisread { object });
                }
                (!self.next_run_comes_in_time(input)).then_some(Kind::LockTooShort { object })
            }
            ObjectVerdict::AwaitUnlock { until } => {
                if needed || unknown {
                    return Some(Kind::LockTooShort { object });
                }
                if ended {
                    // Frozen or not: nothing waits for a date that has passed.
                    return Some(Kind::ObjectLeaked { object });
                }
                (Some(*until) != input.locked_until).then_some(Kind::ObjectMisread { object })
            }
            ObjectVerdict::Delete => {
                if needed || unknown {
                    return Some(Kind::DeletesNeeded { object });
                }
                if self.frozen {
                    return Some(Kind::DeletesFrozen { object });
                }
                (!ended).then_some(Kind::DeletesLocked { object })
            }
        }
    }

    /// Whether the object may wait for the next run to add its data again: the newest snapshot needs it, every promise that was
    /// given is kept without a new lock, the next run is not late, and it may even fail to come.
    fn next_run_comes_in_time(&self, object: &ObjectInput) -> bool {
        let (Some(newest), Some(lock)) = (self.newest, object.locked_until.map(Timestamp::as_second)) else {
            return false;
        };
        let (Some(due), Some(interval)) = (self.source.next_due, self.source.interval) else {
            return false;
        };
        let grace = self.policy.grace();
        let after = |at: Timestamp, by| at.checked_add(by).unwrap_or(Timestamp::MAX);
        let one_missed = after(after(due.max(self.exact_now), grace), interval);
        let span = self.span(object);
        let of_others = self.needs.max(span.start..newest.max(span.start));
        object.state == ObjectState::Live
            && span.contains(&newest)
            && lock >= of_others
            && lock >= self.protection(&self.source.snapshots[newest])
            && self.exact_now <= after(due, grace)
            && lock > up(one_missed)
    }
}
