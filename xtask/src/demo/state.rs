//! What a demo's data folder remembers, so that a second start is the same demo.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::customer::DemoCustomer;
use crate::stack::{port, postgres, secrets::Secrets};

const FILE: &str = "demo.json";

/// It holds passwords: only the folder's owner may read it.
#[derive(Serialize, Deserialize)]
pub struct State {
    /// Passwords and keys.
    pub secrets: Secrets,
    /// The console's port: the agent was enrolled with it.
    pub server_port: u16,
    /// The S3 endpoint's port: the storage account names it.
    pub lockbox_port: u16,
    /// The customer, once it is set up.
    #[serde(alias = "scene")]
    pub customer: Option<DemoCustomer>,
}

/// Where a new demo's console is looked for first.
const FIRST_PORT: u16 = 8420;

impl State {
    /// Reads what is there, or makes it. Says whether it is new.
    pub fn open(folder: &Path, wanted_port: Option<u16>) -> Result<(Self, bool)> {
        let file = folder.join(FILE);
        let Ok(text) = fs::read(&file) else {
            let server_port = new_port(wanted_port)?;
            let state = Self {
                secrets: Secrets::make()?,
                server_port,
                lockbox_port: port::from(server_port.saturating_add(1))?,
                customer: None,
            };
            return Ok((state, true));
        };
        let state: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{}: not of this version; start over with --fresh", file.display()))?;
        if let Some(wanted) = wanted_port.filter(|wanted| *wanted != state.server_port) {
            bail!(
                "the demo in {} lives on port {}, with which its agent was enrolled; start it there, choose another \
                 folder with --data for port {wanted}, or start over with --fresh",
                folder.display(),
                state.server_port
            );
        }
        for (what, port) in [
            ("the console", state.server_port),
            ("the S3 endpoint", state.lockbox_port),
        ] {
            if !port::is_free(port) {
                bail!(
                    "port {port}, on which {what} of the demo in {} lives, is taken by another program; stop that, or \
                     start over with --fresh",
                    folder.display()
                );
            }
        }
        Ok((state, false))
    }

    /// Writes it down.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let new = folder.join(format!("{FILE}.new"));
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(new, folder.join(FILE))?;
        Ok(())
    }
}

fn new_port(wanted: Option<u16>) -> Result<u16> {
    match wanted {
        Some(port) if port::is_free(port) => Ok(port),
        Some(port) => bail!("port {port} is taken by another program; choose another one with --port"),
        None => {
            let port = port::from(FIRST_PORT)?;
            if port != FIRST_PORT {
                println!("  port {FIRST_PORT} is taken: the console goes to port {port}");
            }
            Ok(port)
        }
    }
}

/// The data folder, made when it is not there. Refuses one that holds something else.
pub fn folder(wanted: &Path) -> Result<PathBuf> {
    if wanted.is_dir() && fs::read_dir(wanted)?.next().is_some() && !is_ours(wanted) {
        bail!(
            "{} holds other files: choose an empty or a new folder for --data",
            wanted.display()
        );
    }
    fs::create_dir_all(wanted).with_context(|| wanted.display().to_string())?;
    // Postgres' own user must be able to pass through to its files; the names of ours stay hidden.
    fs::set_permissions(wanted, fs::Permissions::from_mode(0o711))?;
    Ok(wanted.canonicalize()?)
}

fn is_ours(folder: &Path) -> bool {
    [FILE, "in-use"].iter().any(|name| folder.join(name).is_file())
}

/// Empties a demo's folder. The caller has claimed it.
pub fn start_over(folder: &Path) -> Result<()> {
    postgres::remove(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == "in-use" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_is_the_same_demo_and_secrets_are_private() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = folder(&temporary.path().join("demo")).unwrap();
        let (first, new) = State::open(&folder, None).unwrap();
        assert!(new);
        first.save(&folder).unwrap();
        assert_eq!(
            fs::metadata(folder.join(FILE)).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let (second, new) = State::open(&folder, Some(first.server_port)).unwrap();
        assert!(!new);
        assert_eq!(second.secrets.password, first.secrets.password);
        let error = State::open(&folder, Some(1)).err().unwrap().to_string();
        assert!(error.contains("--fresh"), "{error}");
    }

    #[test]
    fn a_folder_with_other_files_is_left_alone() {
        let temporary = tempfile::tempdir().unwrap();
        fs::write(temporary.path().join("thesis.txt"), "").unwrap();
        assert!(folder(temporary.path()).is_err());
    }

    #[test]
    fn a_taken_port_is_said() {
        let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(new_port(Some(port)).unwrap_err().to_string().contains("is taken"));
    }
}
