//! Snapshots and their restores.

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use shared::api::operations;
use shared::{
    api::view::{RestoreView, SnapshotPage},
    ids::{SnapshotId, TenantId},
};

use crate::error::ConsoleError;

/// One snapshot's page.
#[server(prefix = "/console/fn", endpoint = "load_snapshot")]
pub async fn load_snapshot(tenant: TenantId, snapshot: SnapshotId) -> Result<SnapshotPage, ConsoleError> {
    super::status::answer(super::call::<operations::ReadSnapshot>((tenant, snapshot), ()).await)
}

/// Allows the snapshot's agent to read it for 24 hours.
#[server(prefix = "/console/fn", endpoint = "authorise_restore")]
pub async fn authorise_restore(tenant: TenantId, snapshot: SnapshotId) -> Result<RestoreView, ConsoleError> {
    let page = format!("/tenants/{tenant}/snapshots/{snapshot}");
    let result = super::call::<operations::AuthoriseRestore>((tenant, snapshot), ()).await;
    let restore = super::form::back_to_form::<AuthoriseRestore, _>(result, &page, &[])?;
    super::form::plain_post_goes_to(&format!("{page}#restore"));
    Ok(restore)
}
