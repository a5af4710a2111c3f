//! Reading packs.

use std::{fmt, ops::Range};

use minicbor::{Decode, Encode};
use shared::object::ObjectKind;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{
    Footer, Header, INFO, MAX_CHUNKS, MAX_HEADER_BYTES, MAX_PACK_BYTES, MAX_RECIPIENTS, PackEntry, PackError,
};
use crate::{
    chunk::ChunkKey,
    compress,
    gcm::TAG_LEN,
    recovery::RecoverySecret,
    seal::{ObjectCipher, Role, SealError, hex},
    wire::{self, WireError},
};

/// What opens one pack and no other. A kit gives it out, for a restore, one pack at a time.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Encode, Decode)]
#[cbor(array)]
pub struct PackKey {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(super) key: [u8; 32],
    #[n(1)]
    pub(super) body_len: u32,
    #[n(2)]
    pub(super) footer_len: u32,
}

impl fmt::Debug for PackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PackKey(secret)")
    }
}

impl PackKey {
    /// Opens the header of a pack with a recovery kit. `begin` is the pack's beginning, at least the header.
    ///
    /// # Errors
    /// When it is not a pack of this kind, or sealed to another key, or changed.
    pub fn open(kind: ObjectKind, begin: &[u8], kit: &RecoverySecret) -> Result<Self, PackError> {
        let header = read_header(kind, begin)?;
        let wanted = kit.public().short_id();
        let sealed = header
            .recipients
            .iter()
            .find(|sealed| sealed.recipient == wanted)
            .ok_or_else(|| SealError::OtherRecipient {
                found: header
                    .recipients
                    .first()
                    .map(|s| hex(&s.recipient))
                    .unwrap_or_default(),
                wanted: hex(&wanted),
            })?;
        let opening =
            Zeroizing::new(sealed.open(wanted, kit.sealing(), INFO, &wire::prefix(kind), "pack key")?);
        let malformed = WireError::Malformed { what: "pack key" };
        let (key, lengths) = opening
            .split_first_chunk::<32>()
            .ok_or_else(|| malformed.clone())?;
        let (body_len, lengths) = lengths
            .split_first_chunk::<4>()
            .ok_or_else(|| malformed.clone())?;
        let footer_len: [u8; 4] = lengths.try_into().map_err(|_| malformed)?;
        Ok(Self {
            key: *key,
            body_len: u32::from_be_bytes(*body_len),
            footer_len: u32::from_be_bytes(footer_len),
        })
    }
}

pub(crate) fn read_header(kind: ObjectKind, begin: &[u8]) -> Result<Header, WireError> {
    let (header, _, _) = wire::unframe(kind, begin, MAX_HEADER_BYTES)?;
    let header: Header = wire::decode(header, "pack header")?;
    if header.recipients.len() > MAX_RECIPIENTS {
        return Err(WireError::Malformed { what: "pack header" });
    }
    Ok(header)
}

pub(crate) fn decode_footer(plain: &[u8]) -> Result<Footer, PackError> {
    let footer: Footer = wire::decode(plain, "pack footer")?;
    if footer.entries.len() > MAX_CHUNKS {
        return Err(PackError::BadLayout);
    }
    footer.entries.iter().try_for_each(PackEntry::check)?;
    Ok(footer)
}

/// A pack whose key is known.
pub struct OpenPack {
    cipher: ObjectCipher,
    aad: [u8; 32],
    body_offset: usize,
    body_len: usize,
    footer_len: usize,
}

impl fmt::Debug for OpenPack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenPack")
            .field("body_len", &self.body_len)
            .finish_non_exhaustive()
    }
}

impl OpenPack {
    /// Joins a pack's beginning (at least its header) and its key.
    ///
    /// # Errors
    /// When the beginning is not a pack of this kind or the key's lengths cannot be true.
    pub fn new(kind: ObjectKind, begin: &[u8], key: &PackKey) -> Result<Self, PackError> {
        let (_, _, body_offset) = wire::unframe(kind, begin, MAX_HEADER_BYTES)?;
        let [body_len, footer_len] =
            [key.body_len, key.footer_len].map(|len| usize::try_from(len).unwrap_or(usize::MAX));
        let end = body_offset.saturating_add(body_len).saturating_add(footer_len);
        if end > MAX_PACK_BYTES {
            return Err(PackError::BadLayout);
        }
        Ok(Self {
            cipher: ObjectCipher::new(&key.key),
            aad: *blake3::hash(&begin[..body_offset]).as_bytes(),
            body_offset,
            body_len,
            footer_len,
        })
    }

