//! A snapshot: what it holds, until when it is locked, and how to restore it.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::{api::view::SnapshotPage as Page, ids::SnapshotId};

use super::{
    lock_card::LockCard,
    restore::{Restore, RestoreForms},
    review::Review,
};
use crate::{
    components::{
        At, Bytes, Count, Counted, Crumbs, DamageBadge, Loaded, NothingTaken, ReadAgainFact, SnapshotBadge,
        SoundnessBadge, TierBadges,
    },
    error::ConsoleError,
    functions::snapshot::{AuthoriseRestore, EndRestore, JudgeSnapshot, load_snapshot},
    reach::fetched,
    refused::{FormState, use_form},
    tenant::{id_in_address, no_tenant, use_tenant},
};

/// The page.
#[component]
pub fn SnapshotPage() -> impl IntoView {
    let tenant = use_tenant();
    let id = id_in_address::<SnapshotId>("snapshot");
    let page = Resource::new(
        move || (tenant.id.get(), id.get(), tenant.live.turns()),
        |(tenant, snapshot, _)| {
            fetched(move || async move {
                let snapshot = snapshot.ok_or_else(|| ConsoleError::NotFound("snapshot".to_owned()))?;
                load_snapshot(tenant.ok_or_else(no_tenant)?, snapshot).await
            })
        },
    );
    let judge = use_form::<JudgeSnapshot>();
    let judged = judge.action;
    Effect::new(move || {
        if let Some(Ok(_)) = judged.value().get() {
            page.refetch();
        }
    });
    let (allow, end) = (use_form::<AuthoriseRestore>(), use_form::<EndRestore>());
    Effect::new(move || {
        if let Some(Ok(restore)) = allow.action.value().get() {
            tenant.live.see_restore(restore);
        }
    });
    Effect::new(move || {
        if let Some(Ok(restore)) = end.action.value().get() {
            tenant.live.see_restore(restore);
        }
    });
    let forms = RestoreForms { allow, end };
    view! { <Loaded data=page content=move |page| view! { <Content page forms judge /> }.into_any() /> }
        .into_any()
}

#[component]
fn Content(page: Page, forms: RestoreForms, judge: FormState<JudgeSnapshot>) -> impl IntoView {
    let tenant = use_tenant();
    let snapshot = page.snapshot.clone();
    let set_path = tenant.path(&format!("/backup-sets/{}", page.backup_set.id));
    let title = format!("{} #{}", snapshot.source_name, snapshot.seq);
    let took_nothing = page
        .report
        .as_ref()
        .is_some_and(|report| report.took_nothing(snapshot.totals.files));
    view! {
        <Title text=title.clone() />
        <Crumbs above=vec![(tenant.path("/snapshots"), "Snapshots".to_owned())] here=title.clone() />
        <div class="page-head">
            <h1>{title}</h1>
            <SnapshotBadge state=snapshot.state />
            <DamageBadge damage=snapshot.damage />
            <SoundnessBadge soundness=snapshot.soundness />
            <TierBadges tiers=snapshot.tiers.clone() />
        </div>
        <Review page=page.clone() form=judge />
        <LockCard page=page.clone() />
        <dl class="facts card">
            <div>
                <dt>"Taken"</dt>
                <dd>
                    <At at=snapshot.received_at />
                </dd>
            </div>
            <div>
                <dt>"Machine"</dt>
                <dd>{snapshot.hostname.clone()}</dd>
            </div>
            <div>
                <dt>"Backup set"</dt>
                <dd>
                    <a href=set_path>{page.backup_set.name.clone()}</a>
                </dd>
            </div>
            <div>
                <dt>"Files"</dt>
                <dd>
                    <Count value=snapshot.totals.files />
                    " in "
                    <Counted value=snapshot.totals.folders one="folder" many="folders" />
                </dd>
            </div>
            <div>
                <dt>"Size"</dt>
                <dd>
                    <Bytes size=snapshot.totals.bytes />
                </dd>
            </div>
            <div>
                <dt>"Sent by this backup"</dt>
                <dd>
                    <Bytes size=snapshot.totals.bytes_sent />
                </dd>
            </div>
            <div>
                <dt>"In the bucket"</dt>
                <dd>
                    <Counted value=page.objects one="object" many="objects" />
                    ", "
                    <Bytes size=page.stored_bytes />
                </dd>
            </div>
            <div>
                <dt>"Warnings"</dt>
                <dd>
                    {match snapshot.totals.warnings {
                        0 => view! { <span class="muted">"none"</span> }.into_any(),
                        warnings => {
                            view! {
                                <span class="warn-text">
                                    <Counted
                                        value=warnings
                                        one="file left out or not whole; on the machine, holdfast-agent show --warnings names it"
                                        many="files left out or not whole; on the machine, holdfast-agent show --warnings names them"
                                    />
                                </span>
                            }
                                .into_any()
                        }
                    }}
                </dd>
            </div>
            {(snapshot.totals.notes > 0)
                .then(|| {
                    view! {
                        <div>
                            <dt>"Notes"</dt>
                            <dd>
                                <Counted
                                    value=snapshot.totals.notes
                                    one="socket, pipe, device or mount that is left out"
                                    many="sockets, pipes, devices or mounts that are left out"
                                />
                            </dd>
                        </div>
                    }
                })}
            <ReadAgainFact report=page.report.clone() />
        </dl>
        {took_nothing.then(|| view! { <NothingTaken which="This backup" /> })}
        <Restore page forms />
    }
    .into_any()
}
