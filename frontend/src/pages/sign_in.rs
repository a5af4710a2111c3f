//! Signing in.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    components::{Field, FormError, Logo, SubmitButton, use_typed},
    functions::session::SignIn,
};

/// The page to sign in on.
#[component]
pub fn SignInPage() -> impl IntoView {
    let sign_in = ServerAction::<SignIn>::new();
    let typed = use_typed();
    let error = Signal::derive(move || sign_in.value().get().and_then(Result::err));
    view! {
        <Title text="Sign in" />
        <main id="main" tabindex="-1" class="sign-in">
            <div class="sign-in-brand">
                <Logo />
                <p class="brand-name">"Holdfast"</p>
            </div>
            <div class="card sign-in-card">
                <h1>"Sign in"</h1>
                <FormError error />
                <ActionForm action=sign_in attr:class="form">
                    <input type="hidden" name="next" value=typed.text("next", "/") />
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
