//! The page for a new source: what to back up, and when.

use leptos::prelude::*;
use leptos_meta::Title;

use super::form::SourceForm;
use crate::{
    components::{Crumbs, Empty, Loaded},
    functions::{source::CreateSource, tenant::load_agents},
    refused::use_form,
    tenant::use_tenant,
};

/// The page.
#[component]
pub fn NewSourcePage() -> impl IntoView {
    let tenant = use_tenant();
    let data = tenant.fetch_once(load_agents);
    let form = use_form::<CreateSource>();
    view! {
        <Title text="New source" />
        <Crumbs above=vec![(tenant.path(""), "Overview".to_owned())] here="New source" />
        <h1>"New source"</h1>
        <p class="lead">"Folders of one machine, and when to back them up."</p>
        <Loaded data content=move |page| {
            if page.agents.is_empty() {
                view! { <NoAgent /> }.into_any()
            } else {
                view! { <SourceForm agents=page.agents form /> }.into_any()
            }
        } />
    }
    .into_any()
}

#[component]
fn NoAgent() -> impl IntoView {
    let tenant = use_tenant();
    view! {
        <Empty title="A machine comes first">
            <p>"Enroll the machine to back up; its agent then shows up here."</p>
            <p>
                <a class="button primary" href=tenant.path("/agents")>
                    "To the agents"
                </a>
            </p>
        </Empty>
    }
    .into_any()
}
