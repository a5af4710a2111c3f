//! A source: what is backed up, when, how it stands, and the button *Back up now*.

use leptos::prelude::*;
use shared::{
    api::view::{RunView, SourceView},
    words::counted,
};

use crate::{
    components::{
        Ago, At, ButtonForm, Day, FormError, Icon, IdleExcludes, NextRuns, NothingTaken, Protection,
        RunProgressView, Sign, SoundnessBadge,
    },
    functions::source::RunNow,
    refused::{Refused, use_form_where},
    tenant::use_tenant,
};

/// The card.
#[component]
pub fn SourceCard(
    /// The source.
    source: SourceView,
    /// The run that was active when the page was made.
    run: Option<RunView>,
) -> impl IntoView {
    let tenant = use_tenant();
    let live = tenant.live;
    let online = source.online;
    let id = source.id;
    let is_this = |refused: &Refused| refused.typed.contains(&("source".to_owned(), id.to_string()));
    let form = use_form_where::<RunNow>(is_this);
    let (run_now, error) = (form.action, form.error);
    Effect::new(move || {
        if let Some(Ok(run)) = run_now.value().get() {
            live.see_run(run);
        }
    });
    let active = Memo::new(move |_| {
        live.active_run_of(id).or_else(|| {
            run.as_ref()
                .map(|run| live.run(run))
                .filter(|run| !run.state.is_final())
        })
    });
    let active_id = Memo::new(move |_| active.with(|run| run.as_ref().map(|run| run.id)));
    let heading = format!("source-{id}");
    let labelled_by = heading.clone();
    let newest = source.newest_snapshot.clone();
    let many_paths = source.paths.len() > 3;
    let paths = source.paths.clone();
    let limits = limits(&source);
    view! {
        <article class="card source" aria-labelledby=labelled_by>
            <div class="source-head">
                <div>
                    <h3 id=heading>{source.name.clone()}</h3>
                    <p class="muted">
                        <span class=if online { "dot on" } else { "dot" }></span>
                        {source.hostname.clone()}
                        {if online { " · online" } else { " · not seen lately" }}
                        " · to "
                        <a href=tenant.path(&format!("/backup-sets/{}", source.backup_set_id))>
                            {source.backup_set_name.clone()}
                        </a>
                    </p>
                </div>
                <Show when=move || active_id.get().is_none()>
                    <ButtonForm
                        form
                        values=vec![tenant.hidden(), ("source", id.to_string())]
                        label="Back up now"
                        busy="Asking…"
                    />
                </Show>
            </div>
            {source.held.clone().map(|held| view! { <p class="cell-error">{held}</p> })}
            <FormError error />
            <div class="source-live">
                {move || {
                    let first = active_id.get().and_then(|_| active.get_untracked())?;
                    let run_path = tenant.path(&format!("/runs/{}", first.id));
                    // The last figures stay while the card is taken down.
                    let run = Memo::new(move |before: Option<&RunView>| {
                        active.get().or_else(|| before.cloned()).unwrap_or_else(|| first.clone())
                    });
                    Some(
                        view! {
                            <RunProgressView run=run.into() />
                            <p>
                                <a href=run_path>"Follow this run"</a>
                            </p>
                        },
                    )
                }}
            </div>
            {source.took_nothing.then(|| view! { <NothingTaken which="The newest backup" /> })}
            <IdleExcludes unmatched=source.unmatched_excludes.clone() unread=source.unread_excludes.clone() />
            <dl class="facts">
                <div>
                    <dt>"Paths"</dt>
                    <dd class="mono">
                        {paths.iter().take(3).cloned().collect::<Vec<_>>().join("  ")}
                        {many_paths.then(|| format!("  and {} more", paths.len() - 3))}
                    </dd>
                </div>
                {(!limits.is_empty())
                    .then(|| {
                        view! {
                            <div>
                                <dt>"Limits"</dt>
                                <dd>{limits.join(" · ")}</dd>
                            </div>
                        }
                    })}
                <div>
                    <dt>"Schedule"</dt>
                    <dd>{source.schedule.describe()}</dd>
                </div>
                <div>
                    <dt>"Next run"</dt>
                    <dd>
                        {source
                            .next_due
                            .map_or_else(
                                || view! { <span class="muted">"when asked"</span> }.into_any(),
                                |at| view! { <At at /> }.into_any(),
                            )}
                    </dd>
                </div>
                <div>
                    <dt>"Newest snapshot"</dt>
                    <dd>
                        {newest
                            .clone()
                            .map_or_else(
                                || view! { <span class="muted">"none yet"</span> }.into_any(),
                                |snapshot| {
                                    view! {
                                        <a href=tenant.path(&format!("/snapshots/{}", snapshot.id))>
                                            {format!("#{}", snapshot.seq)}
                                        </a>
                                        " · "
                                        <Ago at=snapshot.received_at />
                                        " "
                                        <SoundnessBadge soundness=snapshot.soundness />
                                    }
                                        .into_any()
                                },
                            )}
                    </dd>
                </div>
                <div>
                    <dt>"Locked until"</dt>
                    <dd>
                        {newest
                            .map_or_else(
                                || view! { <span class="muted">"–"</span> }.into_any(),
                                |snapshot| {
                                    view! {
                                        <span class="locked-until">
                                            <Icon sign=Sign::Lock />
                                            <Day at=snapshot.protected_until />
                                        </span>
                                    }
                                        .into_any()
                                },
                            )}
                    </dd>
                </div>
            </dl>
            {source
                .next_due
                .map(|_| {
                    view! {
                        <details>
                            <summary>"Next runs"</summary>
                            <NextRuns schedule=source.schedule.clone() />
                        </details>
                    }
                })}
            <details>
                <summary>"Protection"</summary>
                <Protection protection=source.protection.clone() />
            </details>
        </article>
    }
    .into_any()
}

/// What limits a source beside its paths, in words.
fn limits(source: &SourceView) -> Vec<String> {
    let options = &source.options;
    let excludes = counted(source.excludes.len() as u64, "exclude line", "exclude lines");
    [
        (!source.excludes.is_empty(), excludes),
        (options.one_file_system, "stays on one file system".to_owned()),
        (
            !options.one_file_system && !options.leave_out_network_mounts,
            "includes network mounts".to_owned(),
        ),
        (
            options.unstable_inodes,
            "goes by size, time and a sample".to_owned(),
        ),
    ]
    .into_iter()
    .filter_map(|(holds, words)| holds.then_some(words))
    .collect()
}
