//! What is around a field's control.

use leptos::prelude::*;

use super::state::FieldState;

/// The label, the control, why its text is refused, and the hint. The control carries the field's id and name, and
/// [`FieldState::invalid`] and [`FieldState::described_by`].
#[component]
pub fn FieldFrame(
    /// The field.
    state: FieldState,
    /// The control.
    children: Children,
) -> impl IntoView {
    let field = state.field;
    view! {
        <div class="field">
            <label for=field.id>{field.label}</label>
            {children()}
            <FieldMessage state />
            {(!field.hint.is_empty())
                .then(|| view! { <p class="hint" id=format!("{}-hint", field.id)>{field.hint}</p> })}
        </div>
    }
    .into_any()
}

/// Why a field's text is refused; nothing while it is not.
#[component]
pub fn FieldMessage(
    /// The field.
    state: FieldState,
) -> impl IntoView {
    let id = state.field.id;
    move || {
        state
            .message()
            .map(|message| view! { <p class="field-error" id=format!("{id}-error")>{message}</p> })
    }
}
