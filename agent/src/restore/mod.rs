//! Restore: any part of a snapshot, back below a folder, with the recovery kit on the endpoint.

mod data;
mod library;
mod plan;
mod remote;
mod target;

pub use data::put_back;
pub use library::Library;
pub use plan::Plan;
pub use target::TargetError;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use repository::{
    index::IndexError,
    kit::Kit,
    manifest::{self, ManifestError, ManifestHeader},
    pack::PackError,
    recovery::{Fingerprint, RecoverySecret},
    tree::TreeError,
};
use shared::{
    api::agent::{RestoreFinish, RestoreProgress, RestoreRequest, RestoreWork},
    ids::{RestoreId, SnapshotId},
    object::ObjectRef,
};
use tokio::runtime::Handle;

use crate::{
    client::{Client, ClientError},
    enroll::{self, EnrollError},
    keygen::KeygenError,
    progress::{Event, Observer, RestoreCounters},
    random::RandomError,
    state::{State, StateError},
    store::{ObjectSource, ReadError},
};
use remote::Remote;

const REPORT_EVERY: Duration = Duration::from_millis(500);

/// Why a restore ended early.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The kit.
    #[error(transparent)]
    Kit(#[from] KeygenError),
    /// Another backup set's kit.
    #[error("this kit has the fingerprint {kit}, but this endpoint's backups are sealed to {expected}")]
    WrongKit {
        /// The kit's.
        kit: Fingerprint,
        /// The one that is needed.
        expected: Fingerprint,
    },
    /// The server's key.
    #[error(transparent)]
    Enroll(#[from] EnrollError),
    /// A call to the server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// An object cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The manifest is of another source or snapshot than the server says.
    #[error("the server gave the manifest of another source or snapshot: do not trust it")]
    OtherSnapshot,
    /// Neither this endpoint nor the kit vouches for who signed the manifest.
    #[error(
        "the snapshot is signed by agent {0} with a key that neither this endpoint nor the recovery kit vouches for: \
         do not trust it"
    )]
    UnknownSigner(shared::ids::AgentId),
    /// A pack.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// An index segment.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A listing.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The snapshot needs a chunk that no pack holds.
    #[error("a chunk that the snapshot needs is in none of its packs")]
    MissingChunk,
    /// A file's chunks do not add up.
    #[error("a file's chunks do not add up to its size")]
    WrongSize,
    /// A path that is not in the snapshot.
    #[error("`{0}` is not in the snapshot; `--path` takes an absolute path as it was on the endpoint")]
    NotInSnapshot(String),
    /// Writing.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A thread could not run.
    #[error("a thread of the restore failed")]
    Thread,
}

impl RestoreError {
    /// What the server may know: no names of files.
    fn public(&self) -> String {
        match self {
            Self::State(_) => "the agent's state folder cannot be read".to_owned(),
            Self::Kit(_) => "the recovery kit cannot be read".to_owned(),
            Self::NotInSnapshot(_) => "a path that was asked for is not in the snapshot".to_owned(),
            Self::Target(error) => error.public().to_owned(),
            other => other.to_string(),
        }
    }
}

/// What came of a restore.
#[derive(Debug)]
pub struct RestoreReport {
    /// The last figures.
    pub progress: RestoreProgress,
    /// What could not be put back exactly, for the person at the endpoint.
    pub notes: Vec<String>,
}