    /// Where the first chunk begins.
    #[must_use]
    pub fn body_offset(&self) -> u32 {
        // A header is bounded by a few KiB.
        u32::try_from(self.body_offset).unwrap_or(u32::MAX)
    }

    /// Where the footer lies in the pack.
    #[must_use]
    pub const fn footer_range(&self) -> Range<u64> {
        let begin = (self.body_offset + self.body_len) as u64;
        begin..begin + self.footer_len as u64
    }

    /// Opens the footer: which chunks the pack holds. Enough to rebuild an index.
    ///
    /// # Errors
    /// When the bytes were changed or the lengths do not add up.
    pub fn footer(&self, sealed: &[u8]) -> Result<Vec<PackEntry>, PackError> {
        let mut sealed = sealed.to_vec();
        let plain = self
            .cipher
            .open(Role::Footer, 0, &self.aad, &mut sealed, "pack footer")?;
        let footer = decode_footer(plain)?;
        let body: u64 = footer.entries.iter().map(PackEntry::sealed_len).sum();
        if body != self.body_len as u64 {
            return Err(PackError::BadLayout);
        }
        Ok(footer.entries)
    }

    /// Opens one chunk and checks that it is the one that its id names. `sealed` is the chunk with its tag, and is
    /// decrypted in place.
    ///
    /// # Errors
    /// When the bytes were changed or are another chunk's.
    pub fn chunk(
        &self,
        position: u32,
        entry: &PackEntry,
        sealed: &mut [u8],
        names: &ChunkKey,
    ) -> Result<Vec<u8>, PackError> {
        if sealed.len() as u64 != entry.sealed_len() {
            return Err(WireError::Truncated.into());
        }
        let stored = self
            .cipher
            .open(Role::Chunk, position, &self.aad, sealed, "chunk")?;
        let raw = compress::decompress(entry.compression, stored, entry.raw_len)?;
        if names.id(&raw) != entry.id {
            return Err(PackError::WrongChunk { position });
        }
        Ok(raw)
    }

    /// Checks the padding: the only bytes that no chunk and no footer covers.
    fn padding(&self, sealed: &[u8]) -> Result<(), PackError> {
        let mut sealed = sealed.to_vec();
        let plain = self
            .cipher
            .open(Role::Padding, 0, &self.aad, &mut sealed, "pack padding")?;
        if plain.iter().any(|byte| *byte != 0) {
            return Err(WireError::Malformed { what: "pack padding" }.into());
        }
        Ok(())
    }
}

/// Reads every byte of a pack and gives what it holds: any change anywhere is an error.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(
    kind: ObjectKind,
    bytes: &[u8],
    key: &PackKey,
    names: &ChunkKey,
) -> Result<Vec<(PackEntry, Vec<u8>)>, PackError> {
    if bytes.len() > MAX_PACK_BYTES {
        return Err(PackError::BadLayout);
    }
    let pack = OpenPack::new(kind, bytes, key)?;
    let footer_begin = pack.body_offset + pack.body_len;
    let footer_end = footer_begin + pack.footer_len;
    if bytes.len() < footer_end + TAG_LEN {
        return Err(WireError::Truncated.into());
    }
    let entries = pack.footer(&bytes[footer_begin..footer_end])?;
    pack.padding(&bytes[footer_end..])?;
    let mut rest = &bytes[pack.body_offset..footer_begin];
    let mut chunks = Vec::with_capacity(entries.len());
    for (position, entry) in (0..).zip(entries) {
        // The footer's lengths add up to the body's.
        let len = entry.stored_len as usize + TAG_LEN;
        let (sealed, after) = rest.split_at_checked(len).ok_or(WireError::Truncated)?;
        rest = after;
        chunks.push((entry, pack.chunk(position, &entry, &mut sealed.to_vec(), names)?));
    }
    Ok(chunks)
}
