//! `holdfast`: the server.

use std::{ffi::OsString, io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{Parser, Subcommand};
use holdfast_server::{
    client_address::TrustedProxies,
    clock::Clock,
    first_password,
    http::Deadlines,
    planning::{self, FileError},
    rebuild,
    s3::address::AddressRule,
    serve::{self, Settings},
};
use ipnet::IpNet;
use repository::commit::CommitVerifyingKey;
use shared::ids::BackupSetId;
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
    /// Plan a file's snapshots and objects: what is kept, refreshed, groomed, and why. Needs no database.
    ///
    /// Exit code 0: planned; 1: `check` found a violation in the plan; 2: the file is wrong.
    Plan(Plan),
    /// Rebuild a backup set's ledger from its bucket alone, and tell what differs. Changes nothing without --apply.
    ///
    /// Exit code 0: ledger and bucket agree, or the difference was written; 1: they differ, or something was refused.
    RebuildLedger(RebuildLedger),
    /// Simulate years of a policy: what is stored, locked, refreshed and deleted, and what it costs. Needs no database.
    ///
    /// Exit code 0: simulated; 2: the file is wrong.
    Simulate(Simulate),
}

#[derive(clap::Args)]
struct Simulate {
    /// The policy, the provider, the schedule, the workload and the horizon as JSON (docs/RETENTION.md); `-` reads standard
    /// input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Plan {
    /// The policy, the provider and the sources as JSON (docs/RETENTION.md); `-` reads standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// The instant to plan for, such as 2026-01-08T00:00:00Z. Default: now
    #[arg(long, value_name = "RFC3339")]
    now: Option<jiff::Timestamp>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct RebuildLedger {
    /// The Postgres database, as for `serve`
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// The data folder, as for `serve`: its master key opens the S3 keys and signs commit records
    #[arg(long, env = "HOLDFAST_DATA")]
    data: PathBuf,
    /// Networks in which storage endpoints may be besides the public internet, such as 192.168.7.0/24; there also over http.
    /// Separated by commas, or given several times. Default: none, so that endpoints are public and use https
    #[arg(
        long = "storage-network",
        env = "HOLDFAST_STORAGE_NETWORKS",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    storage_networks: Vec<IpNet>,
    /// The backup set, such as set_0193…; may be left out when there is only one
    #[arg(long, value_name = "ID")]
    backup_set: Option<BackupSetId>,
    /// Write the difference into the ledger, one source at a time
    #[arg(long)]
    apply: bool,
    /// Print one JSON object, with every finding
    #[arg(long)]
    json: bool,
    /// A key whose commit records count besides this server's own: 64 hexadecimal digits, as a server logs at its start. For
    /// a server whose master key is lost. May be given several times
    #[arg(long, value_name = "KEY", value_parser = commit_key)]
    commit_key: Vec<CommitVerifyingKey>,
    /// Let commit records count whatever key signed them, when their manifests are whole and fit. Whoever could write into the
    /// bucket may have made such a pair: look at the signers
    #[arg(long)]
    any_commit_key: bool,
    /// Read every object and compare its hash, instead of going by size, MD5 and lock
    #[arg(long)]
    read_all: bool,
}

fn commit_key(text: &str) -> Result<CommitVerifyingKey, String> {
    CommitVerifyingKey::from_hex(text).map_err(|error| error.to_string())
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
    /// Networks in which storage endpoints may be besides the public internet, such as 192.168.7.0/24; there also over http.
    /// Separated by commas, or given several times. Default: none, so that endpoints are public and use https
    #[arg(
        long = "storage-network",
        env = "HOLDFAST_STORAGE_NETWORKS",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    storage_networks: Vec<IpNet>,
    /// Where browsers and agents reach this server. Default: http:// and the address above.
    #[arg(long, env = "HOLDFAST_PUBLIC_URL")]
    public_url: Option<String>,
    /// Networks of the reverse proxies before this server, such as 10.0.0.5/32: their X-Forwarded-For says where requests come
    /// from. Separated by commas, or given several times. Default: none, so that nobody is believed
    #[arg(
        long = "trusted-proxy",
        env = "HOLDFAST_TRUSTED_PROXIES",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    trusted_proxies: Vec<IpNet>,
    /// Folder with the built console.
    #[arg(long, env = "HOLDFAST_SITE_ROOT", default_value = "target/site")]
    site_root: PathBuf,
    /// E-mail address of the first operator, at the first start.
    #[arg(long, env = "HOLDFAST_OPERATOR_EMAIL", default_value = "operator@localhost")]
    operator_email: String,
    /// Read the password of the first operator, at the first start, from the first line of this file; `-` reads standard input. It
    /// can also be in the variable HOLDFAST_OPERATOR_PASSWORD. Made up when not given, and told in the data folder
    #[arg(long, env = "HOLDFAST_OPERATOR_PASSWORD_FILE", value_name = "FILE")]
    operator_password_file: Option<PathBuf>,
    /// Refused, with what to do: the password was an argument once
    #[arg(long, hide = true, num_args = 0..=1, value_name = "PASSWORD")]
    operator_password: Option<Option<OsString>>,
}

/// How long requests that are under way get when the server is told to stop. Waiting agents and watching browsers
/// would hold it for longer, and come back by themselves.
const STOP_GRACE: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match Cli::parse().command {
        Command::Serve(args) => serve(args).await.map(|()| ExitCode::SUCCESS),
        Command::Plan(args) => plan(&args),
        Command::Simulate(args) => simulate(&args),
        Command::RebuildLedger(args) => rebuild_ledger(args).await,
    }
}

