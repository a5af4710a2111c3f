//! `cargo xtask demo`: Holdfast on this machine, until Ctrl-C.

pub mod customer;
mod state;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    api::Api,
    build, files, process, say,
    setup::{self, Need},
    stack::{Plan, Stack, endpoint::Endpoint},
    workspace::Workspace,
};
use customer::{BUCKET, DemoCustomer};
use state::State;

/// Options of `cargo xtask demo`.
#[derive(clap::Args)]
pub struct Args {
    /// The console's port [default: 8420, or the next free one]
    #[arg(long, conflicts_with = "check")]
    port: Option<u16>,
    /// The folder that keeps everything [default: .data/demo in the repository]
    #[arg(long, conflicts_with = "check")]
    data: Option<PathBuf>,
    /// Deletes what an earlier demo kept in that folder
    #[arg(long, conflicts_with = "check")]
    fresh: bool,
    /// Runs the story without a person: set-up, backups, an attack with the root keys, restores; ends with 0 only
    /// when every step holds. It has a folder of its own, which is deleted in the end
    #[arg(long)]
    pub check: bool,
    /// With --check: leaves the folder for a look
    #[arg(long, requires = "check")]
    pub keep: bool,
    /// With --check: the store that the story takes place on (`ceph` installs Debian's packages of it)
    #[arg(long, value_enum, requires = "check", default_value = "lockbox")]
    pub s3: Endpoint,
}

/// `cargo xtask demo`.
pub async fn command(args: &Args) -> Result<bool> {
    let mut signals = process::Signals::install()?;
    let started = tokio::select! {
        started = Box::pin(start(args)) => Some(started?),
        _ = signals.next() => None,
    };
    let Some((mut stack, _claim)) = started else {
        println!("\nstopped");
        return Ok(true);
    };
    loop {
        tokio::select! {
            name = signals.next() => {
                println!("\n{name}: stopping the agent, the server, lockbox and Postgres");
                return Ok(true);
            }
            () = tokio::time::sleep(Duration::from_millis(500)) => stack.must_run()?,
        }
    }
}

async fn start(args: &Args) -> Result<(Stack, fs::File)> {
    let database_url = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
    let mut needs = vec![Need::Compiler, Need::Wasm];
    if database_url.is_none() {
        needs.push(Need::Postgres);
    }
    setup::ensure(&needs).await?;

    let workspace = Workspace::load()?;
    let folder = state::folder(
        &args
            .data
            .clone()
            .unwrap_or_else(|| workspace.root.join(".data/demo")),
    )?;
    let claim = process::claim(&folder)?;
    if args.fresh {
        // What a killed demo left running must not write into the new one.
        process::Ledger::take_over(&folder)?;
        state::start_over(&folder)?;
    }
    process::Ledger::take_over(&folder)?;
    let (mut state, new) = State::open(&folder, args.port)?;
    let built = build::all(&workspace, false).await?;
    state.save(&folder)?;

    say::doing("Starting Postgres, lockbox and the server");
    let plan = Plan {
        folder: folder.clone(),
        secrets: state.secrets.clone(),
        server_port: state.server_port,
        endpoint: Endpoint::Lockbox,
        s3_port: state.lockbox_port,
        database_url,
        durable: true,
    };
    let mut stack = Box::pin(Stack::start(plan, built)).await?;
    let files = folder.join("files");
    let customer = match state.customer.clone() {
        Some(customer) => {
            stack.start_agent()?;
            customer
        }
        None => {
            if !new {
                anyhow::bail!(
                    "an earlier demo in {} was stopped before it was set up; start over with --fresh",
                    folder.display()
                );
            }
            say::doing("Setting up a customer with an agent, and taking a first backup");
            files::small_office(&files)?;
            let customer = Box::pin(DemoCustomer::set_up(&mut stack, &files)).await?;
            state.customer = Some(customer.clone());
            state.save(&folder)?;
            customer
        }
    };
    banner(&stack, &customer, &files).await?;
    Ok((stack, claim))
}

async fn banner(stack: &Stack, customer: &DemoCustomer, files: &std::path::Path) -> Result<()> {
    let secrets = &stack.plan.secrets;
    let (api, _) = Api::sign_in(&stack.url(), &secrets.email, &secrets.password).await?;
    let newest = customer::describe(&api, customer)
        .await
        .context("the demo's customer")?;
    println!();
    say::boxed(
        "Holdfast is running",
        &[
            format!("console     {}", stack.url()),
            format!("e-mail      {}", secrets.email),
            format!("password    {}", secrets.password),
            String::new(),
            format!(
                "S3          {}   (path style, region us-east-1)",
                stack.s3_endpoint()
            ),
            format!("bucket      {BUCKET}"),
            format!("root key    {}", secrets.s3_access_key),
            format!("secret      {}", secrets.s3_secret_key),
            String::new(),
            format!("backed up   {}", files.display()),
            format!("snapshot    {newest}"),
            format!("kit         {}", stack.kit().display()),
            format!(
                "agent       {} … --state {}",
                stack.agent_program().display(),
                stack.agent_state().display()
            ),
        ],
    );
    println!(
        "\nThe root key may do anything that S3 allows. Try to delete the backups with it, with any S3 client:\n\n  \
         export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={} AWS_DEFAULT_REGION=us-east-1\n  \
         aws --endpoint-url {e} s3api list-object-versions --bucket {BUCKET} --query 'Versions[].[Key,VersionId]'\n  \
         aws --endpoint-url {e} s3api delete-object --bucket {BUCKET} --key KEY --version-id ID\n\n\
         Ctrl-C stops everything; the next `cargo xtask demo` goes on from here.",
        secrets.s3_access_key,
        secrets.s3_secret_key,
        e = stack.s3_endpoint()
    );
    Ok(())
}
