//! Why a call failed.

use crate::storage::{HostError, OriginError};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server said no.
    #[error("the server refused ({code}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// A stable word.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// The server could not be reached or broke off.
    #[error("{host} does not answer: {error}")]
    Network {
        /// Which host.
        host: String,
        /// What went wrong, without addresses that carry signatures.
        error: String,
    },
    /// The server failed.
    #[error("the server failed with status {0}; its log says why")]
    Server(u16),
    /// The answer is not what the protocol says.
    #[error("the server's answer to {call} does not parse: {error}; is the agent as new as the server?")]
    Answer {
        /// Which call.
        call: String,
        /// What the parser says.
        error: String,
    },
    /// The server's address is none that is spoken to.
    #[error("the server's address: {0}")]
    Address(#[from] OriginError),
    /// The server names an address that is not at a known storage host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A client that was made for calls of the server alone.
    #[error("this client speaks to no storage")]
    NoStorage,
}

impl ClientError {
    /// Whether the server said that this is not (or no longer) allowed or known, so that trying again is useless.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::Answer { .. } | Self::Address(_) | Self::Host(_) | Self::NoStorage
        )
    }
}

/// What a failed request says, with its causes and without its address: a signed one is a secret.
pub(crate) fn network(error: &reqwest::Error, host: String) -> ClientError {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if text.is_empty() {
        text = if error.is_timeout() {
            "timed out"
        } else {
            "connection failed"
        }
        .to_owned();
    }
    ClientError::Network { host, error: text }
}
