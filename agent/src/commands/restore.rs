//! `restore`, and what it shares with `recover`.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf, process::ExitCode};

use agent::{
    limit::Limits,
    owners::OwnerPolicy,
    restore::{Action, Order, Outcome, Overwrite, Request},
    snapshot::Expected,
};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use repository::commit::CommitVerifyingKey;
use serde_json::json;
use shared::{
    ids::SnapshotId,
    words::{bytes, counted},
};

use super::exit;
use crate::{
    args::{DownloadArg, StateArg},
    cli,
};

/// Restore a snapshot, or parts of it
#[derive(Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    pub state: StateArg,
    /// The snapshot
    #[arg(long)]
    pub snapshot: SnapshotId,
    /// The recovery kit
    #[arg(long, value_name = "FILE")]
    pub kit: PathBuf,
    #[command(flatten)]
    pub what: WhatArgs,
    #[command(flatten)]
    pub expect: ExpectArgs,
    /// The server's public key for commit records, in the place of the one that enrollment left behind: 64 hexadecimal
    /// digits
    #[arg(long, value_name = "HEX", value_parser = super::bucket::parse_commit_key)]
    pub commit_key: Option<CommitVerifyingKey>,
    #[command(flatten)]
    pub limit: DownloadArg,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
}

/// What is known of the snapshot that is meant. It is compared with the manifest that the snapshot's agent signed, before
/// anything is written.
#[derive(Args)]
pub struct ExpectArgs {
    /// Refuse any snapshot but the one of this number
    #[arg(long, value_name = "N")]
    seq: Option<u64>,
    /// Refuse a snapshot of any other source
    #[arg(long, value_name = "NAME|ID")]
    expect_source: Option<String>,
    /// Refuse a snapshot that was made before, by the endpoint's clock: 2026-11-30, or 2026-11-30T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    not_before: Option<Timestamp>,
}

/// A time, or a day's beginning in UTC.
fn time(text: &str) -> Result<Timestamp, jiff::Error> {
    text.parse().or_else(|_| format!("{text}T00:00:00Z").parse())
}

impl ExpectArgs {
    pub fn expected(&self) -> Expected {
        Expected {
            seq: self.seq,
            source: self.expect_source.clone(),
            not_before: self.not_before,
        }
    }
}

/// What to put back, where and how.
#[derive(Args)]
pub struct WhatArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Only this file or folder, by its absolute path on the endpoint; may be repeated
    #[arg(long = "path", value_name = "P")]
    paths: Vec<OsString>,
    /// What happens to files that are there already. `never`: files, links and folders that are there stay as they are, with
    /// their owners, permissions, access control lists, attributes and times. `if-different`: files that differ are replaced; one
    /// of the same size and modification time counts as equal, one of the same size and another time is read and compared. Those
    /// that are equal, and folders, get the backup's owners, permissions, access control lists, attributes and times; lists and
    /// attributes that the backup does not have are taken away. `always`: every file is replaced by a new one; folders as with
    /// `if-different`. Folders are never taken away
    #[arg(long, value_enum, default_value_t = OverwriteArg::Never)]
    overwrite: OverwriteArg,
    /// Put owners and groups back by their numbers. Without it they go by their names, where the backup and this machine
    /// know them, and else by their numbers, with a note for each name
    #[arg(long)]
    numeric: bool,
    /// Only say what would be written and how much would be fetched
    #[arg(long)]
    dry_run: bool,
    /// In the end, read every written file from the disk again and compare it
    #[arg(long)]
    verify: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct PlaceArgs {
    /// Where to put it; /srv/data/a goes to DIR/srv/data/a
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Put everything where it was
    #[arg(long)]
    in_place: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum OverwriteArg {
    Never,
    IfDifferent,
    Always,
}

impl WhatArgs {
    /// The paths, as bytes.
    pub fn paths(&self) -> Vec<Vec<u8>> {
        self.paths.iter().cloned().map(OsString::into_vec).collect()
    }

    /// The order.
    pub fn order(&self) -> Order {
        Order {
            // In place is below the root.
            target: self.place.to.clone().unwrap_or_else(|| PathBuf::from("/")),
            overwrite: match self.overwrite {
                OverwriteArg::Never => Overwrite::Never,
                OverwriteArg::IfDifferent => Overwrite::IfDifferent,
                OverwriteArg::Always => Overwrite::Always,
            },
            dry_run: self.dry_run,
            verify: self.verify,
            owners: if self.numeric {
                OwnerPolicy::Numeric
            } else {
                OwnerPolicy::default()
            },
        }
    }
}

pub async fn restore(args: RestoreArgs) -> anyhow::Result<ExitCode> {
    let request = Request {
        snapshot: args.snapshot,
        paths: args.what.paths(),
        order: args.what.order(),
        expected: args.expect.expected(),
        commit_key: args.commit_key,
    };
    let observer = cli::observer(args.json);
    let limits = Limits {
        download: args.limit.limit_download,
        ..Limits::default()
    };
    let report = agent::restore_within(&args.state.folder, &request, &args.kit, limits, observer).await?;
    Ok(tell(&report.outcome, args.json))
}

/// Says what came of it.
pub fn tell(outcome: &Outcome, json: bool) -> ExitCode {
    if let Some(dry_run) = &outcome.dry_run {
        for step in &dry_run.steps {
            if json {
                cli::print(&cli::json(&json!({"event": "would", "step": step})));
            } else {
                let action = match step.action {
                    Action::Make => "make",
                    Action::Replace => "replace",
                    _ => "set the looks of",
                };
                let size = bytes(step.size_bytes);
                cli::print(&format!("would {action} {} ({size})", step.path));
            }
        }
        let (write, fetch, packs) = (
            dry_run.bytes_to_write,
            dry_run.bytes_to_fetch,
            dry_run.packs_to_read,
        );
        if json {
            let totals = json!({
                "event": "dry_run", "bytes_to_write": write, "bytes_to_fetch": fetch, "packs_to_read": packs,
            });
            cli::print(&cli::json(&totals));
        } else {
            cli::print(&format!(
                "{}, {} to write, {} to fetch from {}; nothing was changed",
                counted(dry_run.steps.len() as u64, "item", "items"),
                bytes(write),
                bytes(fetch),
                counted(packs, "pack", "packs")
            ));
        }
    }
    for note in &outcome.notes {
        if json {
            cli::print(&cli::json(&json!({"event": "note", "text": note})));
        } else {
            cli::print(&format!("note: {note}"));
        }
    }
    for loss in &outcome.losses {
        if json {
            cli::print(&cli::json(
                &json!({"event": "lost", "loss": loss, "text": loss.to_string()}),
            ));
        } else {
            cli::print(&format!("lost: {loss}"));
        }
    }
    if !outcome.is_complete() {
        let text = outcome.conclusion();
        cli::print(&if json {
            let (lost, restored) = (outcome.lost, outcome.restored);
            cli::json(&json!({"event": "incomplete", "lost": lost, "restored": restored, "text": text}))
        } else {
            text
        });
    }
    exit(outcome.is_complete())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_instants_or_days() {
        let instant = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(time("2026-11-30").unwrap(), instant("2026-11-30T00:00:00Z"));
        assert_eq!(
            time("2026-11-30T08:00:00+02:00").unwrap(),
            instant("2026-11-30T06:00:00Z")
        );
        for bad in ["", "yesterday", "2026-13-01", "2026-11-30T08:00:00"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
