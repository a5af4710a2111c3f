//! One tenant's pages.

pub mod activity;
pub mod agents;
pub mod home;
pub mod run_table;
pub mod set_up;
pub mod snapshot_table;
pub mod snapshots;
pub mod source_card;
pub mod storage;

use leptos::prelude::*;
use leptos_router::components::{A, Outlet};
use shared::api::view::TenantPage;

use crate::{
    components::{HealthBadge, Loading, problem_page},
    error::ConsoleError,
    functions::tenant::load_tenant,
    live::Connection,
    reach::{Reach, fetched},
    tenant::{Tenant, no_tenant, use_tenant},
};

/// What every page of a tenant has around it: its name, its state, and the ways to its parts.
#[component]
pub fn TenantLayout() -> impl IntoView {
    let tenant = Tenant::provide();
    let reach = expect_context::<Reach>();
    // Where nothing can be fetched either, that is said once, above.
    let lost = move || tenant.live.connection() == Connection::Lost && !reach.is_lost();
    view! {
        <Transition>
            {move || Suspend::new(async move {
                // Of a tenant that is not there, the page below says so.
                tenant.page.await.ok().map(|page| view! { <Head page /> })
            })}
        </Transition>
        <p class="live-note" role="status">
            {move || lost().then_some("The live connection broke; trying again.")}
        </p>
        <Outlet />
    }
    .into_any()
}

#[component]
fn Head(page: TenantPage) -> impl IntoView {
    let tenant = use_tenant();
    view! {
        <div class="tenant-head">
            <a class="tenant-name" href=tenant.path("")>
                {page.summary.name}
            </a>
            <HealthBadge health=page.summary.health />
        </div>
        <nav class="tabs" aria-label="Customer">
            <A href=move || tenant.path("") exact=true>
                "Overview"
            </A>
            <A href=move || tenant.path("/snapshots")>"Snapshots"</A>
            <A href=move || tenant.path("/activity") exact=true>
                "Activity"
            </A>
            <A href=move || tenant.path("/agents") exact=true>
                "Agents"
            </A>
            <A href=move || tenant.path("/storage") exact=true>
                "Storage"
            </A>
        </nav>
    }
    .into_any()
}

/// The tenant's data once it is there, fetched again whenever something came to another state.
#[component]
pub fn WithTenant<F>(
    /// Makes the content.
    content: F,
) -> impl IntoView
where
    F: Fn(TenantPage) -> AnyView + Clone + Send + Sync + 'static,
{
    let tenant = use_tenant();
    view! {
        <Transition fallback=|| view! { <Loading /> }>
            {move || {
                let content = content.clone();
                Suspend::new(async move {
                    match tenant.page.await {
                        Ok(page) => content(page),
                        Err(error) => problem_page(error),
                    }
                })
            }}
        </Transition>
    }
    .into_any()
}

/// The tenant's data for a form: fetched once, so that nothing under the fingers is redrawn.
pub fn tenant_once() -> Resource<Result<TenantPage, ConsoleError>> {
    let tenant = use_tenant();
    Resource::new(
        move || tenant.id.get(),
        |id| fetched(move || async move { load_tenant(id.ok_or_else(no_tenant)?).await }),
    )
}
