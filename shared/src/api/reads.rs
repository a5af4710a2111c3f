//! What an agent asks to read: parts of objects, each of which is signed for by itself.

use std::ops::Range;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    limits::Limit,
    object::{ObjectHash, ObjectKind, ObjectRef},
};

/// Parts of objects that one call may ask to sign, at most.
pub const PARTS_PER_CALL: usize = Limit::PartsPerCall.max();

/// The only header besides `host` that an address to read from is signed with. What it says follows from the part.
pub const RANGE_HEADER: &str = "range";

/// Bytes of one object, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Part {
    /// Which object.
    pub object: ObjectHash,
    /// The first byte.
    pub begin: u64,
    /// The byte behind the last one.
    pub end: u64,
}

impl Part {
    /// These bytes of an object.
    #[must_use]
    pub const fn of(object: ObjectHash, range: &Range<u64>) -> Self {
        Self {
            object,
            begin: range.start,
            end: range.end,
        }
    }

    /// All bytes of an object.
    #[must_use]
    pub const fn whole(object: &ObjectRef) -> Self {
        Self::of(object.hash, &(0..object.size_bytes))
    }

    /// Which bytes.
    #[must_use]
    pub const fn range(&self) -> Range<u64> {
        self.begin..self.end
    }

    /// How many bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.end.saturating_sub(self.begin)
    }

    /// Whether there are none, which no range can say.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether an object of so many bytes has them all.
    #[must_use]
    pub const fn is_within(&self, size_bytes: u64) -> bool {
        !self.is_empty() && self.end <= size_bytes
    }

    /// What the header [`RANGE_HEADER`] says: the server signs it, and the agent sends it as it is.
    #[must_use]
    pub fn header(&self) -> String {
        range_header(&self.range())
    }
}

/// A range of bytes as HTTP writes it, with the last byte that belongs to it.
#[must_use]
pub fn range_header(range: &Range<u64>) -> String {
    format!("bytes={}-{}", range.start, range.end.saturating_sub(1))
}

/// Asks for signed read addresses, at most [`PARTS_PER_CALL`] of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadsRequest {
    /// Which bytes of which objects.
    pub parts: Vec<Part>,
}

/// Leave to read one part of one object: `GET url` with exactly the header [`Part::header`], which is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRead {
    /// Which bytes.
    pub part: Part,
    /// What the object is.
    pub kind: ObjectKind,
    /// The object's length in bytes.
    pub size_bytes: u64,
    /// The presigned address of exactly these bytes of exactly this version.
    pub url: String,
    /// When the address stops working.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_within_its_object() {
        let object = ObjectHash::from_bytes([1; 32]);
        let part = |range: Range<u64>| Part::of(object, &range);
        for (range, within) in [(0..10, true), (9..10, true), (0..11, false), (10..11, false)] {
            assert_eq!(part(range.clone()).is_within(10), within, "{range:?}");
        }
        assert!(!part(3..3).is_within(10));
        let (begin, end) = (5, 4);
        assert!(!Part { object, begin, end }.is_within(10));
        assert_eq!(part(0..1).header(), "bytes=0-0");
        assert_eq!(part(7..20).header(), "bytes=7-19");
    }
}
