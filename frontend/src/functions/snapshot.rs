//! Snapshots and their restores.

use leptos::prelude::*;
#[cfg(feature = "ssr")]
use shared::api::{operations, request::JudgeSnapshotRequest};
use shared::{
    anomaly::Judgement,
    api::view::{RestoreView, SnapshotPage, SnapshotView},
    ids::{RestoreId, SnapshotId, TenantId},
};

use crate::error::ConsoleError;

/// One snapshot's page.
#[server(prefix = "/console/fn", endpoint = "load_snapshot")]
pub async fn load_snapshot(tenant: TenantId, snapshot: SnapshotId) -> Result<SnapshotPage, ConsoleError> {
    super::status::answer(super::call::<operations::ReadSnapshot>((tenant, snapshot), ()).await)
}

/// Decides on a snapshot that is not sound. A plain form post goes back to the snapshot's page.
#[server(prefix = "/console/fn", endpoint = "judge_snapshot")]
pub async fn judge_snapshot(
    tenant: TenantId,
    snapshot: SnapshotId,
    judgement: Judgement,
) -> Result<SnapshotView, ConsoleError> {
    let page = format!("/tenants/{tenant}/snapshots/{snapshot}");
    let request = JudgeSnapshotRequest { judgement };
    let result = super::call::<operations::JudgeSnapshot>((tenant, snapshot), request).await;
    let snapshot = super::form::back_to_form::<JudgeSnapshot, _>(result, &page, &[])?;
    super::form::plain_post_goes_to(&format!("{page}#review"));
    Ok(snapshot)
}

/// Allows the snapshot's agent to read it for 24 hours, as often as it wants.
#[server(prefix = "/console/fn", endpoint = "authorise_restore")]
pub async fn authorise_restore(tenant: TenantId, snapshot: SnapshotId) -> Result<RestoreView, ConsoleError> {
    let page = format!("/tenants/{tenant}/snapshots/{snapshot}");
    let result = super::call::<operations::AuthoriseRestore>((tenant, snapshot), ()).await;
    let restore = super::form::back_to_form::<AuthoriseRestore, _>(result, &page, &[])?;
    super::form::plain_post_goes_to(&format!("{page}#restore"));
    Ok(restore)
}

/// Ends such a permission before its time. A plain form post goes back to the snapshot's page.
#[server(prefix = "/console/fn", endpoint = "end_restore")]
pub async fn end_restore(
    tenant: TenantId,
    snapshot: SnapshotId,
    restore: RestoreId,
) -> Result<RestoreView, ConsoleError> {
    let page = format!("/tenants/{tenant}/snapshots/{snapshot}");
    let result = super::call::<operations::EndRestore>((tenant, restore), ()).await;
    let restore = super::form::back_to_form::<EndRestore, _>(result, &page, &[])?;
    super::form::plain_post_goes_to(&format!("{page}#restore"));
    Ok(restore)
}
