//! What an agent does with runs: fetches one, reports, commits or gives up.
//!
//! The run's id is its fencing token. A run that was superseded or failed refuses every later call, so an agent
//! that comes back from the dead can do no harm.

use jiff::{SignedDuration, Timestamp};
use shared::{
    api::agent::{
        AbortRequest, BackupWork, CommitRequest, ParentSnapshot, RunPhase, RunProgress, RunState, RunStatus,
        SnapshotSummary, SnapshotTotals, SourceSpec, Work,
    },
    ids::{RunId, SourceId},
    object::ObjectKind,
};

use super::{
    caller::{find_own_run, must_run, own_run, own_source},
    commit_pages, enrollment,
};
use crate::{
    app::App,
    db::{self, TenantTx, agents::Agent, jobs::JobKind, runs::Run, sources::Source},
    error::ApiError,
    long_polls::DISPLACED_FOR,
    random,
    scope::Caller,
    use_cases::{
        input::said,
        system::{again, runs},
        views,
    },
};

/// How long a run may take from its start to its commit.
const RUN_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// A run whose agent has reported nothing for so long, while that agent asks for work, has lost its agent.
const PROGRESS_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);
/// How often at most an agent's *last seen* is written.
const SEEN_EVERY: SignedDuration = SignedDuration::from_secs(15);

/// Notes that the agent called.
///
/// # Errors
/// When the database does not answer.
pub async fn seen(app: &App, caller: &Caller) -> Result<(), ApiError> {
    let now = app.clock.now();
    if caller
        .agent
        .last_seen_at
        .is_some_and(|seen| now.duration_since(seen) < SEEN_EVERY)
    {
        return Ok(());
    }
    let tx = app.db.tenant(&caller.scope).await?;
    db::agents::seen(&tx, caller.agent.id, now).await?;
    Ok(tx.commit().await?)
}

/// The agent's sources.
///
/// # Errors
/// When the database does not answer.
pub async fn list_sources(app: &App, caller: &Caller) -> Result<Vec<SourceSpec>, ApiError> {
    let tx = app.db.tenant(&caller.scope).await?;
    Ok(db::sources::of_agent(&tx, caller.agent.id)
        .await?
        .iter()
        .map(spec)
        .collect())
}

fn spec(source: &Source) -> SourceSpec {
    SourceSpec {
        id: source.id,
        name: source.name.clone(),
        paths: source.paths.clone(),
        excludes: source.excludes.clone(),
        options: source.options.clone(),
    }
}

/// The next queued run of the agent, started; waits up to `wait` while there is none. An agent waits once: a second call takes
/// the place of the first, which is answered with nothing.
///
/// # Errors
/// When the database does not answer.
pub async fn next_work(app: &App, caller: &Caller, wait: std::time::Duration) -> Result<Work, ApiError> {
    // Who does not wait takes no place from the call that does.
    if wait.is_zero() {
        let work = take_queued(app, caller).await?;
        return Ok(work.map_or(Work::None, |work| Work::Backup(Box::new(work))));
    }
    let poll = app.long_polls.wait(caller.agent.id);
    let deadline = tokio::time::sleep(wait);
    tokio::pin!(deadline);
    loop {
        // Looks to the end: a run that is begun is always handed over. Only the waiting is cut short.
        if let Some(work) = take_queued(app, caller).await? {
            return Ok(Work::Backup(Box::new(work)));
        }
        tokio::select! {
            () = &mut deadline => return Ok(Work::None),
            () = poll.woken() => {}
            () = poll.displaced() => {
                let rest = tokio::time::sleep(DISPLACED_FOR);
                tokio::select! {
                    () = &mut deadline => {}
                    () = rest => {}
                }
                return Ok(Work::None);
            }
        }
    }
}

async fn take_queued(app: &App, caller: &Caller) -> Result<Option<BackupWork>, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&caller.scope).await?;
    let open = db::runs::open_of_agent(&tx, caller.agent.id).await?;
    drop(tx);
    for run in open {
        if !(run.is_ripe(now) || run.state == RunState::Running) {
            continue;
        }
        let tx = app.db.tenant(&caller.scope).await?;
        let Some(source) = db::sources::lock(&tx, run.source_id).await? else {
            continue;
        };
        let Some(mut run) = db::runs::lock(&tx, run.id).await? else {
            continue;
        };
        let lost = run.state == RunState::Running
            && run
                .reported_at
                .or(run.started_at)
                .is_some_and(|at| now.duration_since(at) > PROGRESS_TIMEOUT);
        if lost {
            // The agent asks for work, so it no longer does this: it was restarted in the middle of the run.
            run.fail(
                "The agent was restarted in the middle of the run. A new run was queued.",
                now,
            );
            db::runs::save(&tx, &run).await?;
            let (next, _) = runs::queue(&tx, &source, now).await?;
            run = next;
        }
        if run.is_ripe(now) {
            let work = begin(&tx, &caller.agent, &source, &mut run, now).await?;
            let view = views::run(&run, &source, &caller.agent.hostname);
            tx.commit().await?;
            runs::announce(app, &caller.scope, view);
            return Ok(Some(work));
        }
    }
    Ok(None)
}

