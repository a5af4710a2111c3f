//! `holdfast-agent`: the endpoint's command line.

mod cli;
mod commands;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use agent::{
    limit::{Limits, Rate},
    progress::Silent,
    state::{DEFAULT_FOLDER, State},
};
use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use repository::recovery::Fingerprint;
use serde_json::json;

/// Backs this endpoint up into locked, immutable storage, and restores it.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Whose state.
#[derive(Args)]
pub struct StateArg {
    /// Where the agent keeps its identity and cache
    #[arg(long = "state", value_name = "DIR", env = "HOLDFAST_AGENT_STATE", default_value = DEFAULT_FOLDER)]
    folder: PathBuf,
}

/// What backups may use of the network.
#[derive(Args)]
struct UploadArg {
    /// Send no more than this in a second, such as `10 MiB/s`. Comes before `limits.upload` in the state folder's
    /// agent.json; a lower limit that the server sets for a source holds anyway
    #[arg(long, value_name = "RATE", env = "HOLDFAST_LIMIT_UPLOAD")]
    limit_upload: Option<Rate>,
}

impl UploadArg {
    fn limits(&self) -> Limits {
        Limits {
            upload: self.limit_upload,
            ..Limits::default()
        }
    }
}

/// What restores may use of the network.
#[derive(Args)]
pub struct DownloadArg {
    /// Fetch no more than this in a second, such as `10 MiB/s`. Comes before `limits.download` in the state folder's
    /// agent.json
    #[arg(long, value_name = "RATE", env = "HOLDFAST_LIMIT_DOWNLOAD")]
    pub limit_download: Option<Rate>,
}

#[derive(Subcommand)]
enum Command {
    /// Make a recovery kit: the only key that opens a backup set
    Keygen {
        /// Where to write the kit; must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Make this endpoint an agent, with the command that the console shows
    Enroll {
        #[command(flatten)]
        state: StateArg,
        /// The server's address, such as https://backup.example.com
        #[arg(long)]
        server: String,
        /// The one-time token
        #[arg(long)]
        token: String,
        /// The fingerprint of the backup set's recovery key
        #[arg(long)]
        fingerprint: Fingerprint,
    },
    /// Wait for work and do it, until stopped
    Run {
        #[command(flatten)]
        state: StateArg,
        #[command(flatten)]
        limit: UploadArg,
    },
    /// Back up now: all sources, or one
    Backup {
        #[command(flatten)]
        state: StateArg,
        /// A source's name or id
        #[arg(long, value_name = "NAME|ID")]
        source: Option<String>,
        #[command(flatten)]
        limit: UploadArg,
        /// Print JSON lines
        #[arg(long)]
        json: bool,
    },
    /// List this endpoint's snapshots
    Snapshots {
        #[command(flatten)]
        state: StateArg,
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Restore a snapshot, or parts of it. Exits with 3 when something was lost and everything else is back
    Restore(Box<commands::restore::RestoreArgs>),
    /// Restore with the recovery kit and read access to the bucket: no server and no database are needed
    #[command(subcommand)]
    Recover(Box<commands::recover::RecoverCommand>),
    /// Look whether everything that snapshots need is there and is what it should be. Exits with 3 when it is not
    #[command(subcommand)]
    Verify(Box<commands::verify::VerifyCommand>),
    /// Show who this agent is and whether the server answers
    Status {
        #[command(flatten)]
        state: StateArg,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HOLDFAST_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,agent=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    match execute(Cli::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            tracing::debug!(?error, "failed");
            use std::io::Write;
            let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Keygen { out, json } => {
            let key = agent::keygen(&out)?;
            let (public, fingerprint) = (key.to_string(), key.fingerprint().to_string());
            if json {
                cli::print(
                    &json!({"public_key": public, "fingerprint": fingerprint, "kit": out}).to_string(),
                );
            } else {
                cli::print(&format!(
                    "recovery kit: {}\npublic key:   {public}\nfingerprint:  {fingerprint}\n\nKeep the kit offline, in two places: without it nothing can be restored.",
                    out.display()
                ));
            }
        }
        Command::Enroll {
            state,
            server,
            token,
            fingerprint,
        } => {
            let state = agent::enroll(&state.folder, &server, &token, fingerprint).await?;
            cli::print(&format!("enrolled as {}", state.config().agent_id));
        }
        Command::Run { state, limit } => {
            agent::daemon::daemon(&state.folder, limit.limits(), Arc::new(Silent), stop_signal()?).await?;
        }
        Command::Backup {
            state,
            source,
            limit,
            json,
        } => {
            agent::backup_until(
                &state.folder,
                source.as_deref(),
                limit.limits(),
                cli::observer(json),
                stop_signal()?,
            )
            .await?;
        }
        Command::Snapshots { state, json } => {
            let snapshots = agent::snapshots(&state.folder).await?;
            if json {
                cli::print(&serde_json::to_string(&snapshots)?);
            } else {
                cli::print_snapshots(&snapshots);
            }
        }
        Command::Restore(args) => return Box::pin(commands::restore::restore(*args)).await,
        Command::Recover(command) => return Box::pin(commands::recover::recover(*command)).await,
        Command::Verify(command) => return Box::pin(commands::verify::verify(*command)).await,
        Command::Status { state } => status(&state.folder).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(folder: &std::path::Path) -> anyhow::Result<()> {
    let state = State::open(folder)?;
    let config = state.config();
    cli::print(&format!(
        "agent:        {}\nserver:       {}\nfingerprint:  {}",
        config.agent_id, config.server, config.fingerprint
    ));
    let snapshots = agent::snapshots(folder).await.context("the server")?;
    cli::print(&format!("snapshots:    {}", snapshots.len()));
    if let Some(newest) = snapshots.iter().find(|snapshot| snapshot.complete) {
        cli::print(&format!(
            "newest:       {} of {}, locked until {}",
            newest.id, newest.received_at, newest.protected_until
        ));
    }
    Ok(())
}

/// Resolves at SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
