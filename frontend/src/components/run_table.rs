//! Runs in a table, kept up to date by the live stream.

use leptos::prelude::*;
use shared::api::view::RunView;

use super::{state::RunBadge, time::At};
use crate::{format, tenant::use_tenant};

/// Runs; each row leads to the run's page.
#[component]
pub fn RunTable(
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
                <tbody>{runs.into_iter().map(|run| view! { <RunRow run /> }).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn RunRow(run: RunView) -> impl IntoView {
    let tenant = use_tenant();
    let live = tenant.live;
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
                <a class="row-link" href=tenant.path(&format!("/runs/{}", run.id))>
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
