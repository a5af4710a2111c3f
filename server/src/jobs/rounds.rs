//! Periodic rounds: due schedules, runs past their deadline, ended sessions.

use std::time::Duration;

use shared::api::agent::RunState;

use crate::{
    app::App,
    db::{self, sessions::PostgresSessions},
    error::ApiError,
    scope::TenantScope,
    use_cases::sources,
};

/// How often schedules are looked at.
const SCHEDULE_EVERY: Duration = Duration::from_secs(2);
/// How often what has ended is tidied away.
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// Queues the runs that are due, and fails those past their deadline.
pub async fn schedule(app: App) {
    loop {
        match TenantScope::all(&app.db).await {
            Ok(scopes) => {
                for scope in scopes {
                    // One tenant's trouble must not stop the others' backups.
                    if let Err(error) = round(&app, &scope).await {
                        tracing::error!(%error, tenant = %scope.tenant(), "a tenant's schedule round failed");
                    }
                }
            }
            Err(error) => tracing::error!(%error, "the list of tenants can not be read"),
        }
        tokio::time::sleep(SCHEDULE_EVERY).await;
    }
}

async fn round(app: &App, scope: &TenantScope) -> Result<(), ApiError> {
    queue_due(app, scope).await?;
    fail_overdue(app, scope).await
}

async fn queue_due(app: &App, scope: &TenantScope) -> Result<(), ApiError> {
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
        let (run, queued) = sources::queue(&tx, &source, now).await?;
        db::sources::set_next_due(&tx, source.id, source.schedule.next_after(now)?).await?;
        let view = sources::run_view(&tx, &run, &source).await?;
        tx.commit().await?;
        if queued {
            sources::announce(app, scope, view);
            app.work_changed();
        }
    }
    Ok(())
}

async fn fail_overdue(app: &App, scope: &TenantScope) -> Result<(), ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(scope).await?;
    let overdue = db::runs::overdue(&tx, now).await?;
    drop(tx);
    for run in overdue {
        let tx = app.db.tenant(scope).await?;
        let Some(mut run) = db::runs::lock(&tx, run).await? else {
            continue;
        };
        if run.state != RunState::Running {
            continue;
        }
        run.fail("The run did not end before its deadline.", now);
        db::runs::save(&tx, &run).await?;
        let source = db::sources::find(&tx, run.source_id)
            .await?
            .ok_or(ApiError::NotFound("source"))?;
        let view = sources::run_view(&tx, &run, &source).await?;
        tx.commit().await?;
        sources::announce(app, scope, view);
    }
    Ok(())
}

/// Deletes ended sessions, and forgets quiet keys of the rate limits.
pub async fn tidy(app: App) {
    let sessions = PostgresSessions::new(app.db.clone());
    loop {
        app.attempts.tidy();
        if let Err(error) = sessions.delete_ended().await {
            tracing::error!(%error, "ended sessions could not be deleted");
        }
        tokio::time::sleep(TIDY_EVERY).await;
    }
}
