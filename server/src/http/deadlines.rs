//! How long a connection may keep the server waiting.

use std::time::Duration;

use shared::limits::Limit;

/// How long a connection may keep the server waiting.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// For a request with all its headers, while nobody has signed in by the connection.
    pub headers: Duration,
    /// The same for agents, sessions and trusted proxies, which keep connections open between requests.
    pub idle: Duration,
    /// For a whole body.
    pub body: Duration,
    /// Between two pieces of a body.
    pub pause: Duration,
    /// Until something of an answer is taken.
    pub write: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = |limit: Limit| Duration::from_secs(limit.max() as u64);
        Self {
            headers: seconds(Limit::HeadersWait),
            idle: seconds(Limit::IdleWait),
            body: seconds(Limit::BodyWait),
            pause: seconds(Limit::BodyPause),
            write: seconds(Limit::WriteWait),
        }
    }
}
