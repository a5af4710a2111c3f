//! Icons and the logo, as inline SVG that takes the colour of the text around it.

use leptos::prelude::*;

/// What an icon stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// All is well.
    Check,
    /// Something is to be looked at.
    Warning,
    /// Something failed.
    Failure,
    /// Nothing there yet.
    Blank,
    /// Locked.
    Lock,
    /// Under way.
    Running,
    /// Waiting.
    Clock,
    /// Something to add.
    Plus,
}

/// An icon. Decoration: the text beside it says the same.
#[component]
pub fn Icon(sign: Sign) -> impl IntoView {
    let path = match sign {
        Sign::Check => {
            "M8 1.5 13.5 3.5V8c0 3.4-2.4 5.6-5.5 6.6C4.9 13.6 2.5 11.4 2.5 8V3.5ZM5.4 8l1.9 1.9 3.4-3.6"
        }
        Sign::Warning => "M8 2 14.5 13.5h-13ZM8 6.3v3.4M8 11.5v.2",
        Sign::Failure => {
            "M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2L1.5 10.8V5.2ZM5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4"
        }
        Sign::Blank => "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8M5.2 8h5.6",
        Sign::Lock => "M3.5 7.2h9v6.8h-9ZM5.3 7.2V4.8a2.7 2.7 0 0 1 5.4 0v2.4M8 9.8v1.8",
        Sign::Running => "M13.8 8A5.8 5.8 0 1 1 10.6 2.8M10.4 1v2.6h2.8",
        Sign::Clock => "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8M8 4.4V8l2.4 1.6",
        Sign::Plus => "M8 2.8v10.4M2.8 8h10.4",
    };
    view! {
        <svg
            class="icon"
            viewBox="0 0 16 16"
            width="16"
            height="16"
            fill="none"
            stroke="currentColor"
            stroke-width="1.4"
            stroke-linecap="round"
            stroke-linejoin="round"
            aria-hidden="true"
            focusable="false"
        >
            <path d=path />
        </svg>
    }
    .into_any()
}

/// The logo: a holdfast, the root by which kelp grips its stone.
#[component]
pub fn Logo() -> impl IntoView {
    view! {
        <svg class="logo" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" focusable="false">
            <g fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round">
                <path d="M16 2.5v9" />
                <path d="M16 11C9.5 11 4.5 15.5 4.5 24.5" />
                <path d="M16 11c6.500 0 11.500 4.500 11.500 13.500" />
                <path d="M16 11c-3.600 2-5.800 4-6.200 7.400" />
                <path d="M16 11c3.600 2 5.800 4 6.200 7.400" />
            </g>
            <path class="logo-stone" d="M16 17.500 22.500 21.200v5.600L16 30.500l-6.500-3.700v-5.600Z" fill="currentColor" />
        </svg>
    }
    .into_any()
}
