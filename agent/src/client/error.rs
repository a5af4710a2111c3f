//! Why a call failed.

use crate::{
    retry::{DOUBTS, Verdict},
    storage::{HostError, OriginError},
};

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
    /// Something between this endpoint and the server answered in its place: the status is none of the protocol's, or the body of a
    /// refusal is not the server's.
    #[error(
        "status {0} came from something between this endpoint and the server, such as a proxy or a sign-in page of the network"
    )]
    Foreign(u16),
    /// The answer is not what the protocol says.
    #[error(
        "the server's answer to {call} does not parse: {error}; is something in between, such as a proxy, or is the agent not as \
         new as the server?"
    )]
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
    /// What another attempt may bring. What the server itself refuses is final, but for refusals that go by with time.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Network { .. } | Self::Server(_) => Verdict::Away,
            Self::Refused { status, code, .. } if goes_by(*status, code) => Verdict::Away,
            Self::Foreign(_) | Self::Answer { .. } => Verdict::Doubtful(DOUBTS),
            Self::Refused { .. } | Self::Address(_) | Self::Host(_) | Self::NoStorage => Verdict::Final,
        }
    }

    /// Whether the server said that this is not (or no longer) allowed or known, so that trying again is useless.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.verdict() == Verdict::Final
    }
}

/// Whether a refusal of the server's goes by with time: too much at once, and clocks that must agree before anything is signed.
fn goes_by(status: u16, code: &str) -> bool {
    matches!(status, 408 | 429) || matches!(code, "clocks_disagree" | "clock_unknown")
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
