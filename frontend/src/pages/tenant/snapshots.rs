//! A tenant's snapshots.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::{
    api::{
        list::Page,
        view::{SnapshotState, SnapshotView, SourceView},
    },
    ids::TenantId,
};

use super::{WithTenant, snapshot_table::SnapshotTable};
use crate::{
    components::{Empty, ListAddress, ListFilters, Loading, Pager, problem_page},
    functions::list::list_snapshots,
    reach::fetched,
    tenant::{no_tenant, path, use_tenant},
};

const PLACES: (&str, &str) = ("older", "newer");

/// The page.
#[component]
pub fn TenantSnapshots() -> impl IntoView {
    let tenant = use_tenant();
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
        <WithTenant content=move |page| {
            let (id, sources) = (page.summary.id, page.sources);
            view! {
                <Filters id address sources />
                <Transition fallback=|| view! { <Loading /> }>
                    {move || Suspend::new(async move {
                        match list.await {
                            Ok(list) => view! { <List id address=address.get_untracked() list /> }.into_any(),
                            Err(error) => problem_page(error),
                        }
                    })}
                </Transition>
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
        let page = path(id, "/snapshots");
        view! { <ListFilters page address=address.get() sources=sources.get_value() with_expired=true /> }
    }
}

#[component]
fn List(id: TenantId, address: ListAddress, list: Page<SnapshotView>) -> impl IntoView {
    let page = path(id, "/snapshots");
    let any_expired = list
        .items
        .iter()
        .any(|snapshot| snapshot.state == SnapshotState::Expired);
    let content = if !list.items.is_empty() {
        view! { <SnapshotTable tenant=id snapshots=list.items /> }.into_any()
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
