//! A tenant's enrolled endpoints.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::api::view::TenantPage;

use super::WithTenant;
use crate::{
    components::{Ago, Day, Empty},
    tenant::path,
};

/// The page.
#[component]
pub fn TenantAgents() -> impl IntoView {
    view! {
        <Title text="Agents" />
        <h1>"Agents"</h1>
        <WithTenant content=|page| view! { <Content page /> }.into_any() />
    }
    .into_any()
}

#[component]
fn Content(page: TenantPage) -> impl IntoView {
    let tenant = page.summary.id;
    let sets = page.backup_sets;
    let links = sets
        .iter()
        .map(|set| {
            view! {
                <a class="button small" href=path(tenant, &format!("/backup-sets/{}#enroll", set.id))>
                    {format!("Enroll an endpoint for {}", set.name)}
                </a>
            }
        })
        .collect_view();
    if page.agents.is_empty() {
        return view! {
            <Empty title="No endpoint is enrolled">
                <p>
                    "An agent runs on the machine to back up. It holds no keys of the bucket and cannot delete \
                     or decrypt what it has stored."
                </p>
                {if sets.is_empty() {
                    view! {
                        <p>
                            <a class="button" href=path(tenant, "")>
                                "Create a backup set first"
                            </a>
                        </p>
                    }
                        .into_any()
                } else {
                    view! { <p class="buttons">{links}</p> }.into_any()
                }}
            </Empty>
        }
        .into_any();
    }
    let rows = page
        .agents
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
                        <a href=path(tenant, &format!("/backup-sets/{}", agent.backup_set_id))>{set}</a>
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
        <p class="buttons">{links}</p>
    }
    .into_any()
}
