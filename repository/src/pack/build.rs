//! Writing packs.

use rand_core::CryptoRng;
use shared::object::{ObjectKind, ObjectRef};

use super::{Footer, Header, INFO, MAX_CHUNKS, PackEntry, PackError, PackLayout, TARGET_BYTES};
use crate::{
    chunk::ChunkId,
    compress::Compression,
    gcm::TAG_LEN,
    hedge::Hedge,
    padding::padme,
    recovery::RecoveryPublicKey,
    seal::{ObjectCipher, Role, Sealed},
    wire,
};

const HEDGE: &str = "holdfast v1 pack randomness";

/// What the frame of a pack takes: its header has one recipient and only fields of fixed length.
const HEAD_LEN: usize = 117;

/// Collects chunks until a pack is full. The pack is sealed in the same buffer that they were collected in.
pub struct PackBuilder {
    kind: ObjectKind,
    entries: Vec<PackEntry>,
    /// Room for the frame; then the chunks as stored, each followed by room for its tag.
    bytes: Vec<u8>,
}

/// A finished pack.
#[derive(Debug)]
pub struct SealedPack {
    /// The object's bytes.
    pub bytes: Vec<u8>,
    /// Its name and where its chunks lie.
    pub layout: PackLayout,
}

impl PackBuilder {
    /// An empty pack of file contents.
    #[must_use]
    pub fn files() -> Self {
        Self::new(ObjectKind::Pack, Vec::new())
    }

    /// An empty pack of directory listings.
    #[must_use]
    pub fn trees() -> Self {
        Self::new(ObjectKind::TreePack, Vec::new())
    }

    /// An empty pack in a buffer that was used before. `kind` is that of a pack.
    #[must_use]
    pub fn new(kind: ObjectKind, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(HEAD_LEN, 0);
        Self {
            kind,
            entries: Vec::new(),
            bytes: buffer,
        }
    }

    /// What a buffer must hold so that no full pack outgrows it.
    pub const FULL_BYTES: usize = TARGET_BYTES + TARGET_BYTES / 8;

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a chunk of this stored length still belongs in it.
    #[must_use]
    pub fn fits(&self, stored_len: usize) -> bool {
        self.entries.len() < MAX_CHUNKS
            && (self.is_empty() || self.bytes.len() - HEAD_LEN + stored_len + TAG_LEN <= TARGET_BYTES)
    }

    /// Adds a chunk.
    ///
    /// # Errors
    /// When it does not fit or is beyond a chunk's limits.
    pub fn add(
        &mut self,
        id: ChunkId,
        raw_len: u32,
        compression: Compression,
        stored: &[u8],
    ) -> Result<(), PackError> {
        if !self.fits(stored.len()) {
            return Err(PackError::Full);
        }
        let entry = PackEntry {
            id,
            stored_len: u32::try_from(stored.len()).map_err(|_| PackError::Full)?,
            raw_len,
            compression,
        };
        entry.check().map_err(|_| PackError::Full)?;
        self.entries.push(entry);
        self.bytes.extend_from_slice(stored);
        self.bytes.extend_from_slice(&[0; TAG_LEN]);
        Ok(())
    }

    /// Seals the pack. The key comes from `rng` and from everything that is sealed, and is forgotten here.
    ///
    /// # Errors
    /// When the recovery key is unusable.
    pub fn seal(
        self,
        recovery: &RecoveryPublicKey,
        rng: &mut impl CryptoRng,
    ) -> Result<SealedPack, PackError> {
        let Self {
            kind,
            mut entries,
            mut bytes,
        } = self;
        entries.shrink_to_fit();
        let body = &bytes[HEAD_LEN..];
        let body_len = body.len();
        let prefix = wire::prefix(kind);
        let footer = Footer { entries };
        let footer_bytes = wire::encode(&footer);
        let Footer { entries } = footer;
        // The body still has zeros where the tags will stand: the hash covers every stored byte.
        let body_hash = blake3::hash(body);
        let fingerprint = recovery.fingerprint();
        let mut hedge = Hedge::new(
            rng,
            HEDGE,
            &[
                &prefix,
                fingerprint.as_bytes(),
                &footer_bytes,
                body_hash.as_bytes(),
            ],
        );

        let key = hedge.key();
        let mut opening = zeroize::Zeroizing::new(Vec::with_capacity(40));
        opening.extend_from_slice(key.as_ref());
        opening.extend_from_slice(&wire::length(body_len));
        opening.extend_from_slice(&wire::length(footer_bytes.len() + TAG_LEN));
        let sealed = Sealed::seal(
            recovery.short_id(),
            recovery.sealing(),
            INFO,
            &opening,
            &prefix,
            &mut hedge,
        )?;
        let header = wire::encode(&Header {
            recipients: vec![sealed],
        });

        let frame = wire::frame(kind, &header);
        let body_offset = frame.len();
        let aad = *blake3::hash(&frame).as_bytes();
        // In place: the room that was left is as long as the frame.
        debug_assert_eq!(body_offset, HEAD_LEN);
        bytes.splice(..HEAD_LEN, frame);
        let unpadded = bytes.len() + footer_bytes.len() + 2 * TAG_LEN;
        bytes.reserve(padme(unpadded) - body_offset - body_len);

        let cipher = ObjectCipher::new(&key);
        let mut rest = &mut bytes[body_offset..];
        for (position, entry) in (0..).zip(&entries) {
            // The body was laid out from these very lengths.
            let (chunk, after) = rest.split_at_mut(entry.stored_len as usize);
            let (tag, after) = after.split_at_mut(TAG_LEN);
            tag.copy_from_slice(&cipher.seal(Role::Chunk, position, &aad, chunk));
            rest = after;
        }
        let mut append = |role, fill: &dyn Fn(&mut Vec<u8>)| {
            let begin = bytes.len();
            fill(&mut bytes);
            let tag = cipher.seal(role, 0, &aad, &mut bytes[begin..]);
            bytes.extend_from_slice(&tag);
        };
        append(Role::Footer, &|bytes| bytes.extend_from_slice(&footer_bytes));
        let zeros = padme(unpadded) - unpadded;
        append(Role::Padding, &|bytes| bytes.resize(bytes.len() + zeros, 0));

        let object = ObjectRef {
            kind,
            hash: crate::hash(&bytes),
            size_bytes: bytes.len() as u64,
        };
        let layout = PackLayout {
            object,
            // A header with one recipient is some 150 bytes.
            body_offset: u32::try_from(body_offset).map_err(|_| PackError::BadLayout)?,
            entries,
        };
        Ok(SealedPack { bytes, layout })
    }
}
