//! `cargo xtask bench doors`: one server under half-sent headers, a flood of sign-ins, 300 calls for work of one agent and a storm
//! of 1 MiB bodies, all at once on loopback; and what a person and a monitor notice of it meanwhile.

mod load;
mod measure;

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::{
    api::{Api, granted},
    build::{self, Built},
    demo::customer,
    say,
    setup::{self, Need},
    stack::{Plan, Stack, agent, endpoint::Endpoint, port, secrets::Secrets},
    workspace::Workspace,
};
use load::{BODIES, GUESSERS, POLLS, SLOW, Target, Told};
use measure::{Memory, Times};

/// Options of `cargo xtask bench doors`.
#[derive(clap::Args)]
pub struct Args {
    /// For how long everything comes at once
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// A folder with `holdfast`, `holdfast-agent` and `lockbox`, to measure another build than this tree's
    #[arg(long)]
    programs: Option<PathBuf>,
    /// A pause of each guessing client between two sign-ins, in milliseconds
    #[arg(long, default_value_t = 500)]
    pause: u64,
}

/// For how long the memory is measured after the load has ended.
const CALM_AFTER_LOAD: Duration = Duration::from_secs(30);

/// `cargo xtask bench doors`.
pub async fn command(args: &Args) -> Result<bool> {
    setup::ensure(&[Need::Compiler, Need::Postgres]).await?;
    let built = match &args.programs {
        Some(folder) => Built::found_in(folder),
        None => build::programs(&Workspace::load()?, true).await?,
    };
    lift_file_limit()?;
    let folder = tempfile::Builder::new().prefix("holdfast-bench-").tempdir()?;
    // Postgres' own user passes through.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
    let plan = Plan {
        folder: folder.path().canonicalize()?,
        secrets: Secrets::make()?,
        server_port: port::any()?,
        endpoint: Endpoint::Lockbox,
        s3_port: port::any()?,
        database_url: None,
        durable: false,
    };
    let stack = Box::pin(Stack::start(plan, built)).await?;
    let credential = enrolled(&stack).await?;
    let server = stack.server_id().context("the server is not running")?;
    let target = Arc::new(Target {
        port: stack.plan.server_port,
        email: stack.plan.secrets.email.clone(),
        password: stack.plan.secrets.password.clone(),
        credential,
        pause: Duration::from_millis(args.pause),
        told: Told::default(),
    });
    let known = measure::known_browser(&target).await?;
    // What a server needs that people are using already.
    measure::warm_up(&target).await?;

    say::doing(&format!(
        "{SLOW} half-sent requests, {GUESSERS} clients that guess passwords, {POLLS} calls of one agent and {BODIES} senders of 1 MiB for {} s",
        args.seconds
    ));
    let mut memory = Memory::watch(server)?;
    let anonymous = memory.anonymous()?;
    let (health, right, unknown) = (Times::default(), Times::default(), Times::default());
    let mut people = JoinSet::new();
    people.spawn(measure::health(target.clone(), health.clone()));
    people.spawn(measure::sign_ins(target.clone(), Some(known), right.clone()));
    people.spawn(measure::sign_ins(target.clone(), None, unknown.clone()));
    let mut attack = load::everything(&target);
    let span = Duration::from_secs(args.seconds);
    tokio::time::timeout(span, memory.sample_for_ever()).await.ok();
    attack.shutdown().await;
    people.shutdown().await;
    let peak = memory.peak;
    let mut after = memory.now()?;
    for _ in 0..CALM_AFTER_LOAD.as_secs() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        after = memory.now()?;
    }

    println!("\n| what was measured | times | refused | median | worst | aim |");
    println!("|---|---:|---:|---:|---:|---|");
    println!(
        "{}",
        right.row("right sign-in, a browser that is known", "under 2 s")
    );
    println!(
        "{}",
        unknown.row(
            "right sign-in, a new browser elsewhere",
            "under 2 s, or told to wait"
        )
    );
    println!("{}", health.row("/healthz", "under 200 ms"));
    println!("\n| memory of the server | MiB | of that not the program's file |\n|---|---:|---:|");
    let mib = |bytes: u64| bytes >> 20;
    println!("| before | {} | {} |", mib(memory.before), mib(anonymous));
    println!("| at most | {} | |", mib(peak));
    let left = mib(memory.anonymous()?);
    println!(
        "| {} s afterwards | {} | {left} |",
        CALM_AFTER_LOAD.as_secs(),
        mib(after)
    );
    println!("\nanswers to the load: {}", target.told.summary());
    Ok(true)
}

/// A tenant with an agent; gives the agent's credential.
async fn enrolled(stack: &Stack) -> Result<String> {
    #[derive(Deserialize)]
    struct Config {
        credential: String,
    }
    let secrets = &stack.plan.secrets;
    let (api, _) = Api::sign_in(&stack.url(), &secrets.email, &secrets.password).await?;
    let tenant = api.new_tenant("Benchmark").await?.id;
    let new = customer::storage_account(stack);
    let account = granted("storage account", api.new_storage_account(tenant, &new).await?)?;
    let keys = agent::keygen(stack.agent_program(), &stack.kit()).await?;
    let new = customer::backup_set("Benchmark", account.id, "bench-doors", &keys);
    let set = granted("backup set", api.new_backup_set(tenant, &new).await?)?;
    customer::enroll(&api, stack, tenant, set.id, &keys).await?;
    let config = stack.agent_state().join("agent.json");
    let config: Config =
        serde_json::from_slice(&fs::read(&config)?).with_context(|| config.display().to_string())?;
    Ok(config.credential)
}

/// Each connection is a file.
fn lift_file_limit() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    setrlimit(Resource::Nofile, limit).context("the limit of open files")
}
