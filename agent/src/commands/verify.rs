//! `verify`: is everything there, and is it what it should be?

use std::{path::PathBuf, process::ExitCode};

use agent::verify::{Depth, Options, Report, Verification, verify_source};
use clap::{Args, Subcommand};
use repository::{commit::CommitVerifyingKey, identity::IdentityError};
use serde_json::json;
use shared::{
    ids::SnapshotId,
    words::{self, counted},
};

use super::{
    bucket::{BucketArgs, blocking, kit},
    exit,
    restore::ExpectArgs,
};
use crate::{args::StateArg, cli};

/// What to verify.
#[derive(Subcommand)]
pub enum VerifyCommand {
    /// A whole bucket, with credentials of your own
    Bucket {
        #[command(flatten)]
        bucket: Box<BucketArgs>,
        #[command(flatten)]
        how: HowArgs,
        /// Only this source, by its id
        #[arg(long)]
        source: Option<shared::ids::SourceId>,
        /// Only the newest snapshot of each source
        #[arg(long)]
        newest: bool,
        /// Ask for every object's lock as well: one call each
        #[arg(long)]
        locks: bool,
    },
    /// A snapshot of this endpoint, through the server. Its restore must have been allowed in the console
    Snapshot {
        #[command(flatten)]
        state: StateArg,
        /// The snapshot
        #[arg(long)]
        snapshot: SnapshotId,
        #[command(flatten)]
        expect: ExpectArgs,
        /// The server's public key for commit records, in the place of the one that enrollment left behind: 64
        /// hexadecimal digits
        #[arg(long, value_name = "HEX", value_parser = boxed_commit_key)]
        commit_key: Option<Box<CommitVerifyingKey>>,
        #[command(flatten)]
        how: HowArgs,
    },
    /// What this agent keeps between its runs: keys, caches, and what a run that broke off has sent. Damage to the latter
    /// two costs the next backup time, and nothing else
    State {
        #[command(flatten)]
        state: StateArg,
        /// Do not ask the server whether the caches are of the newest snapshots
        #[arg(long)]
        offline: bool,
        /// Print JSON lines
        #[arg(long)]
        json: bool,
    },
}

/// How thoroughly.
#[derive(Args)]
pub struct HowArgs {
    /// The recovery kit: with it everything is opened as well, and damage is told in names of files
    #[arg(long, value_name = "FILE")]
    kit: Option<PathBuf>,
    /// Read every pack
    #[arg(long, conflicts_with = "read_percent")]
    read_all: bool,
    /// Read so many percent of the packs
    #[arg(long, value_name = "X", value_parser = percent)]
    read_percent: Option<f64>,
    /// Which part of the packs: the same number reads the same ones [default: another one each time]
    #[arg(long, requires = "read_percent")]
    seed: Option<u64>,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("a percentage is a number from 0 to 100".to_owned()),
    }
}

impl HowArgs {
    fn depth(&self) -> anyhow::Result<Depth> {
        Ok(match (self.read_all, self.read_percent) {
            (true, _) => Depth::Everything,
            (false, None) => Depth::Structure,
            (false, Some(percent)) => Depth::Share {
                share: percent / 100.0,
                seed: match self.seed {
                    Some(seed) => seed,
                    None => u64::from(u32::from_be_bytes(agent::random::bytes()?)),
                },
            },
        })
    }
}

pub async fn verify(command: VerifyCommand) -> anyhow::Result<ExitCode> {
    match command {
        VerifyCommand::Bucket {
            bucket,
            how,
            source,
            newest,
            locks,
        } => {
            let (opened, json) = (bucket.open()?, how.json);
            let secret = how.kit.as_deref().map(kit).transpose()?;
            let options = Options {
                depth: how.depth()?,
                locks,
                newest_only: newest,
            };
            let depth = options.depth;
            let reports = blocking(move || {
                let reading = opened.reading(secret.as_ref());
                let sources = match source {
                    Some(source) => vec![source],
                    None => reading.sources()?,
                };
                if sources.is_empty() {
                    reading.all()?;
                }
                let verified = sources
                    .into_iter()
                    .map(|source| Ok((source, verify_source(&reading, source, &options)?)));
                verified.collect::<anyhow::Result<Vec<_>>>()
            })
            .await?;
            let mut is_sound = true;
            for (source, report) in &reports {
                if !json {
                    cli::print(&format!("source {source}"));
                }
                tell(report, depth, json);
                is_sound &= report.is_sound();
            }
            Ok(exit(is_sound))
        }
        VerifyCommand::Snapshot {
            state,
            snapshot,
            expect,
            commit_key,
            how,
        } => {
            let depth = how.depth()?;
            let what = Verification {
                snapshot,
                depth,
                expected: expect.expected(),
                commit_key: commit_key.map(|key| *key),
            };
            let observer = cli::observer(how.json);
            let report = agent::verify(&state.folder, &what, how.kit.as_deref(), observer).await?;
            tell(&report, depth, how.json);
            Ok(exit(report.is_sound()))
        }
        VerifyCommand::State { state, offline, json } => {
            let report = agent::verify_state(&state.folder, offline).await?;
            tell(&report, Depth::Structure, json);
            Ok(exit(report.is_sound()))
        }
    }
}

/// A key is several times as large as everything else of the command.
fn boxed_commit_key(text: &str) -> Result<Box<CommitVerifyingKey>, IdentityError> {
    super::bucket::parse_commit_key(text).map(Box::new)
}

fn tell(report: &Report, depth: Depth, json: bool) {
    for finding in &report.findings {
        cli::print(&if json {
            cli::json(&json!({
                "event": "finding", "damage": finding.defect.is_damage(), "finding": finding,
                "text": finding.to_string(),
            }))
        } else {
            let word = if finding.defect.is_damage() {
                "damage"
            } else {
                "notice"
            };
            format!("{word}: {finding}")
        });
        if !json {
            for file in &finding.files {
                cli::print(&format!("  costs {file}"));
            }
        }
    }
    let damaged = report
        .findings
        .iter()
        .filter(|finding| finding.defect.is_damage())
        .count();
    let (snapshots, objects, bytes) = (report.snapshots, report.objects, report.bytes_read);
    let seed = match depth {
        Depth::Share { seed, .. } => Some(seed),
        Depth::Structure | Depth::Everything => None,
    };
    cli::print(&if json {
        cli::json(&json!({
            "event": "verified", "snapshots": snapshots, "objects": objects, "bytes_read": bytes,
            "damaged": damaged, "notices": report.findings.len() - damaged, "seed": seed,
        }))
    } else {
        let seed = seed.map_or_else(String::new, |seed| format!(" (seed {seed})"));
        let result = if damaged == 0 {
            "no damage".to_owned()
        } else {
            format!("{damaged} damaged")
        };
        format!(
            "{}, {}, {} read{seed}: {result}",
            counted(snapshots, "snapshot", "snapshots"),
            counted(objects, "object", "objects"),
            words::bytes(bytes)
        )
    });
}
