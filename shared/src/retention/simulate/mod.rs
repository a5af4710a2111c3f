//! `simulate`: years of a policy before it is agreed to. What is kept, what it costs, and when the bucket could be emptied.
//!
//! It makes the plans that [`plan`](super::plan) would make, with the same rules, for *groups* of objects that are alike instead of for
//! single ones: objects with one lock date share one fate. So a year of daily runs over a million objects takes
//! milliseconds and can be drawn anew at every move of a slider. All counts are whole numbers; a property test holds them against
//! `plan` on single objects.
//!
//! What it leaves out: a run takes no time; a tier's promotion is there with the commit; the few small objects of each snapshot
//! (manifest, commit record, index) are not counted; requests that delete are free, as they are with most providers.

mod calendar;
mod engine;
mod flow;
mod history;
mod keeper;
mod leaving;
mod live;
mod promises;
mod rival;
mod tally;
mod timeline;
mod workload;

pub use rival::Rival;
pub use timeline::{Day, Event, EventKind, Promises, Timeline, Totals, Usd};
pub use workload::{Horizon, RunNumbers, Workload};

use serde::{Deserialize, Serialize};

use super::{Policy, PolicyError, Provider, provider::ProviderError};
use crate::schedule::{Schedule, ScheduleError};

/// What is simulated: what `holdfast simulate` reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulation {
    /// The policy.
    pub policy: Policy,
    /// Where the objects lie, and what that costs.
    pub provider: Provider,
    /// When runs are due.
    pub schedule: Schedule,
    /// What is backed up.
    pub workload: Workload,
    /// From when, for how long.
    pub horizon: Horizon,
}

/// Why nothing can be simulated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SimulateError {
    /// The policy, or a lock that it needs and does not allow.
    #[error("policy.{0}")]
    Policy(#[from] PolicyError),
    /// The provider.
    #[error("provider.{0}")]
    Provider(#[from] ProviderError),
    /// The schedule.
    #[error("schedule.{0}")]
    Schedule(#[from] ScheduleError),
    /// A figure of the workload, the horizon or a rival.
    #[error("{field}: {value} is out of range; use {range}")]
    OutOfRange {
        /// Its path.
        field: &'static str,
        /// What it held.
        value: f64,
        /// What it may hold.
        range: &'static str,
    },
}

/// Holdfast's years: `policy` kept for `workload` on `schedule`.
///
/// # Errors
/// Names the field that is out of range, or the lock that the policy's cap does not allow.
pub fn simulate(simulation: &Simulation) -> Result<Timeline, SimulateError> {
    simulation.validate()?;
    engine::run(simulation, keeper::Way::Holdfast)
}

/// The same workload under the rule of another product. Tiers are left out: none of these rules knows them.
///
/// # Errors
/// As [`simulate`].
pub fn simulate_rival(simulation: &Simulation, rival: Rival) -> Result<Timeline, SimulateError> {
    let mut simulation = simulation.clone();
    simulation.policy.tiers.clear();
    simulation.validate()?;
    rival.validate()?;
    engine::run(&simulation, keeper::Way::Rival(rival))
}

impl Simulation {
    fn validate(&self) -> Result<(), SimulateError> {
        self.policy.validate()?;
        self.provider.validate()?;
        self.workload.validate()?;
        self.horizon.validate()
    }
}
