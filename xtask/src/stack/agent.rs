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

/// Enrolls this machine.
pub async fn enroll(
    program: &Path,
    state: &Path,
    server: &str,
    token: &str,
    fingerprint: &str,
) -> Result<()> {
    let mut command = Command::new(program);
    command.arg("enroll").arg("--state").arg(state);
    command.args(["--server", server, "--token", token, "--fingerprint", fingerprint]);
    sh::output(&mut command).await.map(|_| ())
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
