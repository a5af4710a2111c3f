//! The years, instant by instant: runs, sweeps, ends of days.

use super::{
    calendar::{Calendar, DAY, Secs, What},
    error::SimulateError,
    flow::Flow,
    history::History,
    leaving::Leaving,
    live::{Group, Live},
    lock_rule::{AppliedRule, Demand, Moment, Newest, Rule},
    promises::Watch,
    simulation::Simulation,
    tally::{Standing, Tally},
    timeline::Timeline,
};

/// Lives through the horizon.
pub(super) fn run(simulation: &Simulation, rule: Rule) -> Result<Timeline, SimulateError> {
    let calendar = Calendar::new(simulation)?;
    let mut engine = Engine::new(simulation, &calendar, rule)?;
    for &(now, what) in &calendar.instants {
        engine.tally.pass(now);
        match what {
            What::DayEnds => engine.end_day(now),
            What::Missed => engine.tally.missed(),
            What::Run { clean } => engine.run(now, clean)?,
            What::Sweep => engine.sweep(now)?,
        }
    }
    let end = calendar.start + DAY * Secs::from(simulation.horizon.days);
    let promises = engine.watch.finish(&calendar, end);
    Ok(engine.tally.finish(promises))
}

/// What older snapshots need and the newest does not, as long as somebody still moves its lock.
struct Older {
    group: Group,
    /// The snapshot that dropped it.
    dropped_by: u32,
    /// The last promise that covers it.
    needed: Secs,
}

struct Engine<'a> {
    simulation: &'a Simulation,
    calendar: &'a Calendar,
    applied: AppliedRule,
    flow: Flow,
    live: Live,
    older: Vec<Older>,
    leaving: Leaving,
    history: History<'a>,
    watch: Watch,
    tally: Tally<'a>,
    lock_ahead_days: u32,
    /// Whether it matters when an object was committed.
    births: bool,
}

impl<'a> Engine<'a> {
    fn new(simulation: &'a Simulation, calendar: &'a Calendar, rule: Rule) -> Result<Self, SimulateError> {
        let policy = &simulation.policy;
        let history = History::new(simulation)?;
        Ok(Self {
            simulation,
            calendar,
            applied: AppliedRule::new(rule),
            flow: Flow::new(&simulation.workload),
            live: Live::default(),
            older: Vec::new(),
            leaving: Leaving::new(calendar.start, simulation.horizon.days),
            lock_ahead_days: history.lock_ahead_days(&Live::default(), calendar.interval),
            history,
            watch: Watch::default(),
            tally: Tally::new(simulation, calendar.start),
            births: !policy.tiers.is_empty()
                || policy.keep_last > 1
                || simulation.provider.min_storage_days > 0
                || simulation.workload.pieces_per_object > 1,
        })
    }

