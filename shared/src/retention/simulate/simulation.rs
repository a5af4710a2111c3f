//! What is simulated.

use serde::{Deserialize, Serialize};

use super::{
    error::SimulateError,
    workload::{Horizon, Workload},
};
use crate::{
    retention::{Policy, Provider},
    schedule::Schedule,
};

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

impl Simulation {
    /// Checks every field.
    pub(super) fn validate(&self) -> Result<(), SimulateError> {
        self.policy.validate()?;
        self.provider.validate()?;
        self.schedule.validate()?;
        self.workload.validate()?;
        self.horizon.validate()
    }
}
