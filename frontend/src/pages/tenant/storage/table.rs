//! Backup sets and storage accounts in tables.

use leptos::prelude::*;
use shared::api::view::{BackupSetView, StorageAccountView};

use crate::{
    components::{At, Icon, ModeBadge, Sign},
    format,
    tenant::use_tenant,
};

/// Backup sets; each row leads to the set's page.
#[component]
pub fn BackupSetTable(sets: Vec<BackupSetView>) -> impl IntoView {
    let tenant = use_tenant();
    let rows = sets
        .into_iter()
        .map(|set| {
            let retention = format::counted(u64::from(set.retention_days), "day", "days");
            view! {
                <tr>
                    <th scope="row">
                        <a class="row-link" href=tenant.path(&format!("/backup-sets/{}", set.id))>
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
}

/// Storage accounts.
#[component]
pub fn StorageAccountTable(accounts: Vec<StorageAccountView>) -> impl IntoView {
    let rows = accounts
        .into_iter()
        .map(|account| {
            view! {
                <tr>
                    <th scope="row">{account.name}</th>
                    <td data-label="S3 endpoint" class="mono">
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
                        <th scope="col">"S3 endpoint"</th>
                        <th scope="col">"Region"</th>
                        <th scope="col">"Access key"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
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
