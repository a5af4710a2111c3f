//! Server functions: thin shims over [`crate::backend::Backend`], below `/console/fn`.
//!
//! Those that change something are posted by plain HTML forms, so they work before hydration: on success they
//! redirect, on refusal they send the browser back to the form with the reason and what was typed.

pub mod backup_set;
pub mod enrollment;
#[cfg(feature = "ssr")]
mod form;
pub mod notice;
pub mod run;
pub mod session;
pub mod snapshot;
pub mod source;
#[cfg(feature = "ssr")]
pub mod status;
pub mod storage_account;
pub mod tenant;

/// The use cases, as the server has put them into this request's context.
#[cfg(feature = "ssr")]
fn backend() -> Result<std::sync::Arc<dyn crate::backend::Backend>, crate::error::ConsoleError> {
    leptos::prelude::use_context().ok_or(crate::error::ConsoleError::Internal)
}
