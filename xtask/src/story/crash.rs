//! The server is killed in the middle of a backup and started again.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use shared::{
    api::{
        agent::RunState,
        view::{RunView, SnapshotState},
    },
    ids::{RunId, SourceId},
};

use super::{
    backups::{self, Restorable},
    paths::StoryPaths,
    report::Report,
    set_up::StoryContext,
};
use crate::{api::Api, clock, demo::customer, files, say, stack::Stack};

const FILES: u64 = 12;
const BYTES_EACH: u64 = 16 << 20;

/// Tells it. Gives the snapshot that was made afterwards.
pub async fn tell(
    stack: &mut Stack,
    report: &mut Report,
    context: &StoryContext,
    paths: &StoryPaths,
) -> Option<Restorable> {
    let source = report
        .step("a source with larger files", async {
            files::large_random(&paths.crash_source, "machines", FILES, BYTES_EACH)?;
            let new = customer::source(context.agent, "Machines", &paths.crash_source);
            let source = context.api.new_source(context.tenant, &new).await?;
            Ok((
                source.id,
                format!("{FILES} files, {}", say::bytes(FILES * BYTES_EACH)),
            ))
        })
        .await?;
    let run = report
        .step("kill -9 of the server in the middle", async {
            let run = context.api.start_run(context.tenant, source).await?;
            let last = in_the_middle(context, run.id).await?;
            stack.kill_server()?;
            let sent = last.progress.as_ref().map_or(0, |progress| progress.bytes_sent);
            Ok((
                run.id,
                format!("the run was {:?}, {} sent", last.state, say::bytes(sent)),
            ))
        })
        .await?;
    report
        .step("it starts again; the run ends or goes on", async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stack.start_server().await?;
            let api = session_after(stack, context).await?;
            let ended = api.ended(context.tenant, run, backups::RUN_TIMEOUT).await?;
            let how = match ended.state {
                RunState::Succeeded => {
                    backups::made_by(api, context, &ended).await?;
                    "went on and succeeded".to_owned()
                }
                _ => format!("failed: {}", ended.error.as_deref().unwrap_or("no reason given")),
            };
            nothing_unlocked_is_complete(api, context).await?;
            Ok((
                (),
                format!("the run {how}; no complete snapshot without its locks"),
            ))
        })
        .await?;
    report
        .step("the next backup is complete", async {
            next(stack, context, paths, source).await
        })
        .await
}

/// Waits until the agent has sent something, and the run has not ended.
async fn in_the_middle(context: &StoryContext, run: RunId) -> Result<RunView> {
    let seen = clock::poll(Duration::from_secs(60), Duration::from_millis(25), async || {
        let view = context.api.run(context.tenant, run).await?;
        if view.state.is_final() {
            bail!(
                "the run had ended as {:?} before the server could be killed",
                view.state
            );
        }
        let sent = view
            .progress
            .as_ref()
            .is_some_and(|progress| progress.bytes_sent > 0);
        Ok((sent && view.state == RunState::Running).then_some(view))
    })
    .await?;
    seen.context("the run never said that it sent something")
}

/// The session is in Postgres, so it outlives the server.
async fn session_after<'a>(stack: &Stack, context: &'a StoryContext) -> Result<&'a Api> {
    context
        .api
        .tenants()
        .await
        .with_context(|| format!("the session after the restart of {}", stack.url()))?;
    Ok(&context.api)
}

async fn nothing_unlocked_is_complete(api: &Api, context: &StoryContext) -> Result<()> {
    for snapshot in api.snapshots(context.tenant).await? {
        if snapshot.state == SnapshotState::Complete {
            let page = api.snapshot(context.tenant, snapshot.id).await?;
            if page
                .earliest_lock
                .is_none_or(|lock| lock < snapshot.protected_until)
            {
                bail!(
                    "snapshot {} of {} is complete without its locks",
                    snapshot.seq,
                    snapshot.source_name
                );
            }
        }
    }
    Ok(())
}

async fn next(
    stack: &Stack,
    context: &StoryContext,
    paths: &StoryPaths,
    source: SourceId,
) -> Result<(Restorable, String)> {
    backups::keep_aside(&paths.crash_source, &paths.crash_copy).await?;
    let api = session_after(stack, context).await?;
    let run = backups::back_up(context, source).await?;
    let page = backups::made_by(api, context, &run).await?;
    let totals = page.snapshot.totals;
    if totals.files != FILES || totals.bytes != FILES * BYTES_EACH {
        bail!("it holds {} files and {} bytes", totals.files, totals.bytes);
    }
    let restorable = Restorable {
        name: "the snapshot after the crash is restored".to_owned(),
        snapshot: page.snapshot.id,
        copy: paths.crash_copy.clone(),
        folder: paths.crash_source.clone(),
    };
    let figures = format!(
        "{} files, {}; sent {} (the rest was there already)",
        totals.files,
        say::bytes(totals.bytes),
        say::bytes(totals.bytes_sent)
    );
    Ok((restorable, figures))
}
