//! Why nothing can be simulated.

use crate::{
    retention::{PolicyError, provider::ProviderError},
    schedule::ScheduleError,
};

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
    /// A figure of the workload, the horizon or a baseline.
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
