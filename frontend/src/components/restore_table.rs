//! Permissions to restore and their uses in a table, kept up to date by the live stream.

use leptos::prelude::*;
use shared::api::{agent::RestorePurpose, view::RestoreView};

use super::{state::RestoreBadge, time::At};
use crate::{format, tenant::use_tenant};

/// Restores; each row leads to the snapshot's page.
#[component]
pub fn RestoreTable(
    /// Newest first.
    restores: Vec<RestoreView>,
) -> impl IntoView {
    view! {
        <div class="table-box" role="region" aria-label="Restores" tabindex="0">
            <table class="stack">
                <thead>
                    <tr>
                        <th scope="col">"Restore of"</th>
                        <th scope="col">"What"</th>
                        <th scope="col">"Began"</th>
                        <th scope="col">"Allowed by"</th>
                        <th scope="col" class="num">"Written"</th>
                        <th scope="col">"State"</th>
                    </tr>
                </thead>
                <tbody>
                    {restores
                        .into_iter()
                        .map(|restore| view! { <RestoreRow restore /> })
                        .collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn RestoreRow(restore: RestoreView) -> impl IntoView {
    let tenant = use_tenant();
    let live = tenant.live;
    let now = Memo::new({
        let restore = restore.clone();
        move |_| live.restore(&restore)
    });
    let purpose = restore.purpose;
    let what = match purpose {
        _ if restore.is_permission() => "Permission",
        RestorePurpose::Restore => "Restore",
        RestorePurpose::DryRun => "Dry run",
        RestorePurpose::Verification => "Verification",
    };
    let written = move || {
        now.with(|restore| {
            restore
                .progress
                .as_ref()
                .map_or_else(|| "–".to_owned(), |progress| format::bytes(progress.bytes_done))
        })
    };
    view! {
        <tr>
            <th scope="row">
                <a class="row-link" href=tenant.path(&format!("/snapshots/{}", restore.snapshot_id))>
                    {format!("{} #{}", restore.source_name, restore.seq)}
                </a>
            </th>
            <td data-label="What">{what}</td>
            <td data-label="Began">
                <At at=restore.created_at />
            </td>
            <td data-label="Allowed by" class="long">
                {restore.authorised_by}
            </td>
            <td class="num" data-label="Written">
                {written}
            </td>
            <td>
                {move || view! { <RestoreBadge state=now.with(|restore| restore.state) purpose /> }}
                {move || {
                    now.with(|restore| {
                        restore.error.clone().map(|error| view! { <p class="cell-error">{error}</p> })
                    })
                }}
            </td>
        </tr>
    }
    .into_any()
}