/// Restores a snapshot below `target`.
///
/// # Errors
/// See [`RestoreError`]. The server is told that the restore failed, without names.
pub async fn restore(
    state: &State,
    client: &Client,
    snapshot: SnapshotId,
    target: &Path,
    kit: &Kit,
    paths: &[String],
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
            snapshot_id: snapshot,
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
        secret,
        own: (state.config().agent_id, own_key),
        fingerprint: expected,
        target: target.to_owned(),
        paths: paths.to_vec(),
        counters: counters.clone(),
    };
    let result = tokio::task::spawn_blocking(move || job.run())
        .await
        .unwrap_or(Err(RestoreError::Thread));
    reporter.abort();
    let _ = reporter.await;
    let finish = RestoreFinish {
        progress: counters.report(),
        error: result.as_ref().err().map(RestoreError::public),
    };
    if let Err(error) = client.finish_restore(restore_id, &finish).await {
        tracing::warn!(%restore_id, %error, "the server could not be told how the restore ended");
    }
    let notes = result?;
    let progress = counters.report();
    observer.event(&Event::Restored {
        progress: progress.clone(),
        notes: notes.len() as u64,
    });
    Ok(RestoreReport { progress, notes })
}

async fn report(
    client: Client,
    restore_id: RestoreId,
    observer: Arc<dyn Observer>,
    counters: Arc<RestoreCounters>,
) {
    loop {
        tokio::time::sleep(REPORT_EVERY).await;
        let progress = counters.report();
        observer.event(&Event::RestoreProgress(progress.clone()));
        if let Err(error) = client.restore_progress(restore_id, &progress).await {
            tracing::debug!(%restore_id, %error, "a progress report was lost");
        }
    }
}

struct Job {
    source: Remote,
    work: RestoreWork,
    secret: RecoverySecret,
    own: (shared::ids::AgentId, repository::identity::AgentPublicKey),
    fingerprint: Fingerprint,
    target: PathBuf,
    paths: Vec<String>,
    counters: Arc<RestoreCounters>,
}

impl Job {
    fn run(self) -> Result<Vec<String>, RestoreError> {
        enroll::pinned_key(&self.work.backup_set, self.fingerprint)?;
        let mut notes = Vec::new();
        let bytes = self.source.read(&self.work.manifest.hash, None)?;
        let header = self.header(&bytes)?;
        self.source.expect(&header.objects);
        restore_from(
            &self.source,
            &bytes,
            &header.objects,
            &self.secret,
            &self.paths,
            &self.target,
            &self.counters,
            &mut notes,
        )?;
        Ok(notes)
    }

    /// The manifest of the chosen snapshot, signed by this agent or by one that the kit has certified: whatever the
    /// server says, nothing that a stranger wrote is put onto this endpoint.
    fn header(&self, bytes: &[u8]) -> Result<ManifestHeader, RestoreError> {
        let (own_id, own_key) = &self.own;
        let header = manifest::open_header_of_any(bytes)?;
        let seq = header.parent.as_ref().map_or(0, |parent| parent.seq) + 1;
        if (header.source_id, seq) != (self.work.snapshot.source_id, self.work.snapshot.seq) {
            return Err(RestoreError::OtherSnapshot);
        }
        if !header.certified(self.secret.public())? {
            if header.agent_id != *own_id {
                return Err(RestoreError::UnknownSigner(header.agent_id));
            }
            manifest::open_header(bytes, own_key)?;
        }
        Ok(header)
    }
}

/// Restores from any source of objects, once the manifest's header is verified.
///
/// # Errors
/// See [`RestoreError`].
#[expect(
    clippy::too_many_arguments,
    reason = "the seam that tests use; each is one thing"
)]
pub fn restore_from(
    source: &dyn ObjectSource,
    manifest: &[u8],
    objects: &[ObjectRef],
    secret: &RecoverySecret,
    paths: &[String],
    target: &Path,
    counters: &RestoreCounters,
    notes: &mut Vec<String>,
) -> Result<(), RestoreError> {
    let content = manifest::open_content(manifest, secret)?;
    if !content.warnings.is_empty() {
        notes.push(format!(
            "the backup itself reported {} files that were left out or not whole",
            content.warnings.len()
        ));
    }
    let library = Library::open(source, objects, secret, content.chunk_key)?;
    let plan = Plan::read(&library, &content.roots, paths)?;
    counters.files_total.store(plan.items.len() as u64, Relaxed);
    counters.bytes_total.store(plan.bytes, Relaxed);
    put_back(&library, &plan, target, counters, notes)
}