fn plan(args: &Plan) -> anyhow::Result<ExitCode> {
    let now = args.now.unwrap_or_else(|| Clock::system().now());
    let report = match planning::plan_file(&args.input, now) {
        Ok(report) => report,
        Err(error) => return wrong_file(&error),
    };
    print(&report, args.json, planning::table)?;
    Ok(ExitCode::from(u8::from(!report.violations.is_empty())))
}

fn simulate(args: &Simulate) -> anyhow::Result<ExitCode> {
    let timeline = match planning::simulate_file(&args.input) {
        Ok(timeline) => timeline,
        Err(error) => return wrong_file(&error),
    };
    print(&timeline, args.json, planning::timeline_table)?;
    Ok(ExitCode::SUCCESS)
}

async fn rebuild_ledger(args: RebuildLedger) -> anyhow::Result<ExitCode> {
    let rule = AddressRule::new(args.storage_networks);
    let app = serve::open(&args.database_url, &args.data, rule, Clock::system()).await?;
    let (scope, set) = rebuild::find_set(&app, args.backup_set).await?;
    let options = rebuild::Options {
        apply: args.apply,
        commit_keys: args.commit_key,
        any_commit_key: args.any_commit_key,
        read_all: args.read_all,
    };
    let report = rebuild::backup_set(&app, &scope, &set, &options).await?;
    print(&report, args.json, rebuild::table)?;
    let is_done = |source: &rebuild::SourceReport| source.findings.is_empty() || source.written.is_some();
    Ok(ExitCode::from(u8::from(!report.sources.iter().all(is_done))))
}

fn wrong_file(error: &FileError) -> anyhow::Result<ExitCode> {
    writeln!(std::io::stderr(), "error: {error}")?;
    Ok(ExitCode::from(2))
}

fn print<T: serde::Serialize>(value: &T, json: bool, table: fn(&T) -> String) -> anyhow::Result<()> {
    let text = if json {
        serde_json::to_string(value)? + "\n"
    } else {
        table(value)
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// The first operator's password, if one is given.
fn operator_password(args: &Serve) -> anyhow::Result<Option<String>> {
    if args.operator_password.is_some() {
        anyhow::bail!(
            "a password is not given as an argument, which other users of this machine can see. Put it into a file, or on standard \
             input, and name it with --operator-password-file (`-` is standard input), or into the variable {}",
            first_password::VARIABLE
        );
    }
    let variable = std::env::var(first_password::VARIABLE).ok();
    Ok(first_password::given(
        args.operator_password_file.as_deref(),
        variable,
    )?)
}

async fn serve(args: Serve) -> anyhow::Result<()> {
    let operator_password = operator_password(&args)?;
    let settings = Settings {
        public_url: args
            .public_url
            .unwrap_or_else(|| format!("http://{}", args.listen)),
        database_url: args.database_url,
        data: args.data,
        storage_rule: AddressRule::new(args.storage_networks),
        site_root: args.site_root,
        trusted_proxies: TrustedProxies::new(args.trusted_proxies),
        deadlines: Deadlines::default(),
        operator_email: args.operator_email,
        operator_password,
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
    tokio::time::timeout(STOP_GRACE, serve::ended(&app)).await.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve_with(arguments: &[&str]) -> Serve {
        let must = [
            "holdfast",
            "serve",
            "--database-url",
            "postgres://x",
            "--data",
            "/nowhere",
        ];
        match Cli::try_parse_from([&must[..], arguments].concat())
            .unwrap()
            .command
        {
            Command::Serve(args) => args,
            _ => panic!("another command"),
        }
    }

    #[test]
    fn a_password_is_no_argument() {
        for arguments in [
            &["--operator-password", "hush-hush-hush"][..],
            &["--operator-password=hush-hush-hush"],
            &["--operator-password"],
        ] {
            let said = operator_password(&serve_with(arguments)).unwrap_err().to_string();
            assert!(
                said.contains("--operator-password-file") && !said.contains("hush"),
                "{said}"
            );
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hush-hush-hush\n").unwrap();
        let args = serve_with(&["--operator-password-file", file.to_str().unwrap()]);
        assert_eq!(
            operator_password(&args).unwrap().as_deref(),
            Some("hush-hush-hush")
        );
    }
}
