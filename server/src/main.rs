//! `holdfast`: the server.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Parser, Subcommand};
use holdfast_server::{
    clock::Clock,
    serve::{self, Settings},
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Immutable, point-in-time backups in S3 Object Lock.
#[derive(Parser)]
#[command(name = "holdfast", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the console and the API.
    Serve(Serve),
}

#[derive(clap::Args)]
struct Serve {
    /// Address and port to listen on.
    #[arg(long, env = "HOLDFAST_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The Postgres database, as the role that owns the schema: postgres://user:password@host:port/database.
    /// The server makes a restricted role for itself.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Folder for the master key. Back it up apart from the database: without it the sealed S3 keys are lost.
    #[arg(long, env = "HOLDFAST_DATA")]
    data: PathBuf,
    /// Where browsers and agents reach this server. Default: http:// and the address above.
    #[arg(long, env = "HOLDFAST_PUBLIC_URL")]
    public_url: Option<String>,
    /// Folder with the built console.
    #[arg(long, env = "HOLDFAST_SITE_ROOT", default_value = "target/site")]
    site_root: PathBuf,
    /// E-mail address of the first operator, at the first start.
    #[arg(long, env = "HOLDFAST_OPERATOR_EMAIL", default_value = "operator@localhost")]
    operator_email: String,
    /// Password of the first operator, at the first start. Made up when not given, and told in the data folder.
    #[arg(env = "HOLDFAST_OPERATOR_PASSWORD", long, hide = true, hide_env_values = true)]
    operator_password: Option<String>,
}

/// How long requests that are under way get when the server is told to stop. Waiting agents and watching browsers
/// would hold it for longer, and come back by themselves.
const STOP_GRACE: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let Command::Serve(args) = Cli::parse().command;
    let settings = Settings {
        public_url: args
            .public_url
            .unwrap_or_else(|| format!("http://{}", args.listen)),
        database_url: args.database_url,
        data: args.data,
        site_root: args.site_root,
        operator_email: args.operator_email,
        operator_password: args.operator_password,
    };
    let app = serve::start(&settings, Clock::system()).await?;
    let listener = tokio::net::TcpListener::bind(args.listen)
        .await
        .with_context(|| {
            format!(
                "{} can not be listened on: is another server using the port?",
                args.listen
            )
        })?;
    tracing::info!("Holdfast is at {}", settings.public_url);

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut told = stopped.clone();
    let served = serve::serve(&app, &settings, listener, async move {
        told.wait_for(|stop| *stop).await.ok();
    });
    tokio::pin!(served);
    tokio::select! {
        result = &mut served => return Ok(result?),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.send_replace(true);
    tokio::time::timeout(STOP_GRACE, served).await.unwrap_or(Ok(()))?;
    Ok(())
}
