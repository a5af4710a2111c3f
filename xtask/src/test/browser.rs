//! The console in a real browser: Playwright against a whole Holdfast on free ports.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use tokio::process::Command;

use super::count::{Count, of_playwright};
use crate::{
    build,
    demo::customer::{DemoCustomer, SOURCE},
    files, say, setup, sh,
    stack::{Plan, Stack, endpoint::Endpoint, port, secrets::Secrets},
    workspace::Workspace,
};

/// Runs it.
pub async fn run(workspace: &Workspace, rest: &[String]) -> Result<Count> {
    let built = build::all(workspace, false).await?;
    let folder = workspace.root.join("end2end");
    let chromium = chromium(&folder).await?;

    let data = tempfile::Builder::new().prefix("holdfast-browser-").tempdir()?;
    fs::set_permissions(data.path(), fs::Permissions::from_mode(0o711))?;
    let plan = Plan {
        folder: data.path().to_owned(),
        secrets: Secrets::make()?,
        server_port: port::any()?,
        endpoint: Endpoint::Lockbox,
        s3_port: port::any()?,
        database_url: None,
        durable: false,
    };
    let mut stack = Box::pin(Stack::start(plan, built)).await?;
    let source = data.path().join("files");
    files::small_office(&source)?;
    let customer = Box::pin(DemoCustomer::set_up(&mut stack, &source)).await?;
    // New files, so that "back up now" has something to show.
    files::large_random(&source.join("disks"), "browser", 10, 16 << 20)?;

    let report = data.path().join("report.json");
    let mut command = Command::new("npx");
    command
        .current_dir(&folder)
        .args(["playwright", "test", "--reporter=list,json"])
        .args(rest)
        .env("PLAYWRIGHT_JSON_OUTPUT_NAME", &report)
        .env("HOLDFAST_URL", stack.url())
        .env("HOLDFAST_EMAIL", &stack.plan.secrets.email)
        .env("HOLDFAST_PASSWORD", &stack.plan.secrets.password)
        .env("HOLDFAST_TENANT", customer.tenant.to_string())
        .env("HOLDFAST_S3_ENDPOINT", stack.s3_endpoint())
        .env("HOLDFAST_S3_ACCESS_KEY", &stack.plan.secrets.s3_access_key)
        .env("HOLDFAST_S3_SECRET_KEY", &stack.plan.secrets.s3_secret_key)
        .env("HOLDFAST_SOURCE", SOURCE)
        .env("HOLDFAST_FOLDER", &source)
        .env("HOLDFAST_AGENT", stack.agent_program())
        .env("HOLDFAST_AGENT_STATE", stack.agent_state())
        .env("HOLDFAST_KIT", stack.kit())
        .env("CHROMIUM", chromium);
    let (success, _) = sh::run_and_keep(&mut command).await?;
    if !success {
        stack.keep_logs(&workspace.target.join("browser-logs"))?;
    }
    let report = fs::read(&report).context("Playwright wrote no report")?;
    let count =
        of_playwright(&serde_json::from_slice(&report)?).context("Playwright's report has no figures")?;
    Ok(count.confirmed_by(success))
}

/// Puts the npm packages in place, and finds a Chromium.
pub async fn chromium(folder: &Path) -> Result<PathBuf> {
    packages(folder).await?;
    match setup::chromium_program() {
        Some(program) => Ok(program),
        None => playwrights_own_chromium(folder).await,
    }
}

/// Installs the npm packages, unless they are there as the lock file says.
async fn packages(folder: &Path) -> Result<()> {
    let lock = fs::read(folder.join("package-lock.json")).context("end2end/package-lock.json")?;
    let stamp = blake3::hash(&lock).to_hex().to_string();
    let stamp_file = folder.join("node_modules/.holdfast-stamp");
    if fs::read_to_string(&stamp_file).is_ok_and(|last| last == stamp) {
        return Ok(());
    }
    say::doing("Installing the npm packages of the browser test");
    sh::output(
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(folder),
    )
    .await?;
    fs::write(stamp_file, stamp)?;
    Ok(())
}

/// Where the system offers no Chromium, Playwright downloads one, unless that was done.
async fn playwrights_own_chromium(folder: &Path) -> Result<PathBuf> {
    let mut node = Command::new("node");
    node.current_dir(folder)
        .args(["-p", "require('@playwright/test').chromium.executablePath()"]);
    let program = PathBuf::from(sh::output(&mut node).await?.trim());
    if !program.is_file() {
        say::doing("Installing Playwright's own Chromium: the system offers none");
        let mut npx = Command::new("npx");
        sh::run(
            npx.args(["playwright", "install", "--with-deps", "chromium"])
                .current_dir(folder),
        )
        .await?;
    }
    Ok(program)
}
