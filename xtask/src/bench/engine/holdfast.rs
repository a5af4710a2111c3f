//! Holdfast's engine: the agent against the whole server, database and all.

use std::fs;

use anyhow::{Context as _, Result};
use shared::ids::TenantId;
use tokio::process::Command;

use super::phase::{BenchPaths, Phase};
use crate::{
    api::{Api, granted},
    demo::customer,
    stack::{Stack, agent},
};

/// How it is called in the tables.
pub const NAME: &str = "holdfast";

/// A tenant with an enrolled agent and one source.
pub struct Holdfast {
    api: Api,
    tenant: TenantId,
}

impl Holdfast {
    /// Sets it up.
    pub async fn set_up(stack: &Stack, place: &BenchPaths<'_>) -> Result<Self> {
        let secrets = &stack.plan.secrets;
        let (api, _) = Api::sign_in(&stack.url(), &secrets.email, &secrets.password).await?;
        let tenant = api.new_tenant("Benchmark").await?.id;
        let new = customer::storage_account(stack);
        let account = granted("storage account", api.new_storage_account(tenant, &new).await?)?;
        let keys = agent::keygen(stack.agent_program(), &stack.kit()).await?;
        let new = customer::backup_set("Benchmark", account.id, "bench-holdfast", &keys);
        let set = granted("backup set", api.new_backup_set(tenant, &new).await?)?;
        let agent = customer::enroll(&api, stack, tenant, set.id, &keys).await?;
        let new = customer::source(agent, &place.name, place.files);
        api.new_source(tenant, &new).await?;
        Ok(Self { api, tenant })
    }

    /// The agent's command line.
    pub async fn command(&self, stack: &Stack, place: &BenchPaths<'_>, phase: Phase) -> Result<Command> {
        let mut command = Command::new(stack.agent_program());
        if phase != Phase::Restore {
            command.arg("backup").args(["--source", &place.name]);
            command.arg("--state").arg(stack.agent_state());
            return Ok(command);
        }
        let snapshots = self.api.snapshots(self.tenant).await?;
        let newest = snapshots.first().context("there is no snapshot")?;
        self.api.new_restore(self.tenant, newest.id).await?;
        fs::create_dir_all(place.target)?;
        command
            .arg("restore")
            .args(["--snapshot", &newest.id.to_string()]);
        command.arg("--state").arg(stack.agent_state());
        command
            .arg("--to")
            .arg(place.target)
            .arg("--kit")
            .arg(stack.kit());
        Ok(command)
    }
}
