//! The agent's commands, as a technician would type them on the endpoint.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use shared::ids::SnapshotId;
use tokio::process::Command;

use crate::sh;

/// What `keygen` says.
#[derive(Deserialize)]
pub struct Keys {
    /// The recovery public key, for the form "new backup set".
    pub public_key: String,
    /// Its fingerprint.
    pub fingerprint: String,
}

/// Makes a recovery kit.
pub async fn keygen(program: &Path, kit: &Path) -> Result<Keys> {
    let text = sh::output(
        Command::new(program)
            .arg("keygen")
            .arg("--out")
            .arg(kit)
            .arg("--json"),
    )
    .await?;
    serde_json::from_str(&text).context("holdfast-agent keygen answered something else than its JSON")
}

/// Enrolls this machine, by the command that the console shows, as it is pasted into a shell.
pub async fn enroll(program: &Path, state: &Path, command: &str) -> Result<()> {
    let mut path = program.parent().unwrap_or(Path::new(".")).as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.env("PATH", path).env("HOLDFAST_AGENT_STATE", state);
    sh::output_of(&mut shell, command).await.map(|_| ())
}

/// Puts a whole snapshot back below a folder. Gives where a path of the source is then.
pub async fn restore(
    program: &Path,
    state: &Path,
    snapshot: SnapshotId,
    to: &Path,
    kit: &Path,
) -> Result<impl Fn(&Path) -> PathBuf + use<>> {
    let mut command = Command::new(program);
    command
        .arg("restore")
        .arg("--state")
        .arg(state)
        .args(["--snapshot", &snapshot.to_string()]);
    command.arg("--to").arg(to).arg("--kit").arg(kit).arg("--json");
    sh::output(&mut command).await?;
    let to = to.to_owned();
    Ok(move |path: &Path| to.join(path.strip_prefix("/").unwrap_or(path)))
}

/// Puts a whole snapshot back where it was.
pub async fn restore_in_place(program: &Path, state: &Path, snapshot: SnapshotId, kit: &Path) -> Result<()> {
    let mut command = Command::new(program);
    command.arg("restore").arg("--state").arg(state).args([
        "--snapshot",
        &snapshot.to_string(),
        "--in-place",
        "--json",
    ]);
    sh::output(command.arg("--kit").arg(kit)).await.map(|_| ())
}
