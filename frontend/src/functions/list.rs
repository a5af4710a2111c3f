//! Lists that grow, a page at a time.

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use shared::api::operations;
use shared::{
    api::{
        list::{ListQuery, Page},
        view::{RestoreView, RunView, SnapshotView},
    },
    ids::TenantId,
};

use crate::error::ConsoleError;

/// A page of the tenant's snapshots.
#[server(prefix = "/console/fn", endpoint = "list_snapshots")]
pub async fn list_snapshots(
    tenant: TenantId,
    #[server(default)] query: ListQuery,
) -> Result<Page<SnapshotView>, ConsoleError> {
    super::status::answer(super::call::<operations::ListSnapshots>(tenant, query).await)
}

/// A page of the tenant's runs.
#[server(prefix = "/console/fn", endpoint = "list_runs")]
pub async fn list_runs(
    tenant: TenantId,
    #[server(default)] query: ListQuery,
) -> Result<Page<RunView>, ConsoleError> {
    super::status::answer(super::call::<operations::ListRuns>(tenant, query).await)
}

/// A page of the tenant's restores.
#[server(prefix = "/console/fn", endpoint = "list_restores")]
pub async fn list_restores(
    tenant: TenantId,
    #[server(default)] query: ListQuery,
) -> Result<Page<RestoreView>, ConsoleError> {
    super::status::answer(super::call::<operations::ListRestores>(tenant, query).await)
}
