//! Runs.

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use shared::api::operations;
use shared::{
    api::view::RunView,
    ids::{RunId, TenantId},
};

use crate::error::ConsoleError;

/// One run.
#[server(prefix = "/console/fn", endpoint = "load_run")]
pub async fn load_run(tenant: TenantId, run: RunId) -> Result<RunView, ConsoleError> {
    super::status::answer(super::call::<operations::ReadRun>((tenant, run), ()).await)
}

/// Gives a run up. A plain form post goes back to the run's page.
#[server(prefix = "/console/fn", endpoint = "cancel_run")]
pub async fn cancel_run(tenant: TenantId, run: RunId) -> Result<RunView, ConsoleError> {
    let page = format!("/tenants/{tenant}/runs/{run}");
    let result = super::call::<operations::CancelRun>((tenant, run), ()).await;
    let run = super::form::back_to_form::<CancelRun, _>(result, &page, &[])?;
    super::form::plain_post_goes_to(&page);
    Ok(run)
}
