//! Backup: one run of one source, from the walk to the complete snapshot.

mod adopt;
mod buffers;
mod commit;
mod count;
mod devices;
mod engine;
mod error;
mod exclude_lines;
mod file_read;
mod files;
mod filter;
mod folder;
mod known;
mod list;
mod listing;
mod liveness;
mod node;
mod pack;
mod parent;
mod piece;
mod pieces;
pub mod preview;
mod queue;
mod read;
mod resume;
mod sample;
mod segments;
mod task;
mod traverse;
mod upload;
mod walk;
mod walker;

pub use engine::{Job, MTIME_TRUST_DELAY, Parent, Prepared, prepare};
pub use error::BackupError;
pub use resume::{Leftover, Noted, Resume};

use std::{path::PathBuf, sync::Arc, time::Duration};

use repository::{
    chunk::SourceSecret, identity::AgentSigningKey, pack::PackLayout, recovery::RecoveryPublicKey,
};
use shared::{
    api::agent::{AbortRequest, BackupWork, RunPhase, SnapshotSummary},
    ids::{AgentId, SourceId},
};
use tokio::{runtime::Handle, sync::oneshot};

use crate::{
    cache::{Cache, CacheRun, Head},
    client::{Client, ClientError},
    clock,
    enroll::{self},
    escape::escaped,
    limit::Rate,
    owners::Users,
    progress::{Event, Observer, RunCounters, SnapshotEvent, Speed},
    reading::Hang,
    state::State,
    throughput::Throughput,
};
use upload::{NotingQueue, UploadError, UploadQueue};

/// How often progress is reported.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// How long the thread of a run may take to end that was told to stop.
const ABANDON_AFTER: Duration = Duration::from_secs(5);

/// Backs one source up, now.
///
/// # Errors
/// See [`BackupError`]. The run is then aborted on the server.
pub async fn backup_source(
    state: &State,
    client: &Client,
    source: SourceId,
    observer: Arc<dyn Observer>,
    counters: Arc<RunCounters>,
) -> Result<SnapshotSummary, BackupError> {
    let lock = state.lock()?;
    commit::finish_interrupted(state.commit_path(source)?, client, &counters).await?;
    let work = client.start_run(source).await?;
    let snapshot = run(state, client, (work, AskedBy::Person), observer, counters).await;
    drop(lock);
    snapshot
}

/// Brings the commits to their ends that this agent was interrupted in, before it asks for work: the server gives up a run
/// whose agent asks for another.
///
/// # Errors
/// When the server does not answer. Whatever else goes wrong is logged.
pub async fn finish_interrupted(state: &State, client: &Client) -> Result<(), ClientError> {
    let finish = async {
        for source in state.sources()? {
            let path = state.commit_path(source)?;
            if path.exists() {
                let _lock = state.lock()?;
                commit::finish_interrupted(path, client, &RunCounters::new()).await?;
            }
        }
        Ok(())
    };
    match finish.await {
        Ok(()) => Ok(()),
        Err(BackupError::Client(error)) => Err(error),
        Err(error) => {
            tracing::warn!(%error, "an interrupted commit is left for later");
            Ok(())
        }
    }
}

/// Does a run that the server has started.
///
/// # Errors
/// See [`BackupError`]. The run is then aborted on the server.
pub async fn backup_work(
    state: &State,
    client: &Client,
    work: BackupWork,
    observer: Arc<dyn Observer>,
    counters: Arc<RunCounters>,
) -> Result<SnapshotSummary, BackupError> {
    let run_id = work.run_id;
    let lock = match state.lock() {
        Ok(lock) => lock,
        Err(error) => {
            let request = AbortRequest {
                reason: "another backup of this agent is under way".to_owned(),
                may_pass: true,
            };
            let _ = client.abort(run_id, &request).await;
            return Err(error.into());
        }
    };
    let snapshot = run(state, client, (work, AskedBy::Server), observer, counters).await;
    drop(lock);
    snapshot
}

/// Who has a run begin. Whoever stops one that a person began on the endpoint wants no other in its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AskedBy {
    Person,
    Server,
}

