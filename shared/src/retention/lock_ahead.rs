//! Q, chosen: the balance of calls against storage.

use jiff::{SignedDuration, Timestamp};

use super::{LockAhead, Policy, Provider, Seq, SourceInput, gb, input::SnapshotState};

/// What is assumed to be dropped of a source, for as long as nobody has seen what it does: a hundredth a day.
const ASSUMED_PER_DAY: f64 = 0.01;
/// So long a source is watched before it is taken at its word alone.
const WATCH: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The object that stands for those of a source before its first snapshot: a pack of the size that the format aims at.
const TYPICAL_BYTES: u64 = 16 << 20;

/// What Q is reckoned from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Churn {
    /// Objects that the newest snapshot needs.
    pub objects: u64,
    /// What is dropped, in GB (10⁹ bytes) a day.
    pub dropped_gb_per_day: f64,
    /// The longest distance of two runs; `None` without a schedule.
    pub interval: Option<SignedDuration>,
}

impl Churn {
    /// Of a source that has no snapshot yet. How many objects it will have does not matter: Q is that of each of them.
    #[must_use]
    pub fn unknown(interval: Option<SignedDuration>) -> Self {
        Self {
            objects: 1,
            dropped_gb_per_day: ASSUMED_PER_DAY * gb(TYPICAL_BYTES),
            interval,
        }
    }

    /// Q in days.
    ///
    /// With n objects, p dollars a refresh, c GB dropped a day and s dollars a GB-day: refreshing costs `n·p/Q` dollars a
    /// day, and what is dropped stays locked Q/2 days too long on average, which costs `c·s·Q/2`. The sum is least at
    /// √(2·n·p / (c·s)). That is rounded up, and kept within [⌈interval⌉, max(⌈interval⌉, min(90, T))], T being N or the longest
    /// tier: below the distance
    /// of two runs every run would refresh everything. Without churn the longest is the cheapest. (The same balance as that
    /// of order costs against stock: Harris, "How Many Parts to Make at Once", 1913.)
    #[must_use]
    pub fn lock_ahead_days(&self, policy: &Policy, provider: &Provider) -> u32 {
        if let LockAhead::Days(days) = policy.lock_ahead {
            return days;
        }
        let interval_secs = self.interval.map_or(0, |interval| interval.as_secs()).max(1);
        let lowest = u32::try_from((interval_secs - 1) / 86_400 + 1).unwrap_or(u32::MAX);
        let highest = lowest.max(policy.longest_retention_days().min(90));
        let calls = 2.0 * self.objects as f64 * provider.refresh_usd();
        let waste = self.dropped_gb_per_day * provider.storage_usd_per_gb_day();
        if waste <= 0.0 {
            return highest;
        }
        let best = (calls / waste).sqrt().ceil();
        // `as` saturates, and the range below is narrow.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float's `as` saturates, and 0 is clamped away"
        )]
        let best = best as u32;
        best.clamp(lowest, highest)
    }

    /// As a source's own ledger shows it: what was dropped within the last N days of snapshots.
    #[must_use]
    pub fn of(source: &SourceInput, policy: &Policy) -> Self {
        let complete = |state| state == SnapshotState::Complete;
        let Some(newest) = source.snapshots.iter().rfind(|snapshot| complete(snapshot.state)) else {
            return Self::unknown(source.interval);
        };
        let window = ChurnWindow::new(
            source
                .snapshots
                .iter()
                .map(|snapshot| (snapshot.seq, snapshot.received_at)),
            newest.received_at,
            policy,
        );
        let (mut objects, mut bytes, mut dropped_bytes) = (0u64, 0u64, 0u64);
        for object in &source.objects {
            let Some(born) = object.born else { continue };
            if let Some(dropped) = object.dropped.filter(|dropped| *dropped <= newest.seq) {
                // Dropped with the oldest snapshot of the window or before: not within it.
                if window.first.is_some_and(|first| first <= dropped) {
                    dropped_bytes = dropped_bytes.saturating_add(object.bytes);
                }
            } else if born <= newest.seq {
                objects += 1;
                bytes = bytes.saturating_add(object.bytes);
            }
        }
        Self {
            objects,
            dropped_gb_per_day: window.gb_per_day(bytes, dropped_bytes, source.interval),
            interval: source.interval,
        }
    }
}

/// The snapshots whose drops count as today's churn: those of the last N days.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChurnWindow {
    /// The first snapshot whose drops count; `None` when there are fewer than two snapshots.
    pub first: Option<Seq>,
    /// From the snapshot before `first` to the newest.
    pub length: SignedDuration,
}

impl ChurnWindow {
    /// Of the snapshots, ascending, and the newest one's `received_at`.
    #[must_use]
    pub fn new(
        snapshots: impl Iterator<Item = (Seq, Timestamp)>,
        newest: Timestamp,
        policy: &Policy,
    ) -> Self {
        let begin = super::earlier(newest, policy.retention());
        let mut inside = snapshots.filter(|(_, at)| *at >= begin && *at <= newest);
        let oldest = inside.next().map_or(newest, |(_, at)| at);
        Self {
            first: inside.next().map(|(seq, _)| seq),
            length: newest.duration_since(oldest),
        }
    }

    /// GB dropped a day, of a source whose newest snapshot needs objects of `bytes` and which dropped `dropped_bytes` in the
    /// window. For whatever is missing of the first week (or of the distance of two runs, where that is longer), what is usual
    /// is assumed: two runs within a minute do not tell what a day does, and a source that was never seen to change may do so
    /// tomorrow.
    #[must_use]
    pub fn gb_per_day(&self, bytes: u64, dropped_bytes: u64, interval: Option<SignedDuration>) -> f64 {
        let days = |time: SignedDuration| time.as_secs_f64() / 86_400.0;
        let watch = days(WATCH.max(interval.unwrap_or(WATCH)));
        let seen = days(self.length).max(0.0);
        let assumed = ASSUMED_PER_DAY * gb(bytes) * (watch - seen).max(0.0);
        (gb(dropped_bytes) + assumed) / seen.max(watch)
    }
}
