//! Signing in.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::{
    components::{Field, FormError, FormField, Logo, SubmitButton, provide_form},
    functions::session::SignIn,
    refused::{FormState, use_form},
};

const EMAIL: Field = Field::typed("email", "email", "E-mail address")
    .required()
    .autocomplete("username");

const PASSWORD: Field = Field::secret("password", "Password")
    .required()
    .autocomplete("current-password");

/// The page to sign in on.
#[component]
pub fn SignInPage() -> impl IntoView {
    let FormState { action, typed, error } = use_form::<SignIn>();
    provide_form(typed, error);
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
                <ActionForm action attr:class="form">
                    <input type="hidden" name="next" value=next.clone() />
                    <FormField field=EMAIL />
                    <FormField field=PASSWORD />
                    <SubmitButton label="Sign in" busy="Signing in…" pending=action.pending().into() />
                </ActionForm>
            </div>
            <p class="muted">"Backups that nobody can delete before their date."</p>
        </main>
    }
    .into_any()
}
