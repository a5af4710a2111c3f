//! The daemon: waits for work, does it, and never gives up on a server that is away.

use std::{future::Future, path::Path, sync::Arc, time::Duration};

use shared::api::agent::Work;

use crate::{
    backup,
    backup::BackupError,
    client::{Client, ClientError, Patience},
    limit::Limits,
    progress::{Observer, RunCounters},
    retry,
    state::State,
    warning_log::WarningLog,
};

/// How long one question for work is held open.
const POLL_WAIT: Duration = Duration::from_secs(25);
/// A run that was told to stop gets this long to end and to tell the server.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(8);
/// The pause after an answer that is a refusal or makes no sense.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(30);

/// How a daemon works.
pub struct Settings {
    /// Come before the limits of the state folder.
    pub limits: Limits,
    /// For how long requests are repeated, and reads waited for.
    pub patience: Patience,
    /// Makes the counters of each run.
    pub counters: Box<dyn Fn() -> RunCounters + Send + Sync>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            patience: Patience::LONG,
            counters: Box::new(RunCounters::new),
        }
    }
}

/// Runs until `stop` resolves.
///
/// # Errors
/// When the state does not read. Failures of runs and of the network are logged, not returned.
pub async fn daemon(
    state_folder: &Path,
    settings: Settings,
    observer: Arc<dyn Observer>,
    stop: impl Future<Output = ()>,
) -> Result<(), BackupError> {
    let state = State::open(state_folder)?;
    let client = Client::patient(&state, settings.limits, settings.patience)?;
    let observer: Arc<dyn Observer> = Arc::new(WarningLog::new(observer));
    tracing::info!(agent = %state.config().agent_id, server = %state.config().server, "waiting for work");
    let mut stop = std::pin::pin!(stop);
    let mut failures = 0;
    loop {
        let answer = tokio::select! {
            () = &mut stop => break,
            answer = next_work(&state, &client) => answer,
        };
        match answer {
            Ok(Work::None) => failures = 0,
            Ok(Work::Backup(work)) => {
                failures = 0;
                let (run_id, source_id) = (work.run_id, work.source.id);
                tracing::info!(%run_id, %source_id, "a backup begins");
                let counters = Arc::new((settings.counters)());
                let mut run = std::pin::pin!(backup::backup_work(
                    &state,
                    &client,
                    *work,
                    observer.clone(),
                    counters.clone()
                ));
                tokio::select! {
                    result = &mut run => log(run_id, result),
                    () = &mut stop => {
                        tracing::info!(%run_id, "stopping: the run is given up");
                        counters.stop();
                        match tokio::time::timeout(STOP_TIMEOUT, run).await {
                            Ok(result) => log(run_id, result),
                            Err(_) => tracing::warn!(%run_id, "the run did not end in time"),
                        }
                        break;
                    }
                }
            }
            Err(error) => {
                failures += 1;
                let pause = match &error {
                    ClientError::Refused { .. } | ClientError::Answer { .. } => PAUSE_AFTER_REFUSAL,
                    _ => retry::pause(failures),
                };
                tracing::warn!(%error, retry_in = ?pause, "no work could be fetched");
                tokio::select! {
                    () = &mut stop => break,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
    tracing::info!("stopped");
    Ok(())
}

async fn next_work(state: &State, client: &Client) -> Result<Work, ClientError> {
    backup::finish_interrupted(state, client).await?;
    client.work(POLL_WAIT).await
}

fn log(run_id: shared::ids::RunId, result: Result<shared::api::agent::SnapshotSummary, BackupError>) {
    match result {
        Ok(snapshot) => tracing::info!(
            %run_id,
            snapshot = %snapshot.id,
            seq = snapshot.seq,
            bytes_sent = snapshot.totals.bytes_sent,
            warnings = snapshot.totals.warnings,
            protected_until = %snapshot.protected_until,
            "the snapshot is complete"
        ),
        Err(error) => tracing::error!(%run_id, %error, "the backup failed"),
    }
}
