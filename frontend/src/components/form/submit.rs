//! A form's button.

use leptos::prelude::*;

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
