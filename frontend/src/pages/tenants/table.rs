//! Tenants in a table.

use leptos::prelude::*;
use shared::api::view::TenantSummary;

use crate::{
    components::{Ago, Count, HealthBadge},
    format,
};

/// The table; each row leads to the tenant's page.
#[component]
pub fn TenantTable(list: Vec<TenantSummary>) -> impl IntoView {
    view! {
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
                                    {format::counted(u64::from(tenant.active_runs), "run", "runs")}
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
