//! What `simulate` gives back.

use jiff::Timestamp;
use serde::Serialize;

use crate::retention::{Provider, gb};

/// A simulated time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timeline {
    /// The beginning of day 1.
    pub start: Timestamp,
    /// Each day.
    pub days: Vec<Day>,
    /// All days together.
    pub totals: Totals,
    /// What happened for the first time, by time.
    pub events: Vec<Event>,
    /// Whether what was promised was locked.
    pub promises: Promises,
}

/// A day: what was done on it, and how things stood at its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Day {
    /// Its number; the first is 1.
    pub day: u32,
    /// Runs that came.
    pub runs: u32,
    /// Runs that did not.
    pub missed_runs: u32,
    /// At the end: snapshots that are kept.
    pub snapshots: u32,
    /// At the end: object versions in the bucket.
    pub objects: u64,
    /// At the end: bytes that the newest snapshot uses.
    pub bytes_live: u64,
    /// At the end: bytes in the bucket.
    pub bytes_stored: u64,
    /// At the end: bytes whose lock has not ended.
    pub bytes_locked: u64,
    /// Objects put.
    pub puts: u64,
    /// Bytes put.
    pub put_bytes: u64,
    /// Objects that a run added again instead of reusing them; part of what it put holds their data.
    pub added_again: u64,
    /// Objects whose bytes the server put again as a new version, since the provider cannot extend. Each is one GET and one of `puts`.
    pub copies: u64,
    /// Locks moved to a later date.
    pub refreshes: u64,
    /// HEADs that confirm a lock.
    pub heads: u64,
    /// Object versions deleted.
    pub deletes: u64,
    /// Bytes deleted.
    pub deleted_bytes: u64,
    /// Q at the end, in days.
    pub lock_ahead_days: u32,
    /// What the day cost.
    pub usd: Usd,
    /// At the end: the earliest lock of what the newest snapshot needs. So long is it safe if everything stops now.
    pub safe_until: Option<Timestamp>,
    /// At the end: the latest lock of all. If everything stops now, the bucket can be emptied then and not before.
    pub emptiable_on: Option<Timestamp>,
}

/// Dollars by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Usd {
    /// Putting objects.
    pub puts: f64,
    /// Moving locks.
    pub refreshes: f64,
    /// HEAD and GET.
    pub heads: f64,
    /// Storage, each object for at least the days that the provider bills.
    pub storage: f64,
}

impl Usd {
    /// The sum.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.puts + self.refreshes + self.heads + self.storage
    }

    pub(super) fn of(day: &Day, byte_secs: u128, provider: &Provider) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "dollars")]
        let calls = |count: u64, price: f64| count as f64 * price;
        #[expect(clippy::cast_precision_loss, reason = "dollars")]
        let gb_days = byte_secs as f64 / 86_400e9;
        Self {
            puts: calls(day.puts, provider.put_usd()),
            refreshes: calls(day.refreshes, provider.put_usd()),
            heads: calls(day.heads + day.copies, provider.head_usd()),
            storage: gb_days * provider.storage_usd_per_gb_day(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.puts += other.puts;
        self.refreshes += other.refreshes;
        self.heads += other.heads;
        self.storage += other.storage;
    }
}

/// Sums over all days.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of `Day`")]
pub struct Totals {
    pub runs: u64,
    pub missed_runs: u64,
    pub puts: u64,
    pub put_bytes: u64,
    pub added_again: u64,
    pub copies: u64,
    pub refreshes: u64,
    pub heads: u64,
    pub deletes: u64,
    pub deleted_bytes: u64,
    pub usd: Usd,
    /// The largest size of the bucket, in bytes.
    pub most_bytes_stored: u64,
    /// Dollars for each TiB of live data and month (the twelfth part of 365 days), all kinds together.
    pub usd_per_tib_month: f64,
    /// Of these, what calls cost.
    pub call_usd_per_tib_month: f64,
}

impl Totals {
    pub(super) fn of(days: &[Day]) -> Self {
        let mut totals = Self::default();
        let mut live_gb = 0.0;
        for day in days {
            totals.runs += u64::from(day.runs);
            totals.missed_runs += u64::from(day.missed_runs);
            totals.puts += day.puts;
            totals.put_bytes += day.put_bytes;
            totals.added_again += day.added_again;
            totals.copies += day.copies;
            totals.refreshes += day.refreshes;
            totals.heads += day.heads;
            totals.deletes += day.deletes;
            totals.deleted_bytes += day.deleted_bytes;
            totals.usd.add(&day.usd);
            totals.most_bytes_stored = totals.most_bytes_stored.max(day.bytes_stored);
            live_gb += gb(day.bytes_live);
        }
        // Each day's live data, as TiB for the part of a month that a day is.
        let tib_months = live_gb * 1e9 / (1u64 << 40) as f64 * 12.0 / 365.0;
        if tib_months > 0.0 {
            totals.usd_per_tib_month = totals.usd.sum() / tib_months;
            totals.call_usd_per_tib_month = (totals.usd.sum() - totals.usd.storage) / tib_months;
        }
        totals
    }
}

/// Something that happened for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Event {
    /// The day.
    pub day: u32,
    /// The instant.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
}

/// What can happen for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A run.
    Run,
    /// A run that did not come.
    MissedRun,
    /// A lock was moved.
    Refresh,
    /// Data was added again.
    AddAgain,
    /// The server put a copy.
    Copy,
    /// Something was deleted.
    Delete,
    /// A snapshot was not locked as long as it was promised (P1).
    PromiseShort,
    /// Something lay there without a lock that a promise still covered.
    Unlocked,
    /// The newest snapshot lay there without a lock (P3).
    LastGoodUnlocked,
}

/// Whether what was promised was locked: found by comparing the locks with each snapshot's promise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Promises {
    /// Snapshots for which nobody had looked ahead: some lock would have been too short for their N days, had they come as
    /// late as the grace allows (P2).
    pub uncovered_snapshots: u32,
    /// Snapshots at whose commit some lock ended before `protected_until`: somebody had to do something later (P1).
    pub short_snapshots: u32,
    /// The first of these.
    pub first_short: Option<Short>,
    /// Since when something lay without a lock that a promise still covered.
    pub unlocked_since: Option<Timestamp>,
    /// Since when the newest snapshot lay without a lock (P3).
    pub last_good_unlocked_since: Option<Timestamp>,
}

impl Promises {
    /// Whether P1 held over the whole time.
    #[must_use]
    pub fn kept(&self) -> bool {
        self.short_snapshots == 0 && self.unlocked_since.is_none()
    }
}

/// A snapshot that was not locked as long as it was promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Short {
    /// The day of its commit.
    pub day: u32,
    /// Its promise.
    pub promised_until: Timestamp,
    /// The earliest lock of what it needs.
    pub locked_until: Timestamp,
}
