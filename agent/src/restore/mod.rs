//! Restore: any part of a snapshot, back below a folder. What is damaged costs the files that need it and no others.

mod dress;
mod error;
mod files;
mod library;
mod listings;
mod loss;
mod order;
mod plan;
mod put_back;
mod read;
mod remote;
mod sealed;
mod select;
mod snapshot;
mod survey;
mod target;
mod work;

pub use error::{RestoreError, TargetError};
pub use library::Library;
pub(crate) use listings::Listings;
pub(crate) use loss::named;
pub use loss::{Fault, Loss, Reason};
pub use order::{DryRun, Order, Outcome, Step};
pub use plan::{Item, Looks, Plan, What};
pub use put_back::put_back;
pub use snapshot::Snapshot;
pub use survey::{Fate, Overwrite};

use std::{sync::Arc, time::Duration};

use repository::{
    identity::AgentPublicKey,
    kit::Kit,
    manifest::{self, ManifestHeader},
    recovery::{Fingerprint, RecoverySecret},
};
use shared::{
    api::agent::{RestoreFinish, RestoreProgress, RestoreRequest, RestoreWork},
    ids::{AgentId, RestoreId, SnapshotId},
};
use tokio::runtime::Handle;

use crate::{
    client::Client,
    clock, enroll,
    pace::Pace,
    progress::{Event, Observer, RestoreCounters, Speed},
    state::State,
    store::ObjectSource,
    verify::{self, Depth, Report},
};
use remote::Remote;

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
    let own_key = state.signing_key()?.public();
    let work = client
        .start_restore(&RestoreRequest {
            snapshot_id: request.snapshot,
        })
        .await?;
    let restore_id = work.restore_id;
    observer.event(&Event::RestoreStarted { restore_id });
    let counters = Arc::new(RestoreCounters::default());
    let reporter = tokio::spawn(report(
        client.clone(),
        restore_id,
        observer.clone(),
        counters.clone(),
    ));
    let job = Job {
        source: Remote::new(client.clone(), Handle::current(), restore_id),
        work,
        own: (state.config().agent_id, own_key),
        fingerprint: expected,
    };
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

/// Verifies a snapshot whose restore somebody has allowed. To the server it is a restore that wrote nothing.
///
/// # Errors
/// See [`RestoreError`]. Damage is no error.
pub async fn verify(
    state: &State,
    client: &Client,
    snapshot_id: SnapshotId,
    kit: Option<&Kit>,
    depth: Depth,
) -> Result<Report, RestoreError> {
    let expected = state.config().fingerprint;
    let secret = kit.map(Kit::secret);
    if let Some(kit) = secret.as_ref().map(|secret| secret.public().fingerprint())
        && kit != expected
    {
        return Err(RestoreError::WrongKit { kit, expected });
    }
    let work = client.start_restore(&RestoreRequest { snapshot_id }).await?;
    let restore_id = work.restore_id;
    let job = Job {
        source: Remote::new(client.clone(), Handle::current(), restore_id),
        work,
        own: (state.config().agent_id, state.signing_key()?.public()),
        fingerprint: expected,
    };
    let result = tokio::task::spawn_blocking(move || job.verify(secret.as_ref(), depth))
        .await
        .unwrap_or(Err(RestoreError::Thread));
    let finish = RestoreFinish {
        progress: RestoreProgress::default(),
        error: match &result {
            Ok(report) if report.is_sound() => None,
            Ok(report) => Some(format!(
                "a verification found {} things that are not as they should be; the agent's output names them",
                report.findings.len()
            )),
            Err(error) => Some(error.public()),
        },
    };
    if let Err(error) = client.finish_restore(restore_id, &finish).await {
        tracing::warn!(%restore_id, %error, "the server could not be told how the verification ended");
    }
    result
}

/// What a restore or a verification through the server works with.
struct Job {
    source: Remote,
    work: RestoreWork,
    own: (AgentId, AgentPublicKey),
    fingerprint: Fingerprint,
}

impl Job {
    fn restore(
        self,
        secret: &RecoverySecret,
        request: &Request,
        counters: &RestoreCounters,
    ) -> Result<Outcome, RestoreError> {
        let (bytes, header) = self.manifest(Some(secret))?;
        let snapshot = Snapshot::open(&self.source, &bytes, &header, secret)?;
        self.source.expect(&snapshot.objects);
        restore_from(
            &self.source,
            &snapshot,
            secret,
            &request.paths,
            &request.order,
            counters,
        )
    }

    fn verify(self, secret: Option<&RecoverySecret>, depth: Depth) -> Result<Report, RestoreError> {
        let (bytes, header) = self.manifest(secret)?;
        verify::verify_snapshot(&self.source, self.work.manifest, &bytes, header, secret, depth)
    }

    /// The manifest of the chosen snapshot, signed by this agent or by one that the kit has certified: whatever the
    /// server says, nothing that a stranger wrote is put onto this endpoint.
    fn manifest(&self, secret: Option<&RecoverySecret>) -> Result<(Vec<u8>, ManifestHeader), RestoreError> {
        enroll::pinned_key(&self.work.backup_set, self.fingerprint)?;
        let bytes = self.source.read(&self.work.manifest, None)?;
        let (own_id, own_key) = &self.own;
        let header = manifest::open_header_of_any(&bytes)?;
        if (header.source_id, header.seq()) != (self.work.snapshot.source_id, self.work.snapshot.seq) {
            return Err(RestoreError::OtherSnapshot);
        }
        let is_certified = match secret {
            Some(secret) => header.certified(secret.public())?,
            None => false,
        };
        if !is_certified {
            if header.agent_id != *own_id {
                return Err(RestoreError::UnknownSigner(header.agent_id));
            }
            manifest::open_header(&bytes, own_key)?;
        }
        Ok((bytes, header))
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
    let library = Library::open(source, snapshot, secret)?;
    let plan = Plan::read(&library, &snapshot.content.roots, paths)?;
    let mut outcome = put_back(&library, &plan, order, counters)?;
    let warnings = snapshot.content.warnings.iter();
    let warnings = warnings.filter(|warning| !warning.kind.is_note()).count();
    if warnings > 0 {
        outcome.notes.push(format!(
            "the backup itself reported {warnings} files that were left out or not whole"
        ));
    }
    for (page, fault) in &snapshot.lost_pages {
        outcome.notes.push(format!(
            "list page {} {fault}; what index segments and the storage list was looked through instead",
            page.hash
        ));
    }
    for (segment, fault) in library.lost_segments() {
        outcome.notes.push(format!(
            "index segment {} {fault}; the packs' own lists were read instead",
            segment.hash
        ));
    }
    Ok(outcome)
}
