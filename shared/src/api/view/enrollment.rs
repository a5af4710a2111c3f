//! Enrollment tokens.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An enrollment token, shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollmentTokenView {
    /// The token.
    pub token: String,
    /// The command to paste into a shell on the endpoint: it carries the recovery key's fingerprint, and gives the token on
    /// standard input.
    pub command: String,
    /// When the token ends.
    pub expires_at: Timestamp,
}
