//! Signing in.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::{
    components::{Field, FormError, Logo, SubmitButton},
    functions::session::SignIn,
    refused::{FormState, use_form},
};

/// The page to sign in on.
#[component]
pub fn SignInPage() -> impl IntoView {
    let FormState {
        action: sign_in,
        typed,
        error,
    } = use_form::<SignIn>();
    let next = use_query_map().with_untracked(|query| query.get_str("next").unwrap_or("/").to_owned());
    let to_go_on =
        (next != "/").then_some("Sign in to go on: you then come back to the page that you were on.");
    view! {
        <Title text="Sign in" />
        <main id="main" tabindex="-1" class="sign-in">
            <div class="sign-in-brand">
                <Logo />
                <p class="brand-name">"Holdfast"</p>
            </div>
            <div class="card sign-in-card">
                <h1>"Sign in"</h1>
                {to_go_on.map(|words| view! { <p class="muted">{words}</p> })}
                <FormError error />
                <ActionForm action=sign_in attr:class="form">
                    <input type="hidden" name="next" value=next.clone() />
                    <Field id="email" label="E-mail address">
                        <input
                            id="email"
                            name="email"
                            type="email"
                            autocomplete="username"
                            required
                            value=typed.text("email", "")
                        />
                    </Field>
                    <Field id="password" label="Password">
                        <input
                            id="password"
                            name="password"
                            type="password"
                            autocomplete="current-password"
                            required
                        />
                    </Field>
                    <SubmitButton label="Sign in" busy="Signing in…" pending=sign_in.pending().into() />
                </ActionForm>
            </div>
            <p class="muted">"Backups that nobody can delete before their date."</p>
        </main>
    }
    .into_any()
}
