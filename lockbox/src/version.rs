//! Version ids.
//!
//! An id is the number of the write that made the version and a random half, both in hexadecimal.
//! So the record of an id is found without another table, and an id that was deleted between two
//! pages of a listing still says where the next page starts.

use std::fmt;

use s3s::{S3Error, s3_error};

/// The number of a write: versions of one key are ordered by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Seq(pub(crate) u64);

impl Seq {
    /// The form in the index's key: newest first.
    pub(crate) fn descending(self) -> u64 {
        !self.0
    }
}

/// What a client names a version by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VersionRef {
    /// The version that was written while versioning was off or suspended.
    Null,
    /// A version of its own.
    Id { seq: Seq, salt: u64 },
}

impl VersionRef {
    pub(crate) fn parse(text: &str) -> Result<Self, S3Error> {
        if text == "null" {
            return Ok(Self::Null);
        }
        let invalid = || s3_error!(InvalidArgument, "Invalid version id specified");
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 32 || !text.bytes().all(lower_hex) {
            return Err(invalid());
        }
        let half = |s: &str| u64::from_str_radix(s, 16).map_err(|_| invalid());
        Ok(Self::Id {
            seq: Seq(half(&text[..16])?),
            salt: half(&text[16..])?,
        })
    }

    pub(crate) fn parse_opt(text: Option<&str>) -> Result<Option<Self>, S3Error> {
        text.map(Self::parse).transpose()
    }
}

impl fmt::Display for VersionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Id { seq, salt } => write!(f, "{:016x}{salt:016x}", seq.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for id in [
            VersionRef::Null,
            VersionRef::Id {
                seq: Seq(7),
                salt: u64::MAX,
            },
        ] {
            assert_eq!(VersionRef::parse(&id.to_string()).unwrap(), id);
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "nulL",
            "1234",
            "é234567890123456789012345678901",
            "0000000000000000000000000000000G",
        ] {
            assert!(VersionRef::parse(text).is_err(), "{text}");
        }
    }
}