/// Starts a run of one source now. A run of that source that this agent had begun is given up: an agent works on
/// one at a time.
///
/// # Errors
/// `NotFound` when the agent has no such source; `Conflict` while the server still confirms the last run.
pub async fn start(app: &App, caller: &Caller, source: SourceId) -> Result<BackupWork, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&caller.scope).await?;
    let source = own_source(&tx, caller, source).await?;
    runs::must_not_be_retired(&source)?;
    if let Some(open) = db::runs::open_of_source(&tx, source.id).await?
        && let Some(mut open) = db::runs::lock(&tx, open.id).await?
    {
        match open.state {
            RunState::Committing | RunState::Locking => {
                return Err(ApiError::conflict(
                    "run_open",
                    "The server is still confirming the locks of the last run of this source. Try again in a moment.",
                ));
            }
            RunState::Running => {
                open.fail("The agent began another run of this source.", now);
                db::runs::save(&tx, &open).await?;
            }
            RunState::Queued | RunState::Succeeded | RunState::Failed => {}
        }
    }
    let (mut run, _) = runs::queue(&tx, &source, now).await?;
    let work = begin(&tx, &caller.agent, &source, &mut run, now).await?;
    let view = views::run(&run, &source, &caller.agent.hostname);
    tx.commit().await?;
    runs::announce(app, &caller.scope, view);
    Ok(work)
}

async fn begin(
    tx: &TenantTx,
    agent: &Agent,
    source: &Source,
    run: &mut Run,
    now: Timestamp,
) -> Result<BackupWork, ApiError> {
    let deadline = now + RUN_LIFE;
    run.state = RunState::Running;
    run.started_at = Some(now);
    run.reported_at = Some(now);
    run.deadline = Some(deadline);
    (run.not_before, run.error) = (None, None);
    db::runs::save(tx, run).await?;
    let set = db::backup_sets::find(tx, agent.backup_set_id)
        .await?
        .ok_or(ApiError::NotFound("backup set"))?;
    let parent = db::snapshots::parent(tx, source.id).await?;
    Ok(BackupWork {
        run_id: run.id,
        source: spec(source),
        backup_set: enrollment::keys(&set),
        parent: parent.map(|parent| ParentSnapshot {
            snapshot_id: parent.id,
            seq: parent.seq,
            manifest: parent.manifest,
        }),
        deadline,
        do_not_reuse: db::ledger::not_reused(tx, source.id).await?,
    })
}

/// Keeps a report.
///
/// # Errors
/// `Conflict` when the run is over.
pub async fn progress(app: &App, caller: &Caller, run: RunId, report: RunProgress) -> Result<(), ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&caller.scope).await?;
    let (mut run, source) = own_run(&tx, caller, run).await?;
    must_run(&run, now)?;
    run.progress = Some(report);
    run.reported_at = Some(now);
    db::runs::save(&tx, &run).await?;
    tx.commit().await?;
    runs::announce(
        app,
        &caller.scope,
        views::run(&run, &source, &caller.agent.hostname),
    );
    Ok(())
}

