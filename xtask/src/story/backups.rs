//! The first backup, a working day, the second one, and whether everything they made is locked.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use shared::{
    api::{
        agent::RunState,
        view::{RunView, SnapshotPage, SnapshotState},
    },
    ids::{SnapshotId, SourceId},
    retention::LockMode,
};

use super::{
    bucket::Bucket,
    paths::StoryPaths,
    report::Report,
    set_up::{BUCKET, StoryContext},
};
use crate::{
    api::Api,
    demo::customer,
    files::{self, fingerprint::TreeFingerprint},
    say,
    stack::Stack,
};

/// How long a backup may take.
pub const RUN_TIMEOUT: Duration = Duration::from_secs(300);

/// A backup, and the copy that was kept aside.
pub struct Backup {
    /// The source.
    pub source: SourceId,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Bytes that went to the bucket.
    pub sent_bytes: u64,
    /// Where the copy is.
    pub copy: PathBuf,
    /// What was backed up.
    pub folder: PathBuf,
}

/// A snapshot that must come back.
pub struct Restorable {
    /// What the step is called.
    pub name: String,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// What it must be like.
    pub copy: PathBuf,
    /// What was backed up.
    pub folder: PathBuf,
}

impl Backup {
    /// As something to restore.
    pub fn as_restorable(&self, number: u32) -> Restorable {
        Restorable {
            name: format!("snapshot {number} is restored and compared"),
            snapshot: self.snapshot,
            copy: self.copy.clone(),
            folder: self.folder.clone(),
        }
    }
}

/// Asks for a backup and waits for its end.
pub async fn back_up(context: &StoryContext, source: SourceId) -> Result<RunView> {
    let run = context.api.start_run(context.tenant, source).await?;
    context.api.ended(context.tenant, run.id, RUN_TIMEOUT).await
}

/// The page of the snapshot that a run made; an error when it made none, or it lacks protection.
pub async fn made_by(api: &Api, context: &StoryContext, run: &RunView) -> Result<SnapshotPage> {
    if run.state != RunState::Succeeded {
        bail!(
            "the run ended as {:?}: {}",
            run.state,
            run.error.as_deref().unwrap_or("no reason given")
        );
    }
    let snapshot = run
        .snapshot_id
        .context("the run succeeded and names no snapshot")?;
    let page = api.snapshot(context.tenant, snapshot).await?;
    if page.snapshot.state != SnapshotState::Complete {
        bail!("the run succeeded and its snapshot is {:?}", page.snapshot.state);
    }
    let earliest = page
        .earliest_lock
        .context("the snapshot is complete without any lock")?;
    if earliest < page.snapshot.protected_until {
        bail!(
            "an object is locked until {earliest} only, the promise is {}",
            page.snapshot.protected_until
        );
    }
    Ok(page)
}

fn figures(page: &SnapshotPage) -> String {
    let totals = page.snapshot.totals;
    let warnings = if totals.warnings > 0 {
        format!(", {} WARNINGS", totals.warnings)
    } else {
        String::new()
    };
    format!(
        "{} in {}, {}; sent {}; {} locked until {}{warnings}",
        say::count(totals.files, "file", "files"),
        say::count(totals.folders, "folder", "folders"),
        say::bytes(totals.bytes),
        say::bytes(totals.bytes_sent),
        say::count(page.objects, "object", "objects"),
        page.snapshot.protected_until.strftime("%Y-%m-%d %H:%M")
    )
}

/// Makes the folder, backs it up and keeps a copy aside.
pub async fn first(report: &mut Report, context: &StoryContext, paths: &StoryPaths) -> Option<Backup> {
    report
        .step("a folder of a few thousand files", async {
            let made = files::office(&paths.source)?;
            files::copy_aside(&paths.source, &paths.first_copy).await?;
            let totals = TreeFingerprint::of(&paths.source)?.totals();
            let xattrs = if made.xattrs {
                totals.xattrs.to_string()
            } else {
                "no (file system)".to_owned()
            };
            let figures = format!(
                "{}, {}, {}, {xattrs} xattrs, {}",
                say::count(totals.files, "file", "files"),
                say::count(totals.folders, "folder", "folders"),
                say::count(totals.links, "link", "links"),
                say::bytes(totals.bytes)
            );
            Ok(((), figures))
        })
        .await?;
    let source = report
        .step("it becomes a source", async {
            let new = customer::source(context.agent, "Office", &paths.source);
            let source = context.api.new_source(context.tenant, &new).await?;
            Ok((source.id, source.paths.join(" ")))
        })
        .await?;
    report
        .step("first backup", async {
            let run = back_up(context, source).await?;
            let page = made_by(&context.api, context, &run).await?;
            unharmed_by_warnings(&page)?;
            let backup = Backup {
                source,
                snapshot: page.snapshot.id,
                sent_bytes: page.snapshot.totals.bytes_sent,
                copy: paths.first_copy.clone(),
                folder: paths.source.clone(),
            };
            Ok((backup, figures(&page)))
        })
        .await
}

