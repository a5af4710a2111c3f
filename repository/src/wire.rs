//! How every object is framed, and the one way in which CBOR is read.
//!
//! ```text
//! "HFST" | kind | version | 0 | 0 | header length, u32 big-endian | header, CBOR | what the kind adds
//! ```

use jiff::Timestamp;
use minicbor::{Decode, Encode};
use shared::object::{ObjectHash, ObjectKind, ObjectRef};

/// Bytes of a signature.
pub(crate) const SIGNATURE_LEN: usize = 64;

/// The first four bytes of every object.
const MAGIC: [u8; 4] = *b"HFST";
/// Magic, kind, version and two bytes that must be zero.
pub(crate) const PREFIX_LEN: usize = 8;
/// The prefix and the header's length.
pub(crate) const FRAME_LEN: usize = PREFIX_LEN + 4;

/// Bytes that are not what their place promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Shorter than what it announces.
    #[error("truncated")]
    Truncated,
    /// Longer than what it announces.
    #[error("bytes follow the end")]
    TrailingBytes,
    /// Not one of our objects.
    #[error("not a Holdfast object")]
    NotOurs,
    /// An object of another kind.
    #[error("an object of kind {found} stands where kind {expected} belongs")]
    WrongKind {
        /// The tag that was expected.
        expected: u8,
        /// The tag that was found.
        found: u8,
    },
    /// Written by a newer version.
    #[error("format version {found} is newer than this program knows ({known}): update it")]
    UnknownVersion {
        /// The version that was found.
        found: u8,
        /// The newest that is known of the kind.
        known: u8,
    },
    /// A length beyond what the format allows.
    #[error("a length of {found} is beyond the limit of {limit}")]
    TooLong {
        /// The length that was found.
        found: u64,
        /// The most that the format allows.
        limit: u64,
    },
    /// CBOR that does not describe the expected structure.
    #[error("malformed {what}")]
    Malformed {
        /// Which structure.
        what: &'static str,
    },
    /// CBOR that says the right thing in another than the one permitted way, or has unknown fields.
    #[error("{what} is not in its one permitted encoding")]
    NotCanonical {
        /// Which structure.
        what: &'static str,
    },
}

/// Encodes a structure. Maps are written with their fields in ascending order, lengths definite and shortest.
pub(crate) fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_onto(value, &mut bytes);
    bytes
}

/// Like [`encode`], after what `bytes` holds already.
pub(crate) fn encode_onto<T: Encode<()>>(value: &T, bytes: &mut Vec<u8>) {
    // Writing into a Vec cannot fail and none of our types' encoders do.
    if let Err(never) = minicbor::encode(value, bytes) {
        unreachable!("encoding into memory: {never}");
    }
}

/// Decodes a structure that fills `bytes` exactly and is written the one way [`encode`] writes it.
pub(crate) fn decode<'b, T>(bytes: &'b [u8], what: &'static str) -> Result<T, WireError>
where
    T: Decode<'b, ()> + Encode<()>,
{
    let mut decoder = minicbor::Decoder::new(bytes);
    let value: T = decoder.decode().map_err(|_| WireError::Malformed { what })?;
    if decoder.position() != bytes.len() {
        return Err(WireError::TrailingBytes);
    }
    if encode(&value) != bytes {
        return Err(WireError::NotCanonical { what });
    }
    Ok(value)
}

/// What is framed: an object, or a message that never lies in the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framed {
    Object(ObjectKind),
    RestoreOrder,
    RestoreGrant,
    RestoreKey,
}

impl Framed {
    /// Its number. Objects have theirs below 64.
    pub(crate) const fn tag(self) -> u8 {
        match self {
            Self::Object(kind) => kind.tag(),
            Self::RestoreOrder => 64,
            Self::RestoreGrant => 65,
            Self::RestoreKey => 66,
        }
    }