/// Makes a commit durable, once its pages are there. The job that follows confirms every lock; the agent asks for the status meanwhile.
/// Asking again for the same commit is harmless.
///
/// # Errors
/// `Conflict` when the run is over, another snapshot came in between, or pages are missing.
pub async fn commit(
    app: &App,
    caller: &Caller,
    run: RunId,
    request: CommitRequest,
) -> Result<RunStatus, ApiError> {
    let now = app.clock.now();
    if request.manifest.kind != ObjectKind::Manifest {
        return Err(ApiError::invalid(
            "manifest",
            "manifest: not an object of kind manifest.",
        ));
    }
    let tx = app.db.tenant(&caller.scope).await?;
    let (mut run, source) = own_run(&tx, caller, run).await?;
    // A run commits once. An agent that asks again has missed the answer.
    if matches!(
        run.state,
        RunState::Committing | RunState::Locking | RunState::Succeeded
    ) {
        return status_in(&tx, &run).await;
    }
    must_run(&run, now)?;
    if request.parent_seq != source.newest_seq {
        return Err(ApiError::conflict(
            "parent",
            format!(
                "The run built on snapshot {}, but the newest is {}. Start another run.",
                request.parent_seq, source.newest_seq
            ),
        ));
    }
    commit_pages::must_be_whole(&tx, run.id, &request).await?;
    run.state = RunState::Committing;
    run.received_at = Some(now);
    run.to_confirm = request.change.added + 1;
    let report = request.report.clone();
    run.report = report.map(|report| report.bounded(source.excludes.len()));
    run.progress = Some(last_progress(run.progress.as_ref(), &request.totals));
    db::commit_pages::set_request(&tx, run.id, &request).await?;
    db::runs::save(&tx, &run).await?;
    db::jobs::queue(
        &tx,
        random::uuid(now),
        JobKind::Commit,
        run.id.as_uuid(),
        Some(source.id),
        now,
    )
    .await?;
    let status = status_in(&tx, &run).await?;
    tx.commit().await?;
    runs::announce(
        app,
        &caller.scope,
        views::run(&run, &source, &caller.agent.hostname),
    );
    app.jobs_changed();
    Ok(status)
}

/// How far a run is that commits: at the end, with the figures that its snapshot tells. The agent's last report may be lost, and knows
/// nothing yet of what the manifest says.
fn last_progress(before: Option<&RunProgress>, totals: &SnapshotTotals) -> RunProgress {
    let found = totals.files + totals.folders;
    let files = before.map_or(found, |before| before.files_done.max(found));
    RunProgress {
        phase: RunPhase::Confirm,
        files_done: files,
        files_total: Some(files),
        bytes_done: totals.bytes,
        bytes_total: Some(totals.bytes),
        bytes_sent: totals.bytes_sent,
        warnings: totals.warnings,
        stuck: None,
    }
}

/// Gives a run up. What failed for the store's or the network's sake is queued again.
///
/// # Errors
/// `NotFound` when it is not this agent's.
pub async fn abort(app: &App, caller: &Caller, run: RunId, request: &AbortRequest) -> Result<(), ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&caller.scope).await?;
    let (mut run, source) = own_run(&tx, caller, run).await?;
    if !matches!(run.state, RunState::Running | RunState::Queued) {
        return Ok(());
    }
    run.fail(said(&request.reason), now);
    db::runs::save(&tx, &run).await?;
    let again = match request.may_pass {
        true => again::queue(&tx, &source, &run, now).await?,
        false => None,
    };
    tx.commit().await?;
    for run in std::iter::once(run).chain(again) {
        let view = views::run(&run, &source, &caller.agent.hostname);
        runs::announce(app, &caller.scope, view);
    }
    Ok(())
}

/// Where a run stands.
///
/// # Errors
/// `NotFound` when it is not this agent's.
pub async fn status(app: &App, caller: &Caller, run: RunId) -> Result<RunStatus, ApiError> {
    let tx = app.db.tenant(&caller.scope).await?;
    let (run, _) = find_own_run(&tx, caller, run).await?;
    status_in(&tx, &run).await
}

async fn status_in(tx: &TenantTx, run: &Run) -> Result<RunStatus, ApiError> {
    let mut summary = None;
    if let Some(id) = run.snapshot_id {
        let snapshot = db::snapshots::find(tx, id)
            .await?
            .ok_or(ApiError::NotFound("snapshot"))?;
        let source = db::sources::find(tx, run.source_id)
            .await?
            .ok_or(ApiError::NotFound("source"))?;
        summary = Some(views::snapshot_summary(&snapshot, &source));
    }
    Ok(RunStatus {
        run_id: run.id,
        state: run.state,
        snapshot: summary,
        error: run.error.clone(),
    })
}

/// The agent's complete snapshots, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn snapshots(app: &App, caller: &Caller) -> Result<Vec<SnapshotSummary>, ApiError> {
    let tx = app.db.tenant(&caller.scope).await?;
    let sources = db::sources::of_agent(&tx, caller.agent.id).await?;
    let snapshots = db::snapshots::of_agent(&tx, caller.agent.id).await?;
    Ok(snapshots
        .iter()
        .filter_map(|snapshot| {
            let source = sources.iter().find(|source| source.id == snapshot.source_id)?;
            Some(views::snapshot_summary(snapshot, source))
        })
        .collect())
}
