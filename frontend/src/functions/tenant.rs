//! Tenants: the customers of the overview.

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use shared::api::operations;
use shared::{
    api::view::{TenantAgents, TenantOverview, TenantStorage, TenantSummary},
    ids::TenantId,
};

use crate::error::ConsoleError;

/// Every tenant that the user may see.
#[server(prefix = "/console/fn", endpoint = "load_tenants")]
pub async fn load_tenants() -> Result<Vec<TenantSummary>, ConsoleError> {
    super::status::answer(super::call::<operations::ListTenants>((), ()).await)
}

/// One tenant and how well it is protected.
#[server(prefix = "/console/fn", endpoint = "load_tenant")]
pub async fn load_tenant(tenant: TenantId) -> Result<TenantSummary, ConsoleError> {
    super::status::answer(super::call::<operations::ReadTenant>(tenant, ()).await)
}

/// A tenant's first page.
#[server(prefix = "/console/fn", endpoint = "load_overview")]
pub async fn load_overview(tenant: TenantId) -> Result<TenantOverview, ConsoleError> {
    super::status::answer(super::call::<operations::ReadOverview>(tenant, ()).await)
}

/// The page of a tenant's agents.
#[server(prefix = "/console/fn", endpoint = "load_agents")]
pub async fn load_agents(tenant: TenantId) -> Result<TenantAgents, ConsoleError> {
    super::status::answer(super::call::<operations::ReadAgents>(tenant, ()).await)
}

/// The page of a tenant's storage.
#[server(prefix = "/console/fn", endpoint = "load_storage")]
pub async fn load_storage(tenant: TenantId) -> Result<TenantStorage, ConsoleError> {
    super::status::answer(super::call::<operations::ReadStorage>(tenant, ()).await)
}

/// Makes a tenant and goes to its page.
#[server(prefix = "/console/fn", endpoint = "create_tenant")]
pub async fn create_tenant(name: String) -> Result<(), ConsoleError> {
    let request = shared::api::request::NewTenant { name: name.clone() };
    let result = super::call::<operations::CreateTenant>((), request).await;
    let tenant = super::form::back_to_form::<CreateTenant, _>(result, "/", &[("name", &name)])?;
    leptos_axum::redirect(&format!("/tenants/{}", tenant.id));
    Ok(())
}