async fn run(
    state: &State,
    client: &Client,
    (work, asked_by): (BackupWork, AskedBy),
    observer: Arc<dyn Observer>,
    counters: Arc<RunCounters>,
) -> Result<SnapshotSummary, BackupError> {
    let run_id = work.run_id;
    observer.event(&Event::RunStarted {
        run_id,
        source_id: work.source.id,
        source_name: work.source.name.clone(),
    });
    let reporter = tokio::spawn(report(client.clone(), run_id, observer.clone(), counters.clone()));
    let result = transfer(state, client, work, observer.clone(), counters.clone()).await;
    let result = match (result, counters.refusal()) {
        (Err(BackupError::Interrupted | BackupError::Stopped), Some(refusal)) => {
            Err(BackupError::Failed(refusal))
        }
        (result, _) => result,
    };
    reporter.abort();
    // Until it has really ended, so that the snapshot is the last event.
    let _ = reporter.await;
    match &result {
        Ok(snapshot) => observer.event(&Event::Snapshot(SnapshotEvent::from(snapshot))),
        // The server ended it itself, or will; or it is not at its end.
        Err(
            BackupError::Failed(_)
            | BackupError::Broken { .. }
            | BackupError::Unconfirmed { .. }
            | BackupError::Uncommitted { .. },
        ) => {}
        Err(error) => {
            let request = AbortRequest {
                reason: public_reason(error),
                may_pass: error.may_pass()
                    || (asked_by == AskedBy::Server && matches!(error, BackupError::Interrupted)),
            };
            if let Err(error) = client.abort(run_id, &request).await {
                tracing::debug!(%run_id, %error, "the run could not be aborted");
            }
        }
    }
    result
}

/// What the server may know of an error: no names of files.
fn public_reason(error: &BackupError) -> String {
    match error {
        full if full.is_full() => {
            "the disk of the agent's state folder is full: make room there, and the run goes on by itself"
                .to_owned()
        }
        BackupError::State(_) => "the agent's state folder cannot be read or written".to_owned(),
        BackupError::Path(_) | BackupError::Pattern { .. } => {
            "a path or a pattern of the source is not valid".to_owned()
        }
        other => other.to_string(),
    }
}

async fn report(
    client: Client,
    run_id: shared::ids::RunId,
    observer: Arc<dyn Observer>,
    counters: Arc<RunCounters>,
) {
    let mut throughput = Throughput::default();
    loop {
        tokio::time::sleep(REPORT_EVERY).await;
        let progress = counters.report();
        let (done, total) = (progress.bytes_done, progress.bytes_total);
        observer.event(&Event::Progress {
            progress: progress.clone(),
            speed: Speed::tick(&mut throughput, clock::monotonic(), done, total),
            current: escaped(&counters.current()),
        });
        match client.run_progress(run_id, &progress).await {
            Ok(()) => {}
            // Somebody cancelled it, or its deadline has passed. A run that commits takes no reports either.
            Err(ClientError::Refused { code, message, .. })
                if code.starts_with("run_") && counters.report().phase != RunPhase::Confirm =>
            {
                tracing::warn!(%run_id, message, "the server has ended the run");
                counters.refuse(message);
                return;
            }
            Err(error) => tracing::debug!(%run_id, %error, "a progress report was lost"),
        }
    }
}

async fn transfer(
    state: &State,
    client: &Client,
    work: BackupWork,
    observer: Arc<dyn Observer>,
    counters: Arc<RunCounters>,
) -> Result<SnapshotSummary, BackupError> {
    let recovery = enroll::pinned_key(&work.backup_set, state.config().fingerprint)?;
    let limit = work
        .source
        .options
        .max_upload_bytes_per_second
        .and_then(Rate::new);
    let (queue, uploads) = UploadQueue::start(client.clone(), work.run_id, limit, counters.clone());
    let thread = Thread {
        handle: Handle::current(),
        client: client.clone(),
        agent_id: state.config().agent_id,
        instance_id: state.config().instance_id.clone(),
        signing_key: state.signing_key()?,
        secret: state.source_secret(work.source.id)?,
        cache_path: state.cache_path(work.source.id)?,
        journal_path: state.journal_path(work.source.id)?,
        commit_path: state.commit_path(work.source.id)?,
        state_folder: state.folder().to_owned(),
        recovery,
        work,
        observer,
        counters: counters.clone(),
        queue,
    };
    // Dropping this future (the process is told to end) must stop the walk as well.
    let stop = StopOnDrop(counters);
    let paths = thread.work.source.paths.clone();
    let patience = client.storage().patience();
    let (done, outcome) = oneshot::channel();
    std::thread::Builder::new()
        .name("backup".to_owned())
        .spawn(move || {
            let _ = done.send(thread.run());
        })
        .map_err(|error| BackupError::Thread(error.to_string()))?;
    let result = match ended(outcome, &stop.0, patience.hang, &paths).await {
        Ok(result) => result,
        Err(abandoned) => {
            // With the thread goes the queue that the far end waits for.
            uploads.abort();
            return Err(abandoned);
        }
    };
    // The queue is gone with the thread; what it reports explains a `Stopped`.
    match uploads.await {
        Ok(Err(error)) if result.is_err() && !matches!(error, UploadError::Stopped) => Err(error.into()),
        _ => result,
    }
}

