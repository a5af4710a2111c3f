//! A command to paste on an endpoint.

use std::time::Duration;

use leptos::prelude::*;

use crate::clock::use_hydrated;

/// A command in a box, with a button that copies it where the browser allows that.
#[component]
pub fn Command(
    /// What the command is for; names the box for screen readers.
    #[prop(into)]
    label: String,
    /// The command.
    #[prop(into)]
    text: String,
) -> impl IntoView {
    let hydrated = use_hydrated();
    // Browsers hand out the clipboard on https and localhost only.
    let can_copy = move || hydrated.get() && window().is_secure_context();
    let (copied, set_copied) = signal(false);
    let copy = {
        let text = text.clone();
        move |_| {
            // The promise fails only when the person denies it, and then nothing is to be done.
            let _ = window().navigator().clipboard().write_text(&text);
            set_copied.set(true);
            set_timeout(
                move || {
                    set_copied.try_set(false);
                },
                Duration::from_secs(2),
            );
        }
    };
    view! {
        <div class="command" role="group" aria-label=label>
            <pre tabindex="0"><code>{text}</code></pre>
            <button type="button" class="button small" hidden=move || !can_copy() on:click=copy>
                {move || if copied.get() { "Copied" } else { "Copy" }}
            </button>
            <span class="visually-hidden" role="status">
                {move || copied.get().then_some("Copied to the clipboard")}
            </span>
        </div>
    }
    .into_any()
}
