//! The form that cancels a run.

use leptos::prelude::*;
use shared::{api::agent::RunState, ids::RunId};

use crate::{
    components::{ButtonForm, FormError},
    functions::run::CancelRun,
    refused::use_form,
    tenant::use_tenant,
};

/// Gives the run up, as long as it has no snapshot.
#[component]
pub fn Cancel(id: RunId, state: Memo<RunState>) -> impl IntoView {
    let tenant = use_tenant();
    let form = use_form::<CancelRun>();
    let (cancel, error) = (form.action, form.error);
    Effect::new(move || {
        if let Some(Ok(run)) = cancel.value().get() {
            tenant.live.see_run(run);
        }
    });
    let can_be = move || {
        matches!(
            state.get(),
            RunState::Queued | RunState::Running | RunState::Committing
        )
    };
    view! {
        <FormError error />
        <Show when=can_be>
            <details>
                <summary>"Cancel this run"</summary>
                <p>
                    "It ends without a snapshot, and the next run of this source begins where it left off. What was sent stays \
                     locked until its date."
                </p>
                <ButtonForm
                    form
                    values=vec![tenant.hidden(), ("run", id.to_string())]
                    label="Cancel the run"
                    busy="Cancelling…"
                />
            </details>
        </Show>
    }
}
