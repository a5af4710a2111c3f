//! An address that leads nowhere.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{components::problem_page, error::ConsoleError};

/// The page for an address that leads nowhere.
#[component]
pub fn NotFound() -> impl IntoView {
    view! {
        <Title text="Not found" />
        <main id="main" tabindex="-1" class="lone">
            <h1 class="visually-hidden">"Not found"</h1>
            {problem_page(ConsoleError::NotFound("page".to_owned()))}
        </main>
    }
    .into_any()
}