/// Nothing changes while these folders are read, so nothing may be left out.
fn unharmed_by_warnings(page: &SnapshotPage) -> Result<()> {
    match page.snapshot.totals.warnings {
        0 => Ok(()),
        warnings => bail!("{warnings} warnings: {}", figures(page)),
    }
}

/// Changes the folder, backs it up again and keeps another copy aside.
pub async fn second(
    report: &mut Report,
    context: &StoryContext,
    paths: &StoryPaths,
    first: &Backup,
) -> Option<Backup> {
    report
        .step("a working day changes the folder", async {
            let changes = files::change(&paths.source)?;
            files::copy_aside(&paths.source, &paths.second_copy).await?;
            let figures = format!(
                "{} changed, {} added, {} deleted, {} renamed, {} touched",
                changes.changed, changes.added, changes.deleted, changes.renamed, changes.touched
            );
            Ok(((), figures))
        })
        .await?;
    report
        .step("second backup is incremental", async {
            let run = back_up(context, first.source).await?;
            let page = made_by(&context.api, context, &run).await?;
            unharmed_by_warnings(&page)?;
            let sent = page.snapshot.totals.bytes_sent;
            let percent = sent * 100 / first.sent_bytes.max(1);
            if percent >= 20 {
                bail!(
                    "it sent {percent} % of what the first one did: {}",
                    figures(&page)
                );
            }
            let backup = Backup {
                source: first.source,
                snapshot: page.snapshot.id,
                sent_bytes: sent,
                copy: paths.second_copy.clone(),
                folder: paths.source.clone(),
            };
            Ok((backup, format!("{} ({percent} % of the first)", figures(&page))))
        })
        .await
}

/// Asks S3 itself, with the root keys, about the lock of every version in the bucket.
pub async fn all_locked(
    stack: &Stack,
    report: &mut Report,
    context: &StoryContext,
    snapshots: &[Restorable],
) -> Option<()> {
    report
        .step("S3 itself confirms every lock", async {
            let mut promised = Vec::new();
            for snapshot in snapshots {
                promised.push(
                    context
                        .api
                        .snapshot(context.tenant, snapshot.snapshot)
                        .await?
                        .snapshot
                        .protected_until,
                );
            }
            let needed = promised.iter().min().context("there is no snapshot")?.as_second();
            let bucket = Bucket::open(stack, BUCKET);
            let versions = bucket.versions().await?;
            let mut earliest = i64::MAX;
            for version in &versions {
                let lock = bucket
                    .lock(version)
                    .await?
                    .with_context(|| format!("{} is not locked", version.key))?;
                if lock.mode != LockMode::Compliance {
                    bail!("{} is not locked in COMPLIANCE mode", version.key);
                }
                earliest = earliest.min(lock.retain_until.as_second());
            }
            if versions.is_empty() {
                bail!("the bucket is empty");
            }
            if earliest < needed {
                bail!(
                    "a version is locked until {} only, the promise is {}",
                    time(earliest),
                    time(needed)
                );
            }
            let figures = format!(
                "{} versions, all COMPLIANCE, the earliest until {}, promised {}",
                versions.len(),
                time(earliest),
                time(needed)
            );
            Ok(((), figures))
        })
        .await
}

/// A moment for people.
fn time(unix_seconds: i64) -> String {
    jiff::Timestamp::from_second(unix_seconds).map_or_else(
        |_| unix_seconds.to_string(),
        |time| time.strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

/// Keeps a copy of a folder aside, for later.
pub async fn keep_aside(from: &Path, to: &Path) -> Result<()> {
    files::copy_aside(from, to).await
}
