//! Agents in a table.

use leptos::prelude::*;
use shared::api::view::{AgentView, BackupSetName};

use crate::{
    components::{Ago, Day},
    tenant::use_tenant,
};

/// The table.
#[component]
pub fn AgentTable(
    /// The agents.
    agents: Vec<AgentView>,
    /// The backup sets that they were enrolled for.
    sets: Vec<BackupSetName>,
) -> impl IntoView {
    let tenant = use_tenant();
    let rows = agents
        .into_iter()
        .map(|agent| {
            let set = sets
                .iter()
                .find(|set| set.id == agent.backup_set_id)
                .map_or_else(String::new, |set| set.name.clone());
            view! {
                <tr>
                    <th scope="row">{agent.hostname}</th>
                    <td>
                        <span class=if agent.online { "dot on" } else { "dot" }></span>
                        {if agent.online { "online" } else { "not seen lately" }}
                        {agent.held.map(|held| view! { <p class="cell-error">{held}</p> })}
                    </td>
                    <td data-label="Last seen">
                        {agent
                            .last_seen_at
                            .map_or_else(
                                || view! { <span class="muted">"never"</span> }.into_any(),
                                |at| view! { <Ago at /> }.into_any(),
                            )}
                    </td>
                    <td data-label="Version" class="long">
                        {agent.version}
                    </td>
                    <td data-label="System" class="long">
                        {agent.os}
                    </td>
                    <td data-label="Backup set" class="long">
                        <a href=tenant.path(&format!("/backup-sets/{}", agent.backup_set_id))>{set}</a>
                    </td>
                    <td data-label="Enrolled">
                        <Day at=agent.enrolled_at />
                    </td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="table-box" role="region" aria-label="Agents" tabindex="0">
            <table class="stack">
                <thead>
                    <tr>
                        <th scope="col">"Host"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"Last seen"</th>
                        <th scope="col">"Version"</th>
                        <th scope="col">"System"</th>
                        <th scope="col">"Backup set"</th>
                        <th scope="col">"Enrolled"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}
