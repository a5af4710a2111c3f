//! A tenant's enrolled agents.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::api::view::TenantAgents;

use super::table::AgentTable;
use crate::{
    components::{Empty, Loaded},
    functions::tenant::load_agents,
    tenant::use_tenant,
};

/// The page.
#[component]
pub fn TenantAgentsPage() -> impl IntoView {
    let data = use_tenant().fetch(load_agents);
    view! {
        <Title text="Agents" />
        <h1>"Agents"</h1>
        <Loaded data content=|page| view! { <Content page /> }.into_any() />
    }
    .into_any()
}

#[component]
fn Content(page: TenantAgents) -> impl IntoView {
    let tenant = use_tenant();
    let sets = page.backup_sets;
    let links = sets
        .iter()
        .map(|set| {
            view! {
                <a class="button small" href=tenant.path(&format!("/backup-sets/{}#enroll", set.id))>
                    {format!("Enroll an endpoint for {}", set.name)}
                </a>
            }
        })
        .collect_view();
    if !page.agents.is_empty() {
        return view! {
            <AgentTable agents=page.agents sets />
            <p class="buttons">{links}</p>
        }
        .into_any();
    }
    view! {
        <Empty title="No machine is enrolled">
            <p>
                "An agent runs on the machine to back up. It holds no keys of the bucket and cannot delete \
                 or decrypt what it has stored."
            </p>
            {if sets.is_empty() {
                view! {
                    <p>
                        <a class="button" href=tenant.path("")>
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
    .into_any()
}
