//! What restores of people and of agents have in common.

use shared::{
    api::view::{LiveEvent, RestoreView},
    ids::SnapshotId,
};

use crate::{
    app::App,
    db::{self, TenantTx, backup_sets::BackupSet, snapshots::Snapshot, sources::Source},
    error::ApiError,
    scope::TenantScope,
};

/// A snapshot and its source.
///
/// # Errors
/// `NotFound` when the tenant has no such snapshot.
pub async fn with_source(tx: &TenantTx, id: SnapshotId) -> Result<(Snapshot, Source), ApiError> {
    let snapshot = db::snapshots::find(tx, id)
        .await?
        .ok_or(ApiError::NotFound("snapshot"))?;
    let source = db::sources::find(tx, snapshot.source_id)
        .await?
        .ok_or(ApiError::NotFound("source"))?;
    Ok((snapshot, source))
}

/// The backup set of a source.
///
/// # Errors
/// When it is not there.
pub async fn set_of(tx: &TenantTx, source: &Source) -> Result<BackupSet, ApiError> {
    db::backup_sets::find(tx, source.backup_set_id)
        .await?
        .ok_or(ApiError::NotFound("backup set"))
}

/// Tells browsers that a restore moved on.
pub fn announce(app: &App, scope: &TenantScope, view: RestoreView) {
    app.live.send(scope.tenant(), LiveEvent::Restore(Box::new(view)));
}