/// Waits for the result of the thread of a run. A call into a file system that does not come back keeps the thread for ever: it is
/// abandoned, after `hang` or soon after the run was told to stop, and sees to it itself that it ends when it can.
///
/// # Errors
/// When the thread was abandoned.
async fn ended(
    mut outcome: oneshot::Receiver<Result<SnapshotSummary, BackupError>>,
    counters: &RunCounters,
    hang: Duration,
    paths: &[String],
) -> Result<Result<SnapshotSummary, BackupError>, BackupError> {
    let lost = |_| Err(BackupError::Thread("it ended without a result".to_owned()));
    let abandoned = tokio::select! {
        result = &mut outcome => return Ok(result.unwrap_or_else(lost)),
        () = counters.until_stopped() => BackupError::Interrupted,
        hangs = until_hanging(counters, hang) => {
            counters.stop();
            let path = paths.get(hangs.path).cloned().unwrap_or_default();
            BackupError::Hangs { path, minutes: hangs.lasts.as_secs() / 60 }
        }
    };
    match tokio::time::timeout(ABANDON_AFTER, outcome).await {
        Ok(result) => {
            let result = result.unwrap_or_else(lost);
            // Why it was told to stop, unless it came to its end all the same.
            Ok(match (result, abandoned) {
                (Err(BackupError::Interrupted | BackupError::Stopped), why) => Err(why),
                (result, _) => result,
            })
        }
        // What the thread commits is kept, and goes on when the agent runs again.
        Err(_) if counters.report().phase == RunPhase::Confirm => Err(BackupError::Unconfirmed {
            reason: "the agent was stopped".to_owned(),
        }),
        Err(_) => {
            tracing::warn!("a read does not come back; the thread that waits for it is left to itself");
            Err(abandoned)
        }
    }
}

async fn until_hanging(counters: &RunCounters, hang: Duration) -> Hang {
    loop {
        tokio::time::sleep(REPORT_EVERY.min(hang)).await;
        let longest = counters.readings.longest(clock::milliseconds());
        if let Some(longest) = longest.filter(|longest| longest.lasts >= hang) {
            return longest;
        }
    }
}

