//! A backup set's page.

use std::collections::HashMap;

use shared::{
    api::view::{BackupSetPage, SourceProtection},
    ids::{AgentId, BackupSetId},
};

use crate::{app::App, db, error::ApiError, scope::Viewer, use_cases::views};

/// Findings of the bucket's check that the page shows.
const FINDINGS_SHOWN: u64 = 50;

/// The backup set, the last check of its bucket, and how its sources are kept protected.
///
/// # Errors
/// `NotFound` when the tenant has no such backup set.
pub async fn page(app: &App, actor: &Viewer, id: BackupSetId) -> Result<BackupSetPage, ApiError> {
    let tx = app.db.tenant(&actor.scope).await?;
    let set = db::backup_sets::find(&tx, id)
        .await?
        .ok_or(ApiError::NotFound("backup set"))?;
    let account = db::storage_accounts::find(&tx, set.storage_account_id)
        .await?
        .ok_or(ApiError::NotFound("storage account"))?;
    let check = match db::checks::newest(&tx, id).await? {
        Some(check) => {
            let findings = db::checks::findings(&tx, id, Some(FINDINGS_SHOWN)).await?;
            Some(views::bucket_check(&check, findings))
        }
        None => None,
    };
    let agents = db::agents::all(&tx).await?.into_iter();
    let hostnames: HashMap<AgentId, String> = agents.map(|agent| (agent.id, agent.hostname)).collect();
    let sweeps = db::sweeps::newest(&tx).await?;
    let sources = db::sources::all(&tx).await?;
    let sources = sources.iter().filter(|source| source.backup_set_id == id);
    Ok(BackupSetPage {
        backup_set: views::backup_set(&set, &account.name),
        check,
        silence: app.breakers.silence(account.id).map(views::silence),
        sources: sources
            .map(|source| SourceProtection {
                source: views::source_name(source, hostnames.get(&source.agent_id).cloned()),
                protection: views::protection(source, sweeps.get(&source.id)),
            })
            .collect(),
    })
}
