//! The storage, as it is spoken to through addresses that the server signs: no credential goes there, and nothing goes to a host
//! that this agent does not know.

mod hosts;
mod origin;

pub use hosts::{HostError, Hosts, MAX_OFFERED};
pub use origin::{Origin, OriginError};

use std::sync::Arc;

use reqwest::RequestBuilder;

use crate::{
    client::{self, ClientError},
    limit::{Limits, Meter},
    retry::Patience,
};

/// The storage, and how fast it may be spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    http: reqwest::Client,
    /// None: nothing is sent or fetched.
    hosts: Option<Arc<Hosts>>,
    limits: Limits,
    patience: Patience,
    /// Shared by everything that is fetched.
    pub(crate) download: Option<Arc<Meter>>,
}

impl Storage {
    pub(crate) fn new(hosts: Option<Hosts>, limits: Limits, patience: Patience) -> Result<Self, ClientError> {
        // No timeout of reading: it would run while a body is sent, and what takes a slow line more than a minute would
        // never arrive.
        let builder = client::builder().tcp_keepalive(patience.stall);
        #[cfg(target_os = "linux")]
        let builder = builder.tcp_user_timeout(patience.stall);
        Ok(Self {
            http: builder
                .build()
                .map_err(|error| client::network(&error, String::new()))?,
            hosts: hosts.map(Arc::new),
            limits,
            patience,
            download: limits.download.map(|rate| Arc::new(Meter::new(rate))),
        })
    }

    /// What this endpoint may use.
    pub(crate) const fn limits(&self) -> Limits {
        self.limits
    }

    /// For how long requests are repeated.
    pub(crate) const fn patience(&self) -> Patience {
        self.patience
    }

    /// A request that reads from an address that the server signed.
    ///
    /// # Errors
    /// When it is not at a known host.
    pub(crate) fn get(&self, address: &str) -> Result<RequestBuilder, ClientError> {
        Ok(self.http.get(self.admit(address)?))
    }

    /// A request that writes to one.
    ///
    /// # Errors
    /// When it is not at a known host.
    pub(crate) fn put(&self, address: &str) -> Result<RequestBuilder, ClientError> {
        Ok(self.http.put(self.admit(address)?))
    }

    fn admit(&self, address: &str) -> Result<reqwest::Url, ClientError> {
        match &self.hosts {
            Some(hosts) => Ok(hosts.admit(address)?),
            None => Err(ClientError::NoStorage),
        }
    }
}
