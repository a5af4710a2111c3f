//! `cargo xtask test`: everything that a change must pass.

pub mod browser;
mod count;
mod unit;

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    clock, deps, say,
    setup::{self, Need},
    sh,
    stack::endpoint::Endpoint,
    story,
    workspace::Workspace,
};
pub use count::Count;

/// A part of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Formatting of every crate
    Fmt,
    /// Lints of every crate and every test
    Clippy,
    /// One-way dependencies, and the homes of S3 and SQL
    Deps,
    /// Unit, property and integration tests, on a real Postgres and on lockbox
    Unit,
    /// The console in a real browser, on a whole Holdfast
    Browser,
    /// The story: backups, an attack, a restore (`cargo xtask demo --check`)
    Story,
    /// The same story on Ceph's gateway: an S3 that is not ours
    Ceph,
}

const ALL: [Part; 7] = [
    Part::Fmt,
    Part::Clippy,
    Part::Deps,
    Part::Unit,
    Part::Browser,
    Part::Story,
    Part::Ceph,
];

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask test                     everything, as .ci/run does
  cargo xtask test fmt clippy deps     the quick checks
  cargo xtask test unit -- retention   unit tests whose name contains `retention`
  cargo xtask test --long unit         ten times as many rounds of random input
  cargo xtask test browser -- --grep progress
                                       browser tests whose title contains `progress`")]
pub struct Args {
    /// Which parts; all of them when none is named
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Run tests of random input with ten times as many cases and rounds
    #[arg(long)]
    long: bool,
    /// What comes after `--` goes to the runner of `unit` or `browser`
    #[arg(last = true)]
    rest: Vec<String>,
}

struct Outcome {
    part: Part,
    count: Count,
    took: Duration,
    error: Option<String>,
}

/// `cargo xtask test`.
pub async fn command(args: &Args) -> Result<bool> {
    let parts = if args.parts.is_empty() {
        &ALL[..]
    } else {
        &args.parts
    };
    let mut needs = vec![Need::Compiler];
    for part in parts {
        needs.extend_from_slice(match part {
            Part::Fmt | Part::Clippy | Part::Deps => &[],
            Part::Unit => &[Need::Postgres],
            Part::Browser => &[Need::Postgres, Need::Wasm, Need::Node, Need::Chromium],
            Part::Story => &[Need::Postgres, Need::Wasm],
            Part::Ceph => &[Need::Postgres, Need::Wasm, Need::Ceph],
        });
    }
    setup::ensure(&needs).await?;
    let workspace = Workspace::load()?;

    let mut outcomes = Vec::new();
    for part in parts {
        println!("\n── {} ──", name(*part));
        let begun = clock::start();
        let result = Box::pin(run(*part, &workspace, args)).await;
        let took = begun.elapsed();
        let (count, error) = match result {
            Ok(count) => (count, None),
            // A part that could not even count its tests has failed once.
            Err(error) => (
                Count {
                    passed: 0,
                    failed: 1,
                    skipped: 0,
                },
                Some(format!("{error:#}")),
            ),
        };
        if let Some(error) = &error {
            eprintln!("{error}");
        }
        outcomes.push(Outcome {
            part: *part,
            count,
            took,
            error,
        });
    }
    Ok(summary(&outcomes))
}

async fn run(part: Part, workspace: &Workspace, args: &Args) -> Result<Count> {
    match part {
        Part::Fmt => check(sh::run(workspace.cargo().args(["fmt", "--all", "--check"])).await),
        Part::Clippy => {
            let arguments = [
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ];
            check(sh::run(workspace.cargo().args(arguments)).await)
        }
        Part::Deps => Ok(Count::of(deps::command()?)),
        Part::Unit => unit::run(workspace, args.long, &args.rest).await,
        Part::Browser => browser::run(workspace, &args.rest).await,
        Part::Story => story::run(workspace, Endpoint::Lockbox, false).await,
        Part::Ceph => story::run(workspace, Endpoint::Ceph, false).await,
    }
}

fn check(outcome: Result<()>) -> Result<Count> {
    outcome.map(|()| Count::of(true))
}

fn name(part: Part) -> String {
    part.to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

/// Prints how it went. Formatting, lints and dependencies count as one test each.
fn summary(outcomes: &[Outcome]) -> bool {
    println!();
    let mut total = Count::default();
    for Outcome {
        part,
        count,
        took,
        error,
    } in outcomes
    {
        let mark = if count.failed == 0 { '✓' } else { '✗' };
        let skipped = if count.skipped > 0 {
            format!(", {} skipped", count.skipped)
        } else {
            String::new()
        };
        let error = error
            .as_ref()
            .and_then(|error| error.lines().next())
            .unwrap_or_default();
        println!(
            "{mark} {:<8} {:>12}  {} passed, {} failed{skipped}  {error}",
            name(*part),
            say::duration(*took),
            count.passed,
            count.failed
        );
        total.passed += count.passed;
        total.failed += count.failed;
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    total.failed == 0
}
