//! Every tenant and how well it is protected.

use std::time::Duration;

use leptos::prelude::*;
use leptos_meta::Title;
use shared::api::view::{Health, TenantSummary};

use super::{form::NewTenant, table::TenantTable};
use crate::{
    components::{Empty, Loaded, Notices},
    functions::tenant::load_tenants,
    person::Person,
    reach::{Reach, fetched},
};

/// How often the list is fetched again while the page is open.
const REFRESH: Duration = Duration::from_secs(15);

/// The page.
#[component]
pub fn TenantsPage() -> impl IntoView {
    let person = expect_context::<Person>();
    let reach = expect_context::<Reach>();
    let list = Resource::new(|| (), |()| fetched(load_tenants));
    Effect::new(move || {
        let refresh = move || {
            if reach.is_open() {
                list.refetch();
            }
        };
        if let Ok(handle) = set_interval_with_handle(refresh, REFRESH) {
            on_cleanup(move || handle.clear());
        }
    });
    view! {
        <Title text="Customers" />
        <div class="page-head">
            <h1>"Customers"</h1>
        </div>
        <Notices />
        <Loaded data=list content=|list| view! { <TenantList list /> }.into_any() />
        <Suspense>
            {move || Suspend::new(async move {
                let operator = person.0.await.ok().flatten().is_some_and(|person| person.operator);
                operator.then(|| view! { <NewTenant /> })
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn TenantList(list: Vec<TenantSummary>) -> impl IntoView {
    if list.is_empty() {
        return view! {
            <Empty title="No customers yet">
                <p>
                    "A customer holds its own storage, machines and backups, apart from all others. "
                    "An operator of this instance names the first one; its page then leads through the set-up."
                </p>
            </Empty>
        }
        .into_any();
    }
    let tone = |count: usize, tone: &'static str| if count > 0 { tone } else { "" };
    let total = list.len();
    let of = |health| list.iter().filter(|tenant| tenant.health == health).count();
    let (failing, attention, protected) = (of(Health::Failing), of(Health::Attention), of(Health::Protected));
    let mut list = list;
    list.sort_by(|a, b| {
        a.health
            .cmp(&b.health)
            .then_with(|| a.name.to_lowercase().cmp(&b.name.to_lowercase()))
    });
    view! {
        <dl class="tally">
            <div>
                <dt>"Customers"</dt>
                <dd>{total}</dd>
            </div>
            <div class=tone(failing, "bad")>
                <dt>"Failing"</dt>
                <dd>{failing}</dd>
            </div>
            <div class=tone(attention, "warn")>
                <dt>"Need attention"</dt>
                <dd>{attention}</dd>
            </div>
            <div class=tone(protected, "good")>
                <dt>"Protected"</dt>
                <dd>{protected}</dd>
            </div>
        </dl>
        <TenantTable list />
    }
    .into_any()
}
