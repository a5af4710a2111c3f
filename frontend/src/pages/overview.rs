//! Every tenant and how well it is protected.

use std::time::Duration;

use leptos::prelude::*;
use leptos_meta::Title;
use shared::{
    api::view::{Health, TenantSummary},
    limits::Limit,
};

use crate::{
    components::{
        Ago, Count, Empty, Field, FormError, HealthBadge, Loading, Notices, SubmitButton, problem_page,
    },
    functions::tenant::{CreateTenant, load_tenants},
    person::Person,
    reach::{Reach, fetched},
    refused::{FormState, use_form},
};

/// How often the list is fetched again while the page is open.
const REFRESH: Duration = Duration::from_secs(15);

/// The overview.
#[component]
pub fn Overview() -> impl IntoView {
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
        <Transition fallback=|| view! { <Loading /> }>
            {move || Suspend::new(async move {
                match list.await {
                    Ok(list) => view! { <TenantList list /> }.into_any(),
                    Err(error) => problem_page(error),
                }
            })}
        </Transition>
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
                    "A customer holds its own storage, endpoints and backups, apart from all others. "
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
        <div class="table-box" role="region" aria-label="Customers" tabindex="0">
            <table class="stack">
                <thead>
                    <tr>
                        <th scope="col">"Customer"</th>
                        <th scope="col">"State"</th>
                        <th scope="col" class="num">"Agents"</th>
                        <th scope="col" class="num">"Sources"</th>
                        <th scope="col" class="num">"Snapshots"</th>
                        <th scope="col">"Newest snapshot"</th>
                    </tr>
                </thead>
                <tbody>
                    {list.into_iter().map(|tenant| view! { <TenantRow tenant /> }).collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn TenantRow(tenant: TenantSummary) -> impl IntoView {
    view! {
        <tr>
            <th scope="row">
                <a class="row-link" href=format!("/tenants/{}", tenant.id)>
                    {tenant.name}
                </a>
            </th>
            <td>
                <div class="state-cell">
                    <HealthBadge health=tenant.health />
                    {(tenant.active_runs > 0)
                        .then(|| {
                            view! {
                                <span class="badge busy">
                                    {crate::format::counted(u64::from(tenant.active_runs), "run", "runs")}
                                    " under way"
                                </span>
                            }
                        })}
                </div>
                {(!tenant.reasons.is_empty())
                    .then(|| {
                        view! {
                            <ul class="reasons">
                                {tenant
                                    .reasons
                                    .into_iter()
                                    .map(|reason| view! { <li>{reason}</li> })
                                    .collect_view()}
                            </ul>
                        }
                    })}
            </td>
            <td class="num" data-label="Agents">
                <Count value=u64::from(tenant.agents) />
            </td>
            <td class="num" data-label="Sources">
                <Count value=u64::from(tenant.sources) />
            </td>
            <td class="num" data-label="Snapshots">
                <Count value=u64::from(tenant.snapshots) />
            </td>
            <td data-label="Newest snapshot">
                {tenant
                    .newest_snapshot_at
                    .map_or_else(
                        || view! { <span class="muted">"none yet"</span> }.into_any(),
                        |at| view! { <Ago at /> }.into_any(),
                    )}
            </td>
        </tr>
    }
    .into_any()
}

#[component]
fn NewTenant() -> impl IntoView {
    let FormState {
        action: create,
        typed,
        error,
    } = use_form::<CreateTenant>();
    view! {
        <section class="card narrow" aria-labelledby="new-customer">
            <h2 id="new-customer">"New customer"</h2>
            <FormError error />
            <ActionForm action=create attr:class="form inline">
                <Field id="tenant-name" label="Name">
                    <input
                        id="tenant-name"
                        name="name"
                        required
                        maxlength=Limit::Name.max().to_string()
                        autocomplete="off"
                        value=typed.text("name", "")
                    />
                </Field>
                <SubmitButton label="Add customer" busy="Adding…" pending=create.pending().into() />
            </ActionForm>
        </section>
    }
    .into_any()
}
