//! Packs: objects that hold sealed chunks, of files or of directory listings.
//!
//! ```text
//! frame with header: the pack's key, sealed by HPKE to the recovery key, with the place of the footer
//! chunk 0 | tag | chunk 1 | tag | …      AES-256-GCM under the pack's key, nonce = role and position
//! footer | tag                           which chunks, and how long they are
//! zeros, encrypted | tag                 up to a Padmé size
//! ```
//!
//! Whoever wrote a pack forgets its key: only the recovery kit can open it again.

mod build;
mod open;

pub use build::{PackBuilder, SealedPack};
pub use open::{OpenPack, PackKey, verify};
pub(crate) use open::{decode_footer, read_header};

use minicbor::{Decode, Encode};
use shared::object::{ObjectHash, ObjectKind, ObjectRef};

use crate::{
    chunk::{self, ChunkId},
    compress::{Compression, DecompressError},
    gcm::TAG_LEN,
    seal::{SealError, Sealed},
    wire::WireError,
};

/// A pack is closed before its chunks would grow beyond this.
pub const TARGET_BYTES: usize = 16 * 1024 * 1024;
/// The most chunks that a pack holds.
pub const MAX_CHUNKS: usize = 32 * 1024;
/// No pack is larger: a reader refuses one that is.
pub const MAX_PACK_BYTES: usize = ObjectKind::Pack.max_bytes();
/// Enough to hold the frame and the header of any pack.
pub const MAX_HEADER_BYTES: usize = 4096;
/// The most keys that a pack may be sealed to; this version writes one.
pub(crate) const MAX_RECIPIENTS: usize = 4;

const INFO: &[u8] = b"holdfast v1 pack key";

/// Why a pack cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// The bytes are not a pack.
    #[error("pack: {0}")]
    Wire(#[from] WireError),
    /// Sealed content does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A chunk does not decompress.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    /// The content of a chunk is not what its id says.
    #[error("chunk {position} of the pack is not the chunk that it should be")]
    WrongChunk {
        /// Its position in the pack.
        position: u32,
    },
    /// A chunk beyond the limits, or one more than fits.
    #[error("the pack is full, or a chunk is beyond the limits")]
    Full,
    /// Lengths that cannot be true.
    #[error("the pack's list of chunks does not fit the pack")]
    BadLayout,
}

/// One chunk in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct PackEntry {
    /// Which chunk.
    #[n(0)]
    pub id: ChunkId,
    /// Its length as stored, without the tag.
    #[n(1)]
    pub stored_len: u32,
    /// Its length as read.
    #[n(2)]
    pub raw_len: u32,
    /// How it is stored.
    #[n(3)]
    pub compression: Compression,
}

impl PackEntry {
    /// Its length in the pack, with the tag.
    #[must_use]
    pub const fn sealed_len(&self) -> u64 {
        self.stored_len as u64 + TAG_LEN as u64
    }

    fn check(&self) -> Result<(), PackError> {
        let within = |len: u32| usize::try_from(len).is_ok_and(|len| len <= chunk::MAX_BYTES);
        if within(self.stored_len) && within(self.raw_len) {
            Ok(())
        } else {
            Err(PackError::BadLayout)
        }
    }
}

/// A pack and where each chunk lies in it: what the index says of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackLayout {
    /// The pack: [`ObjectKind::Pack`] or [`ObjectKind::TreePack`].
    pub object: ObjectRef,
    /// Where the first chunk begins; what is before opens the pack.
    pub body_offset: u32,
    /// The chunks, in the order in which they lie one after the other.
    pub entries: Vec<PackEntry>,
}

impl PackLayout {
    /// Each chunk with its position and the offset at which it begins.
    pub fn places(&self) -> impl Iterator<Item = (u32, u64, &PackEntry)> {
        let mut offset = u64::from(self.body_offset);
        (0..).zip(&self.entries).map(move |(position, entry)| {
            let begin = offset;
            offset += entry.sealed_len();
            (position, begin, entry)
        })
    }

    /// Checks that the chunks fit the pack.
    ///
    /// # Errors
    /// When a limit is exceeded or the chunks are longer than the pack.
    pub fn check(&self) -> Result<(), PackError> {
        let header_fits = (1..=MAX_HEADER_BYTES as u64).contains(&u64::from(self.body_offset));
        let size_fits = self.object.size_bytes <= MAX_PACK_BYTES as u64;
        let is_pack = matches!(self.object.kind, ObjectKind::Pack | ObjectKind::TreePack);
        if !(header_fits && size_fits && is_pack) || self.entries.len() > MAX_CHUNKS {
            return Err(PackError::BadLayout);
        }
        self.entries.iter().try_for_each(PackEntry::check)?;
        let body: u64 = self.entries.iter().map(PackEntry::sealed_len).sum();
        if u64::from(self.body_offset) + body > self.object.size_bytes {
            return Err(PackError::BadLayout);
        }
        Ok(())
    }
}

/// [`PackLayout`] as the index writes it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct WireLayout {
    #[cbor(n(0), with = "minicbor::bytes")]
    pack: [u8; 32],
    #[n(1)]
    kind: u8,
    #[n(2)]
    size_bytes: u64,
    #[n(3)]
    body_offset: u32,
    #[n(4)]
    entries: Vec<PackEntry>,
}

impl From<&PackLayout> for WireLayout {
    fn from(layout: &PackLayout) -> Self {
        Self {
            pack: *layout.object.hash.as_bytes(),
            kind: layout.object.kind.tag(),
            size_bytes: layout.object.size_bytes,
            body_offset: layout.body_offset,
            entries: layout.entries.clone(),
        }
    }
}

impl TryFrom<WireLayout> for PackLayout {
    type Error = PackError;

    fn try_from(wire: WireLayout) -> Result<Self, PackError> {
        let layout = Self {
            object: ObjectRef {
                kind: ObjectKind::from_tag(wire.kind).ok_or(PackError::BadLayout)?,
                hash: ObjectHash::from_bytes(wire.pack),
                size_bytes: wire.size_bytes,
            },
            body_offset: wire.body_offset,
            entries: wire.entries,
        };
        layout.check()?;
        Ok(layout)
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct Header {
    #[n(0)]
    pub(crate) recipients: Vec<Sealed>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct Footer {
    #[n(0)]
    entries: Vec<PackEntry>,
}

#[cfg(test)]
mod tests;
