//! The form that makes the command which enrolls a machine.

use leptos::prelude::*;
use shared::{api::view::EnrollmentTokenView, ids::BackupSetId};

use crate::{
    components::{Ago, ButtonForm, Command, FormError},
    functions::enrollment::{CreateEnrollmentToken, take_enrollment_token},
    refused::FormState,
    tenant::use_tenant,
};

/// The button, and the command once it is made.
#[component]
pub fn Enroll(set: BackupSetId, enroll: FormState<CreateEnrollmentToken>) -> impl IntoView {
    let tenant = use_tenant();
    // A token that was made without hydration comes through here, once.
    let given = Resource::new(move || set, take_enrollment_token);
    let error = enroll.error;
    let made = move || enroll.action.value().get().and_then(Result::ok);
    view! {
        <section aria-labelledby="enroll">
            <h2 id="enroll">"Enroll an endpoint"</h2>
            <p>
                "On the machine to back up, holdfast-agent needs one command: paste all of its lines into a shell. It carries "
                "a token for one machine and one hour, on standard input, where no other user of that machine sees it, and "
                "the recovery key's fingerprint, so that nobody can swap the key unseen."
            </p>
            <FormError error />
            <ButtonForm
                form=enroll
                values=vec![tenant.hidden(), ("set", set.to_string())]
                label="Enroll an endpoint"
                busy="Making a token…"
            />
            <div role="status">
                {move || made().map(|token| view! { <Token token /> })}
                <Suspense>
                    {move || Suspend::new(async move {
                        given.await.ok().flatten().map(|token| view! { <Token token /> })
                    })}
                </Suspense>
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn Token(token: EnrollmentTokenView) -> impl IntoView {
    view! {
        <div class="token">
            <p>
                <strong>"Paste this on the machine now: it is shown once."</strong>
                " It ends "
                <Ago at=token.expires_at />
                "."
            </p>
            <Command label="Command that enrolls an endpoint" text=token.command />
        </div>
    }
    .into_any()
}
