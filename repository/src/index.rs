//! Index segments: where each chunk lies. A segment's key is sealed to the recovery key, and wrapped for the
//! agent that wrote it: a lost cache is rebuilt from segments alone. An index tells where chunks are, and opens
//! none of them.

use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use shared::object::{ObjectKind, ObjectRef};
use zeroize::Zeroizing;

use crate::{
    chunk::IndexKey,
    gcm::TAG_LEN,
    hedge::Hedge,
    pack::{MAX_RECIPIENTS, PackError, PackLayout, WireLayout},
    padding::padme,
    recovery::{RecoveryPublicKey, RecoverySecret},
    seal::{ObjectCipher, Role, SealError, Sealed, hex},
    wire::{self, WireError},
};

/// A writer begins another segment before one would list more chunks.
pub const TARGET_CHUNKS: usize = 128 * 1024;
/// No segment is larger: a reader refuses one that is.
pub const MAX_INDEX_BYTES: usize = ObjectKind::Index.max_bytes();
const MAX_HEADER: usize = 4096;

const HEDGE: &str = "holdfast v1 index randomness";
const WRAP: &str = "holdfast v1 index key and salt to wrapping key";
const INFO: &[u8] = b"holdfast v1 index segment key";

/// Why an index segment cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The bytes are not an index segment.
    #[error("index: {0}")]
    Wire(#[from] WireError),
    /// Sealed content does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A pack's entry cannot be true.
    #[error("index: {0}")]
    Pack(#[from] PackError),
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct Header {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) salt: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    wrapped: [u8; 32 + TAG_LEN],
    #[n(2)]
    pub(crate) recipients: Vec<Sealed>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Body {
    #[n(0)]
    packs: Vec<WireLayout>,
}

/// Seals one segment.
///
/// # Errors
/// When the recovery key is unusable or the segment would be too large.
pub fn seal(
    packs: &[PackLayout],
    agent: &IndexKey,
    recovery: &RecoveryPublicKey,
    rng: &mut impl CryptoRng,
) -> Result<(ObjectRef, Vec<u8>), IndexError> {
    let prefix = wire::prefix(ObjectKind::Index);
    let body = encode_body(packs);
    let fingerprint = recovery.fingerprint();
    let mut hedge = Hedge::new(rng, HEDGE, &[&agent.0, fingerprint.as_bytes(), &body]);
    let key = hedge.key();
    let salt = *hedge.key();

    let mut wrapped = [0; 32 + TAG_LEN];
    let (slot, tag) = wrapped.split_at_mut(32);
    slot.copy_from_slice(key.as_ref());
    tag.copy_from_slice(&wrapping(agent, &salt).seal(Role::IndexKey, 0, &prefix, slot));
    let sealed = Sealed::seal(
        recovery.short_id(),
        recovery.sealing(),
        INFO,
        key.as_ref(),
        &prefix,
        &mut hedge,
    )?;
    let header = wire::encode(&Header {
        salt,
        wrapped,
        recipients: vec![sealed],
    });

    let mut bytes = wire::frame(ObjectKind::Index, &header);
    let aad = *blake3::hash(&bytes).as_bytes();
    let unpadded = bytes.len() + 4 + body.len() + TAG_LEN;
    let total = padme(unpadded);
    if total > MAX_INDEX_BYTES {
        return Err(WireError::TooLong {
            found: total as u64,
            limit: MAX_INDEX_BYTES as u64,
        }
        .into());
    }
    let mut plain = Vec::with_capacity(total - bytes.len());
    plain.extend_from_slice(&wire::length(body.len()));
    plain.extend_from_slice(&body);
    plain.resize(plain.len() + total - unpadded, 0);
    let tag = ObjectCipher::new(&key).seal(Role::Index, 0, &aad, &mut plain);
    bytes.extend_from_slice(&plain);
    bytes.extend_from_slice(&tag);
    let object = ObjectRef {
        kind: ObjectKind::Index,
        hash: crate::hash(&bytes),
        size_bytes: bytes.len() as u64,
    };
    Ok((object, bytes))
}

pub(crate) fn encode_body(packs: &[PackLayout]) -> Vec<u8> {
    wire::encode(&Body {
        packs: packs.iter().map(WireLayout::from).collect(),
    })
}

/// Opens a segment with the key of the agent that wrote it.
///
/// # Errors
/// When it is not a segment, another agent's, or changed.
pub fn open(bytes: &[u8], agent: &IndexKey) -> Result<Vec<PackLayout>, IndexError> {
    let header = read_header(bytes)?;
    let mut wrapped = Zeroizing::new(header.wrapped);
    let prefix = wire::prefix(ObjectKind::Index);
    let key = wrapping(agent, &header.salt).open(
        Role::IndexKey,
        0,
        &prefix,
        wrapped.as_mut(),
        "index segment key",
    )?;
    open_body(bytes, key)
}

/// Opens a segment with a recovery kit.
///
/// # Errors
/// When it is not a segment, sealed to another key, or changed.
pub fn open_with_kit(bytes: &[u8], kit: &RecoverySecret) -> Result<Vec<PackLayout>, IndexError> {
    let header = read_header(bytes)?;
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
    let prefix = wire::prefix(ObjectKind::Index);
    let key = Zeroizing::new(sealed.open(wanted, kit.sealing(), INFO, &prefix, "index segment key")?);
    open_body(bytes, &key)
}

fn wrapping(agent: &IndexKey, salt: &[u8; 32]) -> ObjectCipher {
    let mut hasher = blake3::Hasher::new_derive_key(WRAP);
    hasher.update(&agent.0).update(salt);
    let key = Zeroizing::new(*hasher.finalize().as_bytes());
    ObjectCipher::new(&key)
}

pub(crate) fn read_header(bytes: &[u8]) -> Result<Header, IndexError> {
    let (header, _, _) = wire::unframe(ObjectKind::Index, bytes, MAX_HEADER)?;
    let header: Header = wire::decode(header, "index header")?;
    if header.recipients.len() > MAX_RECIPIENTS || bytes.len() > MAX_INDEX_BYTES {
        return Err(WireError::Malformed { what: "index header" }.into());
    }
    Ok(header)
}

fn open_body(bytes: &[u8], key: &[u8]) -> Result<Vec<PackLayout>, IndexError> {
    let (_, sealed, offset) = wire::unframe(ObjectKind::Index, bytes, MAX_HEADER)?;
    let key: &[u8; 32] = key.try_into().map_err(|_| WireError::Malformed {
        what: "index segment key",
    })?;
    let aad = *blake3::hash(&bytes[..offset]).as_bytes();
    let mut sealed = sealed.to_vec();
    let plain = ObjectCipher::new(key).open(Role::Index, 0, &aad, &mut sealed, "index segment")?;
    let (len, rest) = wire::take_length(plain, MAX_INDEX_BYTES)?;
    let (body, padding) = rest.split_at_checked(len).ok_or(WireError::Truncated)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(WireError::TrailingBytes.into());
    }
    decode_body(body)
}

pub(crate) fn decode_body(body: &[u8]) -> Result<Vec<PackLayout>, IndexError> {
    let body: Body = wire::decode(body, "index segment")?;
    body.packs
        .into_iter()
        .map(|wire| PackLayout::try_from(wire).map_err(IndexError::from))
        .collect()
}

#[cfg(test)]
mod tests;
