//! What the server and the agent both say of an object in the bucket: its kind, its content's hash, its size.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits::Limit;

/// What an object holds. The numbers are written into the repository and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ObjectKind {
    /// Sealed chunks of file contents.
    Pack = 1,
    /// Sealed chunks of directory listings.
    TreePack = 2,
    /// Where each chunk lies: encrypted for the agent and for the recovery key.
    Index = 3,
    /// One snapshot's description, written by the agent.
    Manifest = 4,
    /// What makes a snapshot count, written by the server.
    Commit = 5,
    /// A part of the list of the objects that snapshots need.
    ListPage = 6,
}

impl ObjectKind {
    /// The number that stands for this kind in the repository and the database.
    #[must_use]
    pub const fn tag(self) -> u8 {
        self as u8
    }

    /// The most bytes that an object of this kind has: more is neither signed for nor read.
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Pack | Self::TreePack => Limit::PackBytes.max(),
            Self::Index => Limit::IndexBytes.max(),
            Self::Manifest => Limit::ManifestBytes.max(),
            Self::Commit => Limit::CommitRecordBytes.max(),
            Self::ListPage => Limit::ListPageBytes.max(),
        }
    }

    /// The kind of a stored number; `None` for one that this version does not know.
    #[must_use]
    pub const fn from_tag(tag: u8) -> Option<Self> {
        Some(match tag {
            1 => Self::Pack,
            2 => Self::TreePack,
            3 => Self::Index,
            4 => Self::Manifest,
            5 => Self::Commit,
            6 => Self::ListPage,
            _ => return None,
        })
    }
}

/// BLAKE3 of an object's whole content, 32 bytes, written as 64 lower-case hexadecimal digits. It is the last
/// part of the object's key, so a key pins what may stand under it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectHash([u8; 32]);

/// The text is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an object hash is 64 lower-case hexadecimal digits")]
pub struct ParseObjectHashError;

impl ObjectHash {
    /// Wraps a computed or stored hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ObjectHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectHash {
    type Err = ParseObjectHashError;

    fn from_str(text: &str) -> Result<Self, ParseObjectHashError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let text = text.as_bytes();
        if text.len() != 64 {
            return Err(ParseObjectHashError);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])
                .zip(digit(pair[1]))
                .map(|(h, l)| h << 4 | l)
                .ok_or(ParseObjectHashError)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for ObjectHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// One object as a manifest or a commit names it: the hash pins the content, the size the bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// What it holds.
    pub kind: ObjectKind,
    /// BLAKE3 of the content.
    pub hash: ObjectHash,
    /// Length in bytes.
    pub size_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_one_spelling() {
        let hash = ObjectHash::from_bytes(std::array::from_fn(|i| u8::try_from(i * 7).unwrap_or(0)));
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert!(hash.to_string().to_uppercase().parse::<ObjectHash>().is_err());
        assert!("00".parse::<ObjectHash>().is_err());
    }

    #[test]
    fn tags_read_back() {
        for kind in [
            ObjectKind::Pack,
            ObjectKind::TreePack,
            ObjectKind::Index,
            ObjectKind::Manifest,
            ObjectKind::Commit,
            ObjectKind::ListPage,
        ] {
            assert_eq!(ObjectKind::from_tag(kind.tag()), Some(kind));
        }
        assert_eq!(ObjectKind::from_tag(0), None);
        assert_eq!(ObjectKind::from_tag(7), None);
    }
}
