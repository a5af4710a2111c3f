//! Restore: any part of a snapshot, back below a folder. What is damaged costs the files that need it and no others.

mod addresses;
mod dress;
mod error;
mod files;
mod job;
mod library;
mod listings;
mod loss;
mod order;
mod origin;
mod others;
mod plan;
mod put_back;
mod read;
mod remote;
mod sealed;
mod select;
mod snapshot;
mod survey;
mod target;
mod trust;
mod work;

pub use error::{RestoreError, TargetError};
pub use library::Library;
pub(crate) use listings::Listings;
pub(crate) use loss::named;
pub use loss::{Fault, Loss, Reason};
pub use order::{DryRun, Order, Outcome, Step};
pub use origin::{Expected, Named, Origin, Unexpected};
pub use plan::{Item, Looks, Plan, What};
pub use put_back::put_back;
pub use snapshot::Snapshot;
pub use survey::{Fate, Overwrite};

use std::{sync::Arc, time::Duration};

use repository::{
    commit::CommitVerifyingKey,
    kit::Kit,
    recovery::{Fingerprint, RecoverySecret},
};
use shared::{
    api::agent::{RestoreFinish, RestoreProgress, RestoreRequest},
    ids::{RestoreId, SnapshotId},
    words::counted,
};
use tokio::runtime::Handle;

use crate::{
    client::Client,
    clock,
    pace::Pace,
    progress::{Event, Observer, RestoreCounters, Speed},
    state::State,
    store::ObjectSource,
    verify::{Depth, Report},
};
use job::Job;
use remote::Remote;
use trust::Trust;

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
    let (have, expected) = (secret.public().fingerprint(), state.config().fingerprint);
    if have != expected {
        return Err(RestoreError::WrongKit { kit: have, expected });
    }
    let trust = trust(state, Some(&secret), request.commit_key)?;
    let job = begin(client, request.snapshot, trust, expected, observer.clone()).await?;
    let restore_id = job.work.restore_id;
    observer.event(&Event::RestoreStarted { restore_id });
    let counters = Arc::new(RestoreCounters::default());
    let reporter = tokio::spawn(report(
        client.clone(),
        restore_id,
        observer.clone(),
        counters.clone(),
    ));
    let (request, counted) = (request.clone(), counters.clone());
    let result = tokio::task::spawn_blocking(move || job.restore(&secret, &request, &counted))
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
            lost: outcome.losses.len() as u64,
        });
    }
    Ok(RestoreReport { progress, outcome })
}

/// What this agent believes by.
fn trust(
    state: &State,
    secret: Option<&RecoverySecret>,
    commit_key: Option<CommitVerifyingKey>,
) -> Result<Trust, RestoreError> {
    Ok(Trust {
        agent_id: state.config().agent_id,
        key: state.signing_key()?.public(),
        recovery: secret.map(|secret| secret.public().clone()),
        commit_key: commit_key.or(state.config().commit_key),
    })
}

async fn begin(
    client: &Client,
    snapshot_id: SnapshotId,
    trust: Trust,
    fingerprint: Fingerprint,
    observer: Arc<dyn Observer>,
) -> Result<Job, RestoreError> {
    let work = client.start_restore(&RestoreRequest { snapshot_id }).await?;
    let source_id = work.snapshot.source_id;
    Ok(Job {
        source: Remote::new(
            client.clone(),
            Handle::current(),
            work.restore_id,
            source_id,
            trust.clone(),
        ),
        asked: snapshot_id,
        work,
        trust,
        fingerprint,
        observer,
    })
}

async fn report(
    client: Client,
    restore_id: RestoreId,
    observer: Arc<dyn Observer>,
    counters: Arc<RestoreCounters>,
) {
    let mut pace = Pace::default();
    loop {
        tokio::time::sleep(REPORT_EVERY).await;
        let progress = counters.report();
        let (done, total) = (progress.bytes_done, progress.bytes_total);
        observer.event(&Event::RestoreProgress {
            progress: progress.clone(),
            speed: Speed::tick(&mut pace, clock::monotonic(), done, Some(total)),
        });
        if let Err(error) = client.restore_progress(restore_id, &progress).await {
            tracing::debug!(%restore_id, %error, "a progress report was lost");
        }
    }
}

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
/// See [`RestoreError`]. Damage is no error.
pub async fn verify(
    state: &State,
    client: &Client,
    what: &Verification,
    kit: Option<&Kit>,
    observer: Arc<dyn Observer>,
) -> Result<Report, RestoreError> {
    let expected = state.config().fingerprint;
    let secret = kit.map(Kit::secret);
    if let Some(kit) = secret.as_ref().map(|secret| secret.public().fingerprint())
        && kit != expected
    {
        return Err(RestoreError::WrongKit { kit, expected });
    }
    let trust = trust(state, secret.as_ref(), what.commit_key)?;
    let job = begin(client, what.snapshot, trust, expected, observer).await?;
    let restore_id = job.work.restore_id;
    let what = what.clone();
    let result = tokio::task::spawn_blocking(move || job.verify(secret.as_ref(), &what.expected, what.depth))
        .await
        .unwrap_or(Err(RestoreError::Thread));
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
    let library = Library::open(source, snapshot, secret)?;
    let plan = Plan::read(&library, &snapshot.content.roots, paths)?;
    let mut outcome = put_back(&library, &plan, order, counters)?;
    let warnings = snapshot.content.warnings.iter();
    let warnings = warnings.filter(|warning| !warning.kind.is_note()).count();
    if warnings > 0 {
        outcome.notes.push(format!(
            "the backup itself reported {} left out or not whole",
            counted(warnings as u64, "file that was", "files that were")
        ));
    }
    for (page, fault) in &snapshot.lost_pages {
        outcome.notes.push(format!(
            "list page {} {fault}; what index segments and the storage list was looked through instead",
            page.hash
        ));
    }
    outcome.notes.extend(library.lost_note());
    for (segment, fault) in library.lost_segments() {
        outcome.notes.push(format!(
            "index segment {} {fault}; the packs' own lists were read instead",
            segment.hash
        ));
    }
    Ok(outcome)
}
