//! How a snapshot is restored: the form that allows it, the command, and past restores.

use leptos::prelude::*;
use shared::api::view::{RestoreState, RestoreView, SnapshotPage, SnapshotState};

use crate::{
    components::{Ago, ButtonForm, Command, FormError, RestoreBadge, RestoreProgressView, RestoreTable},
    functions::snapshot::AuthoriseRestore,
    refused::FormState,
    tenant::use_tenant,
};

/// What can be done now, and what was done before.
#[component]
pub fn Restore(page: SnapshotPage, form: FormState<AuthoriseRestore>) -> impl IntoView {
    let tenant = use_tenant();
    let live = tenant.live;
    let snapshot = page.snapshot.id;
    let complete = page.snapshot.state == SnapshotState::Complete;
    let state = page.snapshot.state;
    let hostname = page.snapshot.hostname.clone();
    let all_restores = tenant.path(&format!("/activity?source={}#restores", page.snapshot.source_id));
    let error = form.error;
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
                        "A restore runs on the machine, with the recovery kit. First allow it here: for 24 hours the agent on "
                        {hostname}
                        " may then read this snapshot, and nothing else."
                    </p>
                }
                    .into_any()
            }}
            {(complete && !allowed)
                .then(|| {
                    view! {
                        <ButtonForm
                            form
                            values=vec![tenant.hidden(), ("snapshot", snapshot.to_string())]
                            label="Allow a restore for 24 hours"
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
