//! `show`: what a snapshot says of itself.

use std::{path::PathBuf, process::ExitCode};

use agent::{
    escape::escaped,
    show::{Shown, SnapshotFacts},
    snapshot::Expected,
};
use clap::Args;
use repository::{commit::CommitVerifyingKey, manifest::ListedWarning};
use serde_json::json;
use shared::{
    ids::SnapshotId,
    words::{bytes, counted},
};

use super::{exit, restore::ExpectArgs};
use crate::{args::StateArg, cli};

/// Show a snapshot of this endpoint, through the server. Its restore must have been allowed in the console
#[derive(Args)]
pub struct ShowArgs {
    #[command(flatten)]
    state: StateArg,
    /// The snapshot
    #[arg(long)]
    snapshot: SnapshotId,
    /// The recovery kit
    #[arg(long, value_name = "FILE")]
    kit: PathBuf,
    #[command(flatten)]
    what: WhatToShow,
    #[command(flatten)]
    expect: ExpectArgs,
    /// The server's public key for commit records, in the place of the one that enrollment left behind: 64 hexadecimal
    /// digits
    #[arg(long, value_name = "HEX", value_parser = super::bucket::parse_commit_key)]
    commit_key: Option<CommitVerifyingKey>,
}

/// What to show, and how.
#[derive(Args)]
pub struct WhatToShow {
    /// List what was left out or is not whole, file by file, with the reason
    #[arg(long)]
    pub warnings: bool,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
}

pub async fn show(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let expected: Expected = args.expect.expected();
    let what = Shown {
        snapshot: args.snapshot,
        warnings: args.what.warnings,
        expected,
        commit_key: args.commit_key,
    };
    let observer = cli::observer(args.what.json);
    let facts = agent::show(&args.state.folder, &what, &args.kit, observer).await?;
    Ok(tell(&facts, &args.what))
}

/// Prints what a snapshot says. What is lost of its list makes another exit code.
pub fn tell(facts: &SnapshotFacts, what: &WhatToShow) -> ExitCode {
    for warning in &facts.warnings {
        cli::print(&line(warning, what.json));
    }
    for reason in &facts.lost {
        cli::print(&if what.json {
            cli::json(&json!({"event": "lost", "reason": reason, "text": reason.to_string()}))
        } else {
            format!("lost: a page of this list: {reason}")
        });
    }
    let totals = &facts.totals;
    let listed = facts.warnings.len() as u64;
    let unlisted = (totals.warnings + totals.notes).saturating_sub(listed);
    if what.json {
        let shown =
            json!({"event": "shown", "totals": totals, "listed": listed, "lost_pages": facts.lost.len()});
        cli::print(&cli::json(&shown));
        return exit(facts.lost.is_empty());
    }
    cli::print(&format!(
        "{}, {}, {}; {}, {}",
        counted(totals.files, "file", "files"),
        counted(totals.folders, "folder", "folders"),
        bytes(totals.bytes),
        counted(totals.warnings, "warning", "warnings"),
        counted(totals.notes, "note", "notes"),
    ));
    if what.warnings && unlisted > 0 {
        let more = counted(unlisted, "more is", "more are");
        cli::print(&format!(
            "{more} counted and not listed: a snapshot lists up to 100,000"
        ));
    }
    exit(facts.lost.is_empty())
}

fn line(warning: &ListedWarning, json: bool) -> String {
    let event = if warning.is_note { "note" } else { "warning" };
    let path = escaped(&warning.path);
    let words = warning
        .known_kind()
        .map_or("is not whole, in a way that a newer agent knows", |kind| {
            kind.words()
        });
    if json {
        return cli::json(&json!({
            "event": event, "path": path, "kind": warning.kind, "text": words, "detail": warning.detail,
        }));
    }
    if warning.detail.is_empty() {
        format!("{event}: {path} {words}")
    } else {
        format!("{event}: {path} {words} ({})", warning.detail)
    }
}