    /// The newest version of the kind: all from 1 on are read.
    pub(crate) const fn newest(self) -> u8 {
        match self {
            Self::Object(ObjectKind::Manifest) | Self::RestoreGrant => 2,
            _ => 1,
        }
    }
}

impl From<ObjectKind> for Framed {
    fn from(kind: ObjectKind) -> Self {
        Self::Object(kind)
    }
}

/// The eight bytes that an object of `kind` begins with, in its version 1.
pub(crate) fn prefix(kind: impl Into<Framed>) -> [u8; PREFIX_LEN] {
    prefix_of(kind, 1)
}

/// Like [`prefix`], in any version.
pub(crate) fn prefix_of(kind: impl Into<Framed>, version: u8) -> [u8; PREFIX_LEN] {
    let [a, b, c, d] = MAGIC;
    [a, b, c, d, kind.into().tag(), version, 0, 0]
}

/// The version that a framed message says it has. Check it with [`unframe`].
pub(crate) fn version_of(bytes: &[u8]) -> u8 {
    bytes.get(5).copied().unwrap_or_default()
}

/// Prefix, header length and header, in version 1.
pub(crate) fn frame(kind: impl Into<Framed>, header: &[u8]) -> Vec<u8> {
    frame_of(kind, 1, header)
}

/// Like [`frame`], in any version.
pub(crate) fn frame_of(kind: impl Into<Framed>, version: u8, header: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FRAME_LEN + header.len());
    bytes.extend_from_slice(&prefix_of(kind, version));
    bytes.extend_from_slice(&length(header.len()));
    bytes.extend_from_slice(header);
    bytes
}

/// A length as it is written. Every caller's length is bounded far below 4 GiB by the format's limits.
pub(crate) fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

/// Splits an object into its header and what follows, and gives the length of both framing and header.
pub(crate) fn unframe(
    kind: impl Into<Framed>,
    bytes: &[u8],
    limit: usize,
) -> Result<(&[u8], &[u8], usize), WireError> {
    check_prefix(kind.into(), bytes)?;
    let (header_len, rest) = take_length(&bytes[PREFIX_LEN..], limit)?;
    if rest.len() < header_len {
        return Err(WireError::Truncated);
    }
    let (header, rest) = rest.split_at(header_len);
    Ok((header, rest, FRAME_LEN + header_len))
}

/// The parts of a framed message that a signature ends.
pub(crate) struct Signed<'a> {
    pub(crate) header: &'a [u8],
    /// What the signature covers: everything before it.
    pub(crate) content: &'a [u8],
    pub(crate) signature: &'a [u8],
}

/// Splits a framed message that a signature ends.
pub(crate) fn unframe_signed(
    kind: impl Into<Framed>,
    bytes: &[u8],
    limit: usize,
) -> Result<Signed<'_>, WireError> {
    let (header, signature, _) = unframe(kind, bytes, limit)?;
    if signature.len() > SIGNATURE_LEN {
        return Err(WireError::TrailingBytes);
    }
    let (content, signature) = split_tail(bytes, SIGNATURE_LEN)?;
    if content.len() != FRAME_LEN + header.len() {
        return Err(WireError::Truncated);
    }
    Ok(Signed {
        header,
        content,
        signature,
    })
}

/// Checks the eight bytes that an object begins with.
fn check_prefix(kind: Framed, bytes: &[u8]) -> Result<(), WireError> {
    let Some(prefix) = bytes.first_chunk::<PREFIX_LEN>() else {
        return Err(WireError::Truncated);
    };
    let [a, b, c, d, found_kind, version, zero0, zero1] = *prefix;
    if [a, b, c, d] != MAGIC {
        return Err(WireError::NotOurs);
    }
    if found_kind != kind.tag() {
        return Err(WireError::WrongKind {
            expected: kind.tag(),
            found: found_kind,
        });
    }
    let known = kind.newest();
    if !(1..=known).contains(&version) {
        return Err(WireError::UnknownVersion {
            found: version,
            known,
        });
    }
    if (zero0, zero1) != (0, 0) {
        return Err(WireError::NotCanonical {
            what: "object prefix",
        });
    }
    Ok(())
}

