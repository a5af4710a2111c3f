//! The page of a tenant's agents.

use shared::api::view::{BackupSetName, TenantAgents};

use crate::{
    app::App,
    db::{self, agents::Agent},
    error::ApiError,
    scope::Viewer,
    use_cases::views,
};

/// The agents and the backup sets that an endpoint can be enrolled for, in the order in which they were made.
///
/// # Errors
/// When the database does not answer.
pub async fn page(app: &App, actor: &Viewer) -> Result<TenantAgents, ApiError> {
    let now = app.clock.now();
    let tx = app.db.tenant(&actor.scope).await?;
    let mut agents: Vec<Agent> = db::agents::all(&tx).await?;
    agents.sort_by_key(|agent| agent.id);
    let sets = db::backup_sets::all(&tx).await?.into_iter();
    let mut backup_sets: Vec<BackupSetName> = sets
        .map(|set| BackupSetName {
            id: set.id,
            name: set.name,
        })
        .collect();
    backup_sets.sort_by_key(|set| set.id);
    Ok(TenantAgents {
        agents: agents.iter().map(|agent| views::agent(agent, now)).collect(),
        backup_sets,
    })
}
