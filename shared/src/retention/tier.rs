//! Tiers: which snapshots are kept longer.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{Period, Policy, PolicyError};

/// A complete snapshot that came before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierSnapshot {
    /// When its commit was durable.
    pub received_at: Timestamp,
    /// The tiers it was given.
    pub tiers: Vec<Period>,
    /// It has no warnings and no open anomaly. One that has does not use up its period: a better one may follow.
    pub clean: bool,
}

/// The tiers of a snapshot that is being committed: those periods of the policy that no clean earlier snapshot has already
/// been kept for. Decided once, stored with the snapshot and never reckoned anew.
///
/// # Errors
/// When the policy's zone is unknown.
pub fn assign_tiers(
    policy: &Policy,
    earlier: &[EarlierSnapshot],
    received_at: Timestamp,
) -> Result<Vec<Period>, PolicyError> {
    let zone = policy.zone()?;
    let mut tiers: Vec<Period> = policy
        .tiers
        .iter()
        .map(|tier| tier.every)
        .filter(|period| {
            let mine = PeriodId::of(*period, received_at, &zone);
            !earlier.iter().any(|other| {
                other.clean
                    && other.tiers.contains(period)
                    && PeriodId::of(*period, other.received_at, &zone) == mine
            })
        })
        .collect();
    tiers.sort_unstable();
    Ok(tiers)
}

/// The beginning of the oldest period that `received_at` lies in: [`assign_tiers`] need not be told of snapshots before it.
/// One day early, so that no zone's offset matters.
#[must_use]
pub fn tiers_look_back(received_at: Timestamp) -> Timestamp {
    super::earlier(received_at, super::days(367))
}

/// One certain hour, day, week, month or year.
#[derive(Debug, PartialEq, Eq)]
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
mod tests {
    use super::*;
    use crate::retention::{LockMode, Tier};

    fn policy(zone: &str, periods: &[Period]) -> Policy {
        Policy {
            time_zone: zone.into(),
            tiers: periods
                .iter()
                .map(|every| Tier {
                    every: *every,
                    retention_days: 400,
                })
                .collect(),
            lock_cap_days: 500,
            ..Policy::new(30, LockMode::Compliance).unwrap()
        }
    }

    /// Commits at these instants, each with or without warnings, and gives the tiers of each.
    fn assigned(policy: &Policy, commits: &[(&str, bool)]) -> Vec<Vec<Period>> {
        let mut earlier = Vec::new();
        for (at, clean) in commits {
            let received_at: Timestamp = at.parse().unwrap();
            let tiers = assign_tiers(policy, &earlier, received_at).unwrap();
            earlier.push(EarlierSnapshot {
                received_at,
                tiers,
                clean: *clean,
            });
        }
        earlier.into_iter().map(|snapshot| snapshot.tiers).collect()
    }

    #[test]
    fn the_first_of_a_period_in_the_policys_zone_carries_it() {
        use Period::{Day, Month, Week, Year};
        let policy = policy("America/New_York", &[Year, Day, Week, Month]);
        let got = assigned(
            &policy,
            &[
                ("2026-01-01T04:30:00Z", true), // still Wednesday 31 December 2025 in New York, ISO week 1 of 2026
                ("2026-01-01T05:30:00Z", true), // Thursday 1 January 2026: the same ISO week
                ("2026-01-01T20:00:00Z", true),
                ("2026-01-05T05:00:00Z", true), // Monday
            ],
        );
        let all = vec![Day, Week, Month, Year];
        assert_eq!(got, [all, vec![Day, Month, Year], vec![], vec![Day, Week]]);
    }

    #[test]
    fn hours_that_bear_one_name_in_autumn_are_two() {
        let policy = policy("Europe/Berlin", &[Period::Hour]);
        let commits = [
            "2026-10-25T00:10:00Z",
            "2026-10-25T00:50:00Z",
            "2026-10-25T01:10:00Z",
        ]
        .map(|at| (at, true));
        let counts: Vec<usize> = assigned(&policy, &commits).iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 0, 1]);
    }

    #[test]
    fn a_snapshot_with_warnings_does_not_use_its_period_up() {
        let policy = policy("UTC", &[Period::Day]);
        let commits = [
            ("2026-03-01T01:00:00Z", false),
            ("2026-03-01T02:00:00Z", true),
            ("2026-03-01T03:00:00Z", true),
        ];
        let counts: Vec<usize> = assigned(&policy, &commits).iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 1, 0]);
    }

    #[test]
    fn a_tier_that_is_new_in_the_policy_begins_at_once() {
        let mut later = policy("UTC", &[Period::Day]);
        let first: Timestamp = "2026-03-02T01:00:00Z".parse().unwrap();
        let earlier = EarlierSnapshot {
            received_at: first,
            tiers: assign_tiers(&later, &[], first).unwrap(),
            clean: true,
        };
        later.tiers.push(Tier {
            every: Period::Week,
            retention_days: 400,
        });
        let tiers = assign_tiers(&later, &[earlier], "2026-03-02T02:00:00Z".parse().unwrap()).unwrap();
        assert_eq!(tiers, [Period::Week]);
    }
}
