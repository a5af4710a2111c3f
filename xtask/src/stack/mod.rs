//! A whole Holdfast on this machine: Postgres, S3, the server and an agent, all private to one folder.

pub mod agent;
pub mod ceph;
mod common;
pub mod endpoint;
mod lockbox;
pub mod owner;
mod plan;
pub mod port;
pub mod postgres;
pub mod proxy;
pub mod secrets;
pub mod storage;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build::Built,
    clock,
    process::{Ledger, Managed},
};
use common::{READY_WITHIN, private};
pub use plan::Plan;
use postgres::Postgres;
use storage::Storage;

/// It runs until it is dropped. The fields are in the order in which they stop.
pub struct Stack {
    agents: Vec<Managed>,
    server: Option<Managed>,
    storage: Storage,
    postgres: Option<Postgres>,
    ledger: Ledger,
    database_url: String,
    built: Built,
    /// What it was made from.
    pub plan: Plan,
}

impl Stack {
    /// Starts Postgres, S3 and the server. The agent comes later: it must be enrolled first.
    pub async fn start(plan: Plan, built: Built) -> Result<Self> {
        private(&plan.folder.join("logs"))?;
        let mut ledger = Ledger::take_over(&plan.folder)?;
        let (postgres, database_url) = match &plan.database_url {
            Some(url) => (None, url.clone()),
            None => {
                let log = plan.folder.join("logs/postgres.log");
                let mut postgres =
                    Postgres::start(&plan.folder, &plan.secrets.postgres_password, plan.durable, &log)
                        .await?;
                ledger.add(postgres.process())?;
                let url = postgres.database("holdfast").await?;
                (Some(postgres), url)
            }
        };
        let storage = Box::pin(Storage::start(&plan, &built)).await?;
        for process in storage.processes() {
            ledger.add(process)?;
        }
        let mut stack = Self {
            agents: Vec::new(),
            server: None,
            storage,
            postgres,
            ledger,
            database_url,
            built,
            plan,
        };
        stack.start_server().await?;
        Ok(stack)
    }

    /// The console's address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.plan.server_port)
    }

    /// The server's process.
    pub fn server_id(&self) -> Option<u32> {
        self.server.as_ref().map(Managed::id)
    }

    /// The S3 endpoint's address.
    pub fn s3_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.plan.s3_port)
    }

    /// How many requests of each kind the S3 endpoint has had so far.
    pub async fn s3_calls(&mut self) -> Result<BTreeMap<String, u64>> {
        self.storage.calls().await
    }

    /// How much the S3 endpoint keeps, in bytes.
    pub async fn s3_stored_bytes(&self) -> Result<u64> {
        self.storage.stored_bytes().await
    }

    /// The agent's program.
    pub fn agent_program(&self) -> &Path {
        &self.built.agent
    }

    /// Where the agent keeps its state.
    pub fn agent_state(&self) -> PathBuf {
        self.plan.folder.join("agent")
    }

    /// Where the recovery kit is.
    pub fn kit(&self) -> PathBuf {
        self.plan.folder.join("recovery-kit.txt")
    }

    /// Starts the server and waits until it answers.
    pub async fn start_server(&mut self) -> Result<()> {
        let data = self.plan.folder.join("server");
        private(&data)?;
        let mut command = Command::new(&self.built.server);
        command
            .arg("serve")
            .args(["--listen", &format!("127.0.0.1:{}", self.plan.server_port)])
            .args(["--public-url", &self.url()])
            .arg("--data")
            .arg(data)
            .arg("--site-root")
            .arg(&self.built.site)
            .env("DATABASE_URL", &self.database_url)
            // The stack's own S3 endpoint is on this machine.
            .env("HOLDFAST_STORAGE_NETWORKS", "127.0.0.0/8")
            .env("HOLDFAST_OPERATOR_EMAIL", &self.plan.secrets.email)
            .env("HOLDFAST_OPERATOR_PASSWORD", &self.plan.secrets.password)
            // An error's reason is the last thing in the log, not a backtrace.
            .env("RUST_LIB_BACKTRACE", "0")
            .env_remove("LEPTOS_OUTPUT_NAME");
        let log = self.plan.folder.join("logs/server.log");
        let mut server = Managed::spawn("the server", &mut command, &log)?;
        self.ledger.add(&server)?;
        let address = format!("{}/healthz", self.url());
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .build()?;
        let ready = clock::poll(READY_WITHIN, Duration::from_millis(50), async || {
            server.must_run()?;
            let answer = client.get(&address).send().await;
            Ok(answer
                .is_ok_and(|answer| answer.status().is_success())
                .then_some(()))
        })
        .await?;
        if ready.is_none() {
            bail!(
                "the server did not answer {address} within {} s:\n{}",
                READY_WITHIN.as_secs(),
                server.tail(15)
            );
        }
        self.server = Some(server);
        Ok(())
    }

    /// Ends the server as `kill -9` does.
    pub fn kill_server(&mut self) -> Result<()> {
        let mut server = self.server.take().context("the server is not running")?;
        server.kill()
    }

    /// Starts the agent's daemon.
    pub fn start_agent(&mut self) -> Result<()> {
        self.start_agent_in(&self.agent_state())
    }

    /// Starts the daemon of an agent that keeps its state in this folder.
    pub fn start_agent_in(&mut self, state: &Path) -> Result<()> {
        let mut command = Command::new(&self.built.agent);
        command.arg("run").arg("--state").arg(state);
        let name = state.file_name().unwrap_or_default().to_string_lossy();
        let log = self.plan.folder.join(format!("logs/{name}.log"));
        let agent = Managed::spawn("an agent", &mut command, &log)?;
        self.ledger.add(&agent)?;
        self.agents.push(agent);
        Ok(())
    }

    /// Keeps what the programs have written, for a look after the folder is gone.
    pub fn keep_logs(&self, to: &Path) -> Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(self.plan.folder.join("logs"))? {
            let entry = entry?;
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
        println!("  the programs' logs are in {}", to.display());
        Ok(())
    }

    /// An error when something of it has ended by itself.
    pub fn must_run(&mut self) -> Result<()> {
        if let Some(postgres) = &mut self.postgres {
            postgres.process_mut().must_run()?;
        }
        self.storage.must_run()?;
        if let Some(server) = &mut self.server {
            server.must_run()?;
        }
        for agent in &mut self.agents {
            agent.must_run()?;
        }
        Ok(())
    }
}
