//! `cargo xtask build`: the three programs, and the console for the browser.

mod console;
mod stamp;

use std::path::{Path, PathBuf};

use anyhow::Result;
pub use console::build as console;

use crate::{
    say,
    setup::{self, Need},
    sh,
    workspace::Workspace,
};

/// Options of `cargo xtask build`.
#[derive(clap::Args)]
pub struct Args {
    /// Optimised programs (the console always is)
    #[arg(long)]
    release: bool,
}

/// What a build makes.
#[derive(Clone)]
pub struct Built {
    /// `holdfast`.
    pub server: PathBuf,
    /// `holdfast-agent`.
    pub agent: PathBuf,
    /// `lockbox`.
    pub lockbox: PathBuf,
    /// The folder that holds `pkg/`, for the server to serve.
    pub site: PathBuf,
}

impl Built {
    /// Programs that were built before, without the console.
    pub fn found_in(folder: &Path) -> Self {
        Self {
            server: folder.join("holdfast"),
            agent: folder.join("holdfast-agent"),
            lockbox: folder.join("lockbox"),
            site: folder.join("site"),
        }
    }
}

/// `cargo xtask build`.
pub async fn command(args: &Args) -> Result<bool> {
    setup::ensure(&[Need::Compiler, Need::Wasm]).await?;
    let built = all(&Workspace::load()?, args.release).await?;
    for file in [&built.server, &built.agent, &built.lockbox, &built.site] {
        println!("{}", file.display());
    }
    Ok(true)
}

/// Builds everything.
pub async fn all(workspace: &Workspace, release: bool) -> Result<Built> {
    let mut built = programs(workspace, release).await?;
    built.site = console::build(workspace).await?;
    Ok(built)
}

/// Builds the programs alone; the console stays as it is, or is missing.
pub async fn programs(workspace: &Workspace, release: bool) -> Result<Built> {
    say::doing("Building the server, the agent and lockbox");
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--quiet", "--locked", "--bins"]);
    // The console's library is named so that cargo chooses the same features as for the tests of the workspace:
    // what one of both has compiled is then there for the other.
    cargo.args(["-p", "server", "-p", "agent", "-p", "lockbox", "-p", "frontend"]);
    if release {
        cargo.arg("--release");
    }
    sh::run(&mut cargo).await?;
    let folder = if release { "release" } else { "debug" };
    Ok(Built {
        site: workspace.target.join("site"),
        ..Built::found_in(&workspace.target.join(folder))
    })
}

/// Builds lockbox alone, unless `HOLDFAST_LOCKBOX` names one.
#[cfg(test)]
pub async fn lockbox(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(program) = std::env::var_os("HOLDFAST_LOCKBOX") {
        return Ok(program.into());
    }
    sh::run(
        workspace
            .cargo()
            .args(["build", "--quiet", "--bin", "lockbox", "-p", "lockbox"]),
    )
    .await?;
    Ok(workspace.target.join("debug/lockbox"))
}
