//! A run, followed live.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::{
    api::{agent::RunState, view::RunView},
    ids::RunId,
};

use super::cancel::Cancel;
use crate::{
    clock::{use_clock, use_hydrated},
    components::{At, Crumbs, Icon, Loaded, ReadAgainFact, RunBadge, RunProgressView, Sign},
    error::ConsoleError,
    format,
    functions::run::load_run,
    reach::fetched,
    tenant::{id_in_address, no_tenant, use_tenant},
};

/// The page.
#[component]
pub fn RunPage() -> impl IntoView {
    let tenant = use_tenant();
    let id = id_in_address::<RunId>("run");
    let run = Resource::new(
        move || (tenant.id.get(), id.get(), tenant.live.turns()),
        |(tenant, run, _)| {
            fetched(move || async move {
                let run = run.ok_or_else(|| ConsoleError::NotFound("run".to_owned()))?;
                load_run(tenant.ok_or_else(no_tenant)?, run).await
            })
        },
    );
    view! {
        <Title text="Run" />
        <Loaded data=run content=|run| view! { <Content run /> }.into_any() />
    }
    .into_any()
}

#[component]
fn Content(run: RunView) -> impl IntoView {
    let tenant = use_tenant();
    let active = !run.state.is_final();
    let id = run.id;
    let name = run.source_name.clone();
    let hostname = run.hostname.clone();
    let created_at = run.created_at;
    let now = Memo::new(move |_| tenant.live.run(&run));
    let state = Memo::new(move |_| now.with(|run| run.state));
    let report = Memo::new(move |_| now.with(|run| run.report.clone()));
    view! {
        // Without hydration the page asks again by itself, while there is something to follow.
        {active
            .then(|| {
                view! { <noscript inner_html=r#"<meta http-equiv="refresh" content="4">"#></noscript> }
            })}
        <Crumbs above=vec![(tenant.path("/activity"), "Activity".to_owned())] here=format!("Run of {name}") />
        <div class="page-head">
            <h1>{format!("Backup of {name}")}</h1>
            <RunBadge run=now.into() />
        </div>
        <section class="card" aria-label="Progress">
            <RunProgressView run=now.into() />
            {move || {
                now.with(|run| run.error.clone())
                    .map(|error| {
                        view! {
                            <div class="notice bad" role="alert">
                                <Icon sign=Sign::Failure />
                                <div>
                                    <p>{error}</p>
                                    <p>
                                        "What was sent stays locked until its date, and the next run may use it. Nothing that was "
                                        "complete before is touched."
                                    </p>
                                </div>
                            </div>
                        }
                    })
            }}
            {move || {
                now.with(|run| run.snapshot_id)
                    .map(|snapshot| {
                        let class = if state.get() == RunState::Succeeded { "button primary" } else { "button" };
                        view! {
                            <p>
                                <a class=class href=tenant.path(&format!("/snapshots/{snapshot}"))>
                                    "To the snapshot"
                                </a>
                            </p>
                        }
                    })
            }}
            <Cancel id state />
        </section>
        <dl class="facts card">
            <div>
                <dt>"Machine"</dt>
                <dd>{hostname}</dd>
            </div>
            <div>
                <dt>"Asked for or due"</dt>
                <dd>
                    <At at=created_at />
                </dd>
            </div>
            <div>
                <dt>"Started"</dt>
                <dd>
                    {move || {
                        now.with(|run| run.started_at)
                            .map_or_else(
                                || view! { <span class="muted">"not yet"</span> }.into_any(),
                                |at| view! { <At at /> }.into_any(),
                            )
                    }}
                </dd>
            </div>
            <div>
                <dt>"Took"</dt>
                <dd>
                    <Took run=now />
                </dd>
            </div>
            {move || view! { <ReadAgainFact report=report.get() /> }}
        </dl>
    }
    .into_any()
}

#[component]
fn Took(run: Memo<RunView>) -> impl IntoView {
    let hydrated = use_hydrated();
    let clock = use_clock();
    move || {
        run.with(|run| {
            let end = run.finished_at.or_else(|| clock.now().filter(|_| hydrated.get()));
            run.started_at
                .zip(end)
                .map_or_else(|| "–".to_owned(), |(start, end)| format::duration(start, end))
        })
    }
}
