//! Periodic rounds: due schedules, runs past their deadline, ended sessions.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::api::{agent::RunState, view::RunView};

use super::{check, commit, error::JobError};
use crate::{
    app::App,
    db::{self, jobs::JobKind, runs::Run, sessions::PostgresSessions},
    random,
    scope::TenantScope,
    use_cases::system::{again, refused_sign_ins, runs},
};

/// How often schedules are looked at.
const SCHEDULE_EVERY: Duration = Duration::from_secs(2);
/// How often a bucket is compared with the ledger.
const CHECK_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// How often what has ended is tidied away.
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// One round after the other.
pub async fn schedule(app: App) {
    loop {
        if let Err(error) = once(&app).await {
            tracing::error!(%error, "the list of tenants can not be read");
        }
        tokio::time::sleep(SCHEDULE_EVERY).await;
    }
}

/// One round: queues the runs and sweeps that are due, and fails runs past their deadline.
///
/// # Errors
/// When the list of tenants can not be read.
pub async fn once(app: &App) -> Result<(), JobError> {
    for scope in TenantScope::all(&app.db).await? {
        // One tenant's trouble must not stop the others' backups.
        if let Err(error) = round(app, &scope).await {
            tracing::error!(%error, tenant = %scope.tenant(), "a tenant's schedule round failed");
        }
    }
    Ok(())
}

async fn round(app: &App, scope: &TenantScope) -> Result<(), JobError> {
    queue_due(app, scope).await?;
    wake_ripe(app, scope).await?;
    fail_overdue(app, scope).await?;
    fail_unclaimed_commits(app, scope).await?;
    queue_sweeps(app, scope).await?;
    queue_checks(app, scope).await
}

/// A day after the last one; the first within a day, at a time of its own for each backup set, so that they are spread.
async fn queue_checks(app: &App, scope: &TenantScope) -> Result<(), JobError> {
    let now = app.clock.now();
    let tx = app.db.tenant(scope).await?;
    let due = db::checks::due(&tx, now).await?;
    drop(tx);
    for (set, planned) in due {
        let next = match planned {
            Some(planned) => {
                let next = planned + CHECK_EVERY;
                // What passed while the server was down is not made up for.
                if next > now { next } else { now + CHECK_EVERY }
            }
            None => now + check::first_within(set, CHECK_EVERY),
        };
        let tx = app.db.tenant(scope).await?;
        db::checks::set_next(&tx, set, next).await?;
        if planned.is_some() {
            let id = random::uuid(now);
            db::jobs::queue(&tx, id, JobKind::Check, set.as_uuid(), None, now).await?;
        }
        tx.commit().await?;
        app.jobs_changed();
    }
    Ok(())
}

async fn queue_sweeps(app: &App, scope: &TenantScope) -> Result<(), JobError> {
    let now = app.clock.now();
    let tx = app.db.tenant(scope).await?;
    let due = db::sources::due_for_sweep(&tx, now).await?;
    drop(tx);
    for source in due {
        let tx = app.db.tenant(scope).await?;
        let Some(source) = db::sources::lock(&tx, source.id).await? else {
            continue;
        };
        if source.next_sweep_at.is_some_and(|at| at > now) {
            continue;
        }
        let set = db::backup_sets::find(&tx, source.backup_set_id)
            .await?
            .ok_or_else(|| JobError::Internal("no such backup set".into()))?;
        db::sources::set_next_sweep(&tx, source.id, now + set.policy.sweep_every()).await?;
        db::jobs::queue(
            &tx,
            random::uuid(now),
            JobKind::Sweep,
            source.id.as_uuid(),
            Some(source.id),
            now,
        )
        .await?;
        tx.commit().await?;
        app.jobs_changed();
    }
    Ok(())
}

async fn queue_due(app: &App, scope: &TenantScope) -> Result<(), JobError> {
    let now = app.clock.now();
    let tx = app.db.tenant(scope).await?;
    let due = db::sources::due(&tx, now).await?;
    drop(tx);
    for source in due {
        let tx = app.db.tenant(scope).await?;
        let Some(source) = db::sources::lock(&tx, source.id).await? else {
            continue;
        };
        if source.next_due.is_none_or(|due| due > now) {
            continue;
        }
        // Occurrences that passed while nobody was there, or while a run was open, are skipped, not made up for.
        let (run, queued) = runs::queue(&tx, &source, now).await?;
        // A line that another version took and that never comes due must not hold up the tenant's other sources.
        let next = source.schedule.next_after(now).unwrap_or_else(|error| {
            tracing::error!(source = %source.id, %error, "a schedule has no next run");
            None
        });
        db::sources::set_next_due(&tx, source.id, next).await?;
        let view = runs::view(&tx, &run, &source).await?;
        tx.commit().await?;
        if queued {
            runs::announce(app, scope, view);
            app.long_polls.wake(source.agent_id);
        }
    }
    Ok(())
}

