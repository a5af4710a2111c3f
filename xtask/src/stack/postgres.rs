//! A private Postgres cluster: its own folder, its own port, listening on this machine only.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::{owner::Owner, port};
use crate::{
    clock,
    process::{Managed, Signal},
    setup, sh,
};

const SUPERUSER: &str = "postgres";
const READY_WITHIN: Duration = Duration::from_secs(60);

/// It runs until it is dropped.
pub struct Postgres {
    process: Managed,
    programs: PathBuf,
    password: String,
    port: u16,
}

impl Postgres {
    /// Starts the cluster of a data folder, made new when there is none.
    pub async fn start(folder: &Path, password: &str, durable: bool, log: &Path) -> Result<Self> {
        let programs = setup::postgres_programs().context("no Postgres: run `cargo xtask setup`")?;
        let owner = Owner::choose()?;
        let cluster = owner.place(folder)?;
        if !cluster.starts_with(folder.canonicalize()?) {
            println!(
                "  Postgres cannot run as root and nobody else may enter {}: its files are in {}",
                folder.display(),
                cluster.display()
            );
        }
        if !cluster.join("PG_VERSION").is_file() {
            create(&programs, owner, &cluster, password)?;
        }
        let port = port::any()?;
        let mut command = Command::new(programs.join("postgres"));
        command.arg("-D").arg(&cluster);
        let mut settings = vec![
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "max_connections=300".to_owned(),
            "log_min_messages=warning".to_owned(),
        ];
        if !durable {
            settings
                .extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(str::to_owned));
        }
        for setting in settings {
            command.arg("-c").arg(setting);
        }
        owner.apply(&mut command);
        // Postgres takes SIGINT as: end all sessions, write everything down, stop.
        let process = Managed::spawn("Postgres", &mut command, log)?.stop_with(Signal::INT);
        let mut postgres = Self {
            process,
            programs,
            password: password.to_owned(),
            port,
        };
        postgres.wait().await?;
        Ok(postgres)
    }

    async fn wait(&mut self) -> Result<()> {
        let ready = clock::poll(READY_WITHIN, Duration::from_millis(50), async || {
            self.process.must_run()?;
            let mut probe = Command::new(self.programs.join("pg_isready"));
            probe
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .stdin(Stdio::null());
            Ok(probe.status()?.success().then_some(()))
        })
        .await?;
        match ready {
            Some(()) => Ok(()),
            None => bail!(
                "Postgres was not ready within {} s:\n{}",
                READY_WITHIN.as_secs(),
                self.process.tail(15)
            ),
        }
    }

    /// The process.
    pub fn process(&self) -> &Managed {
        &self.process
    }

    /// The process.
    pub fn process_mut(&mut self) -> &mut Managed {
        &mut self.process
    }

    /// The superuser's address of a database.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}",
            self.password, self.port
        )
    }

    /// Makes sure that a database is there, and the role that owns it; gives the owner's address. The owner is
    /// no superuser, for row-level security binds none.
    pub async fn database(&mut self, name: &str) -> Result<String> {
        // The password is ours and hexadecimal; the name is a constant.
        let script = format!(
            "SELECT 'CREATE ROLE {name} LOGIN CREATEROLE' \
               WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') \\gexec\n\
             ALTER ROLE {name} PASSWORD '{password}';\n\
             SELECT 'CREATE DATABASE {name} OWNER {name}' \
               WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}') \\gexec\n",
            password = self.password
        );
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("database.sql");
        fs::write(&file, script)?;
        let mut command = tokio::process::Command::new(self.programs.join("psql"));
        command
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"])
            .arg(&file)
            .env("PGPASSWORD", &self.password)
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                SUPERUSER,
                "-d",
                "postgres",
            ]);
        sh::output(&mut command).await.context("making the database")?;
        Ok(format!(
            "postgres://{name}:{}@127.0.0.1:{}/{name}",
            self.password, self.port
        ))
    }
}

fn create(programs: &Path, owner: Owner, cluster: &Path, password: &str) -> Result<()> {
    if cluster.exists() {
        // A half-made one, of a run that was killed: initdb wants an empty folder.
        fs::remove_dir_all(cluster).with_context(|| cluster.display().to_string())?;
    }
    fs::create_dir_all(cluster).with_context(|| cluster.display().to_string())?;
    owner.give(cluster)?;
    fs::set_permissions(cluster, fs::Permissions::from_mode(0o700))?;

    let secret = tempfile::Builder::new().prefix("holdfast-").tempfile()?;
    fs::write(secret.path(), password)?;
    owner.give(secret.path())?;
    let mut command = Command::new(programs.join("initdb"));
    command
        .args([
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ])
        .args(["--username", SUPERUSER])
        .arg("--pwfile")
        .arg(secret.path())
        .arg("-D")
        .arg(cluster)
        .stdin(Stdio::null());
    owner.apply(&mut command);
    let output = command.output().context("initdb cannot be started")?;
    if !output.status.success() {
        bail!(
            "initdb ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// Deletes the cluster of a data folder, wherever it was put.
pub fn remove(folder: &Path) -> Result<()> {
    let cluster = Owner::choose()?.place(folder)?;
    if cluster.exists() {
        fs::remove_dir_all(&cluster).with_context(|| cluster.display().to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cluster_starts_keeps_its_data_and_stops() {
        if setup::postgres_programs().is_none() {
            eprintln!("skipped: no Postgres on this machine");
            return;
        }
        let folder = tempfile::Builder::new()
            .prefix("holdfast-postgres-")
            .tempdir()
            .unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let log = folder.path().join("log");
        for _ in 0..2 {
            let mut postgres = Postgres::start(folder.path(), "c0ffee", false, &log)
                .await
                .unwrap();
            let first = postgres.database("holdfast").await.unwrap();
            assert_eq!(first, postgres.database("holdfast").await.unwrap());
            assert!(first.starts_with("postgres://holdfast:c0ffee@127.0.0.1:"));
        }
        remove(folder.path()).unwrap();
        assert!(!folder.path().join("postgres").exists());
    }
}
