//! What tiers cost: calls and dollars of a policy with a tier against one that keeps every snapshot as long, and of runs with warnings.

use shared::{
    retention::{
        Horizon, LockMode, Period, Policy, Provider, RunNumbers, Simulation, Tier, Timeline, Workload,
        simulate,
    },
    schedule::{Recurrence, Schedule},
};

/// One TiB in 65,536 packs of 16 MiB, one hundredth replaced each day, Amazon's prices.
fn one_tib(
    retention_days: u32,
    tiers: &[(Period, u32)],
    runs: Recurrence,
    chunks: u32,
    days: u32,
) -> Simulation {
    Simulation {
        policy: Policy {
            tiers: tiers
                .iter()
                .map(|(every, retention_days)| Tier {
                    every: *every,
                    retention_days: *retention_days,
                })
                .collect(),
            lock_cap_days: 2_000,
            ..Policy::new(retention_days, LockMode::Compliance).unwrap()
        },
        provider: Provider::AWS_STANDARD,
        schedule: Schedule {
            recurrence: runs,
            time_zone: "UTC".to_owned(),
        },
        workload: Workload {
            objects: 65_536,
            object_bytes: 16 << 20,
            pieces_per_object: chunks,
            growth_objects_per_day: 0.0,
            churn_per_day: 0.01,
            missed: RunNumbers::default(),
            unclean: RunNumbers::default(),
            run_deadline_hours: 24,
        },
        horizon: Horizon {
            start: "2026-01-01T00:00:00Z".parse().unwrap(),
            days,
            upload_slots: 4,
        },
    }
}

/// Locks moved, for each object of the data and year.
fn refreshes(simulation: &Simulation, timeline: &Timeline) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure")]
    let (refreshes, objects) = (
        timeline.totals.refreshes as f64,
        simulation.workload.objects as f64,
    );
    refreshes / objects / f64::from(simulation.horizon.days) * 365.0
}

/// N days with a tier cost no more than as many days as the tier has, for all snapshots; and an object is touched about once in Q
/// days, not once a period.
fn a_tier_is_no_dearer(
    chunks: u32,
    runs: Recurrence,
    days: u32,
    retention_days: u32,
    tier: (Period, u32),
) -> f64 {
    let with_tier = one_tib(retention_days, &[tier], runs.clone(), chunks, days);
    let as_long = retention_days.max(tier.1);
    let without = one_tib(as_long, &[], runs, chunks, days);
    let (tiered, plain) = (simulate(&with_tier).unwrap(), simulate(&without).unwrap());
    assert!(tiered.promises.kept(), "{:?}", tiered.promises);
    assert_eq!(tiered.promises.uncovered_snapshots, 0);
    let (dollars, most) = (tiered.totals.usd_per_tib_month, plain.totals.usd_per_tib_month);
    assert!(dollars <= most, "{tier:?} costs {dollars}, N = {as_long} {most}");
    refreshes(&with_tier, &tiered)
}

const DAILY: Recurrence = Recurrence::Day { hour: 2, minute: 0 };
const HOURLY: Recurrence = Recurrence::Hour { minute: 0 };

#[test]
fn a_daily_tier_does_not_become_extend_all() {
    let touched = a_tier_is_no_dearer(1, DAILY, 400, 30, (Period::Day, 90));
    assert!(touched <= 40.0, "{touched} refreshes an object-year");
}

#[test]
fn a_weekly_tier_does_not_become_extend_all() {
    let touched = a_tier_is_no_dearer(1, DAILY, 400, 30, (Period::Week, 90));
    assert!(touched <= 40.0, "{touched} refreshes an object-year");
}

/// Q may be as long as the tier: for N of a day, too, the tier is what everything is locked for.
#[test]
fn an_hourly_tier_does_not_become_extend_all() {
    for retention_days in [1, 7, 30] {
        let touched = a_tier_is_no_dearer(1, HOURLY, 60, retention_days, (Period::Hour, 14));
        assert!(
            touched <= 40.0,
            "N = {retention_days}: {touched} refreshes an object-year"
        );
    }
}

#[test]
fn hourly_runs_with_a_daily_tier_do_not_become_extend_all() {
    let touched = a_tier_is_no_dearer(1, HOURLY, 120, 30, (Period::Day, 90));
    assert!(touched <= 40.0, "{touched} refreshes an object-year");
}

/// Where the chunks of a pack change each by itself, worn packs are added again in time for the tier, as they are for N.
#[test]
fn worn_packs_are_added_again_before_a_tier_asks_for_them() {
    for tier in [Period::Day, Period::Week] {
        let touched = a_tier_is_no_dearer(16, DAILY, 400, 30, (tier, 90));
        assert!(touched <= 45.0, "{touched} refreshes an object-year");
    }
}

/// 720 hourly runs of a month, none clean: what they lock and cost is what clean ones do.
#[test]
fn runs_with_warnings_cost_what_clean_ones_do() {
    let tiers = [
        (Period::Day, 60),
        (Period::Week, 120),
        (Period::Month, 365),
        (Period::Year, 1_095),
    ];
    let clean = one_tib(30, &tiers, HOURLY, 1, 30);
    let unclean = |unclean: RunNumbers| {
        let mut simulation = clean.clone();
        simulation.workload.unclean = unclean;
        simulate(&simulation).unwrap()
    };
    let every = |every| RunNumbers {
        every,
        ..RunNumbers::default()
    };
    let (none_clean, all_clean) = (unclean(every(1)), simulate(&clean).unwrap());
    assert_eq!(none_clean, all_clean);
    // Only the first has warnings, and took every tier: the second takes them once more, for all that it needs.
    let first_of_year = RunNumbers {
        runs: vec![1],
        ..RunNumbers::default()
    };
    let locked_longer = |timeline: &Timeline| timeline.days.iter().map(|day| day.emptiable_on).max();
    let better_later = unclean(first_of_year);
    assert!(locked_longer(&better_later) >= locked_longer(&all_clean));
    let most = all_clean.totals.refreshes + 2 * clean.workload.objects;
    assert!(
        better_later.totals.refreshes <= most,
        "{}",
        better_later.totals.refreshes
    );
}
