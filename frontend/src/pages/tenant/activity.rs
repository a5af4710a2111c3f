//! A tenant's runs and restores.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::{
    api::{
        list::Page,
        view::{RestoreView, RunView, SourceView},
    },
    ids::TenantId,
};

use super::{
    WithTenant,
    run_table::{RestoreTable, RunTable},
};
use crate::{
    components::{Empty, ListAddress, ListFilters, Loading, Pager, problem_page},
    functions::list::{list_restores, list_runs},
    reach::fetched,
    tenant::{no_tenant, path, use_tenant},
};

const RUNS: (&str, &str) = ("older", "newer");
const RESTORES: (&str, &str) = ("earlier", "later");

/// The page.
#[component]
pub fn TenantActivity() -> impl IntoView {
    let tenant = use_tenant();
    let address = ListAddress::follow(&[RUNS, RESTORES]);
    let source = move || (tenant.id.get(), address.get(), tenant.live.turns());
    let runs = Resource::new(source, |(tenant, address, _)| {
        fetched(move || {
            let address = address.clone();
            async move { list_runs(tenant.ok_or_else(no_tenant)?, address.query(RUNS)?).await }
        })
    });
    let restores = Resource::new(source, |(tenant, address, _)| {
        fetched(move || {
            let address = address.clone();
            async move { list_restores(tenant.ok_or_else(no_tenant)?, address.query(RESTORES)?).await }
        })
    });
    view! {
        <Title text="Activity" />
        <h1>"Activity"</h1>
        <WithTenant content=move |page| {
            let (id, sources) = (page.summary.id, page.sources);
            view! {
                <Filters id address sources />
                <section aria-labelledby="runs">
                    <h2 id="runs">"Runs"</h2>
                    <Transition fallback=|| view! { <Loading /> }>
                        {move || Suspend::new(async move {
                            match runs.await {
                                Ok(list) => view! { <Runs id address=address.get_untracked() list /> }.into_any(),
                                Err(error) => problem_page(error),
                            }
                        })}
                    </Transition>
                </section>
                <section aria-labelledby="restores">
                    <h2 id="restores">"Restores"</h2>
                    <Transition fallback=|| view! { <Loading /> }>
                        {move || Suspend::new(async move {
                            match restores.await {
                                Ok(list) => view! { <Restores id address=address.get_untracked() list /> }.into_any(),
                                Err(error) => problem_page(error),
                            }
                        })}
                    </Transition>
                </section>
            }
                .into_any()
        } />
    }
    .into_any()
}

#[component]
fn Filters(id: TenantId, address: Memo<ListAddress>, sources: Vec<SourceView>) -> impl IntoView {
    let sources = StoredValue::new(sources);
    move || {
        let page = path(id, "/activity");
        view! { <ListFilters page address=address.get() sources=sources.get_value() /> }
    }
}

#[component]
fn Runs(id: TenantId, address: ListAddress, list: Page<RunView>) -> impl IntoView {
    let page = path(id, "/activity");
    let content = if !list.items.is_empty() {
        view! { <RunTable tenant=id runs=list.items /> }.into_any()
    } else if address.is_filtered() {
        view! {
            <Empty title="No such runs">
                <p>"None of this source was asked for or due in these days."</p>
            </Empty>
        }
        .into_any()
    } else {
        view! {
            <Empty title="No runs yet">
                <p>"A run is one attempt of a backup. “Back up now” at a source starts one."</p>
            </Empty>
        }
        .into_any()
    };
    view! {
        {content}
        <Pager label="Pages of runs" page anchor="#runs" address names=RUNS older=list.older newer=list.newer />
    }
    .into_any()
}

#[component]
fn Restores(id: TenantId, address: ListAddress, list: Page<RestoreView>) -> impl IntoView {
    let page = path(id, "/activity");
    let content = if !list.items.is_empty() {
        view! { <RestoreTable tenant=id restores=list.items /> }.into_any()
    } else if address.is_filtered() {
        view! {
            <Empty title="No such restores">
                <p>"None of this source was allowed in these days."</p>
            </Empty>
        }
        .into_any()
    } else {
        view! {
            <Empty title="No restores yet">
                <p>"Open a snapshot to allow a restore of it. Trying one is a good habit."</p>
            </Empty>
        }
        .into_any()
    };
    view! {
        {content}
        <Pager
            label="Pages of restores"
            page
            anchor="#restores"
            address
            names=RESTORES
            older=list.older
            newer=list.newer
        />
    }
    .into_any()
}
