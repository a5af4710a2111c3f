//! Radio buttons and check boxes.

use leptos::prelude::*;

use super::{field::Field, frame::FieldMessage, state::FieldState};

/// One radio button.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// What is sent.
    pub value: &'static str,
    /// Its label.
    pub label: &'static str,
    /// A sentence below the label; empty for none.
    pub hint: &'static str,
}

impl Choice {
    /// A button without a hint.
    pub const fn new(value: &'static str, label: &'static str) -> Self {
        Self {
            value,
            label,
            hint: "",
        }
    }

    /// With a sentence below the label.
    pub const fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }
}

/// Radio buttons, of which one is chosen.
#[component]
pub fn Radios(
    /// The description; its label names the group.
    field: Field,
    /// The buttons.
    choices: &'static [Choice],
    /// The group's classes.
    #[prop(default = "choices")]
    class: &'static str,
    /// Hears of each choice.
    #[prop(optional, into)]
    on_choice: Option<Callback<&'static str>>,
) -> impl IntoView {
    let state = FieldState::of(field);
    let chosen = state.value();
    let button = |choice: Choice| {
        let checked = chosen == choice.value;
        view! {
            <label class="check">
                <input
                    type="radio"
                    name=field.name
                    value=choice.value
                    checked=checked
                    on:change=move |_| {
                        if let Some(on_choice) = on_choice {
                            on_choice.run(choice.value);
                        }
                    }
                />
                <span>
                    {choice.label}
                    {(!choice.hint.is_empty()).then(|| view! { <span class="hint">{choice.hint}</span> })}
                </span>
            </label>
        }
    };
    view! {
        <div class=class role="radiogroup" aria-label=field.label aria-describedby=move || state.described_by()>
            {choices.iter().copied().map(button).collect_view()}
        </div>
        <FieldMessage state />
    }
    .into_any()
}

/// A check box that sends `true`.
#[component]
pub fn Checkbox(
    /// The description; its hint is part of the label.
    field: Field,
    /// The label's classes.
    #[prop(default = "check")]
    class: &'static str,
) -> impl IntoView {
    let state = FieldState::of(field);
    let elsewhere = field.described_by;
    view! {
        <label class=class>
            <input
                type="checkbox"
                name=field.name
                value="true"
                required=field.is_required
                checked=state.value() == "true"
                aria-invalid=move || state.invalid()
                aria-describedby=move || {
                    let error = state.message().map(|_| format!("{}-error", field.id));
                    let ids: Vec<String> = error.into_iter().chain(elsewhere.map(str::to_owned)).collect();
                    (!ids.is_empty()).then(|| ids.join(" "))
                }
            />
            <span>
                {field.label}
                {(!field.hint.is_empty()).then(|| view! { <span class="hint">{field.hint}</span> })}
            </span>
        </label>
        <FieldMessage state />
    }
    .into_any()
}
