//! Tenants: the customers of the overview.

use leptos::prelude::*;
use shared::{
    api::view::{TenantPage, TenantSummary},
    ids::TenantId,
};

use crate::error::ConsoleError;

/// Every tenant that the user may see.
#[server(prefix = "/console/fn", endpoint = "load_tenants")]
pub async fn load_tenants() -> Result<Vec<TenantSummary>, ConsoleError> {
    super::status::answer(super::backend()?.tenants().await)
}

/// One tenant's page.
#[server(prefix = "/console/fn", endpoint = "load_tenant")]
pub async fn load_tenant(tenant: TenantId) -> Result<TenantPage, ConsoleError> {
    super::status::answer(super::backend()?.tenant(tenant).await)
}

/// Makes a tenant and goes to its page.
#[server(prefix = "/console/fn", endpoint = "create_tenant")]
pub async fn create_tenant(name: String) -> Result<(), ConsoleError> {
    let request = shared::api::request::NewTenant { name: name.clone() };
    let result = super::backend()?.create_tenant(request).await;
    let tenant = super::form::back_to_form::<CreateTenant, _>(result, "/", &[("name", &name)])?;
    leptos_axum::redirect(&format!("/tenants/{}", tenant.id));
    Ok(())
}
