//! What every page of a tenant has around it.

use leptos::prelude::*;
use leptos_router::components::{A, Outlet};
use shared::api::view::TenantSummary;

use crate::{
    components::HealthBadge,
    live::Connection,
    reach::Reach,
    tenant::{Tenant, use_tenant},
};

/// The tenant's name, its state, and the ways to its parts.
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
                tenant.summary.await.ok().map(|summary| view! { <Head summary /> })
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
fn Head(summary: TenantSummary) -> impl IntoView {
    let tenant = use_tenant();
    view! {
        <div class="tenant-head">
            <a class="tenant-name" href=tenant.path("")>
                {summary.name}
            </a>
            <HealthBadge health=summary.health />
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
