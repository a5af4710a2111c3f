//! Stores that do not answer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A store that does not answer: nothing is asked of it for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceView {
    /// Since when.
    pub since: Timestamp,
    /// When it is asked again.
    pub asked_again_at: Timestamp,
}
