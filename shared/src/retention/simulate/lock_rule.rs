//! When locks are set and extended: by Holdfast's rules, which are those of `plan`, or by a baseline's.

use jiff::{SignedDuration, Timestamp};

use super::{
    baseline::Baseline,
    calendar::{Calendar, DAY, Secs},
    error::SimulateError,
    live::Group,
    simulation::Simulation,
};
use crate::retention::{
    NeedKind, Period,
    cost::PackUse,
    lock::last_commit,
    rule::{Rules, tier_until},
};

/// Whose rule sets and extends the locks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    Holdfast,
    Baseline(Baseline),
}

/// The newest snapshot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newest {
    pub number: u32,
    pub received_at: Secs,
    pub protected_until: Secs,
    /// The end of its longest tier.
    pub tier_until: Option<Secs>,
}

/// What is known at an instant.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    pub simulation: &'a Simulation,
    pub calendar: &'a Calendar,
    pub now: Secs,
    /// Q.
    pub lock_ahead_days: u32,
    pub newest: Newest,
    /// Right after the commit of the newest snapshot.
    pub committed: bool,
}

/// Locks that end before `need` are moved to `until`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    pub need: Secs,
    pub until: Secs,
}

fn ts(at: Secs) -> Timestamp {
    Timestamp::from_second(at).unwrap_or(Timestamp::MAX)
}

impl Moment<'_> {
    fn rules(&self, next_due: Option<Secs>) -> Rules<'_> {
        Rules {
            policy: &self.simulation.policy,
            lock_ahead_days: self.lock_ahead_days,
            next_due: next_due.map(ts),
            now: ts(self.now),
        }
    }

    fn of_newest(&self) -> Rules<'_> {
        self.rules(self.calendar.next_due(self.newest.received_at))
    }

    /// What the live objects need. Snapshots before the newest one need no more than they were given at their commit.
    fn live(&self) -> Result<Demand, SimulateError> {
        let rules = self.of_newest();
        let (own, upcoming) = (ts(self.newest.protected_until), rules.upcoming().until);
        let again = self.newest.tier_until.map(ts);
        let need = own.max(upcoming);
        let until = rules
            .extend_to(Some(own), again.max(Some(upcoming)))
            .unwrap_or(need);
        Ok(Demand {
            need: need.as_second(),
            until: until.as_second(),
        })
    }

    /// What the `keep_last` newest snapshots need.
    pub fn last_good(&self) -> Result<Demand, SimulateError> {
        let rules = self.of_newest();
        let need = rules.last_good(NeedKind::LastGood).until;
        let until = rules.extend_to(None, Some(need)).unwrap_or(need);
        Ok(Demand {
            need: need.as_second(),
            until: until.as_second(),
        })
    }

    /// Refuses what the policy's cap does not allow.
    pub fn allow(&self, demand: Demand) -> Result<(), SimulateError> {
        self.simulation.policy.within_cap(ts(self.now), ts(demand.need))?;
        Ok(())
    }

    /// The lock below which a run looks whether a live group is to be added again: what is asked for now, or the tier that its own
    /// snapshot will take.
    pub fn may_add_again_below(&self, demand: Demand, tiers: &[Period]) -> Secs {
        let (policy, provider) = (&self.simulation.policy, &self.simulation.provider);
        let comes = ts(self.now);
        let is_late = self
            .calendar
            .next_due(self.newest.received_at)
            .is_none_or(|due| self.now > due + policy.grace().as_secs());
        let tier = tier_until(policy, tiers, comes).filter(|_| provider.can_extend && !is_late);
        tier.map_or(demand.need, |tier| tier.as_second().max(demand.need))
    }

    /// Whether a live group that falls short waits for the next run to add it again.
    pub fn waits(&self, group: &Group) -> bool {
        let rules = self.of_newest();
        let Some(interval) = self.calendar.interval else {
            return false;
        };
        let (policy, provider) = (&self.simulation.policy, &self.simulation.provider);
        let mut owed = ts(self.newest.protected_until);
        if policy.keep_last > 1 && group.born < self.newest.received_at {
            owed = owed.max(rules.last_good(NeedKind::LastGood).until);
        }
        if !rules.may_wait(ts(group.lock), owed, interval) {
            return false;
        }
        if !provider.can_extend {
            return true;
        }
        let piece = self.simulation.workload.piece_bytes();
        let pack_use = PackUse {
            bytes: u64::from(group.size) * piece,
            live_bytes: u64::from(group.live) * piece,
            age: SignedDuration::from_secs(self.now - group.born),
            still_locked: SignedDuration::from_secs(group.lock - self.now),
        };
        pack_use.is_cheaper_added_again(provider, self.lock_ahead_days)
    }
}

