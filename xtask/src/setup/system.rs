//! The system's own packages: Debian and Ubuntu are known, others are told what to install.

use std::fs;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::sh;

/// The operating system, as far as installing goes.
pub struct System {
    family: Family,
    updated: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Debian,
    Ubuntu,
    Other,
}

/// What the packages of Debian are, for people on other systems.
const ELSEWHERE: [(&str, &str); 7] = [
    ("gcc", "a C compiler"),
    (
        "postgresql",
        "PostgreSQL 14 or newer (its server programs on PATH)",
    ),
    ("nodejs", "Node.js 18 or newer"),
    ("npm", "npm"),
    ("chromium", "Chromium or Chrome"),
    (
        "rustc-web",
        "the WebAssembly target (`rustup target add wasm32-unknown-unknown`)",
    ),
    ("lld-19", "LLVM's linker"),
];

impl System {
    /// Looks what this machine is.
    pub fn look() -> Self {
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let family = if sh::find("apt-get").is_none() {
            Family::Other
        } else {
            family_of(&release)
        };
        Self {
            family,
            updated: false,
        }
    }

    /// Whether this is Ubuntu or made of it.
    pub fn is_ubuntu(&self) -> bool {
        self.family == Family::Ubuntu
    }

    /// Installs packages, by Debian's names.
    pub async fn install(&mut self, packages: &[&str]) -> Result<()> {
        if self.family == Family::Other {
            let wanted: Vec<&str> = packages
                .iter()
                .filter_map(|package| {
                    ELSEWHERE
                        .iter()
                        .find(|(name, _)| name == package)
                        .map(|(_, what)| *what)
                })
                .collect();
            bail!(
                "this is not Debian or Ubuntu, so install it yourself and try again: {}",
                if wanted.is_empty() {
                    packages.join(", ")
                } else {
                    wanted.join(", ")
                }
            );
        }
        // The lists of a fresh image are empty: fetch them when a package is not in them, once.
        if !self.updated && !self.knows(packages).await {
            self.update().await?;
        }
        let first = self.apt_install(packages).await;
        if first.is_err() && !self.updated {
            // Lists that are too old name files that are gone.
            self.update().await?;
            return self.apt_install(packages).await;
        }
        first
    }

    /// Installs Postgres without the cluster that Debian's package would start on port 5432.
    pub async fn install_postgres(&mut self) -> Result<()> {
        if self.family == Family::Other {
            return self.install(&["postgresql"]).await;
        }
        const SWITCH: &str = "/etc/postgresql-common/createcluster.conf";
        self.install(&["postgresql-common"]).await?;
        let before = fs::read_to_string(SWITCH).unwrap_or_default();
        let decided = before
            .lines()
            .any(|line| line.trim_start().starts_with("create_main_cluster"));
        if !decided {
            self.write(SWITCH, &format!("{before}\ncreate_main_cluster = false\n"))
                .await?;
        }
        let outcome = self.install(&["postgresql"]).await;
        if !decided {
            self.write(SWITCH, &before).await?;
        }
        outcome
    }

    /// Whether the lists offer every one of the packages.
    pub async fn knows(&self, packages: &[&str]) -> bool {
        if self.family == Family::Other {
            return false;
        }
        let Ok(text) = sh::output(
            Command::new("apt-cache")
                .arg("policy")
                .args(packages)
                .env("LC_ALL", "C"),
        )
        .await
        else {
            return false;
        };
        text.matches("Candidate:").count() == packages.len() && !text.contains("Candidate: (none)")
    }

    /// Fetches the lists, unless that was done.
    pub async fn update(&mut self) -> Result<()> {
        if !self.updated && self.family != Family::Other {
            self.updated = true;
            sh::output(as_root("apt-get")?.args(["update", "-qq"])).await?;
        }
        Ok(())
    }

    async fn apt_install(&self, packages: &[&str]) -> Result<()> {
        // Nothing that is on the machine may go: `--no-remove`.
        let mut command = as_root("apt-get")?;
        command.args([
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            "--no-remove",
            "-o",
            "Dpkg::Use-Pty=0",
        ]);
        sh::output(command.args(packages))
            .await
            .map(|_| ())
            .with_context(|| {
                format!(
                    "apt-get could not install {}; try `apt-get install {0}` to see why",
                    packages.join(" ")
                )
            })
    }

    async fn write(&self, path: &str, text: &str) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("file");
        fs::write(&file, text)?;
        sh::output(as_root("install")?.args(["-m", "644"]).arg(file).arg(path))
            .await
            .map(|_| ())
    }
}

fn family_of(release: &str) -> Family {
    let words: Vec<&str> = release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace())
        .collect();
    if words.contains(&"ubuntu") {
        Family::Ubuntu
    } else if words.contains(&"debian") {
        Family::Debian
    } else {
        Family::Other
    }
}

fn as_root(program: &str) -> Result<Command> {
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new(program)
    } else if let Some(sudo) = sh::find("sudo") {
        let mut command = Command::new(sudo);
        command.args(["--preserve-env=DEBIAN_FRONTEND", program]);
        command
    } else {
        bail!("`{program}` needs root: install sudo, or run this once as root");
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_told_apart() {
        assert!(family_of("NAME=\"Debian GNU/Linux\"\nID=debian\n") == Family::Debian);
        assert!(family_of("ID=ubuntu\nID_LIKE=debian\n") == Family::Ubuntu);
        assert!(family_of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n") == Family::Ubuntu);
        assert!(family_of("ID=fedora\n") == Family::Other);
        assert!(family_of("") == Family::Other);
    }
}
