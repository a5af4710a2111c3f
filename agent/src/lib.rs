//! Holdfast's agent: reads an endpoint's files, seals them to a backup set's recovery key, sends them through
//! addresses that the server signs, and puts them back with the recovery kit.
//!
//! The library never prints: whoever wants to know passes an [`progress::Observer`]. The binary is a thin shell.

mod acl;
pub mod backup;
pub mod cache;
pub mod client;
pub mod clock;
pub mod daemon;
pub mod enroll;
pub mod escape;
mod fetch;
pub mod keygen;
pub mod limit;
mod machine;
pub mod owners;
mod parallel;
pub mod platform;
mod private_file;
pub mod progress;
pub mod random;
pub mod reading;
pub mod recover;
mod refusal;
pub mod restore;
mod retry;
pub mod show;
pub mod snapshot;
pub mod state;
pub mod storage;
pub mod store;
pub mod throughput;
pub mod verify;
mod warning_log;

use std::{path::Path, sync::Arc};

pub use enroll::enroll;
pub use keygen::keygen;
use shared::api::agent::{SnapshotSummary, SourceSpec};

use crate::{
    backup::BackupError,
    client::Client,
    limit::Limits,
    progress::{Observer, RunCounters},
    restore::{RestoreError, RestoreReport},
    snapshot::SnapshotError,
    state::State,
};

/// Backs up one source (by id or name), or all of them one after the other when `source` is `None`.
///
/// # Errors
/// The first failure. Sources before it have their snapshots.
pub async fn backup(
    state_folder: &Path,
    source: Option<&str>,
    observer: Arc<dyn Observer>,
) -> Result<Vec<SnapshotSummary>, BackupError> {
    let limits = Limits::default();
    backup_until(state_folder, source, limits, observer, std::future::pending()).await
}

/// Like [`backup`], within limits that come before those of the state folder, and until `stop` resolves: then the run is
/// given up, and the server told.
///
/// # Errors
/// The first failure; [`BackupError::Interrupted`] when stopped.
pub async fn backup_until(
    state_folder: &Path,
    source: Option<&str>,
    limits: Limits,
    observer: Arc<dyn Observer>,
    stop: impl Future<Output = ()>,
) -> Result<Vec<SnapshotSummary>, BackupError> {
    let state = State::open(state_folder)?;
    let client = Client::within(&state, limits)?;
    let sources = client.sources().await?;
    let wanted: Vec<SourceSpec> = match source {
        None => sources,
        Some(text) => {
            let found = sources
                .into_iter()
                .find(|s| s.id.to_string() == text || s.name == text);
            vec![found.ok_or_else(|| BackupError::NoSource(text.to_owned()))?]
        }
    };
    if wanted.is_empty() {
        return Err(BackupError::NoSources);
    }
    let mut stop = std::pin::pin!(stop);
    let mut snapshots = Vec::new();
    for source in wanted {
        let counters = Arc::new(RunCounters::new());
        let run = backup::backup_source(&state, &client, source.id, observer.clone(), counters.clone());
        let mut run = std::pin::pin!(run);
        let snapshot = tokio::select! {
            snapshot = &mut run => snapshot?,
            () = &mut stop => {
                counters.stop();
                tokio::time::timeout(daemon::STOP_TIMEOUT, run)
                    .await
                    .unwrap_or(Err(BackupError::Interrupted))?
            }
        };
        snapshots.push(snapshot);
    }
    Ok(snapshots)
}

/// This agent's snapshots, newest first.
///
/// # Errors
/// When the server does not answer.
pub async fn snapshots(state_folder: &Path) -> Result<Vec<SnapshotSummary>, BackupError> {
    let state = State::open(state_folder)?;
    Ok(Client::new(state.config())?.snapshots().await?)
}

/// Restores a snapshot, or parts of it. The restore must have been allowed in the console.
///
/// # Errors
/// See [`RestoreError`].
pub async fn restore(
    state_folder: &Path,
    request: &restore::Request,
    kit: &Path,
    observer: Arc<dyn Observer>,
) -> Result<RestoreReport, RestoreError> {
    restore_within(state_folder, request, kit, Limits::default(), observer).await
}

/// Like [`restore`], within limits that come before those of the state folder.
///
/// # Errors
/// See [`RestoreError`].
pub async fn restore_within(
    state_folder: &Path,
    request: &restore::Request,
    kit: &Path,
    limits: Limits,
    observer: Arc<dyn Observer>,
) -> Result<RestoreReport, RestoreError> {
    let state = State::open(state_folder).map_err(SnapshotError::from)?;
    let client = Client::within(&state, limits).map_err(SnapshotError::from)?;
    let kit = keygen::read_kit(kit).map_err(SnapshotError::from)?;
    restore::restore(&state, &client, request, &kit, observer).await
}

/// Verifies a snapshot of this endpoint through the server. Its restore must have been allowed in the console.
///
/// # Errors
/// See [`SnapshotError`]. Damage is no error: see [`verify::Report::findings`].
pub async fn verify(
    state_folder: &Path,
    what: &verify::Verification,
    kit: Option<&Path>,
    observer: Arc<dyn Observer>,
) -> Result<verify::Report, SnapshotError> {
    let state = State::open(state_folder)?;
    let client = Client::within(&state, Limits::default())?;
    let kit = kit.map(keygen::read_kit).transpose()?;
    verify::verify_served(&state, &client, what, kit.as_ref(), observer).await
}

/// Shows a snapshot of this endpoint through the server. Its restore must have been allowed in the console.
///
/// # Errors
/// See [`SnapshotError`].
pub async fn show(
    state_folder: &Path,
    what: &show::Shown,
    kit: &Path,
    observer: Arc<dyn Observer>,
) -> Result<show::SnapshotFacts, SnapshotError> {
    let state = State::open(state_folder)?;
    let client = Client::within(&state, Limits::default())?;
    show::show_served(&state, &client, what, &keygen::read_kit(kit)?, observer).await
}

/// Verifies what this agent keeps between its runs; unless `offline`, also whether it fits the newest snapshots.
///
/// # Errors
/// When nothing is enrolled there, a backup is under way, or the server does not answer.
pub async fn verify_state(
    state_folder: &Path,
    offline: bool,
) -> Result<verify::Report, verify::StateCheckError> {
    let state = State::open(state_folder)?;
    let client = (!offline).then(|| Client::new(state.config())).transpose()?;
    verify::verify_state(&state, client.as_ref()).await
}
