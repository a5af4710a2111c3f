//! A snapshot: what it holds, until when it is locked, and how to restore it.

use leptos::prelude::*;
use leptos_meta::Title;
use shared::{
    api::view::{Damage, RestoreState, RestoreView, SnapshotPage as Page, SnapshotState},
    ids::SnapshotId,
};

use super::tenant::run_table::RestoreTable;
use crate::{
    components::{
        Ago, At, Bytes, Command, Count, Counted, Crumbs, DamageBadge, Day, FormError, Icon, Loading,
        LockTimeline, ModeBadge, RestoreBadge, RestoreProgressView, Sign, SnapshotBadge, SubmitButton,
        TierBadges, problem_page,
    },
    error::ConsoleError,
    functions::snapshot::{AuthoriseRestore, load_snapshot},
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
    let form = use_form::<AuthoriseRestore>();
    let allow = form.action;
    Effect::new(move || {
        if let Some(Ok(restore)) = allow.value().get() {
            tenant.live.see_restore(restore);
        }
    });
    view! {
        <Transition fallback=|| view! { <Loading /> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) => view! { <Content page form /> }.into_any(),
                    Err(error) => problem_page(error),
                }
            })}
        </Transition>
    }
    .into_any()
}

#[component]
fn Content(page: Page, form: FormState<AuthoriseRestore>) -> impl IntoView {
    let tenant = use_tenant();
    let snapshot = page.snapshot.clone();
    let set_path = tenant.path(&format!("/backup-sets/{}", page.backup_set.id));
    let title = format!("{} #{}", snapshot.source_name, snapshot.seq);
    view! {
        <Title text=title.clone() />
        <Crumbs above=vec![(tenant.path("/snapshots"), "Snapshots".to_owned())] here=title.clone() />
        <div class="page-head">
            <h1>{title}</h1>
            <SnapshotBadge state=snapshot.state />
            <DamageBadge damage=snapshot.damage />
            <TierBadges tiers=snapshot.tiers.clone() />
        </div>
        <LockCard page=page.clone() />
        <dl class="facts card">
            <div>
                <dt>"Taken"</dt>
                <dd>
                    <At at=snapshot.received_at />
                </dd>
            </div>
            <div>
                <dt>"Endpoint"</dt>
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
                                        one="file left out or not whole; the endpoint's log has its name"
                                        many="files left out or not whole; the endpoint's log has their names"
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
                                    one="socket, pipe or device, which no backup holds"
                                    many="sockets, pipes or devices, which no backup holds"
                                />
                            </dd>
                        </div>
                    }
                })}
        </dl>
        <Restore page form />
    }
    .into_any()
}

/// Until when it is locked, and what has become of that.
#[component]
fn LockCard(page: Page) -> impl IntoView {
    let snapshot = page.snapshot;
    if snapshot.state == SnapshotState::Broken {
        return view! {
            <section class="card lock-card" aria-labelledby="locked-until">
                <div class="lock-head bad">
                    <Icon sign=Sign::Failure />
                    <div>
                        <h2 id="locked-until">"Promise"</h2>
                        <p class="lock-until">"Nothing was promised"</p>
                    </div>
                    <ModeBadge mode=snapshot.mode />
                </div>
                <p>
                    "Never complete: objects that it needs vanished from the bucket before everything was confirmed. It cannot be \
                     restored; choose another one. What it sent stays locked for its time, and the next backup builds on it."
                </p>
            </section>
        }
        .into_any();
    }
    let heading = match snapshot.state {
        SnapshotState::Expired => "Was locked until",
        _ => "Locked until",
    };
    let words = match (snapshot.state, snapshot.damage) {
        (SnapshotState::Complete, None) => "Confirmed by S3 for every object that this snapshot needs.",
        (SnapshotState::Complete, Some(_)) => {
            "S3 had confirmed the lock of every object that this snapshot needs."
        }
        (SnapshotState::Expired, _) => {
            "Expired: its protection has ended, and what it needed is deleted as locks end."
        }
        _ => "Not complete yet: locks that fall short are being extended.",
    };
    view! {
        <section class="card lock-card" aria-labelledby="locked-until">
            <div class="lock-head">
                <Icon sign=Sign::Lock />
                <div>
                    <h2 id="locked-until">{heading}</h2>
                    <p class="lock-until">
                        <Day at=snapshot.protected_until />
                    </p>
                </div>
                <ModeBadge mode=snapshot.mode />
            </div>
            {snapshot.damage.map(|damage| view! { <Damaged damage /> })}
            <p class="muted">{words}</p>
            {page
                .oldest_confirmation
                .filter(|_| snapshot.state == SnapshotState::Complete)
                .map(|at| {
                    view! {
                        <p class="muted">
                            "The lock that S3 was asked for longest ago was confirmed "
                            <Ago at />
                            "."
                        </p>
                    }
                })}
            <LockTimeline
                taken=snapshot.received_at
                protected_until=snapshot.protected_until
                earliest=page.earliest_lock
                latest=page.latest_lock
                damaged=snapshot.damage.is_some()
            />
        </section>
    }
    .into_any()
}

