//! Why what was typed is refused.

use crate::text;

/// Why the text of a field is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InputError {
    field: &'static str,
    message: String,
}

impl InputError {
    /// A refusal of one field. What was typed may be repeated in the message: hidden characters are escaped.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            field,
            message: text::shown(&message.into()),
        }
    }

    /// The field.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }
}
