//! `due`: what a plan must see of the ledger, so that SQL fetches little of it.

use jiff::Timestamp;

use super::{
    ObjectInput, ObjectState, Policy, Seq, SourceInput,
    plan::{Kept, plan_snapshots},
    rule::Rules,
};

/// An object outside these bounds gets `hold` or `await_unlock` and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// The kept snapshots, by number, ascending. An object that one of them needs (`born ≤ seq < dropped`) is due when its lock
    /// ends before that snapshot's date.
    pub kept: Vec<(Seq, Timestamp)>,
    /// The latest date of all of these: an object whose lock reaches it is not due for any of them.
    pub latest: Timestamp,
    /// An object of an open run (pending, or born after [`newest_known`](Self::newest_known)) is due when its lock ends before this.
    pub open_run: Timestamp,
    /// The newest snapshot that the plan knows of.
    pub newest_known: Option<Seq>,
    /// An object that no kept snapshot needs is due when its lock has ended: before this.
    pub unlocked: Timestamp,
}

/// The bounds of a source at the instant `now`. The source's objects are not looked at.
#[must_use]
pub fn due(policy: &Policy, source: &SourceInput, now: Timestamp) -> Bounds {
    let rules = Rules {
        policy,
        // Q decides how far a lock is moved, never whether.
        lock_ahead_days: 0,
        next_due: source.next_due,
        now,
    };
    let kept = Kept::new(rules, source, &plan_snapshots(policy, source, now));
    // What falls short of the upcoming snapshot's tier may be worth adding to it again.
    let next_tier = |place: usize| kept.next_tier.filter(|_| kept.newest == Some(place));
    let needs = kept.needs.iter().enumerate();
    let needs = needs.map(|(place, need)| Some(need.until).max(next_tier(place)).unwrap_or(need.until));
    Bounds {
        latest: needs.clone().max().unwrap_or(now).max(now),
        open_run: rules.open_run().until,
        newest_known: kept.newest_known,
        unlocked: now,
        kept: kept.seqs.iter().copied().zip(needs).collect(),
    }
}

impl Bounds {
    /// Whether the object is due: what a `WHERE` over the ledger says. A lock that is not known is due.
    #[must_use]
    pub fn contain(&self, object: &ObjectInput) -> bool {
        let Some(lock) = object.locked_until else {
            return true;
        };
        let born = object.born;
        let needing = |seq: Seq| {
            born.is_some_and(|born| born <= seq) && object.dropped.is_none_or(|dropped| seq < dropped)
        };
        let beyond = born.is_some() && born > self.newest_known;
        let mut needing = self.kept.iter().filter(|(seq, _)| needing(*seq)).peekable();
        if (object.state == ObjectState::Pending || beyond) && lock < self.open_run {
            return true;
        }
        if needing.peek().is_none() {
            return lock < self.unlocked;
        }
        needing.any(|(_, before)| lock < *before)
    }
}
