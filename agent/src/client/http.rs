//! How server and storage are spoken to.

use std::time::Duration;

use crate::{
    escape::escaped,
    storage::{Origin, OriginError},
};

/// How both server and storage are spoken to: through the proxies that the environment names (`HTTPS_PROXY`, `NO_PROXY` and the like),
/// if it names any, as reqwest does by itself.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .pool_idle_timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("holdfast-agent/", env!("CARGO_PKG_VERSION")))
}

/// Where a server's address leads to.
///
/// # Errors
/// When it is none, or neither encrypted nor of this machine.
pub(crate) fn origin(server: &str) -> Result<Origin, OriginError> {
    let url =
        reqwest::Url::parse(server).map_err(|_| OriginError::NotAnAddress(escaped(server.as_bytes())))?;
    Origin::of(&url)
}