struct StopOnDrop(Arc<RunCounters>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The part that reads files and waits: on a thread of its own.
struct Thread {
    handle: Handle,
    client: Client,
    agent_id: AgentId,
    instance_id: String,
    signing_key: AgentSigningKey,
    secret: SourceSecret,
    cache_path: PathBuf,
    journal_path: PathBuf,
    commit_path: PathBuf,
    state_folder: PathBuf,
    recovery: RecoveryPublicKey,
    work: BackupWork,
    observer: Arc<dyn Observer>,
    counters: Arc<RunCounters>,
    queue: UploadQueue,
}

impl Thread {
    fn run(self) -> Result<SnapshotSummary, BackupError> {
        let cache = Cache::open(&self.cache_path)?;
        let run = cache.begin()?;
        let parent = self.parent(&run)?;
        let adopted = self.adopt(&run)?;
        let journal = Resume::begin(&self.journal_path, self.secret.chunk_key(), &adopted);
        let adopted: Vec<PackLayout> = adopted.into_iter().map(|noted| noted.layout).collect();
        let job = Job {
            agent_id: self.agent_id,
            run_id: self.work.run_id,
            source: &self.work.source,
            parent,
            do_not_reuse: &self.work.do_not_reuse,
            signing_key: &self.signing_key,
            secret: &self.secret,
            recovery: &self.recovery,
            state_folder: Some(&self.state_folder),
            adopted: &adopted,
            settle: MTIME_TRUST_DELAY,
            counters: &self.counters,
            observer: self.observer.as_ref(),
            users: &Users::default(),
        };
        let queue = NotingQueue {
            queue: &self.queue,
            journal: &journal,
        };
        let prepared = prepare(&job, &run, &queue)?;
        self.counters.enter(RunPhase::Confirm);
        let committed = self.handle.block_on(self.commit(&prepared));
        let seq = match &committed {
            Ok(snapshot) => snapshot.seq,
            // It has its number, and may have lost what a reload would read: its manifest, say.
            Err(BackupError::Broken { seq, .. }) => *seq,
            Err(_) => return committed,
        };
        let head = Head {
            seq,
            manifest: prepared.manifest.hash,
            instance_id: self.instance_id.clone(),
        };
        // The snapshot stands; a cache that cannot be written costs the next run time, not data.
        if let Err(error) = prepared.remember(run, &head) {
            tracing::warn!(%error, "the cache could not be written; the next backup will rebuild it");
        }
        journal.end();
        committed
    }

    /// The packs of runs that broke off and that the bucket holds.
    fn adopt(&self, run: &CacheRun) -> Result<Vec<Noted>, BackupError> {
        let leftover = adopt::leftover(&self.journal_path, &self.secret.chunk_key());
        if leftover.packs.is_empty() {
            return Ok(Vec::new());
        }
        let candidates = adopt::candidates(leftover, &run.packs()?, &self.work.do_not_reuse);
        let ask = adopt::adopt(&self.client, self.work.run_id, candidates);
        self.wait_for(async { Ok(ask.await?) })
    }

    /// What the cache and the bucket say of the snapshot to build on.
    fn parent(&self, run: &CacheRun) -> Result<Parent, BackupError> {
        let head = run.head()?;
        let list = run.list()?;
        let matches = match (&head, &self.work.parent) {
            (Some(head), Some(parent)) => {
                (head.seq, head.manifest) == (parent.seq, parent.manifest.hash)
                    && head.instance_id == self.instance_id
            }
            _ => false,
        };
        if let (true, Some(list)) = (matches, list) {
            let snapshot = self.work.parent.as_ref();
            return Ok(Parent {
                seq: snapshot.map_or(0, |parent| parent.seq),
                manifest: snapshot.map(|parent| parent.manifest.hash),
                unlisted: Vec::new(),
                list,
            });
        }
        if head.is_some() {
            tracing::warn!(
                "the cache is not of the newest snapshot (another agent's state, or a lost commit): reloading the index"
            );
        }
        run.clear()?;
        let Some(parent) = &self.work.parent else {
            return Ok(Parent::default());
        };
        self.wait_for(parent::reload(
            &self.client,
            self.work.source.id,
            parent,
            &self.secret.index_key(),
            run,
        ))
    }

    /// Waits, unless the run is told to stop.
    fn wait_for<T>(&self, work: impl Future<Output = Result<T, BackupError>>) -> Result<T, BackupError> {
        self.handle.block_on(async {
            tokio::select! {
                done = work => done,
                () = self.counters.until_stopped() => Err(BackupError::Interrupted),
            }
        })
    }

    async fn commit(&self, prepared: &Prepared) -> Result<SnapshotSummary, BackupError> {
        let commit = commit::Commit::new(self.work.run_id, prepared)?;
        commit.keep(&self.commit_path);
        // A run that is over before the first report was due has its figures too.
        let last = self.counters.report();
        if let Err(error) = self.client.run_progress(self.work.run_id, &last).await {
            tracing::debug!(%error, "the last progress report was lost");
        }
        let outcome = commit.send(&self.client, 0, &self.counters).await;
        match outcome {
            Err(error @ BackupError::Unconfirmed { .. }) => Err(error),
            Err(error) if commit::may_go_on(&error) => Err(BackupError::Uncommitted {
                reason: error.to_string(),
            }),
            outcome => {
                commit::forget(&self.commit_path);
                outcome
            }
        }
    }
}
