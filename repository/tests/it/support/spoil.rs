//! Ways to spoil bytes that hit a decoder where it hurts: lengths, cuts, parts of other objects.

use proptest::{prelude::*, sample::Index};

/// A way to spoil bytes.
#[derive(Debug, Clone)]
pub enum Damage {
    Flip(Index, u8),
    Cut(Index),
    Append(Vec<u8>),
    Overwrite(Index, Vec<u8>),
    Remove(Index, Index),
    Repeat(Index, Index),
    /// A length or count that is beyond everything, in CBOR's or in our own big-endian spelling.
    Length(Index, u8),
    /// The end of another valid object.
    Splice(Index, Index),
}

/// Any.
pub fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    prop_oneof![
        4 => (index(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => index().prop_map(Damage::Cut),
        1 => proptest::collection::vec(any::<u8>(), 1..20).prop_map(Damage::Append),
        2 => (index(), proptest::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Damage::Overwrite(at, bytes)),
        1 => (index(), index()).prop_map(|(from, to)| Damage::Remove(from, to)),
        1 => (index(), index()).prop_map(|(from, to)| Damage::Repeat(from, to)),
        3 => (index(), any::<u8>()).prop_map(|(at, how)| Damage::Length(at, how)),
        1 => (index(), index()).prop_map(|(at, from)| Damage::Splice(at, from)),
    ]
}

impl Damage {
    /// The bytes, spoilt; `other` is what may be spliced in.
    pub fn apply(&self, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
        if bytes.is_empty() {
            return bytes;
        }
        let place = |index: &Index| index.index(bytes.len());
        let span = |a: &Index, b: &Index| {
            let (a, b) = (place(a), place(b));
            a.min(b)..a.max(b)
        };
        match self {
            Self::Flip(at, bit) => {
                let at = place(at);
                bytes[at] ^= 1 << bit;
            }
            Self::Cut(at) => {
                let at = place(at);
                bytes.truncate(at);
            }
            Self::Append(more) => bytes.extend_from_slice(more),
            Self::Overwrite(at, with) => {
                let at = place(at);
                let end = (at + with.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&with[..end - at]);
            }
            Self::Remove(from, to) => {
                let span = span(from, to);
                bytes.drain(span);
            }
            Self::Repeat(from, to) => {
                let span = span(from, to);
                let at = span.end;
                let again = bytes[span].to_vec();
                bytes.splice(at..at, again);
            }
            Self::Length(at, how) => {
                let at = place(at);
                // Byte strings, texts, arrays and maps of up to 2^64 − 1; or four bytes of a length.
                let huge: &[u8] = match how % 6 {
                    0 => &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                    1 => &[0x9b, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff],
                    2 => &[0x9a, 0x40, 0x00, 0x00, 0x00],
                    3 => &[0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                    4 => &[0xff, 0xff, 0xff, 0xff],
                    _ => &[0x5a, 0x01, 0xff, 0xff, 0xff],
                };
                let end = (at + 1).min(bytes.len());
                bytes.splice(at..end, huge.iter().copied());
            }
            Self::Splice(at, from) => {
                bytes.truncate(place(at));
                if !other.is_empty() {
                    bytes.extend_from_slice(&other[from.index(other.len())..]);
                }
            }
        }
        bytes
    }
}
