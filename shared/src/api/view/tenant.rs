//! A tenant and how well it is protected.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::TenantId;

/// How well a tenant is protected, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// A run failed or a source has no complete snapshot though one was due.
    Failing,
    /// Something is to be looked at: warnings, a late run, a silent agent, delete markers in a bucket.
    Attention,
    /// Nothing is set up yet.
    Empty,
    /// Every source has a complete, locked snapshot and no run is late.
    Protected,
}

/// A tenant. `GET /api/v1/tenants` lists them, `GET /api/v1/tenants/{tenant}` gives one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantSummary {
    /// The tenant.
    pub id: TenantId,
    /// Its name.
    pub name: String,
    /// How well it is protected.
    pub health: Health,
    /// One sentence for each thing that keeps `health` from being `protected`.
    pub reasons: Vec<String>,
    /// Enrolled agents.
    pub agents: u32,
    /// Sources.
    pub sources: u32,
    /// Complete snapshots.
    pub snapshots: u32,
    /// When the newest complete snapshot was taken.
    pub newest_snapshot_at: Option<Timestamp>,
    /// Runs under way.
    pub active_runs: u32,
}
