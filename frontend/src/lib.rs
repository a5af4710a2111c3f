//! Holdfast's console: Leptos, rendered on the server and hydrated in the browser.
//!
//! Every page is readable and every form works before, and without, hydration: pages are rendered whole
//! (`SsrMode::Async`), forms are plain posts to server functions. Hydration adds what moves: live progress,
//! local times, copy buttons.

#![recursion_limit = "256"]
#![allow(clippy::needless_pass_by_value, reason = "components own their properties")]

mod app;
#[cfg(feature = "ssr")]
pub mod backend;
mod clock;
mod components;
mod document;
pub mod error;
mod format;
mod functions;
mod live;
mod pages;
mod person;
#[cfg(feature = "hydrate")]
mod planner;
mod reach;
mod refused;
mod refused_form;
mod schedule_form;
mod tenant;

pub use app::App;
pub use document::shell;
#[cfg(feature = "ssr")]
pub use functions::form::unreadable;

/// Takes over the page that the server rendered.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(App);
}
