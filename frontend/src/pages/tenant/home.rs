//! A tenant's first page: what needs attention, what is left to set up, its sources.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::api::view::{Health, SnapshotState, TenantPage};

use super::{WithTenant, set_up::SetUpGuide, snapshot_table::SnapshotTable, source_card::SourceCard};
use crate::{
    components::{Empty, Icon, Sign},
    tenant::path,
};

/// How many snapshots the page lists.
const SNAPSHOTS: usize = 5;

/// The page.
#[component]
pub fn TenantHome() -> impl IntoView {
    view! { <WithTenant content=|page| view! { <Content page /> }.into_any() /> }.into_any()
}

#[component]
fn Content(page: TenantPage) -> impl IntoView {
    let id = page.summary.id;
    let attention = matches!(page.summary.health, Health::Failing | Health::Attention)
        .then(|| page.summary.reasons.clone())
        .filter(|reasons| !reasons.is_empty());
    let failing = page.summary.health == Health::Failing;
    let sources = page.sources.clone();
    let runs = page.runs.clone();
    let agents = page.agents.clone();
    let mut snapshots = page.snapshots.clone();
    snapshots.retain(|snapshot| snapshot.state != SnapshotState::Expired);
    let more = snapshots.len() > SNAPSHOTS;
    snapshots.truncate(SNAPSHOTS);
    let has_agent = !page.agents.is_empty();
    view! {
        <Title text=page.summary.name.clone() />
        <h1 class="visually-hidden">{page.summary.name.clone()}</h1>
        {attention
            .map(|reasons| {
                view! {
                    <section
                        class=if failing { "notice bad" } else { "notice warn" }
                        aria-labelledby="attention"
                    >
                        <Icon sign=if failing { Sign::Failure } else { Sign::Warning } />
                        <div>
                            <h2 id="attention">"Needs attention first"</h2>
                            <ul>
                                {reasons.into_iter().map(|reason| view! { <li>{reason}</li> }).collect_view()}
                            </ul>
                        </div>
                    </section>
                }
            })}
        <SetUpGuide page=page.clone() />
        <section aria-labelledby="sources">
            <div class="section-head">
                <h2 id="sources">"Sources"</h2>
                {has_agent
                    .then(|| {
                        view! {
                            <a class="button small" href=path(id, "/sources/new")>
                                <Icon sign=Sign::Plus />
                                "New source"
                            </a>
                        }
                    })}
            </div>
            {if sources.is_empty() {
                view! {
                    <Empty title="Nothing is backed up yet">
                        <p>
                            "A source is a set of folders on one endpoint, and when to back them up. "
                            "Follow the steps above to get there."
                        </p>
                    </Empty>
                }
                    .into_any()
            } else {
                sources
                    .into_iter()
                    .map(|source| {
                        let run = source
                            .active_run
                            .and_then(|active| runs.iter().find(|run| run.id == active).cloned());
                        let online = agents
                            .iter()
                            .find(|agent| agent.id == source.agent_id)
                            .is_some_and(|agent| agent.online);
                        view! { <SourceCard tenant=id source run online /> }
                    })
                    .collect_view()
                    .into_any()
            }}
        </section>
        {(!snapshots.is_empty())
            .then(|| {
                view! {
                    <section aria-labelledby="newest-snapshots">
                        <div class="section-head">
                            <h2 id="newest-snapshots">"Newest snapshots"</h2>
                            {more
                                .then(|| {
                                    view! { <a href=path(id, "/snapshots")>"All snapshots"</a> }
                                })}
                        </div>
                        <SnapshotTable tenant=id snapshots />
                    </section>
                }
            })}
    }
    .into_any()
}
