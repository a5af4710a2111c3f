//! `cargo xtask demo --check`: the whole promise in a few minutes, without a person. Backups, wrong buckets, a
//! crash, an attack with the bucket's root keys, and everything restored and compared.

mod attack;
mod backups;
pub mod bucket;
mod contract;
mod crash;
mod emptied;
mod faults;
mod link;
mod paths;
mod report;
mod restores;
mod set_up;
mod wrong_bucket;

use std::{fs, os::unix::fs::PermissionsExt as _};

use anyhow::{Context as _, Result};

use self::bucket::Bucket;
use crate::{
    build, demo,
    setup::{self, Need},
    stack::{Plan, Stack, endpoint::Endpoint, port, secrets::Secrets},
    test::Count,
    workspace::Workspace,
};
use paths::StoryPaths;
use report::Report;

/// `cargo xtask demo --check`.
pub async fn command(args: &demo::Args) -> Result<bool> {
    setup::ensure(&[Need::Compiler, Need::Wasm, Need::Postgres]).await?;
    if args.s3 == Endpoint::Ceph {
        setup::ensure(&[Need::Ceph]).await?;
    }
    let count = run(&Workspace::load()?, args.s3, args.keep).await?;
    println!("{} passed, {} failed", count.passed, count.failed);
    Ok(count.failed == 0)
}

/// Builds everything and tells the story in a folder of its own.
pub async fn run(workspace: &Workspace, endpoint: Endpoint, keep: bool) -> Result<Count> {
    let built = build::all(workspace, false).await?;
    let temporary = tempfile::Builder::new().prefix("holdfast-check-").tempdir()?;
    // Postgres' own user passes through when root checks; the names below are not secret.
    fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o711))?;
    let folder = if keep {
        let folder = temporary.keep();
        println!("  everything stays in {}", folder.display());
        folder.canonicalize()?
    } else {
        temporary.path().canonicalize()?
    };
    let plan = Plan {
        folder,
        secrets: Secrets::make()?,
        server_port: port::any()?,
        endpoint,
        s3_port: port::any()?,
        database_url: None,
        durable: false,
    };
    let mut report = Report::begin();
    let started = report
        .step(
            &format!("Postgres, {} and the server start", endpoint.name()),
            async {
                let stack = Box::pin(Stack::start(plan, built)).await?;
                let figures = format!("console {}, S3 {}", stack.url(), stack.s3_endpoint());
                Ok((stack, figures))
            },
        )
        .await;
    if let Some(mut stack) = started {
        Box::pin(tell(&mut stack, &mut report)).await;
        if report.failed() > 0 {
            stack
                .keep_logs(&workspace.target.join("story-logs"))
                .context("keeping the logs")?;
        }
    }
    report.end();
    Ok(Count {
        passed: report.passed(),
        failed: report.failed(),
        skipped: 0,
    })
}

/// The steps. Where a step gives nothing, later ones have nothing to stand on, and the story ends there.
async fn tell(stack: &mut Stack, report: &mut Report) -> Option<()> {
    let base = stack.plan.folder.clone();
    let paths = StoryPaths {
        source: base.join("source/office"),
        first_copy: base.join("first-copy"),
        second_copy: base.join("second-copy"),
        crash_source: base.join("source/machines"),
        crash_copy: base.join("machines-copy"),
        restored: base.join("restored"),
    };
    let context = Box::pin(set_up::tell(stack, report)).await?;
    Box::pin(wrong_bucket::tell(stack, report, &context)).await;
    contract::tell(stack, report).await;
    let first = Box::pin(backups::first(report, &context, &paths)).await?;
    let second = Box::pin(backups::second(report, &context, &paths, &first)).await?;
    let after_crash = Box::pin(crash::tell(stack, report, &context, &paths)).await;
    Box::pin(emptied::tell(stack, report, &context)).await;
    Box::pin(faults::tell(stack, report, &context)).await;
    let snapshots: Vec<_> = [
        Some(first.as_restorable(1)),
        Some(second.as_restorable(2)),
        after_crash,
    ]
    .into_iter()
    .flatten()
    .collect();
    Box::pin(backups::all_locked(stack, report, &context, &snapshots)).await;
    link::tell(stack, report, &context).await;
    let attacked = Box::pin(attack::tell(&Bucket::open(stack, set_up::BUCKET), report)).await;
    Box::pin(restores::wipe(report, &paths)).await?;
    for snapshot in &snapshots {
        Box::pin(restores::tell(stack, report, &context, &paths, snapshot)).await;
    }
    if let Some(attacked) = attacked {
        Box::pin(attack::shown(report, &context, &attacked)).await;
    }
    Some(())
}
