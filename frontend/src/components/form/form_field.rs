//! A field as its kind has it.

use leptos::{ev::Event, prelude::*};

use super::{
    field::{Field, Kind},
    frame::FieldFrame,
    state::FieldState,
};

/// An option of a field that is a choice.
pub struct SelectOption {
    /// What is sent.
    pub value: String,
    /// What is read.
    pub text: String,
}

impl SelectOption {
    /// An option.
    pub fn new(value: impl ToString, text: impl Into<String>) -> Self {
        Self {
            value: value.to_string(),
            text: text.into(),
        }
    }
}

/// A field with its label, hint and message. It holds what was typed when the server refused the form.
#[component]
pub fn FormField(
    /// Its description.
    field: Field,
    /// What it holds when nothing was typed, if the description does not say so.
    #[prop(optional, into)]
    initial: Option<String>,
    /// The options of a choice.
    #[prop(optional)]
    options: Vec<SelectOption>,
    /// Hears of each text that is typed.
    #[prop(optional, into)]
    on_text: Option<Callback<String>>,
) -> impl IntoView {
    let state = FieldState::of(field);
    let value = Some(state.value()).filter(|value| !value.is_empty());
    let value = value.or(initial).unwrap_or_default();
    let on_input = move |event: Event| {
        let text = event_target_value(&event);
        state.typed(&text);
        if let Some(on_text) = on_text {
            on_text.run(text);
        }
    };
    let on_change = move |event: Event| state.left_with(&event_target_value(&event));
    let max_length = field.max_length.map(|limit| limit.max().to_string());
    let class = field.is_mono.then_some("mono");
    let spellcheck = field.is_literal.then_some("false");
    let autocapitalize = field.is_literal.then_some("none");
    let control = match field.kind {
        Kind::Choice => {
            let options = options.into_iter().map(|option| {
                let selected = option.value == value;
                view! {
                    <option value=option.value selected=selected>
                        {option.text}
                    </option>
                }
            });
            view! {
                <select
                    id=field.id
                    name=field.name
                    required=field.is_required
                    aria-invalid=move || state.invalid()
                    aria-describedby=move || state.described_by()
                    on:change=on_change
                >
                    {options.collect_view()}
                </select>
            }
            .into_any()
        }
        Kind::Lines(rows) => view! {
            <textarea
                id=field.id
                name=field.name
                class=class
                rows=rows.to_string()
                required=field.is_required
                spellcheck=spellcheck
                autocapitalize=autocapitalize
                aria-invalid=move || state.invalid()
                aria-describedby=move || state.described_by()
                on:input=on_input
                on:change=on_change
            >
                {value}
            </textarea>
        }
        .into_any(),
        Kind::Line(_) | Kind::Number { .. } | Kind::Secret => {
            let (input_type, bounds) = match field.kind {
                Kind::Number { min, max } => ("number", Some((min.to_string(), max.to_string()))),
                Kind::Secret => ("password", None),
                Kind::Line(input_type) => (input_type, None),
                Kind::Choice | Kind::Lines(_) => ("text", None),
            };
            let input_mode = bounds.is_some().then_some("numeric");
            let (min, max) = bounds.unzip();
            let value = Some(value).filter(|value| !value.is_empty() || field.kind != Kind::Secret);
            view! {
                <input
                    id=field.id
                    name=field.name
                    type=input_type
                    class=class
                    inputmode=input_mode
                    min=min
                    max=max
                    maxlength=max_length
                    required=field.is_required
                    autocomplete=field.autocomplete
                    spellcheck=spellcheck
                    autocapitalize=autocapitalize
                    aria-invalid=move || state.invalid()
                    aria-describedby=move || state.described_by()
                    value=value
                    on:input=on_input
                    on:change=on_change
                />
            }
            .into_any()
        }
    };
    let control = if field.unit.is_empty() {
        control
    } else {
        view! {
            <div class="with-unit">
                {control}
                <span>{field.unit}</span>
            </div>
        }
        .into_any()
    };
    view! { <FieldFrame state>{control}</FieldFrame> }.into_any()
}
