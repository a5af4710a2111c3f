//! Restore: any part of a snapshot, back below a folder. What is damaged costs the files that need it and no others.

mod contents;
mod error;
mod files;
mod in_place;
mod inspect;
mod order;
mod write;

pub use error::{RestoreError, TargetError};
pub use in_place::LinkInTheWay;
pub use inspect::{Action, Overwrite};
pub use order::{DryRun, Order, Outcome, Step};
pub use write::write;

use std::{sync::Arc, time::Duration};

use repository::{commit::CommitVerifyingKey, kit::Kit, recovery::RecoverySecret};
use shared::{
    api::agent::{RestoreFinish, RestoreProgress, RestorePurpose},
    ids::{RestoreId, SnapshotId},
    words::counted,
};

use crate::{
    client::Client,
    clock,
    owners::{OwnerMap, OwnerPolicy},
    progress::{Event, Observer, RestoreCounters, Speed},
    snapshot::{ChunkIndex, Expected, Served, Snapshot, Tree},
    state::State,
    store::ObjectSource,
    throughput::Throughput,
};

const REPORT_EVERY: Duration = Duration::from_millis(500);

/// What to restore, and where to.
#[derive(Debug, Clone)]
pub struct Request {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Absolute paths as they were on the endpoint; none means everything.
    pub paths: Vec<Vec<u8>>,
    /// Where to, and how.
    pub order: Order,
    /// What is known of the snapshot besides its id.
    pub expected: Expected,
    /// The server's key for commit records, in the place of the one that enrollment left behind.
    pub commit_key: Option<CommitVerifyingKey>,
}

/// What came of a restore.
#[derive(Debug)]
pub struct RestoreReport {
    /// The last figures.
    pub progress: RestoreProgress,
    /// For the person at the endpoint.
    pub outcome: Outcome,
}

/// Restores a snapshot that somebody has allowed this agent to restore.
///
/// # Errors
/// See [`RestoreError`]. The server is told that the restore failed, without names. Damage is no error: see
/// [`Outcome::losses`].
pub async fn restore(
    state: &State,
    client: &Client,
    request: &Request,
    kit: &Kit,
    observer: Arc<dyn Observer>,
) -> Result<RestoreReport, RestoreError> {
    let secret = kit.secret();
    let served = Served::open(
        state,
        client,
        request.snapshot,
        Some(&secret),
        request.commit_key,
        if request.order.dry_run {
            RestorePurpose::DryRun
        } else {
            RestorePurpose::Restore
        },
        observer.clone(),
    )
    .await?;
    let restore_id = served.work.restore_id;
    observer.event(&Event::RestoreStarted {
        restore_id,
        allowed_until: served.work.expires_at,
    });
    let counters = Arc::new(RestoreCounters::default());
    let reporter = tokio::spawn(report(
        client.clone(),
        restore_id,
        observer.clone(),
        counters.clone(),
    ));
    let (request, counted) = (request.clone(), counters.clone());
    let result = tokio::task::spawn_blocking(move || restore_served(&served, &secret, &request, &counted))
        .await
        .unwrap_or(Err(RestoreError::Thread));
    reporter.abort();
    let _ = reporter.await;
    let finish = RestoreFinish {
        progress: counters.report(),
        error: match &result {
            Ok(outcome) => outcome.public(),
            Err(error) => Some(error.public()),
        },
    };
    if let Err(error) = client.finish_restore(restore_id, &finish).await {
        tracing::warn!(%restore_id, %error, "the server could not be told how the restore ended");
    }
    let outcome = result?;
    let progress = counters.report();
    if outcome.dry_run.is_none() {
        observer.event(&Event::Restored {
            progress: progress.clone(),
            notes: outcome.notes.len() as u64,
            lost: outcome.lost,
        });
    }
    Ok(RestoreReport { progress, outcome })
}

fn restore_served(
    served: &Served,
    secret: &RecoverySecret,
    request: &Request,
    counters: &RestoreCounters,
) -> Result<Outcome, RestoreError> {
    let chosen = served.choose(Some(secret), &request.expected)?;
    let snapshot = Snapshot::open(&served.source, &chosen.bytes, &chosen.header, secret)?;
    let mut outcome = restore_from(
        &served.source,
        &snapshot,
        secret,
        &request.paths,
        &request.order,
        counters,
    )?;
    outcome.notes.splice(0..0, chosen.notes);
    Ok(outcome)
}

async fn report(
    client: Client,
    restore_id: RestoreId,
    observer: Arc<dyn Observer>,
    counters: Arc<RestoreCounters>,
) {
    let mut throughput = Throughput::default();
    loop {
        tokio::time::sleep(REPORT_EVERY).await;
        let progress = counters.report();
        let (done, total) = (progress.bytes_done, progress.bytes_total);
        observer.event(&Event::RestoreProgress {
            progress: progress.clone(),
            speed: Speed::tick(&mut throughput, clock::monotonic(), done, Some(total)),
        });
        if let Err(error) = client.restore_progress(restore_id, &progress).await {
            tracing::debug!(%restore_id, %error, "a progress report was lost");
        }
    }
}

/// Restores from any source of objects, once the snapshot is open.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore_from(
    source: &dyn ObjectSource,
    snapshot: &Snapshot,
    secret: &RecoverySecret,
    paths: &[Vec<u8>],
    order: &Order,
    counters: &RestoreCounters,
) -> Result<Outcome, RestoreError> {
    let index = ChunkIndex::open(source, snapshot, secret)?;
    let content = &snapshot.content;
    let followed = if order.is_in_place() {
        in_place::follow(&content.roots, paths, &in_place::ThisMachine)?
    } else {
        in_place::Followed::nothing(&content.roots, paths)
    };
    let mut tree = Tree::read(&index, &followed.roots, &followed.paths)?;
    let mut owner_notes = Vec::new();
    // Nobody else may give files away.
    if let (true, OwnerPolicy::ByName(users)) = (rustix::process::geteuid().is_root(), &order.owners) {
        let mut map = OwnerMap::new(users, &content.owners);
        map.apply(&mut tree);
        owner_notes = map.notes();
    }
    let mut outcome = write(&index, &tree, order, counters)?;
    outcome.notes.splice(0..0, followed.notes);
    outcome.notes.append(&mut owner_notes);
    if tree.foreign > 0 {
        outcome.notes.push(format!(
            "{} attributes, streams or reparse data of Windows, which this system has no place for: they were not put back",
            counted(tree.foreign, "file or folder has", "files and folders have")
        ));
    }
    if snapshot.warnings > 0 {
        outcome.notes.push(format!(
            "the backup itself reported {} left out or not whole: `show --warnings` lists them",
            counted(snapshot.warnings, "file that was", "files that were")
        ));
    }
    for (page, fault) in &snapshot.lost_pages {
        outcome.notes.push(format!(
            "list page {} {fault}; what index segments and the storage list was looked through instead",
            page.hash
        ));
    }
    outcome.notes.extend(index.lost_note());
    for (segment, fault) in index.lost_segments() {
        outcome.notes.push(format!(
            "index segment {} {fault}; the packs' own lists were read instead",
            segment.hash
        ));
    }
    Ok(outcome)
}
