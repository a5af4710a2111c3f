//! How a snapshot is restored: the form that allows it, the command, and past restores.

use leptos::prelude::*;
use shared::api::view::{RestoreState, RestoreView, SnapshotPage, SnapshotState};

use crate::{
    components::{Ago, At, ButtonForm, Command, FormError, RestoreBadge, RestoreProgressView, RestoreTable},
    functions::snapshot::{AuthoriseRestore, EndRestore},
    refused::FormState,
    tenant::use_tenant,
};

/// What allows restores, and what ends that.
#[derive(Clone, Copy)]
pub struct RestoreForms {
    pub allow: FormState<AuthoriseRestore>,
    pub end: FormState<EndRestore>,
}

/// What can be done now, and what was done before.
#[component]
pub fn Restore(page: SnapshotPage, forms: RestoreForms) -> impl IntoView {
    let tenant = use_tenant();
    let snapshot = page.snapshot.id;
    let complete = page.snapshot.state == SnapshotState::Complete;
    let hostname = page.snapshot.hostname.clone();
    let all_restores = tenant.path(&format!("/activity?source={}#restores", page.snapshot.source_id));
    let (open, past) = sorted(page.restores);
    let allowed = open.permission.is_some();
    view! {
        <section aria-labelledby="restore">
            <h2 id="restore">"Restore"</h2>
            <FormError error=forms.allow.error />
            <FormError error=forms.end.error />
            {match open.permission {
                Some(permission) => {
                    view! { <Allowed permission hostname command=page.restore_command form=forms.end /> }.into_any()
                }
                None => view! { <NotAllowed state=page.snapshot.state hostname /> }.into_any(),
            }}
            {open.running.into_iter().map(|restore| view! { <Running restore /> }).collect_view()}
            {(complete && !allowed)
                .then(|| {
                    view! {
                        <ButtonForm
                            form=forms.allow
                            values=vec![tenant.hidden(), ("snapshot", snapshot.to_string())]
                            label="Allow restores for 24 hours"
                            busy="Allowing…"
                            class="button primary"
                        />
                    }
                })}
            {(!past.is_empty())
                .then(|| {
                    view! {
                        <h3>"Past restores"</h3>
                        <RestoreTable restores=past />
                        <p>
                            <a href=all_restores>"All restores of this source"</a>
                        </p>
                    }
                })}
        </section>
    }
    .into_any()
}

/// What lasts.
struct Open {
    permission: Option<RestoreView>,
    running: Vec<RestoreView>,
}

/// What lasts, and what is over.
fn sorted(restores: Vec<RestoreView>) -> (Open, Vec<RestoreView>) {
    let mut open = Open {
        permission: None,
        running: Vec::new(),
    };
    let mut past = Vec::new();
    for restore in restores {
        match restore.state {
            RestoreState::Authorised => open.permission = Some(restore),
            RestoreState::Running => open.running.push(restore),
            RestoreState::Succeeded | RestoreState::Failed | RestoreState::Expired | RestoreState::Ended => {
                past.push(restore);
            }
        }
    }
    // What was begun when permission and use were one row is both.
    if open.permission.is_none() {
        let both = open
            .running
            .iter()
            .find(|restore| restore.permission_id.is_none());
        open.permission = both.cloned();
    }
    (open, past)
}

/// Until when, with which command, and how to end it.
#[component]
fn Allowed(
    permission: RestoreView,
    hostname: String,
    command: String,
    form: FormState<EndRestore>,
) -> impl IntoView {
    let tenant = use_tenant();
    let values = vec![
        tenant.hidden(),
        ("snapshot", permission.snapshot_id.to_string()),
        ("restore", permission.id.to_string()),
    ];
    view! {
        <noscript inner_html=r#"<meta http-equiv="refresh" content="10">"#></noscript>
        <div class="card">
            <div class="state-cell">
                <RestoreBadge state=RestoreState::Authorised purpose=permission.purpose />
                <span class="muted">
                    {format!("By {}, until ", permission.authorised_by)} <At at=permission.expires_at /> " ("
                    <Ago at=permission.expires_at /> ")"
                </span>
            </div>
            <p>"On " <strong>{hostname}</strong> ", with the recovery kit at hand, run as often as you want:"</p>
            <Command label="Command that restores this snapshot" text=command />
            <p class="hint">
                "It writes into the folder after --to; that may be any empty folder. With --dry-run it only says what it would write. "
                "The server signs addresses to read this snapshot only, and cannot decrypt what is read."
            </p>
            <details>
                <summary>"End the permission now"</summary>
                <p>"Nothing more can be read after that, and a restore that is under way breaks off."</p>
                <ButtonForm form values label="End the permission" busy="Ending…" />
            </details>
        </div>
    }
    .into_any()
}

#[component]
fn NotAllowed(state: SnapshotState, hostname: String) -> impl IntoView {
    match state {
        SnapshotState::Expired => {
            view! { <p>"This snapshot has expired and cannot be restored any more. Choose a newer one."</p> }
                .into_any()
        }
        SnapshotState::Broken => {
            view! { <p>"This snapshot was never complete and cannot be restored. Choose another one."</p> }
                .into_any()
        }
        SnapshotState::Locking | SnapshotState::Complete => {
            view! {
                <p>
                    "A restore runs on the machine, with the recovery kit. First allow it here: for 24 hours the agent on "
                    {hostname}
                    " may then read this snapshot as often as it wants, and nothing else."
                </p>
            }
                .into_any()
        }
    }
}

/// A use of the permission that is under way.
#[component]
fn Running(restore: RestoreView) -> impl IntoView {
    let tenant = use_tenant();
    let purpose = restore.purpose;
    let began = restore.created_at;
    let now = Memo::new(move |_| tenant.live.restore(&restore));
    let state = Memo::new(move |_| now.with(|restore| restore.state));
    view! {
        <div class="card">
            <div class="state-cell">
                {move || view! { <RestoreBadge state=state.get() purpose /> }}
                <span class="muted">"Began " <Ago at=began /></span>
            </div>
            <RestoreProgressView restore=now.into() />
            {move || {
                now.with(|restore| restore.error.clone())
                    .map(|error| view! { <p class="cell-error">{error}</p> })
            }}
        </div>
    }
    .into_any()
}