/// A rule, and what it remembers of a simulation.
pub(super) struct AppliedRule {
    pub rule: Rule,
    /// When the generation began that is running, or the last maintenance was.
    last: Option<Secs>,
}

impl AppliedRule {
    pub fn new(rule: Rule) -> Self {
        Self { rule, last: None }
    }

    /// Whether each new date is confirmed by a HEAD.
    pub fn confirms(&self) -> bool {
        matches!(self.rule, Rule::Holdfast)
    }

    /// A run begins.
    pub fn begin_run(&mut self, now: Secs) {
        if let Rule::Baseline(Baseline::Generations { days }) = self.rule
            && self
                .last
                .is_none_or(|began| now - began >= DAY * Secs::from(days))
        {
            self.last = Some(now);
        }
    }

    /// The lock of an upload; `spread` is u.
    pub fn upload(
        &self,
        simulation: &Simulation,
        calendar: &Calendar,
        lock_ahead_days: u32,
        now: Secs,
        tiers: &[Period],
        spread: u16,
    ) -> Result<Secs, SimulateError> {
        let retention = DAY * Secs::from(simulation.policy.retention_days);
        match self.rule {
            Rule::Holdfast => {
                let hours = i64::from(simulation.workload.run_deadline_hours);
                let deadline = ts(now) + SignedDuration::from_hours(hours);
                let last_commit = last_commit(deadline, ts(now));
                let rules = Rules {
                    policy: &simulation.policy,
                    lock_ahead_days,
                    next_due: calendar.next_due(last_commit.as_second()).map(ts),
                    now: ts(now),
                };
                Ok(rules.upload(last_commit, tiers, spread)?.retain_until.as_second())
            }
            Rule::Baseline(Baseline::Generations { days }) => {
                Ok(self.last.unwrap_or(now) + DAY * Secs::from(days) + retention)
            }
            Rule::Baseline(Baseline::Slack { days }) => Ok(now + retention + DAY * Secs::from(days)),
            Rule::Baseline(_) => Ok(now + retention),
        }
    }

    /// What is asked of the live objects now; `None` when the rule does not look.
    pub fn demand(&mut self, moment: &Moment<'_>) -> Result<Option<Demand>, SimulateError> {
        let now = moment.now;
        let retention = DAY * Secs::from(moment.simulation.policy.retention_days);
        let until = match self.rule {
            Rule::Holdfast => return moment.live().map(Some),
            _ if !moment.committed => return Ok(None),
            Rule::Baseline(Baseline::UploadOnly | Baseline::UploadAgain) => return Ok(None),
            Rule::Baseline(Baseline::ExtendNewest) => now + retention,
            Rule::Baseline(Baseline::Slack { days }) => {
                let need = now + retention;
                let until = need + DAY * Secs::from(days);
                return Ok(Some(Demand { need, until }));
            }
            Rule::Baseline(Baseline::ExtendAll { every_hours }) => {
                if self
                    .last
                    .is_some_and(|last| now - last < 3_600 * Secs::from(every_hours))
                {
                    return Ok(None);
                }
                self.last = Some(now);
                now + retention
            }
            Rule::Baseline(Baseline::Generations { days }) => {
                self.last.unwrap_or(now) + DAY * Secs::from(days) + retention
            }
        };
        Ok(Some(Demand { need: until, until }))
    }

    /// Whether what older snapshots need is extended with the rest.
    pub fn extends_dropped(&self) -> bool {
        matches!(self.rule, Rule::Baseline(Baseline::ExtendAll { .. }))
    }

    /// The lock below which a run uploads live objects again without asking further.
    pub fn uploads_again_below(&self, moment: &Moment<'_>) -> Option<Secs> {
        match self.rule {
            Rule::Baseline(Baseline::UploadAgain) => moment.calendar.next_due(moment.now),
            _ => None,
        }
    }
}
