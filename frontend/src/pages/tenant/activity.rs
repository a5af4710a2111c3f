//! A tenant's runs and restores.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::api::{
    list::Page,
    view::{RestoreView, RunView, SourceName},
};

use crate::{
    components::{Empty, ListAddress, ListFilters, Loaded, Pager, RestoreTable, RunTable},
    functions::{
        list::{list_restores, list_runs},
        source::load_source_names,
    },
    reach::fetched,
    tenant::{no_tenant, use_tenant},
};

const RUNS: (&str, &str) = ("older", "newer");
const RESTORES: (&str, &str) = ("earlier", "later");

/// The page.
#[component]
pub fn TenantActivityPage() -> impl IntoView {
    let tenant = use_tenant();
    let sources = tenant.fetch_once(load_source_names);
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
        <Loaded data=sources content=move |sources| {
            view! {
                <Filters address sources />
                <section aria-labelledby="runs">
                    <h2 id="runs">"Runs"</h2>
                    <Loaded data=runs content=move |list| view! { <Runs address=address.get_untracked() list /> }.into_any() />
                </section>
                <section aria-labelledby="restores">
                    <h2 id="restores">"Restores"</h2>
                    <Loaded data=restores content=move |list| view! { <Restores address=address.get_untracked() list /> }.into_any() />
                </section>
            }
                .into_any()
        } />
    }
    .into_any()
}

#[component]
fn Filters(address: Memo<ListAddress>, sources: Vec<SourceName>) -> impl IntoView {
    let tenant = use_tenant();
    let sources = StoredValue::new(sources);
    move || {
        let page = tenant.path("/activity");
        view! { <ListFilters page address=address.get() sources=sources.get_value() /> }
    }
}

#[component]
fn Runs(address: ListAddress, list: Page<RunView>) -> impl IntoView {
    let page = use_tenant().path("/activity");
    let content = if !list.items.is_empty() {
        view! { <RunTable runs=list.items /> }.into_any()
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
fn Restores(address: ListAddress, list: Page<RestoreView>) -> impl IntoView {
    let page = use_tenant().path("/activity");
    let content = if !list.items.is_empty() {
        view! { <RestoreTable restores=list.items /> }.into_any()
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
