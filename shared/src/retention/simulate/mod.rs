//! `simulate`: years of a policy before it is agreed to. What is kept, what it costs, and when the bucket could be emptied.
//!
//! It makes the plans that [`plan`](super::plan) would make, with the same rules, for *groups* of objects that are alike instead of for
//! single ones: objects with one lock date share one fate. So a year of daily runs over a million objects takes
//! milliseconds and can be drawn anew at every move of a slider. All counts are whole numbers; a property test holds them against
//! `plan` on single objects.
//!
//! What it leaves out: a run takes no time; a tier's promotion is there with the commit; the few small objects of each snapshot
//! (manifest, commit record, index) are not counted; requests that delete are free, as they are with most providers.

mod baseline;
mod calendar;
mod engine;
mod error;
mod flow;
mod history;
mod leaving;
mod live;
mod lock_rule;
mod promises;
mod simulation;
mod tally;
mod timeline;
mod workload;

pub use baseline::Baseline;
pub use error::SimulateError;
pub use simulation::Simulation;
pub use timeline::{Day, Event, EventKind, Promises, Timeline, Totals, Usd};
pub use workload::{Horizon, RunNumbers, Workload};

/// Holdfast's years: `policy` kept for `workload` on `schedule`.
///
/// # Errors
/// Names the field that is out of range, or the lock that the policy's cap does not allow.
pub fn simulate(simulation: &Simulation) -> Result<Timeline, SimulateError> {
    simulation.validate()?;
    engine::run(simulation, lock_rule::Rule::Holdfast)
}

/// The same workload under the rule of another product. Tiers are left out: none of these rules knows them.
///
/// # Errors
/// As [`simulate`].
pub fn simulate_baseline(simulation: &Simulation, baseline: Baseline) -> Result<Timeline, SimulateError> {
    let mut simulation = simulation.clone();
    simulation.policy.tiers.clear();
    simulation.validate()?;
    baseline.validate()?;
    engine::run(&simulation, lock_rule::Rule::Baseline(baseline))
}
