//! What a line comes to.

/// What becomes of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is a pattern, or a comment.
    Keep,
    /// It leaves out what it was written for when it is written like this.
    Write {
        /// Patterns, a line each.
        patterns: Vec<String>,
        /// What the line as it is would mean.
        why: String,
    },
    /// Nothing that it could be written as is known.
    Refuse(String),
}

impl Verdict {
    pub(super) fn write(pattern: impl Into<String>, why: impl Into<String>) -> Option<Self> {
        Some(Self::Write {
            patterns: vec![pattern.into()],
            why: why.into(),
        })
    }

    pub(super) fn refuse(why: impl Into<String>) -> Option<Self> {
        Some(Self::Refuse(why.into()))
    }
}
