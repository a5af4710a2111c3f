//! `holdfast-agent`: the endpoint's command line.

mod args;
mod cli;
mod commands;

use std::{
    ffi::OsString,
    fs::File,
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use agent::{
    enroll::read_token,
    escape::{EscapedLines, escaped},
    progress::Silent,
    state::{Secret, State},
    storage::Origin,
};
use anyhow::Context;
use clap::{Parser, Subcommand};
use repository::recovery::Fingerprint;
use serde_json::json;

use args::{StateArg, UploadArg};

/// Backs this endpoint up into locked, immutable storage, and restores it.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
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
    /// Make this endpoint an agent, with the command that the console shows. The one-time token is read from standard input:
    /// other users of this machine can see a command's arguments
    Enroll {
        #[command(flatten)]
        state: StateArg,
        /// The server's address, such as https://backup.example.com
        #[arg(long)]
        server: String,
        /// Read the one-time token from this file in the place of standard input
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// Refused, with what to do: the token was an argument once
        #[arg(long, hide = true, num_args = 0..=1, value_name = "TOKEN")]
        token: Option<Option<OsString>>,
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
    /// List what a source would take and leave out, and by which exclude line, before anything is sent or locked. Nothing of it leaves
    /// this endpoint. Exits with 3 when something could not be looked at, or the listing was stopped
    Preview(Box<commands::preview::PreviewArgs>),
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
    /// Show a snapshot: with --warnings what was left out or is not whole, file by file
    Show(Box<commands::show::ShowArgs>),
    /// Restore with the recovery kit and read access to the bucket: no server and no database are needed
    #[command(subcommand)]
    Recover(Box<commands::recover::RecoverCommand>),
    /// Look whether everything that snapshots need is there and is what it should be. Exits with 3 when it is not
    #[command(subcommand)]
    Verify(Box<commands::verify::VerifyCommand>),
    /// Confirm a storage host that the server names, and that this agent does not know: after the endpoint of its backup set was
    /// changed on purpose. Backups go there from then on
    TrustHost {
        #[command(flatten)]
        state: StateArg,
        /// The storage's address, as the refused run names it, such as https://s3.example.com
        host: Origin,
        /// Take it off the list of known hosts instead
        #[arg(long)]
        forget: bool,
    },
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
        .with_writer(|| EscapedLines(std::io::stderr()))
        // Colours are escapes as well.
        .with_ansi(false)
        .with_target(false)
        .init();
    match execute(Cli::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            tracing::debug!(?error, "failed");
            let error = escaped(format!("{error:#}").as_bytes());
            let _ = writeln!(std::io::stderr().lock(), "error: {error}");
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
                let made = json!({"public_key": public, "fingerprint": fingerprint, "kit": out});
                cli::print(&cli::json(&made));
            } else {
                cli::print(&format!("recovery kit: {}", out.display()));
                cli::print(&format!("public key:   {public}"));
                cli::print(&format!("fingerprint:  {fingerprint}"));
                cli::print("");
                cli::print("Keep the kit offline, in two places: without it nothing can be restored.");
            }
        }
        Command::Enroll {
            state,
            server,
            token_file,
            token,
            fingerprint,
        } => {
            if token.is_some() {
                anyhow::bail!(
                    "a token is not given as an argument, which other users of this machine can see. Make a new one in the \
                     console, and give it on standard input, as the command there does, or in a file with --token-file"
                );
            }
            let token = enrollment_token(token_file.as_deref())?;
            let state = agent::enroll(&state.folder, &server, token.reveal(), fingerprint).await?;
            cli::print(&format!("enrolled as {}", state.config().agent_id));
        }
        Command::Run { state, limit } => {
            let settings = agent::daemon::Settings {
                limits: limit.limits(),
                ..Default::default()
            };
            agent::daemon::daemon(&state.folder, settings, Arc::new(Silent), stop_signal()?).await?;
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
                cli::print(&cli::json(&snapshots));
            } else {
                cli::print_snapshots(&snapshots);
            }
        }
        Command::Preview(args) => return Box::pin(commands::preview::run(*args, stop_signal()?)).await,
        Command::Restore(args) => return Box::pin(commands::restore::restore(*args)).await,
        Command::Show(args) => return Box::pin(commands::show::show(*args)).await,
        Command::Recover(command) => return Box::pin(commands::recover::recover(*command)).await,
        Command::Verify(command) => return Box::pin(commands::verify::verify(*command)).await,
        Command::TrustHost { state, host, forget } => {
            let hosts = State::open(&state.folder)?.hosts()?;
            let done = match (
                forget,
                forget && hosts.forget(&host)?,
                !forget && hosts.trust(host.clone())?,
            ) {
                (true, true, _) => format!("{host} is no longer known: nothing is sent there any more"),
                (true, false, _) => format!("{host} was not known"),
                (false, _, true) => format!("{host} is known from now on"),
                (false, _, false) => format!("{host} was known already"),
            };
            cli::print(&done);
        }
        Command::Status { state } => status(&state.folder).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The token from the file, or else from standard input; a person at a terminal is asked for it.
fn enrollment_token(file: Option<&Path>) -> anyhow::Result<Secret> {
    if let Some(path) = file {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        return read_token(file).with_context(|| path.display().to_string());
    }
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let _ = write!(
            std::io::stderr(),
            "Paste the enrollment token, then press Enter: "
        );
    }
    Ok(read_token(stdin.lock())?)
}

async fn status(folder: &Path) -> anyhow::Result<()> {
    let state = State::open(folder)?;
    let config = state.config();
    cli::print(&format!("agent:        {}", config.agent_id));
    cli::print(&format!("server:       {}", config.server));
    cli::print(&format!("fingerprint:  {}", config.fingerprint));
    for host in state.hosts()?.known() {
        cli::print(&format!("storage:      {host}"));
    }
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
