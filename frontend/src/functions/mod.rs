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

#[cfg(feature = "ssr")]
use std::sync::Arc;

#[cfg(feature = "ssr")]
use shared::api::operation::Operation;

#[cfg(feature = "ssr")]
use crate::{
    backend::{Backend, Handle},
    error::ConsoleError,
};

/// Has an operation done for whoever is signed in.
#[cfg(feature = "ssr")]
async fn call<O: Operation>(ids: O::Ids, input: O::Input) -> Result<O::Output, ConsoleError>
where
    dyn Backend: Handle<O>,
{
    let backend = backend()?;
    <dyn Backend as Handle<O>>::handle(&*backend, ids, input).await
}

/// The server, as it has put itself into this request's context.
#[cfg(feature = "ssr")]
fn backend() -> Result<Arc<dyn Backend>, ConsoleError> {
    leptos::prelude::use_context().ok_or(ConsoleError::Internal)
}
