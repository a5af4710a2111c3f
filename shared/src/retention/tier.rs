//! Tiers: which snapshots are kept longer. Each period of the policy gives its tier once, and once more only where the first
//! snapshot that took it was not clean: what is locked for years cannot be taken back.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{Period, Policy, PolicyError, Seq, SnapshotInput, SnapshotState, Soundness};

/// A complete snapshot as far as the tiers of others depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TieredSnapshot {
    /// When its commit was durable.
    pub received_at: Timestamp,
    /// The tiers it was given.
    pub tiers: Vec<Period>,
    /// Nothing was left out that should be in it.
    pub clean: bool,
    /// No anomaly is open on it: none was found, or a person has decided that it is good.
    pub sound: bool,
}

/// A snapshot that tiers may be given to: one that is being committed, or one that a person has just decided to be good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierCandidate {
    /// When its commit was durable.
    pub received_at: Timestamp,
    /// Nothing was left out that should be in it.
    pub clean: bool,
    /// No anomaly is open on it, or the decision was *good*.
    pub sound: bool,
}

/// The tiers of a snapshot: those periods of the policy that nobody has taken yet, and where it is clean also those that one
/// snapshot alone has taken which is not (not clean, or not sound). A snapshot that is not sound takes none. Decided at the commit,
/// stored with the snapshot and never reckoned anew; asked once more when a person decides *good*, with the source's other
/// snapshots before and after it: what comes out is added to what it has.
///
/// # Errors
/// When the policy's zone is unknown.
pub fn assign_tiers(
    policy: &Policy,
    others: &[TieredSnapshot],
    candidate: TierCandidate,
) -> Result<Vec<Period>, PolicyError> {
    let zone = policy.zone()?;
    if !candidate.sound {
        return Ok(Vec::new());
    }
    let is_open = |period: &Period| {
        let mine = PeriodId::of(*period, candidate.received_at, &zone);
        let mut holders = others.iter().filter(|other| {
            other.tiers.contains(period) && PeriodId::of(*period, other.received_at, &zone) == mine
        });
        match (holders.next(), holders.next()) {
            (None, _) => true,
            (Some(first), None) => candidate.clean && !(first.clean && first.sound),
            (Some(_), Some(_)) => false,
        }
    };
    let mut tiers: Vec<Period> = periods(policy).filter(is_open).collect();
    tiers.sort_unstable();
    Ok(tiers)
}

/// The tiers that a snapshot will take if it is committed at `received_at`, as far as that can be told before: whether it will be
/// clean is not known, so that of a period which a snapshot has taken already nothing is expected. A guess, to spare calls: no lock
/// that is promised depends on it.
///
/// # Errors
/// When the policy's zone is unknown.
pub fn expected_tiers(
    policy: &Policy,
    earlier: &[TieredSnapshot],
    received_at: Timestamp,
) -> Result<Vec<Period>, PolicyError> {
    let candidate = TierCandidate {
        received_at,
        clean: false,
        sound: true,
    };
    assign_tiers(policy, earlier, candidate)
}

/// What periods give that have ended by `now` and whose snapshots are all undecided (not sound): the tier goes to the last of them
/// that is complete. It counts as not clean: should a clean one of the period be decided to be good later, that one takes the
/// tier as well. By number, ascending. Nothing is given twice, also when it is asked again. What a person has decided to be bad
/// takes nothing.
///
/// # Errors
/// When the policy's zone is unknown.
pub fn tiers_at_end(
    policy: &Policy,
    snapshots: &[SnapshotInput],
    now: Timestamp,
) -> Result<Vec<(Seq, Vec<Period>)>, PolicyError> {
    let zone = policy.zone()?;
    let mut given: BTreeMap<Seq, Vec<Period>> = BTreeMap::new();
    for period in periods(policy) {
        let current = PeriodId::of(period, now, &zone);
        // Of each period that has ended: whether something speaks against it, and the last snapshot that could take the tier.
        let mut ended: BTreeMap<PeriodId, (bool, Option<Seq>)> = BTreeMap::new();
        let judged = |snapshot: &&SnapshotInput| snapshot.soundness == Soundness::Bad;
        for snapshot in snapshots
            .iter()
            .filter(|snapshot| snapshot.received_at <= now && !judged(snapshot))
        {
            let id = PeriodId::of(period, snapshot.received_at, &zone);
            if id == current {
                continue;
            }
            let (is_closed, last) = ended.entry(id).or_default();
            *is_closed |= snapshot.soundness.is_sound() || snapshot.tiers.contains(&period);
            if snapshot.state == SnapshotState::Complete {
                *last = Some(snapshot.seq);
            }
        }
        for last in ended
            .into_values()
            .filter_map(|(is_closed, last)| last.filter(|_| !is_closed))
        {
            given.entry(last).or_default().push(period);
        }
    }
    for tiers in given.values_mut() {
        tiers.sort_unstable();
    }
    Ok(given.into_iter().collect())
}

fn periods(policy: &Policy) -> impl Iterator<Item = Period> {
    policy.tiers.iter().map(|tier| tier.every)
}

/// The beginning of the oldest period that `received_at` lies in: [`assign_tiers`] need not be told of snapshots before it.
/// One day early, so that no zone's offset matters.
#[must_use]
pub fn tiers_look_back(received_at: Timestamp) -> Timestamp {
    super::earlier(received_at, super::days(367))
}

/// One certain hour, day, week, month or year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PeriodId {
    /// The date and the hour by the clock on the wall, and that clock's offset in seconds: a name that occurs twice in one
    /// autumn night is two hours.
    Hour(Date, i8, i32),
    Day(Date),
    /// Year and week of ISO 8601.
    Week(i16, i8),
    Month(i16, i8),
    Year(i16),
}

impl PeriodId {
    pub(super) fn of(period: Period, at: Timestamp, zone: &TimeZone) -> Self {
        let local = at.to_zoned(zone.clone());
        match period {
            Period::Hour => Self::Hour(local.date(), local.hour(), local.offset().seconds()),
            Period::Day => Self::Day(local.date()),
            Period::Week => {
                let week = local.date().iso_week_date();
                Self::Week(week.year(), week.week())
            }
            Period::Month => Self::Month(local.year(), local.month()),
            Period::Year => Self::Year(local.year()),
        }
    }
}

#[cfg(test)]
mod tests;
