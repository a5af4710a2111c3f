//! `cargo xtask setup`: what building and testing need and a fresh machine may lack. Whether something is there
//! is found out by looking, each time; nothing is noted down.

pub mod ceph;
mod system;
pub mod wasm;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::{say, sh};
use system::System;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Need {
    /// A C compiler and linker
    Compiler,
    /// Rust's standard library for WebAssembly
    Wasm,
    /// Postgres' server programs
    Postgres,
    /// Node.js and npm, for the browser test
    Node,
    /// Chromium, for the browser test
    Chromium,
    /// Ceph's S3 gateway, for a story or a bench on another store than lockbox
    Ceph,
}

/// Options of `cargo xtask setup`.
#[derive(clap::Args)]
pub struct Args {
    /// Only these (may be given several times) [default: all that the tests need]
    #[arg(long, value_enum)]
    only: Vec<Need>,
}

/// `cargo xtask setup`.
pub async fn command(args: &Args) -> Result<bool> {
    let all = [
        Need::Compiler,
        Need::Wasm,
        Need::Postgres,
        Need::Node,
        Need::Chromium,
    ];
    let needs = if args.only.is_empty() {
        &all[..]
    } else {
        &args.only
    };
    ensure(needs).await?;
    println!("everything is in place");
    Ok(true)
}

/// Puts in place what is not there yet, with a line for each thing that is installed.
pub async fn ensure(needs: &[Need]) -> Result<()> {
    let mut system = System::look();
    for need in needs {
        match need {
            Need::Compiler => compiler(&mut system).await?,
            Need::Wasm => wasm::ensure(&mut system).await?,
            Need::Postgres => postgres(&mut system).await?,
            Need::Node => node(&mut system).await?,
            Need::Chromium => chromium(&mut system).await?,
            Need::Ceph => install_ceph(&mut system).await?,
        }
    }
    Ok(())
}

async fn compiler(system: &mut System) -> Result<()> {
    if sh::find("cc").is_some() {
        return Ok(());
    }
    say::doing("Installing gcc: some dependencies (zstd, aws-lc) are in C");
    system.install(&["gcc", "libc6-dev"]).await?;
    match sh::find("cc") {
        Some(_) => Ok(()),
        None => bail!("there is still no `cc` on PATH; install a C compiler and try again"),
    }
}

/// The folder of `initdb` and `postgres`.
pub fn postgres_programs() -> Option<PathBuf> {
    let complete = |folder: &Path| {
        ["initdb", "postgres", "pg_isready", "psql"]
            .iter()
            .all(|name| sh::is_executable(&folder.join(name)))
    };
    // Debian keeps one folder a version; the newest one is wanted. PATH may hold wrappers that lack the server.
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| complete(folder))
        .collect();
    versions.sort();
    versions.pop().map(|(_, folder)| folder).or_else(|| {
        let initdb = sh::find("initdb")?;
        let folder = initdb.parent()?.to_owned();
        complete(&folder).then_some(folder)
    })
}

async fn postgres(system: &mut System) -> Result<()> {
    if postgres_programs().is_some() {
        return Ok(());
    }
    say::doing(
        "Installing PostgreSQL: Holdfast keeps its ledger in it (a private one is started when needed)",
    );
    system.install_postgres().await?;
    match postgres_programs() {
        Some(_) => Ok(()),
        None => {
            bail!("`initdb` and `postgres` are still not found; install PostgreSQL 14 or newer and try again")
        }
    }
}

async fn node(system: &mut System) -> Result<()> {
    if sh::find("node").is_none() || sh::find("npm").is_none() {
        say::doing("Installing Node.js and npm: the browser test is written with Playwright");
        system.install(&["nodejs", "npm"]).await?;
    }
    let version = sh::output(tokio::process::Command::new("node").arg("--version")).await?;
    let major = version
        .trim()
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|text| text.parse::<u32>().ok());
    if major.is_none_or(|major| major < 18) {
        bail!(
            "Node.js is {}, and Playwright wants 18 or newer: install a newer one and try again",
            version.trim()
        );
    }
    Ok(())
}

/// A browser that Playwright can drive.
pub fn chromium_program() -> Option<PathBuf> {
    [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ]
    .iter()
    .find_map(|name| sh::find(name))
}

async fn chromium(system: &mut System) -> Result<()> {
    if chromium_program().is_some() || system.is_ubuntu() {
        // Ubuntu's package is a snap, which does not run in containers: the browser test lets Playwright
        // download its own (see `test::browser`).
        return Ok(());
    }
    say::doing("Installing Chromium: the browser test runs the console in it");
    system.install(&["chromium"]).await?;
    match chromium_program() {
        Some(_) => Ok(()),
        None => bail!("there is still no Chromium on PATH; install Chromium or Chrome and try again"),
    }
}

async fn install_ceph(system: &mut System) -> Result<()> {
    if ceph::is_installed() {
        return Ok(());
    }
    say::doing("Installing Ceph's gateway, monitor and store: an S3 with Object Lock that is not ours");
    system.install(&ceph::PACKAGES).await?;
    match ceph::is_installed() {
        true => Ok(()),
        false => bail!("Ceph's programs are still not on PATH"),
    }
}
