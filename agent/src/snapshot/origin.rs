//! Which snapshot a manifest is, told by the agent that signed it, and what whoever restores expects of it. The server's
//! word is not asked.

use jiff::Timestamp;
use repository::manifest::{ManifestContent, ManifestHeader};
use serde::Serialize;
use shared::{
    ids::SourceId,
    object::{ObjectHash, ObjectRef},
};

use crate::escape::escaped;

/// What a snapshot is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The source's name.
    pub source_name: String,
    /// The endpoint's.
    pub hostname: String,
}

impl From<&ManifestContent> for Named {
    fn from(content: &ManifestContent) -> Self {
        Self {
            source_name: content.source_name.clone(),
            hostname: content.hostname.clone(),
        }
    }
}

/// Where a snapshot comes from, by its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The source.
    pub source_id: SourceId,
    /// Names, which the kit opens.
    #[serde(flatten)]
    pub named: Option<Named>,
    /// The snapshot's number.
    pub seq: u64,
    /// When it was made, by the endpoint's clock.
    pub made_at: Timestamp,
    /// Its manifest.
    pub manifest: ObjectHash,
}

impl Origin {
    /// What a manifest says whose signature is verified.
    #[must_use]
    pub fn new(manifest: &ObjectRef, header: &ManifestHeader, named: Option<Named>) -> Self {
        Self {
            source_id: header.source_id,
            named,
            seq: header.seq(),
            made_at: header.created_at,
            manifest: manifest.hash,
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "snapshot number {} of source ", self.seq)?;
        match &self.named {
            // Whoever wrote the manifest chose the names.
            Some(named) => {
                let (source, host) = (
                    escaped(named.source_name.as_bytes()),
                    escaped(named.hostname.as_bytes()),
                );
                write!(f, "{source} ({}) on {host}", self.source_id)?;
            }
            None => write!(f, "{}", self.source_id)?,
        }
        let made_at = self.made_at.strftime("%Y-%m-%d %H:%M:%S UTC");
        write!(f, ", made {made_at} by that endpoint's clock")
    }
}

/// What whoever restores knows of the snapshot that is meant. Nothing is compared by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Its number.
    pub seq: Option<u64>,
    /// Its source, by id or name.
    pub source: Option<String>,
    /// It was made then or later, by the endpoint's clock.
    pub not_before: Option<Timestamp>,
}

/// The snapshot is not the one that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unexpected {
    /// Another number.
    #[error("number {expected} was asked for, and this is {found}: nothing was written")]
    Seq {
        /// What was asked for.
        expected: u64,
        /// What there is.
        found: Box<Origin>,
    },
    /// Another source.
    #[error("source `{expected}` was asked for, and this is {found}: nothing was written")]
    Source {
        /// What was asked for.
        expected: String,
        /// What there is.
        found: Box<Origin>,
    },
    /// Older than it may be.
    #[error("nothing made before {not_before} was asked for, and this is {found}: nothing was written")]
    Older {
        /// What was asked for.
        not_before: Timestamp,
        /// What there is.
        found: Box<Origin>,
    },
}

impl Expected {
    /// Compares.
    ///
    /// # Errors
    /// The first thing that differs.
    pub fn check(&self, origin: &Origin) -> Result<(), Unexpected> {
        let found = || Box::new(origin.clone());
        if let Some(expected) = self.seq.filter(|seq| *seq != origin.seq) {
            return Err(Unexpected::Seq {
                expected,
                found: found(),
            });
        }
        if let Some(expected) = &self.source {
            let has_name = origin
                .named
                .as_ref()
                .is_some_and(|named| named.source_name == *expected);
            if !has_name && origin.source_id.to_string() != *expected {
                return Err(Unexpected::Source {
                    expected: expected.clone(),
                    found: found(),
                });
            }
        }
        match self.not_before {
            Some(not_before) if origin.made_at < not_before => Err(Unexpected::Older {
                not_before,
                found: found(),
            }),
            _ => Ok(()),
        }
    }
}
