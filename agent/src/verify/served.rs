//! Verification of a snapshot through the server.

use std::sync::Arc;

use repository::{commit::CommitVerifyingKey, kit::Kit, recovery::RecoverySecret};
use shared::{
    api::agent::{RestoreFinish, RestoreProgress, RestorePurpose},
    ids::SnapshotId,
    words::counted,
};

use super::{depth::Depth, report::Report, snapshots::verify_snapshot};
use crate::{
    client::Client,
    progress::Observer,
    snapshot::{Expected, Served, SnapshotError},
    state::State,
};

/// What to verify through the server.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// How much is read.
    pub depth: Depth,
    /// What is known of the snapshot besides its id.
    pub expected: Expected,
    /// The server's key for commit records, in the place of the one that enrollment left behind.
    pub commit_key: Option<CommitVerifyingKey>,
}

/// Verifies a snapshot whose restore somebody has allowed. To the server it is a restore that wrote nothing.
///
/// # Errors
/// See [`SnapshotError`]. Damage is no error.
pub async fn verify_served(
    state: &State,
    client: &Client,
    what: &Verification,
    kit: Option<&Kit>,
    observer: Arc<dyn Observer>,
) -> Result<Report, SnapshotError> {
    let secret = kit.map(Kit::secret);
    let served = Served::open(
        state,
        client,
        what.snapshot,
        secret.as_ref(),
        what.commit_key,
        RestorePurpose::Verification,
        observer,
    )
    .await?;
    let restore_id = served.work.restore_id;
    let what = what.clone();
    let result = tokio::task::spawn_blocking(move || verify_opened(&served, secret.as_ref(), &what))
        .await
        .unwrap_or(Err(SnapshotError::Thread));
    let finish = RestoreFinish {
        progress: RestoreProgress::default(),
        error: match &result {
            Ok(report) if report.is_sound() => None,
            Ok(report) => Some(format!(
                "a verification found {} not as it should be; the agent's output has the names",
                counted(
                    report.findings.len() as u64,
                    "thing that is",
                    "things of which each is"
                )
            )),
            Err(error) => Some(error.public()),
        },
    };
    if let Err(error) = client.finish_restore(restore_id, &finish).await {
        tracing::warn!(%restore_id, %error, "the server could not be told how the verification ended");
    }
    result
}

fn verify_opened(
    served: &Served,
    secret: Option<&RecoverySecret>,
    what: &Verification,
) -> Result<Report, SnapshotError> {
    let chosen = served.choose(secret, &what.expected)?;
    verify_snapshot(
        &served.source,
        served.work.manifest,
        &chosen.bytes,
        chosen.header,
        secret,
        what.depth,
    )
}
