//! A tenant's first page: what needs attention, what is left to set up, its sources.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::api::view::{Health, TenantOverview, TenantSummary};

use super::{set_up::SetUpGuide, source_card::SourceCard};
use crate::{
    components::{Empty, Icon, Loading, Sign, SnapshotTable, problem_page},
    error::ConsoleError,
    functions::tenant::load_overview,
    tenant::use_tenant,
};

/// The page.
#[component]
pub fn TenantOverviewPage() -> impl IntoView {
    let tenant = use_tenant();
    let overview = tenant.fetch(load_overview);
    view! {
        <Transition fallback=|| view! { <Loading /> }>
            {move || Suspend::new(async move {
                let both = async { Ok::<_, ConsoleError>((tenant.summary.await?, overview.await?)) };
                match both.await {
                    Ok((summary, overview)) => view! { <Content summary overview /> }.into_any(),
                    Err(error) => problem_page(error),
                }
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn Content(summary: TenantSummary, overview: TenantOverview) -> impl IntoView {
    let tenant = use_tenant();
    let has_agent = overview.agents > 0;
    view! {
        <Title text=summary.name.clone() />
        <h1 class="visually-hidden">{summary.name.clone()}</h1>
        <Attention health=summary.health reasons=summary.reasons.clone() />
        <SetUpGuide summary overview=overview.clone() />
        <section aria-labelledby="sources">
            <div class="section-head">
                <h2 id="sources">"Sources"</h2>
                {has_agent
                    .then(|| {
                        view! {
                            <a class="button small" href=tenant.path("/sources/new")>
                                <Icon sign=Sign::Plus />
                                "New source"
                            </a>
                        }
                    })}
            </div>
            {if overview.sources.is_empty() {
                view! {
                    <Empty title="Nothing is backed up yet">
                        <p>
                            "A source is a set of folders on one machine, and when to back them up. "
                            "Follow the steps above to get there."
                        </p>
                    </Empty>
                }
                    .into_any()
            } else {
                let runs = overview.runs;
                overview
                    .sources
                    .into_iter()
                    .map(|source| {
                        let run = source
                            .active_run
                            .and_then(|active| runs.iter().find(|run| run.id == active).cloned());
                        view! { <SourceCard source run /> }
                    })
                    .collect_view()
                    .into_any()
            }}
        </section>
        {(!overview.snapshots.is_empty())
            .then(|| {
                view! {
                    <section aria-labelledby="newest-snapshots">
                        <div class="section-head">
                            <h2 id="newest-snapshots">"Newest snapshots"</h2>
                            {overview
                                .has_more_snapshots
                                .then(|| {
                                    view! { <a href=tenant.path("/snapshots")>"All snapshots"</a> }
                                })}
                        </div>
                        <SnapshotTable snapshots=overview.snapshots />
                    </section>
                }
            })}
    }
    .into_any()
}

/// What keeps the tenant from being protected. Nothing while that is only because nothing is set up.
#[component]
fn Attention(health: Health, reasons: Vec<String>) -> impl IntoView {
    let (class, sign) = match health {
        Health::Failing => ("notice bad", Sign::Failure),
        Health::Attention => ("notice warn", Sign::Warning),
        Health::Empty | Health::Protected => return ().into_any(),
    };
    if reasons.is_empty() {
        return ().into_any();
    }
    view! {
        <section class=class aria-labelledby="attention">
            <Icon sign />
            <div>
                <h2 id="attention">"Needs attention first"</h2>
                <ul>{reasons.into_iter().map(|reason| view! { <li>{reason}</li> }).collect_view()}</ul>
            </div>
        </section>
    }
    .into_any()
}
