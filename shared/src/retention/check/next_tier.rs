//! The tier that the next run's snapshot will take, told a second time: periods are compared by their names.

use jiff::Timestamp;

use super::secs::{DAY, Secs, up};
use crate::retention::{Period, Policy, SourceInput};

/// The end of the longest tier whose period has not been taken when the next run comes, if it is not late.
pub(super) fn next_tier(policy: &Policy, source: &SourceInput, now: Timestamp) -> Option<Secs> {
    let due = source.next_due?;
    let late_from = due.checked_add(policy.grace()).unwrap_or(Timestamp::MAX);
    if source.retired || now > late_from {
        return None;
    }
    let zone = policy.zone().ok()?;
    let comes = due.max(now);
    // A year by its name, a week by its year and number, and so on: text, and no arithmetic.
    let name = |period: Period, at: Timestamp| {
        let form = match period {
            Period::Hour => "%F %H %:z",
            Period::Day => "%F",
            Period::Week => "%G %V",
            Period::Month => "%Y-%m",
            Period::Year => "%Y",
        };
        at.to_zoned(zone.clone()).strftime(form).to_string()
    };
    let is_open = |period: Period| {
        let carriers = source
            .snapshots
            .iter()
            .filter(|snapshot| snapshot.tiers.contains(&period));
        let mut recent = carriers.filter(|carrier| up(carrier.received_at) >= up(comes) - 367 * DAY);
        recent.all(|carrier| name(period, carrier.received_at) != name(period, comes))
    };
    let open = policy.tiers.iter().filter(|tier| is_open(tier.every));
    let longest = open.map(|tier| tier.retention_days).max()?;
    Some(up(comes) + DAY * Secs::from(longest))
}
