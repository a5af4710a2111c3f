//! Runs and restores in tables, kept up to date by the live stream.

use leptos::prelude::*;
use shared::{
    api::view::{RestoreView, RunView},
    ids::TenantId,
};

use crate::{
    components::{At, RestoreBadge, RunBadge},
    format,
    tenant::{path, use_tenant},
};

/// Runs; each row leads to the run's page.
#[component]
pub fn RunTable(
    /// Whose they are.
    tenant: TenantId,
    /// Newest first.
    runs: Vec<RunView>,
) -> impl IntoView {
    view! {
        <div class="table-box" role="region" aria-label="Runs" tabindex="0">
            <table class="stack">
                <thead>
                    <tr>
                        <th scope="col">"Run of"</th>
                        <th scope="col">"Asked for or due"</th>
                        <th scope="col" class="num">"Took"</th>
                        <th scope="col" class="num">"Sent"</th>
                        <th scope="col">"State"</th>
                    </tr>
                </thead>
                <tbody>{runs.into_iter().map(|run| view! { <RunRow tenant run /> }).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn RunRow(tenant: TenantId, run: RunView) -> impl IntoView {
    let live = use_tenant().live;
    let now = Memo::new({
        let run = run.clone();
        move |_| live.run(&run)
    });
    let took = move || {
        now.with(|run| {
            run.started_at
                .zip(run.finished_at)
                .map_or_else(|| "–".to_owned(), |(start, end)| format::duration(start, end))
        })
    };
    let sent = move || {
        now.with(|run| {
            run.progress
                .as_ref()
                .map_or_else(|| "–".to_owned(), |progress| format::bytes(progress.bytes_sent))
        })
    };
    view! {
        <tr>
            <th scope="row">
                <a class="row-link" href=path(tenant, &format!("/runs/{}", run.id))>
                    {run.source_name}
                </a>
                <span class="muted">{format!(" on {}", run.hostname)}</span>
            </th>
            <td data-label="Asked for or due">
                <At at=run.created_at />
            </td>
            <td class="num" data-label="Took">
                {took}
            </td>
            <td class="num" data-label="Sent">
                {sent}
            </td>
            <td>
                <RunBadge run=now.into() />
                {move || now.with(|run| run.error.clone().map(|error| view! { <p class="cell-error">{error}</p> }))}
            </td>
        </tr>
    }
    .into_any()
}

/// Restores; each row leads to the snapshot's page.
#[component]
pub fn RestoreTable(
    /// Whose they are.
    tenant: TenantId,
    /// Newest first.
    restores: Vec<RestoreView>,
) -> impl IntoView {
    view! {
        <div class="table-box" role="region" aria-label="Restores" tabindex="0">
            <table class="stack">
                <thead>
                    <tr>
                        <th scope="col">"Restore of"</th>
                        <th scope="col">"Allowed"</th>
                        <th scope="col">"By"</th>
                        <th scope="col" class="num">"Written"</th>
                        <th scope="col">"State"</th>
                    </tr>
                </thead>
                <tbody>
                    {restores
                        .into_iter()
                        .map(|restore| view! { <RestoreRow tenant restore /> })
                        .collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn RestoreRow(tenant: TenantId, restore: RestoreView) -> impl IntoView {
    let live = use_tenant().live;
    let now = Memo::new({
        let restore = restore.clone();
        move |_| live.restore(&restore)
    });
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
                <a class="row-link" href=path(tenant, &format!("/snapshots/{}", restore.snapshot_id))>
                    {format!("{} #{}", restore.source_name, restore.seq)}
                </a>
            </th>
            <td data-label="Allowed">
                <At at=restore.created_at />
            </td>
            <td data-label="By" class="long">
                {restore.authorised_by}
            </td>
            <td class="num" data-label="Written">
                {written}
            </td>
            <td>
                {move || view! { <RestoreBadge state=now.with(|restore| restore.state) /> }}
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
