//! What is counted, day by day.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    calendar::{DAY, Secs},
    live::Group,
    simulation::Simulation,
    timeline::{Day, Event, EventKind, Promises, Timeline, Totals, Usd},
};

/// How things stand at the end of a day, apart from what is counted here.
pub(super) struct Standing {
    pub snapshots: u32,
    pub live_pieces: u64,
    pub unlocked_pieces: u64,
    pub lock_ahead_days: u32,
    pub safe_until: Option<Secs>,
}

/// The counts.
pub(super) struct Tally<'a> {
    simulation: &'a Simulation,
    start: Secs,
    days: Vec<Day>,
    today: Day,
    /// Up to when storage is counted.
    counted: Secs,
    objects: u64,
    pieces: u64,
    byte_secs: u128,
    /// The latest date that was ever set. Nothing goes before its lock has ended, so that this is the last to go.
    latest_lock: Option<Secs>,
    first: BTreeMap<EventKind, Secs>,
}

impl<'a> Tally<'a> {
    pub fn new(simulation: &'a Simulation, start: Secs) -> Self {
        Self {
            simulation,
            start,
            days: Vec::with_capacity(simulation.horizon.days as usize),
            today: Day::default(),
            counted: start,
            objects: 0,
            pieces: 0,
            byte_secs: 0,
            latest_lock: None,
            first: BTreeMap::new(),
        }
    }

    fn bytes(&self, pieces: u64) -> u64 {
        pieces.saturating_mul(self.simulation.workload.piece_bytes())
    }

    /// Time passes.
    pub fn pass(&mut self, now: Secs) {
        self.byte_secs += u128::from(self.bytes(self.pieces)) * u128::from(now.abs_diff(self.counted));
        self.counted = now;
    }

    fn happens(&mut self, kind: EventKind) {
        let now = self.counted;
        self.first.entry(kind).or_insert(now);
    }

    pub fn run(&mut self) {
        self.today.runs += 1;
        self.happens(EventKind::Run);
    }

    pub fn missed(&mut self) {
        self.today.missed_runs += 1;
        self.happens(EventKind::MissedRun);
    }

    /// Objects are put, and their locks confirmed if somebody asks.
    pub fn put(&mut self, group: &Group, confirmed: bool) {
        self.today.puts += group.count;
        self.today.put_bytes += self.bytes(group.pieces());
        self.objects += group.count;
        self.pieces += group.pieces();
        self.lock(group, confirmed);
    }

    fn lock(&mut self, group: &Group, confirmed: bool) {
        self.today.heads += if confirmed { group.count } else { 0 };
        self.latest_lock = self.latest_lock.max(Some(group.lock));
    }

    pub fn refreshed(&mut self, group: &Group, confirmed: bool) {
        self.today.refreshes += group.count;
        self.lock(group, confirmed);
        self.happens(EventKind::Refresh);
    }

    /// The bytes are read and put again as a new version.
    pub fn copied(&mut self, group: &Group, confirmed: bool) {
        self.today.copies += group.count;
        self.put(group, confirmed);
        self.happens(EventKind::Copy);
    }

    pub fn added_again(&mut self, group: &Group) {
        self.today.added_again += group.count;
        self.happens(EventKind::AddAgain);
    }

    /// Objects are deleted. What the provider bills beyond their time is counted now.
    pub fn deleted(&mut self, group: &Group) {
        let bytes = self.bytes(group.pieces());
        self.today.deletes += group.count;
        self.today.deleted_bytes += bytes;
        self.objects -= group.count;
        self.pieces -= group.pieces();
        let least = DAY * Secs::from(self.simulation.provider.min_storage_days);
        let short = least - (self.counted - group.born);
        self.byte_secs += u128::from(bytes) * u128::try_from(short).unwrap_or(0);
        self.happens(EventKind::Delete);
    }

    /// A day is over.
    pub fn end_day(&mut self, standing: &Standing) {
        let ts = |at| Timestamp::from_second(at).ok();
        let mut day = std::mem::take(&mut self.today);
        day.day = u32::try_from(self.days.len() + 1).unwrap_or(u32::MAX);
        day.snapshots = standing.snapshots;
        day.objects = self.objects;
        day.bytes_live = self.bytes(standing.live_pieces);
        day.bytes_stored = self.bytes(self.pieces);
        day.bytes_locked = self.bytes(self.pieces - standing.unlocked_pieces.min(self.pieces));
        day.lock_ahead_days = standing.lock_ahead_days;
        day.safe_until = standing.safe_until.and_then(ts);
        day.emptiable_on = self.latest_lock.filter(|lock| *lock >= self.counted).and_then(ts);
        day.usd = Usd::of(
            &day,
            std::mem::take(&mut self.byte_secs),
            &self.simulation.provider,
        );
        self.days.push(day);
    }

    pub fn finish(mut self, promises: Promises) -> Timeline {
        let secs = |at: Timestamp| at.as_second();
        let short = promises
            .first_short
            .map(|short| self.start + DAY * Secs::from(short.day - 1));
        let found = [
            (EventKind::PromiseShort, short),
            (EventKind::Unlocked, promises.unlocked_since.map(secs)),
            (
                EventKind::LastGoodUnlocked,
                promises.last_good_unlocked_since.map(secs),
            ),
        ];
        self.first
            .extend(found.into_iter().filter_map(|(kind, at)| Some((kind, at?))));
        let mut events: Vec<Event> = self
            .first
            .into_iter()
            .map(|(kind, at)| Event {
                day: u32::try_from((at - self.start) / DAY + 1).unwrap_or(u32::MAX),
                at: Timestamp::from_second(at).unwrap_or(Timestamp::MAX),
                kind,
            })
            .collect();
        events.sort_by_key(|event| (event.at, event.kind));
        Timeline {
            start: Timestamp::from_second(self.start).unwrap_or(Timestamp::MIN),
            totals: Totals::of(&self.days),
            days: self.days,
            events,
            promises,
        }
    }
}
