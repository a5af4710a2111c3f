//! `cargo xtask …`: everything that is done to Holdfast rather than by it: setting a machine up, building,
//! testing, and the demo with its story.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod api;
mod bench;
mod build;
mod clock;
mod demo;
mod deps;
mod files;
mod process;
mod say;
mod setup;
mod sh;
mod stack;
mod story;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Builds, tests and shows Holdfast"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Puts in place what building and testing need, and is not there yet
    Setup(setup::Args),
    /// Builds the server, the agent, lockbox and the console
    Build(build::Args),
    /// Checks which crate may use which, and where S3 and SQL may be spoken
    CheckDeps,
    /// Runs the tests: all of them, or the named parts
    Test(test::Args),
    /// Measures, and prints tables
    Bench(bench::Args),
    /// Runs Holdfast on this machine, with an S3 store, an agent and a first backup
    Demo(demo::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Setup(args) => unless_interrupted(setup::command(&args)).await,
        Command::Build(args) => unless_interrupted(build::command(&args)).await,
        Command::CheckDeps => deps::command(),
        Command::Test(args) => unless_interrupted(test::command(&args)).await,
        Command::Bench(args) => unless_interrupted(Box::pin(bench::command(&args))).await,
        Command::Demo(args) if args.check => unless_interrupted(story::command(&args)).await,
        Command::Demo(args) => demo::command(&args).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs `work` until it ends or a signal comes. What `work` has started ends with it, since it owns it.
async fn unless_interrupted(work: impl Future<Output = Result<bool>>) -> Result<bool> {
    let mut signals = process::Signals::install()?;
    tokio::select! {
        outcome = Box::pin(work) => outcome,
        name = signals.next() => anyhow::bail!("stopped by {name}"),
    }
}
