//! Pieces of forms.

use leptos::prelude::*;

use super::{
    icon::{Icon, Sign},
    problem::sign_in_and_come_back,
};
use crate::error::ConsoleError;

/// What the server said of a form: provided by the form's component, shown by the field that it is about.
#[derive(Clone, Copy)]
pub struct FormProblem(pub Signal<Option<ConsoleError>>);

impl FormProblem {
    /// What was said of one field.
    fn of(self, id: &str) -> Option<String> {
        match self.0.get() {
            Some(ConsoleError::Refused {
                field: Some(field),
                message,
            }) if field == id => Some(message),
            _ => None,
        }
    }
}

/// A labelled field. The control inside carries `id` and, when there is a hint, `aria-describedby` = `id`-hint.
#[component]
pub fn Field(
    /// The control's id.
    id: &'static str,
    /// Its label.
    label: &'static str,
    /// A sentence below it.
    #[prop(optional, into)]
    hint: Option<String>,
    /// The control.
    children: Children,
) -> impl IntoView {
    let problem = use_context::<FormProblem>();
    view! {
        <div class="field">
            <label for=id>{label}</label>
            {children()}
            {move || {
                problem
                    .and_then(|problem| problem.of(id))
                    .map(|message| view! { <p class="field-error" id=format!("{id}-error")>{message}</p> })
            }}
            {hint.map(|hint| view! { <p class="hint" id=format!("{id}-hint")>{hint}</p> })}
        </div>
    }
    .into_any()
}

/// Why the server refused the form, above it.
#[component]
pub fn FormError(
    /// The error, if there is one.
    error: Signal<Option<ConsoleError>>,
) -> impl IntoView {
    view! {
        <div class="form-error-place" role="alert">
            {move || {
                error
                    .get()
                    .map(|error| {
                        let sign_in = (error == ConsoleError::SignInNeeded)
                            .then(|| {
                                view! {
                                    " "
                                    <a href=sign_in_and_come_back()>"Sign in again"</a>
                                    ": you then come back to this page."
                                }
                            });
                        view! {
                            <div class="notice bad">
                                <Icon sign=Sign::Failure />
                                <p>{error.to_string()} {sign_in}</p>
                            </div>
                        }
                    })
            }}
        </div>
    }
    .into_any()
}

/// A form's button, which says while the server works that it does.
#[component]
pub fn SubmitButton(
    /// What it does.
    label: &'static str,
    /// What it says while the server works.
    busy: &'static str,
    /// Whether the server works.
    pending: Signal<bool>,
    /// Its classes.
    #[prop(default = "button primary")]
    class: &'static str,
) -> impl IntoView {
    view! {
        <button
            type="submit"
            class=class
            aria-disabled=move || pending.get().then_some("true")
            on:click=move |event| {
                // Once is enough; a disabled button would lose the focus.
                if pending.get_untracked() {
                    event.prevent_default();
                }
            }
        >
            {move || if pending.get() { busy } else { label }}
        </button>
    }
    .into_any()
}