#[component]
fn Damaged(damage: Damage) -> impl IntoView {
    let them = if damage.objects == 1 { "it" } else { "them" };
    view! {
        <div class="notice bad" role="alert">
            <Icon sign=Sign::Failure />
            <div>
                <h3>"Something of it is gone from the bucket"</h3>
                <p>
                    <Counted
                        value=damage.objects
                        one="object that this snapshot needs is gone"
                        many="objects that this snapshot needs are gone"
                    />
                    " ("
                    <Bytes size=damage.bytes />
                    "). It keeps its date, and all else of it can be restored. Which files need "
                    {them}
                    ", only the endpoint or the recovery kit can tell; what a later backup has sent again is restored from there."
                </p>
            </div>
        </div>
    }
    .into_any()
}

#[component]
fn Restore(page: Page, form: FormState<AuthoriseRestore>) -> impl IntoView {
    let tenant = use_tenant();
    let live = tenant.live;
    let tenant_id = tenant.id.get_untracked();
    let snapshot = page.snapshot.id;
    let complete = page.snapshot.state == SnapshotState::Complete;
    let state = page.snapshot.state;
    let hostname = page.snapshot.hostname.clone();
    let all_restores = tenant.path(&format!("/activity?source={}#restores", page.snapshot.source_id));
    let FormState {
        action: allow, error, ..
    } = form;
    let is_open = |state| matches!(state, RestoreState::Authorised | RestoreState::Running);
    let (open, past): (Vec<_>, Vec<_>) = page
        .restores
        .into_iter()
        .partition(|restore| is_open(restore.state));
    let open = open.into_iter().next();
    let allowed = open.is_some();
    view! {
        <section aria-labelledby="restore">
            <h2 id="restore">"Restore"</h2>
            <FormError error />
            {if let Some(restore) = open {
                let now = Memo::new(move |_| live.restore(&restore));
                view! {
                    <noscript inner_html=r#"<meta http-equiv="refresh" content="10">"#></noscript>
                    <div class="card">
                        <OpenRestore restore=now />
                        <p>
                            "On "
                            <strong>{hostname}</strong>
                            ", with the recovery kit at hand, run:"
                        </p>
                        <Command label="Command that restores this snapshot" text=page.restore_command />
                        <p class="hint">
                            "It writes into the folder after --to; that may be any empty folder. The server signs addresses to "
                            "read this snapshot only, and cannot decrypt what is read."
                        </p>
                    </div>
                }
                    .into_any()
            } else if state == SnapshotState::Expired {
                view! {
                    <p>"This snapshot has expired and cannot be restored any more. Choose a newer one."</p>
                }
                    .into_any()
            } else if state == SnapshotState::Broken {
                view! {
                    <p>"This snapshot was never complete and cannot be restored. Choose another one."</p>
                }
                    .into_any()
            } else {
                view! {
                    <p>
                        "A restore runs on the endpoint, with the recovery kit. First allow it here: for 24 hours the agent on "
                        {hostname}
                        " may then read this snapshot, and nothing else."
                    </p>
                }
                    .into_any()
            }}
            {(complete && !allowed)
                .then(|| {
                    view! {
                        <ActionForm action=allow>
                            <input type="hidden" name="tenant" value=tenant_id.map(|id| id.to_string()) />
                            <input type="hidden" name="snapshot" value=snapshot.to_string() />
                            <SubmitButton
                                label="Allow a restore for 24 hours"
                                busy="Allowing…"
                                pending=allow.pending().into()
                            />
                        </ActionForm>
                    }
                })}
            {(!past.is_empty())
                .then(|| {
                    view! {
                        <h3>"Past restores"</h3>
                        {tenant_id.map(|tenant| view! { <RestoreTable tenant restores=past /> })}
                        <p>
                            <a href=all_restores>"All restores of this source"</a>
                        </p>
                    }
                })}
        </section>
    }
    .into_any()
}

#[component]
fn OpenRestore(restore: Memo<RestoreView>) -> impl IntoView {
    let state = Memo::new(move |_| restore.with(|restore| restore.state));
    let first = restore.get_untracked();
    view! {
        <div class="state-cell">
            {move || view! { <RestoreBadge state=state.get() /> }}
            <span class="muted">
                {format!("Allowed by {}, ends ", first.authorised_by)}
                <Ago at=first.expires_at />
            </span>
        </div>
        {move || {
            (state.get() != RestoreState::Authorised)
                .then(|| view! { <RestoreProgressView restore=restore.into() /> })
        }}
        {move || {
            restore
                .with(|restore| restore.error.clone())
                .map(|error| view! { <p class="cell-error">{error}</p> })
        }}
    }
    .into_any()
}
