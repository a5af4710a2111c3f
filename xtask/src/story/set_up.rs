//! A customer is set up through the server's own API, and an endpoint is enrolled.

use anyhow::bail;
use shared::ids::{AgentId, BackupSetId, StorageAccountId, TenantId};

use super::report::Report;
use crate::{
    api::{Api, granted},
    demo::customer,
    stack::{
        Stack,
        agent::{self, Keys},
    },
};

/// The bucket that is attacked.
pub const BUCKET: &str = "story-backups";

/// What the steps of the story share.
pub struct StoryContext {
    /// The operator's session.
    pub api: Api,
    /// The customer.
    pub tenant: TenantId,
    /// Where the bucket is.
    pub account: StorageAccountId,
    /// The recovery key.
    pub keys: Keys,
    /// What the backups go to.
    pub backup_set: BackupSetId,
    /// The endpoint.
    pub agent: AgentId,
}

/// Sets it all up.
pub async fn tell(stack: &mut Stack, report: &mut Report) -> Option<StoryContext> {
    let (url, secrets) = (stack.url(), stack.plan.secrets.clone());
    let api = report
        .step("the operator signs in", async {
            if Api::sign_in(&url, &secrets.email, "not the password")
                .await
                .is_ok()
            {
                bail!("a wrong password signs in");
            }
            let (api, me) = Api::sign_in(&url, &secrets.email, &secrets.password).await?;
            if !me.operator {
                bail!("{} is not the operator", me.email);
            }
            Ok((api, format!("{}; a wrong password is refused", me.email)))
        })
        .await?;
    let tenant = report
        .step("a tenant is made", async {
            let tenant = api.new_tenant("Story Joinery").await?;
            if !api.tenants().await?.iter().any(|listed| listed.id == tenant.id) {
                bail!("it is not in the list of tenants");
            }
            Ok((tenant.id, tenant.id.to_string()))
        })
        .await?;
    let account = report
        .step("a storage account is added", async {
            let new = customer::storage_account(stack);
            let account = granted("storage account", api.new_storage_account(tenant, &new).await?)?;
            Ok((account.id, account.endpoint))
        })
        .await?;
    let keys = report
        .step("a recovery kit is made offline", async {
            let keys = agent::keygen(stack.agent_program(), &stack.kit()).await?;
            let figures = format!("fingerprint {}", keys.fingerprint);
            Ok((keys, figures))
        })
        .await?;
    let backup_set = report
        .step("a backup set makes its bucket", async {
            let new = customer::backup_set("Story", account, BUCKET, &keys);
            let set = granted("backup set", api.new_backup_set(tenant, &new).await?)?;
            if set.recovery_fingerprint != keys.fingerprint {
                bail!("the server shows the fingerprint {}", set.recovery_fingerprint);
            }
            Ok((
                set.id,
                format!(
                    "{BUCKET}: versioning, Object Lock, {} days, COMPLIANCE",
                    set.retention_days
                ),
            ))
        })
        .await?;
    let agent = report
        .step("an endpoint enrolls and its agent starts", async {
            let agent = customer::enroll(&api, stack, tenant, backup_set, &keys).await?;
            stack.start_agent()?;
            Ok((agent, agent.to_string()))
        })
        .await?;
    Some(StoryContext {
        api,
        tenant,
        account,
        keys,
        backup_set,
        agent,
    })
}
