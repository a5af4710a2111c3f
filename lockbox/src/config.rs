//! What a lockbox is started with.

use std::fmt;
use std::path::PathBuf;

use crate::clock::Clock;

/// Everything that a lockbox needs to know at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that holds all data. Made when missing; owned by one process at a time.
    pub data: PathBuf,
    /// Who may sign requests. Each of them may do everything that the locks allow.
    pub credentials: Vec<Credentials>,
    /// Where the time comes from.
    pub clock: Clock,
    /// Base domains for virtual-host addressing (`bucket.DOMAIN`); other hosts are path style.
    pub domains: Vec<String>,
}

/// A key pair for AWS signature version 4.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The public half, sent with each request.
    pub access_key: String,
    /// The secret half; never logged.
    pub secret_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key", &self.access_key)
            .field("secret_key", &"(redacted)")
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_secret() {
        let pair = Credentials {
            access_key: "AK".into(),
            secret_key: "hush-hush".into(),
        };
        assert!(!format!("{pair:?}").contains("hush"));
    }
}
