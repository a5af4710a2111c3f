//! A tenant's backup sets and storage accounts.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::api::view::{BackupSetView, TenantPage};

use super::WithTenant;
use crate::{
    components::{At, Empty, Icon, ModeBadge, Sign},
    format,
    tenant::path,
};

/// The page.
#[component]
pub fn TenantStorage() -> impl IntoView {
    view! {
        <Title text="Storage" />
        <h1>"Storage"</h1>
        <WithTenant content=|page| view! { <Content page /> }.into_any() />
    }
    .into_any()
}

#[component]
fn Content(page: TenantPage) -> impl IntoView {
    let tenant = page.summary.id;
    let has_account = !page.storage_accounts.is_empty();
    let sets = if page.backup_sets.is_empty() {
        view! {
            <Empty title="No backup set yet">
                <p>"A backup set is a bucket and the policy of how long its backups are locked."</p>
            </Empty>
        }
        .into_any()
    } else {
        let rows = page
            .backup_sets
            .into_iter()
            .map(|set| {
                let retention = format::counted(u64::from(set.retention_days), "day", "days");
                view! {
                    <tr>
                        <th scope="row">
                            <a class="row-link" href=path(tenant, &format!("/backup-sets/{}", set.id))>
                                {set.name.clone()}
                            </a>
                        </th>
                        <td data-label="Bucket" class="mono">
                            {format!("{}/{}", set.bucket, set.prefix)}
                        </td>
                        <td data-label="Locked for">{retention}</td>
                        <td>
                            <ModeBadge mode=set.mode />
                        </td>
                        <td>
                            <Findings set />
                        </td>
                    </tr>
                }
            })
            .collect_view();
        view! {
            <div class="table-box" role="region" aria-label="Backup sets" tabindex="0">
                <table class="stack">
                    <thead>
                        <tr>
                            <th scope="col">"Name"</th>
                            <th scope="col">"Bucket"</th>
                            <th scope="col">"Locked for"</th>
                            <th scope="col">"Mode"</th>
                            <th scope="col">"Last look into the bucket"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
        .into_any()
    };
    let accounts = if has_account {
        let rows = page
            .storage_accounts
            .into_iter()
            .map(|account| {
                view! {
                    <tr>
                        <th scope="row">{account.name}</th>
                        <td data-label="Endpoint" class="mono">
                            {account.endpoint}
                            {account
                                .silence
                                .map(|silence| {
                                    view! {
                                        <span class="hint">"does not answer since " <At at=silence.since /></span>
                                    }
                                })}
                        </td>
                        <td data-label="Region" class="long">
                            {account.region}
                        </td>
                        <td data-label="Access key" class="mono">
                            {account.access_key}
                        </td>
                    </tr>
                }
            })
            .collect_view();
        view! {
            <div class="table-box" role="region" aria-label="Storage accounts" tabindex="0">
                <table class="stack">
                    <thead>
                        <tr>
                            <th scope="col">"Name"</th>
                            <th scope="col">"Endpoint"</th>
                            <th scope="col">"Region"</th>
                            <th scope="col">"Access key"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
        .into_any()
    } else {
        view! {
            <Empty title="No storage account yet">
                <p>"A storage account is an S3 endpoint and its keys. It comes first."</p>
            </Empty>
        }
        .into_any()
    };
    view! {
        <section aria-labelledby="backup-sets">
            <div class="section-head">
                <h2 id="backup-sets">"Backup sets"</h2>
                {has_account
                    .then(|| {
                        view! {
                            <a class="button small" href=path(tenant, "/backup-sets/new")>
                                <Icon sign=Sign::Plus />
                                "New backup set"
                            </a>
                        }
                    })}
            </div>
            {sets}
        </section>
        <section aria-labelledby="storage-accounts">
            <div class="section-head">
                <h2 id="storage-accounts">"Storage accounts"</h2>
                <a class="button small" href=path(tenant, "/storage-accounts/new")>
                    <Icon sign=Sign::Plus />
                    "New storage account"
                </a>
            </div>
            {accounts}
        </section>
    }
    .into_any()
}

#[component]
fn Findings(set: BackupSetView) -> impl IntoView {
    let Some(inspection) = set.inspection else {
        return view! { <span class="muted">"not looked yet"</span> }.into_any();
    };
    let markers = inspection.delete_markers;
    let missing = inspection.missing_versions;
    if markers == 0 && missing == 0 && inspection.unknown_versions == 0 {
        return view! {
            <span class="badge good">
                <Icon sign=Sign::Check />
                "As the ledger says"
            </span>
        }
        .into_any();
    }
    view! {
        <div class="state-cell">
            {(markers > 0)
                .then(|| {
                    let text = format::counted(markers, "delete marker", "delete markers");
                    view! { <span class="badge warn">{text}</span> }
                })}
            {(missing > 0)
                .then(|| {
                    let text = format!("{} missing", format::count(missing));
                    view! { <span class="badge bad">{text}</span> }
                })}
            {(inspection.unknown_versions > 0)
                .then(|| {
                    let text = format!("{} unknown", format::count(inspection.unknown_versions));
                    view! { <span class="badge warn">{text}</span> }
                })}
        </div>
    }
    .into_any()
}