/// Hands out the runs whose pause is over: their agents are woken.
async fn wake_ripe(app: &App, scope: &TenantScope) -> Result<(), JobError> {
    let now = app.clock.now();
    let tx = app.db.tenant(scope).await?;
    let ripe = db::runs::ripe(&tx, now).await?;
    drop(tx);
    for (source, run) in ripe {
        let tx = app.db.tenant(scope).await?;
        let Some(source) = db::sources::lock(&tx, source).await? else {
            continue;
        };
        let Some(mut run) = db::runs::lock(&tx, run).await? else {
            continue;
        };
        if !run.is_ripe(now) {
            continue;
        }
        run.not_before = None;
        db::runs::save(&tx, &run).await?;
        let view = runs::view(&tx, &run, &source).await?;
        tx.commit().await?;
        runs::announce(app, scope, view);
        app.long_polls.wake(source.agent_id);
    }
    Ok(())
}

async fn fail_overdue(app: &App, scope: &TenantScope) -> Result<(), JobError> {
    let now = app.clock.now();
    let tx = app.db.tenant(scope).await?;
    let overdue = db::runs::overdue(&tx, now).await?;
    drop(tx);
    for (source, run) in overdue {
        let tx = app.db.of_source(scope, source).await?;
        let Some(mut run) = db::runs::lock(&tx, run).await? else {
            continue;
        };
        if run.state == RunState::Running {
            run.fail("The run did not end before its deadline.", now);
            db::runs::save(&tx, &run).await?;
            let views = failed(&tx, &run, now).await?;
            end(app, scope, tx, views).await?;
        }
    }
    Ok(())
}

/// Fails commits that have waited for too long and that nobody ever took up: a job gives up by itself, but only when it has its
/// turn, and it may have none. One that a server finds waiting at its start is left for another round, in which it had its turn.
async fn fail_unclaimed_commits(app: &App, scope: &TenantScope) -> Result<(), JobError> {
    let now = app.clock.now();
    let tx = app.db.tenant(scope).await?;
    let waiting = db::runs::committing_since(&tx, now - commit::GIVE_UP_AFTER).await?;
    drop(tx);
    for (source, run) in waiting {
        if app.waited_for(run) {
            continue;
        }
        let tx = app.db.of_source(scope, source).await?;
        let Some(mut run) = db::runs::lock(&tx, run).await? else {
            continue;
        };
        if run.state == RunState::Committing {
            let why = run.error.take();
            let why = why.as_deref().unwrap_or("the server had no turn for it.");
            run.fail(format!("Given up after 24 hours: {why}"), now);
            // Jobs come last in the order of locks, so the run is saved before. One that is at work ends the run itself.
            db::runs::save(&tx, &run).await?;
            let views = failed(&tx, &run, now).await?;
            if db::jobs::withdraw_untried(&tx, JobKind::Commit, run.id.as_uuid(), now).await? {
                end(app, scope, tx, views).await?;
            }
        }
    }
    Ok(())
}

/// What is told of a run that was failed and may do better another time, and of the one that is queued again for it.
async fn failed(tx: &db::TenantTx, run: &Run, now: Timestamp) -> Result<Vec<RunView>, JobError> {
    let source = db::sources::find(tx, run.source_id)
        .await?
        .ok_or_else(|| JobError::Internal("no such source".into()))?;
    let mut views = vec![runs::view(tx, run, &source).await?];
    if let Some(next) = again::queue(tx, &source, run, now).await? {
        views.push(runs::view(tx, &next, &source).await?);
    }
    Ok(views)
}

/// Ends the transaction, and tells what came of it.
async fn end(app: &App, scope: &TenantScope, tx: db::TenantTx, views: Vec<RunView>) -> Result<(), JobError> {
    tx.commit().await?;
    for view in views {
        runs::announce(app, scope, view);
    }
    Ok(())
}

/// Forgets what runs commit that have ended: an end that was written by other means than [`db::runs::save`] leaves it behind.
///
/// # Errors
/// When the list of tenants can not be read.
pub async fn forget_ended_commits(app: &App) -> Result<(), JobError> {
    for scope in TenantScope::all(&app.db).await? {
        let tx = app.db.tenant(&scope).await?;
        let sources = db::commit_pages::with_ended_runs(&tx).await?;
        drop(tx);
        for source in sources {
            let tx = app.db.of_source(&scope, source).await?;
            db::commit_pages::forget_ended(&tx, source).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}

/// Deletes ended sessions and left-over commits, and forgets budgets that are whole; tells of refused sign-ins.
pub async fn tidy(app: App) {
    let sessions = PostgresSessions::new(app.db.clone(), app.bearers.clone());
    loop {
        app.guesses.tidy(app.clock.now());
        if let Err(error) = refused_sign_ins::tell(&app, false).await {
            tracing::error!(%error, "refused sign-ins could not be told in the audit log");
        }
        if let Err(error) = sessions.delete_ended().await {
            tracing::error!(%error, "ended sessions could not be deleted");
        }
        if let Err(error) = forget_ended_commits(&app).await {
            tracing::error!(%error, "pages of ended runs could not be deleted");
        }
        tokio::time::sleep(TIDY_EVERY).await;
    }
}
