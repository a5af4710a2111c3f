//! Runs.

use leptos::prelude::*;
use shared::{
    api::view::RunView,
    ids::{RunId, TenantId},
};

use crate::error::ConsoleError;

/// One run.
#[server(prefix = "/console/fn", endpoint = "load_run")]
pub async fn load_run(tenant: TenantId, run: RunId) -> Result<RunView, ConsoleError> {
    super::status::answer(super::backend()?.run(tenant, run).await)
}
