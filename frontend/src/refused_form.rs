//! What the server leaves of a form that it refused.

use serde::{Deserialize, Serialize};

use crate::error::ConsoleError;

/// What a refused form leaves for the page that shows it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The path of the page that the form is on.
    pub page: String,
    /// The form: the path of its server function.
    pub form: String,
    /// Why; `None` when it is told on another page, as that somebody has to sign in first.
    pub error: Option<ConsoleError>,
    /// What was typed, by field; never a secret.
    pub typed: Vec<(String, String)>,
}