    fn moment(&self, now: Secs, newest: Newest, committed: bool) -> Moment<'a> {
        Moment {
            simulation: self.simulation,
            calendar: self.calendar,
            now,
            lock_ahead_days: self.lock_ahead_days,
            newest,
            committed,
        }
    }

    /// What `plan` does, and its execution.
    fn sweep(&mut self, now: Secs) -> Result<(), SimulateError> {
        let Some(newest) = self.history.newest() else {
            return Ok(());
        };
        self.watch.look(now, newest, self.live.first_lock());
        self.reckon_lock_ahead();
        let moment = self.moment(now, newest, false);
        if let Some(demand) = self.applied.demand(&moment)? {
            self.extend_live(&moment, demand, |group| !moment.waits(group))?;
        }
        self.extend_older(&moment, None)?;
        self.delete(now);
        Ok(())
    }

    /// Sweep, backup, commit, sweep.
    fn run(&mut self, now: Secs, clean: bool) -> Result<(), SimulateError> {
        self.sweep(now)?;
        self.tally.run();
        self.applied.begin_run(now);
        let dropped = self.back_up(now)?;
        let newest = self.history.commit(now, clean);
        for group in dropped {
            self.drop(group, newest);
        }
        let policy = &self.simulation.policy;
        let asked = DAY * Secs::from(policy.retention_days) + 3_600 * Secs::from(policy.grace_hours);
        self.watch.received(now + asked, self.live.first_lock());
        // The commit extends what falls short of the snapshot's own promise; the sweep after it, the rest.
        let moment = self.moment(now, newest, true);
        let demand = self.applied.demand(&moment)?;
        if let Some(demand) = demand {
            let own = match self.applied.rule {
                Rule::Holdfast => newest.protected_until,
                Rule::Baseline(_) => Secs::MAX,
            };
            self.extend_live(&moment, demand, |group| group.lock < own)?;
        }
        let with_dropped = demand.filter(|_| self.applied.extends_dropped());
        self.extend_older(&moment, with_dropped)?;
        self.watch.committed(newest, self.live.first_lock());
        self.sweep(now)
    }

    fn reckon_lock_ahead(&mut self) {
        self.lock_ahead_days = self.history.lock_ahead_days(&self.live, self.calendar.interval);
    }

    /// Sends what has changed. Gives what the new snapshot no longer needs.
    fn back_up(&mut self, now: Secs) -> Result<Vec<Group>, SimulateError> {
        let workload = &self.simulation.workload;
        let per_object = u64::from(workload.pieces_per_object);
        let Some(change) = self.flow.next(now, self.live.live) else {
            self.send(now, workload.objects * per_object)?;
            return Ok(Vec::new());
        };
        let mut again = Vec::new();
        if let Some(newest) = self.history.newest() {
            let moment = self.moment(now, newest, false);
            if let Some(below) = self.applied.uploads_again_below(&moment) {
                again = self.live.take_short(below, |_| true);
            } else if let (Rule::Holdfast, Some(demand)) = (self.applied.rule, self.applied.demand(&moment)?)
            {
                let below = moment.may_add_again_below(demand, &self.history.expected_tiers(now));
                again = self.live.take_short(below, |group| moment.waits(group));
            }
        }
        for group in &again {
            self.tally.added_again(group);
        }
        let sent_again: u64 = again
            .iter()
            .map(|group| group.count * u64::from(group.live))
            .sum();
        let total = self.live.live + sent_again;
        // What is sent again changes like the rest; which of it has changed makes no difference to what is sent.
        let deaths_here = if total == 0 {
            0
        } else {
            share(change.deaths, self.live.live, total)
        };
        let mut dropped = self.live.kill(deaths_here);
        dropped.append(&mut again);
        self.send(now, deaths_here + sent_again + change.growth)?;
        Ok(dropped)
    }

    /// Uploads pieces as full objects and one for the rest, their locks spread as the objects' hashes would.
    fn send(&mut self, now: Secs, pieces: u64) -> Result<(), SimulateError> {
        let size = self.simulation.workload.pieces_per_object;
        let (full, rest) = (pieces / u64::from(size), pieces % u64::from(size));
        let slots = u64::from(self.simulation.horizon.upload_slots);
        let tiers = self.history.expected_tiers(now);
        for slot in 0..slots {
            let count = full / slots + u64::from(slot < full % slots);
            // One slot stands for the whole of Q.
            let spread = if slots == 1 {
                u64::from(u16::MAX)
            } else {
                slot * u64::from(u16::MAX) / (slots - 1)
            };
            let spread = u16::try_from(spread).unwrap_or(u16::MAX);
            let rest = u32::try_from(rest).unwrap_or(size);
            let last = (slot == 0 && rest > 0).then_some((rest, 1));
            for (size, count) in [(size, count)].into_iter().chain(last) {
                if count > 0 {
                    let lock = self.applied.upload(
                        self.simulation,
                        self.calendar,
                        self.lock_ahead_days,
                        now,
                        &tiers,
                        spread,
                    )?;
                    let group = Group {
                        lock,
                        size,
                        live: size,
                        born: if self.births { now } else { 0 },
                        count,
                    };
                    self.tally.put(&group, self.applied.confirms());
                    self.live.insert(group);
                }
            }
        }
        Ok(())
    }

    /// The newest snapshot no longer needs a group.
    fn drop(&mut self, group: Group, newest: Newest) {
        let needed = self.history.promised_before_newest(group.born);
        let bytes = group.pieces() * self.simulation.workload.piece_bytes();
        self.history.dropped(bytes);
        if self.simulation.policy.keep_last > 1 || self.applied.extends_dropped() {
            self.older.push(Older {
                group,
                dropped_by: newest.number,
                needed,
            });
        } else {
            self.let_go(group, needed, newest.number);
        }
    }

    fn let_go(&mut self, group: Group, needed: Secs, dropped_by: u32) {
        self.watch.dropped(&group, needed);
        self.leaving.push(group, needed, dropped_by);
    }

    fn extend_live(
        &mut self,
        moment: &Moment<'_>,
        demand: Demand,
        which: impl FnMut(&Group) -> bool,
    ) -> Result<(), SimulateError> {
        let short = self.live.take_short(demand.need, which);
        if !short.is_empty() {
            moment.allow(demand)?;
        }
        for group in short {
            if moment.newest.protected_until >= moment.now {
                self.watch.extended(group.lock, moment.now);
            }
            let group = self.extend(group, demand.until);
            self.live.insert(group);
        }
        Ok(())
    }

    /// Moves a lock, or where the provider cannot, puts the bytes again; the old version then waits for its lock to end.
    fn extend(&mut self, group: Group, until: Secs) -> Group {
        let extended = Group { lock: until, ..group };
        if self.simulation.provider.can_extend {
            self.tally.refreshed(&extended, self.applied.confirms());
        } else {
            self.tally.copied(&extended, self.applied.confirms());
            self.leaving.push(group, Secs::MIN, 0);
        }
        extended
    }

    /// What the newest snapshots but one never let lapse, and with `all` whatever a promise still covers.
    fn extend_older(&mut self, moment: &Moment<'_>, all: Option<Demand>) -> Result<(), SimulateError> {
        if self.older.is_empty() {
            return Ok(());
        }
        let holdfast = matches!(self.applied.rule, Rule::Holdfast);
        let last_good = moment.last_good()?;
        let oldest_good = moment
            .newest
            .number
            .saturating_sub(self.simulation.policy.keep_last - 1);
        for mut older in std::mem::take(&mut self.older) {
            // The last snapshot that needs it came right before the one that dropped it.
            let is_good = holdfast && older.dropped_by > oldest_good;
            let covered = self.applied.extends_dropped() && older.needed >= moment.now;
            if !is_good && !covered {
                self.let_go(older.group, older.needed, older.dropped_by);
                continue;
            }
            let demand = if is_good { Some(last_good) } else { all };
            if let Some(demand) = demand.filter(|demand| older.group.lock < demand.need) {
                moment.allow(demand)?;
                self.watch.extended(older.group.lock, moment.now);
                older.group = self.extend(older.group, demand.until);
            }
            self.older.push(older);
        }
        Ok(())
    }

    fn delete(&mut self, now: Secs) {
        let piece_bytes = self.simulation.workload.piece_bytes();
        let (tally, history) = (&mut self.tally, &mut self.history);
        self.leaving.delete(now, |gone| {
            tally.deleted(&gone.group);
            history.deleted(gone.dropped_by, gone.group.pieces() * piece_bytes);
        });
    }

    fn end_day(&mut self, now: Secs) {
        if let Some(newest) = self.history.newest() {
            self.watch.look(now, newest, self.live.first_lock());
        }
        let groups = self
            .live
            .groups()
            .iter()
            .chain(self.older.iter().map(|older| &older.group));
        let unlocked: u64 = groups.filter(|group| group.lock < now).map(Group::pieces).sum();
        let standing = Standing {
            snapshots: self.history.kept(now),
            live_pieces: self.live.live,
            unlocked_pieces: unlocked + self.leaving.end_day(),
            lock_ahead_days: self.lock_ahead_days,
            safe_until: self.live.first_lock(),
        };
        self.tally.end_day(&standing);
    }
}

/// `part` of `whole` of `amount`, downwards.
fn share(amount: u64, part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(amount) * u128::from(part) / u128::from(whole)).unwrap_or(u64::MAX)
}
