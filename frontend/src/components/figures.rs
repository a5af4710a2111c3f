//! Sizes and counts.

use leptos::prelude::*;

use crate::format;

/// A size in binary units; the exact bytes are on hover.
#[component]
pub fn Bytes(size: u64) -> impl IntoView {
    let exact = format!("{} bytes", format::count(size));
    view! {
        <span class="figure" title=exact>
            {format::bytes(size)}
        </span>
    }
    .into_any()
}

/// A count.
#[component]
pub fn Count(value: u64) -> impl IntoView {
    view! { <span class="figure">{format::count(value)}</span> }
}
