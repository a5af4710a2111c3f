//! The binary `lockbox`: an S3 server with versioning and Object Lock, its data in one folder.

use std::error::Error as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lockbox::{Clock, Config, Credentials, Error};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// An S3 server with versioning and Object Lock, its data in one folder.
///
/// On SIGUSR1 it prints one line with the number of requests of each kind that it has let in so far.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// The address to listen on.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// The folder that holds all data; made when missing.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// A base domain for virtual-host addressing (BUCKET.DOMAIN); may be given more than once.
    #[arg(long, value_name = "DOMAIN")]
    domain: Vec<String>,
    /// Faults on purpose, for tests: a JSON file of rules (see the library's module `faults::file`), read again whenever
    /// it changes. Never use this where data matters.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// The access key that requests are signed with.
    #[arg(long, env = "LOCKBOX_ACCESS_KEY", hide_env_values = true)]
    access_key: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,s3s=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), String> {
    let need = |value: Option<String>, name: &str| {
        value
            .filter(|v| !v.is_empty())
            .ok_or_else(|| format!("set {name} in the environment"))
    };
    let credentials = Credentials {
        access_key: need(options.access_key, "LOCKBOX_ACCESS_KEY")?,
        // Not an option of the command line, where every user of the machine could read it.
        secret_key: need(std::env::var("LOCKBOX_SECRET_KEY").ok(), "LOCKBOX_SECRET_KEY")?,
    };
    let config = Config {
        data: options.data,
        credentials: vec![credentials],
        clock: Clock::system(),
        domains: options.domain,
    };
    let listener = TcpListener::bind(options.listen).await.map_err(|source| {
        explain(&Error::Listen {
            address: options.listen.to_string(),
            source,
        })
    })?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    let server = lockbox::open(config).await.map_err(|e| explain(&e))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    let mut asked = signal(SignalKind::user_defined1()).map_err(|e| e.to_string())?;
    let calls = server.calls();
    let faults = server.faults();
    tokio::spawn(async move {
        while asked.recv().await.is_some() {
            say(&format!("lockbox calls {calls}"));
            let hits = faults.hits();
            if !hits.is_empty() {
                say(&format!("lockbox fault hits {hits:?}"));
            }
        }
    });
    if let Some(path) = options.faults {
        let faults = server.faults();
        tokio::spawn(async move {
            let told = |told| match told {
                Ok(count) => say(&format!("lockbox faults in force: {count}")),
                Err(error) => complain(&format!("{}: {error}", path.display())),
            };
            lockbox::faults::file::follow(&path, &faults, told).await;
        });
    }
    say(&format!("lockbox listening on http://{address}"));
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    server.run(listener, shutdown).await;
    Ok(())
}

/// An error with all its causes, in one line.
fn explain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[expect(clippy::print_stdout, reason = "the lines that scripts wait for")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "why the process ends")]
fn complain(message: &str) {
    eprintln!("lockbox: {message}");
}
