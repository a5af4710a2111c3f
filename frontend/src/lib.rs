//! Holdfast's console: Leptos, rendered on the server and hydrated in the browser.

#[cfg(feature = "ssr")]
pub mod backend;
pub mod error;