/// Reads a written length and gives what follows it.
pub(crate) fn take_length(bytes: &[u8], limit: usize) -> Result<(usize, &[u8]), WireError> {
    let (len, rest) = bytes.split_first_chunk::<4>().ok_or(WireError::Truncated)?;
    let found = u32::from_be_bytes(*len);
    let len = usize::try_from(found).unwrap_or(usize::MAX);
    if len > limit {
        return Err(WireError::TooLong {
            found: found.into(),
            limit: limit as u64,
        });
    }
    Ok((len, rest))
}

/// Splits `bytes` at `len` from the end.
pub(crate) fn split_tail(bytes: &[u8], len: usize) -> Result<(&[u8], &[u8]), WireError> {
    let at = bytes.len().checked_sub(len).ok_or(WireError::Truncated)?;
    Ok(bytes.split_at(at))
}

/// An [`ObjectRef`] as an array: kind, hash, size.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct WireObject {
    #[n(0)]
    kind: u8,
    #[cbor(n(1), with = "minicbor::bytes")]
    hash: [u8; 32],
    #[n(2)]
    size_bytes: u64,
}

impl From<ObjectRef> for WireObject {
    fn from(object: ObjectRef) -> Self {
        Self {
            kind: object.kind.tag(),
            hash: *object.hash.as_bytes(),
            size_bytes: object.size_bytes,
        }
    }
}

impl TryFrom<&WireObject> for ObjectRef {
    type Error = WireError;

    fn try_from(wire: &WireObject) -> Result<Self, WireError> {
        Ok(Self {
            kind: ObjectKind::from_tag(wire.kind).ok_or(WireError::Malformed { what: "object kind" })?,
            hash: ObjectHash::from_bytes(wire.hash),
            size_bytes: wire.size_bytes,
        })
    }
}

/// An instant as an array: seconds since 1970, nanoseconds 0 to 999,999,999 upwards from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct WireTime {
    #[n(0)]
    seconds: i64,
    #[n(1)]
    nanoseconds: u32,
}

impl From<Timestamp> for WireTime {
    fn from(at: Timestamp) -> Self {
        let nanos = at.as_nanosecond();
        let billion = 1_000_000_000;
        // A Timestamp lies within the years -9999 to 9999, so both conversions are exact.
        Self {
            seconds: i64::try_from(nanos.div_euclid(billion)).unwrap_or_default(),
            nanoseconds: u32::try_from(nanos.rem_euclid(billion)).unwrap_or_default(),
        }
    }
}

impl TryFrom<WireTime> for Timestamp {
    type Error = WireError;

    fn try_from(wire: WireTime) -> Result<Self, WireError> {
        if wire.nanoseconds > 999_999_999 {
            return Err(WireError::Malformed { what: "time" });
        }
        let nanos = i128::from(wire.seconds) * 1_000_000_000 + i128::from(wire.nanoseconds);
        Self::from_nanosecond(nanos).map_err(|_| WireError::Malformed { what: "time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_read_back() {
        for text in ["1969-12-31T23:59:59.000000001Z", "2026-11-23T18:00:00.123456789Z"] {
            let at: Timestamp = text.parse().unwrap();
            assert_eq!(Timestamp::try_from(WireTime::from(at)), Ok(at));
        }
    }

    #[test]
    fn a_second_spelling_is_refused() {
        // [0, 0] as an array of indefinite length decodes to the same value.
        let strict = encode(&WireTime {
            seconds: 0,
            nanoseconds: 0,
        });
        assert_eq!(strict, [0x82, 0, 0]);
        assert!(decode::<WireTime>(&strict, "time").is_ok());
        for loose in [&[0x9f, 0, 0, 0xff][..], &[0x82, 0x18, 0, 0], &[0x83, 0, 0, 0]] {
            assert!(decode::<WireTime>(loose, "time").is_err());
        }
    }
}
