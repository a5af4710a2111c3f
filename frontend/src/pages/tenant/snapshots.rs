//! A tenant's snapshots.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::api::{
    list::Page,
    view::{SnapshotState, SnapshotView, SourceName},
};

use crate::{
    components::{Empty, ListAddress, ListFilters, Loaded, Pager, SnapshotTable},
    functions::{list::list_snapshots, source::load_source_names},
    reach::fetched,
    tenant::{no_tenant, use_tenant},
};

const PLACES: (&str, &str) = ("older", "newer");

/// The page.
#[component]
pub fn TenantSnapshotsPage() -> impl IntoView {
    let tenant = use_tenant();
    let sources = tenant.fetch_once(load_source_names);
    let address = ListAddress::follow(&[PLACES]);
    let list = Resource::new(
        move || (tenant.id.get(), address.get(), tenant.live.turns()),
        |(tenant, address, _)| {
            fetched(move || {
                let address = address.clone();
                async move { list_snapshots(tenant.ok_or_else(no_tenant)?, address.query(PLACES)?).await }
            })
        },
    );
    view! {
        <Title text="Snapshots" />
        <h1>"Snapshots"</h1>
        <Loaded data=sources content=move |sources| {
            view! {
                <Filters address sources />
                <Loaded data=list content=move |list| view! { <List address=address.get_untracked() list /> }.into_any() />
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
        let page = tenant.path("/snapshots");
        view! { <ListFilters page address=address.get() sources=sources.get_value() with_expired=true /> }
    }
}

#[component]
fn List(address: ListAddress, list: Page<SnapshotView>) -> impl IntoView {
    let page = use_tenant().path("/snapshots");
    let any_expired = list
        .items
        .iter()
        .any(|snapshot| snapshot.state == SnapshotState::Expired);
    let content = if !list.items.is_empty() {
        view! { <SnapshotTable snapshots=list.items /> }.into_any()
    } else if address.is_filtered() {
        view! {
            <Empty title="No such snapshots">
                <p>"None was taken of this source in these days. Choose others, or show all."</p>
            </Empty>
        }
        .into_any()
    } else {
        view! {
            <Empty title="No snapshots yet">
                <p>
                    "A snapshot is one point in time of one source, locked in the bucket until its date. "
                    "The first backup makes the first one."
                </p>
            </Empty>
        }
        .into_any()
    };
    view! {
        {any_expired
            .then(|| {
                view! {
                    <p class="muted">
                        "The protection of expired ones has ended. What only they needed is deleted as locks end, so they "
                        "cannot be restored."
                    </p>
                }
            })}
        {content}
        <Pager label="Pages of snapshots" page address names=PLACES older=list.older newer=list.newer />
    }
    .into_any()
}
