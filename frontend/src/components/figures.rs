//! Sizes and counts.

use leptos::prelude::*;

use crate::format;

/// A size in binary units; the exact bytes are on hover.
#[component]
pub fn Bytes(size: u64) -> impl IntoView {
    let exact = format::counted(size, "byte", "bytes");
    view! {
        <span class="figure" title=exact>
            {format::bytes(size)}
        </span>
    }
    .into_any()
}

/// A count and its noun.
#[component]
pub fn Counted(value: u64, one: &'static str, many: &'static str) -> impl IntoView {
    view! {
        <span class="figure">{format::count(value)}</span>
        {format!(" {}", if value == 1 { one } else { many })}
    }
}

/// A count.
#[component]
pub fn Count(value: u64) -> impl IntoView {
    view! { <span class="figure">{format::count(value)}</span> }
}
