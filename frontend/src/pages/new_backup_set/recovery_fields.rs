//! The field of the recovery public key.

use leptos::{html, prelude::*};
use repository::{kit::holds_secret_words, recovery::RecoveryPublicKey};

use crate::components::{Command, Field, FieldFrame, FieldState, Icon, Sign};

const KEY: Field = Field::lines("recovery_key", "Recovery public key", 3)
    .hint("Only the public half. Never paste the words of the kit anywhere.")
    .required()
    .mono();

/// The field, what its key is, and how to make one.
#[component]
pub fn RecoveryFields() -> impl IntoView {
    let state = FieldState::of(KEY);
    let (key, set_key) = signal(state.value());
    let (had_words, set_had_words) = signal(false);
    let field = NodeRef::<html::Textarea>::new();
    // What holds words of a kit is taken out of the field before anything can send it, also when it was pasted while the page was
    // still being taken over.
    let look = move || {
        let Some(field) = field.get_untracked() else {
            return;
        };
        let text = field.value();
        if holds_secret_words(&text) {
            field.set_value("");
            set_key.set(String::new());
            set_had_words.set(true);
        } else {
            if !text.trim().is_empty() {
                set_had_words.set(false);
            }
            set_key.set(text);
        }
    };
    Effect::new(move || {
        field.track();
        look();
    });
    view! {
        <fieldset>
            <legend>"Recovery key"</legend>
            <p>
                "Backups are sealed to a recovery key that this server never has. Make one on a machine that you trust, "
                "not on one that is backed up:"
            </p>
            <Command label="Command that makes a recovery kit" text="holdfast-agent keygen --out kit.txt" />
            <p>
                "Keep the kit offline, printed or in a safe. Without it nothing can be restored, and nobody can make it "
                "again. Paste its public key here; it begins with "
                <code>"hfrk1"</code>
                "."
            </p>
            <FieldFrame state>
                <textarea
                    id=KEY.id
                    name=KEY.name
                    class="mono"
                    rows="3"
                    required
                    spellcheck="false"
                    autocapitalize="none"
                    aria-invalid=move || state.invalid()
                    aria-describedby=move || state.described_by()
                    node_ref=field
                    on:input=move |_| look()
                >
                    {state.value()}
                </textarea>
            </FieldFrame>
            {move || had_words.get().then(secret_words)}
            <div role="status">
                {move || key.with(|key| (!key.trim().is_empty()).then(|| key_check(key)))}
            </div>
        </fieldset>
    }
    .into_any()
}

/// What is said of words of a kit in the field.
fn secret_words() -> AnyView {
    view! {
        <div class="notice bad" role="alert">
            <Icon sign=Sign::Failure />
            <p>
                "Those were secret words of the recovery kit. They were taken out of the field and not sent. Only the public key belongs "
                "here; it is in the kit too, and begins with " <code>"hfrk1"</code>
                ". If anybody else could have seen the words, make a new kit."
            </p>
        </div>
    }
    .into_any()
}

/// What the pasted key is: its fingerprint to compare, or what is wrong with it.
fn key_check(key: &str) -> AnyView {
    match RecoveryPublicKey::parse(key) {
        Ok(key) => view! {
            <p class="key-check">
                <Icon sign=Sign::Check />
                <span>
                    "Its fingerprint is "
                    <strong class="mono">{key.fingerprint().to_string()}</strong>
                    ". Compare it with the one in the kit."
                </span>
            </p>
        }
        .into_any(),
        Err(error) => {
            let error = error.to_string();
            view! { <p class="key-check wrong">{format!("Not a usable key: {error}.")}</p> }.into_any()
        }
    }
}
