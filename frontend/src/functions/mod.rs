//! Server functions: thin shims over [`crate::backend::Backend`], below `/console/fn`.
//!
//! Those that change something are posted by plain HTML forms, so they work before hydration: on success they
//! redirect, on refusal they send the browser back to the form's page, which shows the reason and what was typed.

pub mod backup_set;
pub mod enrollment;
#[cfg(feature = "ssr")]
pub(crate) mod form;
pub mod list;
pub mod notice;
pub mod run;
#[cfg(feature = "ssr")]
mod sealed_cookie;
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
