//! The storage, as it is spoken to through addresses that the server signs: no credential goes there.

use std::{sync::Arc, time::Duration};

use crate::{
    client::{self, ClientError},
    limit::{Limits, Meter},
};

/// A connection on which nothing comes through for so long is dead.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);

/// The storage, and how fast it may be spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    pub(crate) http: reqwest::Client,
    limits: Limits,
    /// Shared by everything that is fetched.
    pub(crate) download: Option<Arc<Meter>>,
}

impl Storage {
    pub(crate) fn new(limits: Limits) -> Result<Self, ClientError> {
        // No timeout of reading: it would run while a body is sent, and what takes a slow line more than a minute would
        // never arrive.
        let builder = client::builder().tcp_keepalive(SILENCE);
        #[cfg(target_os = "linux")]
        let builder = builder.tcp_user_timeout(SILENCE);
        Ok(Self {
            http: builder
                .build()
                .map_err(|error| client::network(&error, String::new()))?,
            limits,
            download: limits.download.map(|rate| Arc::new(Meter::new(rate))),
        })
    }

    /// What this endpoint may use.
    pub(crate) const fn limits(&self) -> Limits {
        self.limits
    }
}
