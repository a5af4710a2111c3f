//! `recover`: with the kit and read access to the bucket, without server and database.

use std::{
    ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf, process::ExitCode, sync::Arc, time::Duration,
};

use agent::{
    clock,
    progress::{Event, RestoreCounters, Speed},
    recover::{FoundSnapshot, FoundSource, Vouched},
    snapshot::{Expected, What},
    throughput::Throughput,
};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    bucket::{BucketArgs, blocking, kit},
    restore::{ExpectArgs, WhatArgs, tell},
    show::WhatToShow,
};
use crate::cli;
use shared::words::bytes;

const REPORT_EVERY: Duration = Duration::from_millis(500);

/// What to recover.
#[derive(Subcommand)]
pub enum RecoverCommand {
    /// List the sources and snapshots in the bucket
    List {
        #[command(flatten)]
        bucket: BucketArgs,
        /// The recovery kit
        #[arg(long, value_name = "FILE")]
        kit: PathBuf,
        /// Print JSON lines
        #[arg(long)]
        json: bool,
    },
    /// List what is in a snapshot
    Files {
        #[command(flatten)]
        which: Which,
        /// Only this file or folder; may be repeated
        #[arg(long = "path", value_name = "P")]
        paths: Vec<OsString>,
        /// Print JSON lines
        #[arg(long)]
        json: bool,
    },
    /// Show a snapshot: with --warnings what was left out or is not whole, file by file
    Show {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        what: WhatToShow,
    },
    /// Restore a snapshot, or parts of it. Exits with 3 when something was lost and everything else is back
    Restore {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        what: WhatArgs,
        #[command(flatten)]
        expect: ExpectArgs,
        /// Print JSON lines
        #[arg(long)]
        json: bool,
    },
}

/// Which snapshot.
#[derive(Args)]
pub struct Which {
    #[command(flatten)]
    bucket: BucketArgs,
    /// The recovery kit
    #[arg(long, value_name = "FILE")]
    kit: PathBuf,
    /// The source: its id, its name, or the endpoint's host name. Not needed when there is one
    #[arg(long)]
    source: Option<String>,
    /// The snapshot: `latest`, its number, its id, or the beginning of its manifest's hash
    #[arg(long, default_value = "latest")]
    snapshot: String,
}

pub async fn recover(command: RecoverCommand) -> anyhow::Result<ExitCode> {
    match command {
        RecoverCommand::List {
            bucket,
            kit: path,
            json,
        } => list(bucket, path, json).await,
        RecoverCommand::Files { which, paths, json } => files(which, paths, json).await,
        RecoverCommand::Show { which, what } => show(which, what).await,
        RecoverCommand::Restore {
            which,
            what,
            expect,
            json,
        } => restore(which, what, expect.expected(), json).await,
    }
}

