//! A small customer, set up through the server's own API: the demo shows it, the browser test starts from it.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use shared::{
    api::{
        agent::RunState,
        request::{NewBackupSet, NewSource, NewStorageAccount, PolicyOptions, SourceLimits},
    },
    ids::{AgentId, BackupSetId, SourceId, StorageAccountId, TenantId},
    retention::LockMode,
    schedule::{Recurrence, Schedule},
};

use crate::{
    api::{Api, granted},
    say,
    stack::{
        Stack,
        agent::{self, Keys},
    },
};

/// The bucket that the customer's backups go to.
pub const BUCKET: &str = "harbour-joinery";
/// The name of what is backed up.
pub const SOURCE: &str = "Office files";
/// How long they are locked.
pub const RETENTION_DAYS: u32 = 90;

/// What was set up.
#[derive(Clone, Serialize, Deserialize)]
pub struct DemoCustomer {
    /// The customer.
    pub tenant: TenantId,
    /// Where its backups go.
    pub backup_set: BackupSetId,
    /// What is backed up.
    pub source: SourceId,
}

impl DemoCustomer {
    /// Sets everything up, starts the agent and waits for a first backup of `files`.
    pub async fn set_up(stack: &mut Stack, files: &Path) -> Result<Self> {
        let (api, _) = Api::sign_in(
            &stack.url(),
            &stack.plan.secrets.email,
            &stack.plan.secrets.password,
        )
        .await?;
        let tenant = api.new_tenant("Harbour Joinery").await?.id;
        let account = granted(
            "storage account",
            api.new_storage_account(tenant, &storage_account(stack)).await?,
        )?;
        let keys = agent::keygen(stack.agent_program(), &stack.kit()).await?;
        let new = backup_set("Office", account.id, BUCKET, &keys);
        let set = granted("backup set", api.new_backup_set(tenant, &new).await?)?;
        let agent = enroll(&api, stack, tenant, set.id, &keys).await?;
        stack.start_agent()?;
        let new = NewSource {
            schedule: Schedule {
                recurrence: Recurrence::Day { hour: 2, minute: 30 },
                time_zone: "Europe/Berlin".to_owned(),
            },
            ..source(agent, SOURCE, files)
        };
        let source = api.new_source(tenant, &new).await?.id;
        let run = api.start_run(tenant, source).await?;
        let run = api.ended(tenant, run.id, Duration::from_secs(180)).await?;
        if run.state != RunState::Succeeded {
            bail!("the first backup failed: {}", run.error.unwrap_or_default());
        }
        Ok(Self {
            tenant,
            backup_set: set.id,
            source,
        })
    }
}

/// Our S3 endpoint as a storage account.
pub fn storage_account(stack: &Stack) -> NewStorageAccount {
    NewStorageAccount {
        name: stack.plan.endpoint.name().to_owned(),
        endpoint: stack.s3_endpoint(),
        region: "us-east-1".to_owned(),
        access_key: stack.plan.secrets.s3_access_key.clone(),
        secret_key: stack.plan.secrets.s3_secret_key.clone(),
        path_style: true,
    }
}

/// A backup set in a bucket that is to be made.
pub fn backup_set(name: &str, account: StorageAccountId, bucket: &str, keys: &Keys) -> NewBackupSet {
    NewBackupSet {
        name: name.to_owned(),
        storage_account_id: account,
        bucket: bucket.to_owned(),
        prefix: String::new(),
        create_bucket: true,
        immutable_retention: true,
        retention_days: RETENTION_DAYS,
        mode: LockMode::Compliance,
        recovery_key: keys.public_key.clone(),
        options: PolicyOptions::default(),
    }
}

/// A folder as a source that is backed up when asked for.
pub fn source(agent_id: AgentId, name: &str, folder: &Path) -> NewSource {
    NewSource {
        agent_id,
        name: name.to_owned(),
        paths: vec![folder.display().to_string()],
        excludes: Vec::new(),
        limits: SourceLimits::default(),
        schedule: Schedule::manual(),
    }
}

/// Enrolls this machine as an endpoint; gives the agent's id as the server tells it.
pub async fn enroll(
    api: &Api,
    stack: &Stack,
    tenant: TenantId,
    set: BackupSetId,
    keys: &Keys,
) -> Result<AgentId> {
    enroll_in(api, stack, tenant, set, keys, &stack.agent_state()).await
}

/// The same, with the agent's state in this folder.
pub async fn enroll_in(
    api: &Api,
    stack: &Stack,
    tenant: TenantId,
    set: BackupSetId,
    keys: &Keys,
    state: &Path,
) -> Result<AgentId> {
    let token = api.new_token(tenant, set).await?;
    if !token.command.contains(&keys.fingerprint) {
        bail!(
            "the enrollment command does not carry the recovery key's fingerprint {}",
            keys.fingerprint
        );
    }
    fs::create_dir_all(state)?;
    agent::enroll(stack.agent_program(), state, &token.command).await?;
    let agents = api.agents(tenant).await?;
    let agent = agents
        .iter()
        .max_by_key(|agent| agent.enrolled_at)
        .context("the server lists no agent after enrollment")?;
    Ok(agent.id)
}

/// Says how much the customer's newest snapshot holds.
pub async fn describe(api: &Api, customer: &DemoCustomer) -> Result<String> {
    let snapshots = api.snapshots(customer.tenant).await?;
    let snapshot = snapshots.first().context("there is no snapshot")?;
    Ok(format!(
        "{} in {}, locked until {}",
        say::count(snapshot.totals.files, "file", "files"),
        say::bytes(snapshot.totals.bytes),
        snapshot.protected_until.strftime("%Y-%m-%d")
    ))
}
