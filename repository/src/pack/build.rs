//! Writing packs.

use rand_core::CryptoRng;
use shared::object::{ObjectKind, ObjectRef};

use super::{Footer, Header, INFO, MAX_CHUNKS, PackEntry, PackError, PackLayout, TARGET_BYTES};
use crate::{
    chunk::ChunkId,
    compress::Compression,
    hedge::Hedge,
    padding::padme,
    recovery::RecoveryPublicKey,
    seal::{ObjectCipher, Role, Sealed, TAG_LEN},
    wire,
};

const HEDGE: &str = "holdfast v1 pack randomness";

/// Collects chunks until a pack is full.
pub struct PackBuilder {
    kind: ObjectKind,
    entries: Vec<PackEntry>,
    /// Chunks as stored, each followed by room for its tag.
    body: Vec<u8>,
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
    pub const fn files() -> Self {
        Self::new(ObjectKind::Pack)
    }

    /// An empty pack of directory listings.
    #[must_use]
    pub const fn trees() -> Self {
        Self::new(ObjectKind::TreePack)
    }

    const fn new(kind: ObjectKind) -> Self {
        Self {
            kind,
            entries: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a chunk of this stored length still belongs in it.
    #[must_use]
    pub fn fits(&self, stored_len: usize) -> bool {
        self.entries.len() < MAX_CHUNKS
            && (self.is_empty() || self.body.len() + stored_len + TAG_LEN <= TARGET_BYTES)
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
        self.body.reserve(stored.len() + TAG_LEN);
        self.body.extend_from_slice(stored);
        self.body.extend_from_slice(&[0; TAG_LEN]);
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
        let Self { kind, entries, body } = self;
        let prefix = wire::prefix(kind);
        let footer = wire::encode(&Footer {
            entries: entries.clone(),
        });
        // The body still has zeros where the tags will stand: the hash covers every stored byte.
        let body_hash = blake3::hash(&body);
        let fingerprint = recovery.fingerprint();
        let mut hedge = Hedge::new(
            rng,
            HEDGE,
            &[&prefix, fingerprint.as_bytes(), &footer, body_hash.as_bytes()],
        );

        let key = hedge.key();
        let mut opening = zeroize::Zeroizing::new(Vec::with_capacity(40));
        opening.extend_from_slice(key.as_ref());
        opening.extend_from_slice(&wire::length(body.len()));
        opening.extend_from_slice(&wire::length(footer.len() + TAG_LEN));
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

        let mut bytes = wire::frame(kind, &header);
        let body_offset = bytes.len();
        let aad = *blake3::hash(&bytes).as_bytes();
        let unpadded = body_offset + body.len() + footer.len() + 2 * TAG_LEN;
        bytes.reserve_exact(padme(unpadded) - body_offset);
        bytes.extend_from_slice(&body);
        drop(body);

        let cipher = ObjectCipher::new(&key);
        let mut rest = &mut bytes[body_offset..];
        for (position, entry) in (0..).zip(&entries) {
            // The body was laid out from these very lengths.
            let (chunk, after) = rest.split_at_mut(entry.stored_len as usize);
            let (tag, after) = after.split_at_mut(TAG_LEN);
            tag.copy_from_slice(&cipher.seal(Role::Chunk, position, &aad, chunk));
            rest = after;
        }
        append(&mut bytes, &cipher, Role::Footer, &aad, footer);
        append(
            &mut bytes,
            &cipher,
            Role::Padding,
            &aad,
            vec![0; padme(unpadded) - unpadded],
        );

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

fn append(bytes: &mut Vec<u8>, cipher: &ObjectCipher, role: Role, aad: &[u8], mut plain: Vec<u8>) {
    let tag = cipher.seal(role, 0, aad, &mut plain);
    bytes.extend_from_slice(&plain);
    bytes.extend_from_slice(&tag);
}
