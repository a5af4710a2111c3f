//! `cargo xtask bench`: measurements, as tables. Nothing here passes or fails by the clock.

mod doors;
mod engine;
mod planner;

use anyhow::Result;

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Plan, check and simulate by the clock; calls and dollars against the rules of others
    Planner(planner::Args),
    /// The backup engine against restic, rustic and borg, on the same data and the same S3 endpoint
    Engine(engine::Args),
    /// A server under slow requests, a flood of sign-ins, calls of one agent and large bodies, all at once
    Doors(doors::Args),
}

/// `cargo xtask bench`.
pub async fn command(args: &Args) -> Result<bool> {
    match &args.what {
        What::Planner(args) => planner::command(args).await,
        What::Engine(args) => engine::command(args).await,
        What::Doors(args) => doors::command(args).await,
    }
}