async fn list(bucket: BucketArgs, path: PathBuf, json: bool) -> anyhow::Result<ExitCode> {
    let (opened, secret) = (bucket.open()?, kit(&path)?);
    let sources = blocking(move || Ok(opened.reading(Some(&secret)).all()?)).await?;
    for source in &sources {
        tell_source(source, json);
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_source(source: &FoundSource, json: bool) {
    if !json {
        let named = source.snapshots.last().and_then(|newest| newest.named.as_ref());
        let named = named.map_or_else(String::new, |n| format!("  {} on {}", n.source_name, n.hostname));
        cli::print(&format!("source {}{named}", source.id));
    }
    for snapshot in &source.snapshots {
        cli::print(&if json {
            snapshot_json(snapshot)
        } else {
            snapshot_line(snapshot)
        });
    }
    for problem in &source.problems {
        cli::print(&if json {
            cli::json(
                &json!({"event": "problem", "source": source.id, "finding": problem, "text": problem.to_string()}),
            )
        } else {
            format!("  problem: {problem}")
        });
    }
}

fn snapshot_json(snapshot: &FoundSnapshot) -> String {
    let line = json!({
        "event": "snapshot",
        "source": snapshot.header.source_id,
        "named": snapshot.named,
        "seq": snapshot.seq(),
        "snapshot": snapshot.id(),
        "at": snapshot.at(),
        "protected_until": snapshot.commit.as_ref().map(|commit| commit.protected_until),
        "committed": snapshot.commit.is_some(),
        "manifest": snapshot.manifest.hash,
        "signer": snapshot.header.signer.to_hex(),
        "vouched": snapshot.vouched,
        "totals": snapshot.header.totals,
    });
    cli::json(&line)
}

fn snapshot_line(snapshot: &FoundSnapshot) -> String {
    let state = match &snapshot.commit {
        Some(commit) => format!(
            "locked until {}",
            commit.protected_until.strftime("%Y-%m-%d %H:%M:%S UTC")
        ),
        None => "no commit record: a run that broke off, or the record is lost".to_owned(),
    };
    let signer = match snapshot.vouched {
        Vouched::Kit | Vouched::You | Vouched::OneSigner => String::new(),
        Vouched::Nobody => format!("  signer {}: is it the agent's?", snapshot.header.signer.to_hex()),
    };
    let totals = &snapshot.header.totals;
    let hash: String = snapshot.manifest.hash.to_string().chars().take(12).collect();
    format!(
        "  #{:<5} {}  {:>9} files {:>12}  {hash}  {state}{signer}",
        snapshot.seq(),
        snapshot.at().strftime("%Y-%m-%d %H:%M:%S UTC"),
        totals.files,
        bytes(totals.bytes),
    )
}

async fn files(which: Which, paths: Vec<OsString>, json: bool) -> anyhow::Result<ExitCode> {
    let (opened, secret) = (which.bucket.open()?, kit(&which.kit)?);
    let paths: Vec<Vec<u8>> = paths.into_iter().map(OsString::into_vec).collect();
    let plan = blocking(move || {
        let reading = opened.reading(Some(&secret));
        let found = reading.choose(which.source.as_deref(), &which.snapshot)?;
        Ok(reading.contents(&found, &paths)?)
    })
    .await?;
    for (index, item) in plan.items.iter().enumerate() {
        let path = plan.path(index);
        let kind = match &item.what {
            What::Folder => "folder",
            What::File { .. } => "file",
            What::Symlink { .. } => "link",
        };
        let size = item.size_bytes();
        cli::print(&if json {
            cli::json(&json!({"event": "item", "kind": kind, "path": path, "size_bytes": size}))
        } else {
            format!("{kind:<6} {:>12}  {path}", bytes(size))
        });
    }
    for loss in &plan.losses {
        cli::print(&if json {
            cli::json(&json!({"event": "lost", "loss": loss, "text": loss.to_string()}))
        } else {
            format!("lost: {loss}")
        });
    }
    Ok(super::exit(plan.losses.is_empty()))
}

async fn show(which: Which, what: WhatToShow) -> anyhow::Result<ExitCode> {
    let (opened, secret) = (which.bucket.open()?, kit(&which.kit)?);
    let (observer, warnings) = (cli::observer(what.json), what.warnings);
    let facts = blocking(move || {
        let reading = opened.reading(Some(&secret));
        let found = reading.choose(which.source.as_deref(), &which.snapshot)?;
        observer.event(&Event::Origin(found.origin()));
        Ok(reading.facts(&found, warnings)?)
    })
    .await?;
    Ok(super::show::tell(&facts, &what))
}

async fn restore(which: Which, what: WhatArgs, expected: Expected, json: bool) -> anyhow::Result<ExitCode> {
    let (opened, secret) = (which.bucket.open()?, kit(&which.kit)?);
    let observer = cli::observer(json);
    let counters = Arc::new(RestoreCounters::default());
    let reporter = tokio::spawn({
        let (observer, counters) = (observer.clone(), counters.clone());
        async move {
            let mut throughput = Throughput::default();
            loop {
                tokio::time::sleep(REPORT_EVERY).await;
                let progress = counters.report();
                let (done, total) = (progress.bytes_done, progress.bytes_total);
                observer.event(&Event::RestoreProgress {
                    progress,
                    speed: Speed::tick(&mut throughput, clock::monotonic(), done, Some(total)),
                });
            }
        }
    });
    let (counted, told) = (counters.clone(), observer.clone());
    let result = blocking(move || {
        let reading = opened.reading(Some(&secret));
        let found = reading.choose(which.source.as_deref(), &which.snapshot)?;
        let origin = found.origin();
        told.event(&Event::Origin(origin.clone()));
        expected.check(&origin)?;
        let mut outcome = reading.restore(&found, &what.paths(), &what.order(), &counted)?;
        if found.vouched == Vouched::OneSigner {
            outcome.notes.push(format!(
                "nobody vouches for the key that signed the snapshot ({}), but nothing else is signed there by another",
                found.header.signer.to_hex()
            ));
        }
        Ok(outcome)
    })
    .await;
    reporter.abort();
    let _ = reporter.await;
    let outcome = result?;
    if outcome.dry_run.is_none() {
        observer.event(&Event::Restored {
            progress: counters.report(),
            notes: outcome.notes.len() as u64,
            lost: outcome.lost,
        });
    }
    Ok(tell(&outcome, json))
}
