//! Tenants: the customers of the overview.

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use shared::api::operations;
use shared::{
    api::view::{TenantPage, TenantSummary},
    ids::TenantId,
};

use crate::error::ConsoleError;

/// Every tenant that the user may see.
#[server(prefix = "/console/fn", endpoint = "load_tenants")]
pub async fn load_tenants() -> Result<Vec<TenantSummary>, ConsoleError> {
    super::status::answer(super::call::<operations::ListTenants>((), ()).await)
}

/// One tenant's page.
#[server(prefix = "/console/fn", endpoint = "load_tenant")]
pub async fn load_tenant(tenant: TenantId) -> Result<TenantPage, ConsoleError> {
    super::status::answer(super::call::<operations::ReadTenant>(tenant, ()).await)
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
