//! The grant: keys for one restore, sealed to one agent.

use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use shared::object::{ObjectHash, ObjectKind, ObjectRef};
use zeroize::Zeroizing;

use super::OrderError;
use crate::{
    chunk::ChunkKey,
    gcm::TAG_LEN,
    hedge::Hedge,
    identity::{AgentRestoreKey, AgentRestorePublicKey},
    manifest::{Root, are_version_1},
    owners::{OwnerTable, WireTable},
    pack::PackKey,
    padding::padme,
    seal::{SealError, Sealed},
    wire::{self, Framed, WireError, WireObject},
};

/// No grant is larger: some 700,000 packs. A restore of more is ordered in parts.
const MAX_GRANT_BYTES: usize = 64 * 1024 * 1024;
const HEDGE: &str = "holdfast v1 restore grant randomness";
const INFO: &[u8] = b"holdfast v1 restore grant";

/// What one restore needs: less than a kit, and no use for anything else in the bucket.
///
/// A pack is the smallest unit: its key opens everything in that pack, also what lies there beside the wanted files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Checks each chunk that is opened.
    pub chunk_key: ChunkKey,
    /// The roots of the snapshot below which the wanted paths lie; their entries name the first chunks to read.
    pub roots: Vec<Root>,
    /// Names of owners and groups.
    pub owners: OwnerTable,
    packs: Vec<GrantedPack>,
}

/// A pack and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedPack {
    /// The pack or tree pack.
    pub object: ObjectRef,
    /// Opens it.
    pub key: PackKey,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Header {
    #[n(0)]
    sealed: Sealed,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Content {
    #[n(0)]
    chunk_key: ChunkKey,
    #[n(1)]
    roots: Vec<Root>,
    #[n(2)]
    packs: Vec<WirePack>,
    /// Not in version 1.
    #[n(3)]
    owners: Option<WireTable>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct WirePack {
    #[n(0)]
    object: WireObject,
    #[n(1)]
    key: PackKey,
}

impl Grant {
    /// A grant of these packs, given in any order; a pack that is given twice counts once.
    ///
    /// # Errors
    /// When an object is not a pack.
    pub fn new(
        chunk_key: ChunkKey,
        roots: Vec<Root>,
        mut packs: Vec<GrantedPack>,
    ) -> Result<Self, OrderError> {
        packs.sort_by_key(|pack| pack.object.hash);
        packs.dedup_by_key(|pack| pack.object.hash);
        let grant = Self {
            chunk_key,
            roots,
            owners: OwnerTable::default(),
            packs,
        };
        grant.check()?;
        Ok(grant)
    }

    /// The same with names of owners and groups.
    #[must_use]
    pub fn with_owners(mut self, owners: OwnerTable) -> Self {
        self.owners = owners.bounded();
        self
    }

    /// 1 for what version 1 can say, so that older agents read it.
    pub(crate) fn version(&self) -> u8 {
        if self.owners.is_empty() && are_version_1(&self.roots) {
            1
        } else {
            2
        }
    }

    /// The packs, ascending by hash.
    #[must_use]
    pub fn packs(&self) -> &[GrantedPack] {
        &self.packs
    }

    /// What opens a pack; `None` when the grant does not cover it.
    #[must_use]
    pub fn key(&self, pack: &ObjectHash) -> Option<&PackKey> {
        let at = self
            .packs
            .binary_search_by_key(pack, |pack| pack.object.hash)
            .ok()?;
        Some(&self.packs[at].key)
    }

    /// Seals the grant to an agent.
    ///
    /// # Errors
    /// When it is too large or the agent's key is unusable.
    pub fn seal(&self, to: &AgentRestorePublicKey, rng: &mut impl CryptoRng) -> Result<Vec<u8>, OrderError> {
        let content = self.encode();
        let version = self.version();
        let prefix = wire::prefix_of(Framed::RestoreGrant, version);
        let padded = padme(4 + content.len() + TAG_LEN) - TAG_LEN;
        let mut plain = Zeroizing::new(Vec::with_capacity(padded));
        plain.extend_from_slice(&wire::length(content.len()));
        plain.extend_from_slice(&content);
        plain.resize(padded, 0);
        let mut hedge = Hedge::new(rng, HEDGE, &[&prefix, &to.to_bytes(), &content]);
        let sealed = Sealed::seal(to.short_id(), to.sealing(), INFO, &plain, &prefix, &mut hedge)?;
        let bytes = frame(version, sealed);
        if bytes.len() > MAX_GRANT_BYTES {
            return Err(WireError::TooLong {
                found: bytes.len() as u64,
                limit: MAX_GRANT_BYTES as u64,
            }
            .into());
        }
        Ok(bytes)
    }

    /// Opens the grant that an order names by its hash.
    ///
    /// # Errors
    /// When it is another one, or does not open.
    pub fn open(bytes: &[u8], named: &ObjectHash, key: &AgentRestoreKey) -> Result<Self, OrderError> {
        if crate::hash(bytes) != *named {
            return Err(OrderError::OtherGrant);
        }
        let sealed = sealed(bytes)?;
        let version = wire::version_of(bytes);
        let prefix = wire::prefix_of(Framed::RestoreGrant, version);
        let mine = key.public().short_id();
        let plain = sealed
            .open(mine, key.secret(), INFO, &prefix, "restore grant")
            .map_err(|error| match error {
                SealError::OtherRecipient { .. } => OrderError::OtherRestoreKey,
                other => other.into(),
            })?;
        let plain = Zeroizing::new(plain);
        let (len, rest) = wire::take_length(&plain, MAX_GRANT_BYTES)?;
        let (content, padding) = rest.split_at_checked(len).ok_or(WireError::Truncated)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(WireError::TrailingBytes.into());
        }
        let grant = Self::decode(content)?;
        if grant.version() == version {
            Ok(grant)
        } else {
            Err(WireError::NotCanonical {
                what: "restore grant",
            }
            .into())
        }
    }

    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let packs = self.packs.iter().map(|pack| WirePack {
            object: pack.object.into(),
            key: pack.key.clone(),
        });
        Zeroizing::new(wire::encode(&Content {
            chunk_key: self.chunk_key.clone(),
            roots: self.roots.clone(),
            packs: packs.collect(),
            owners: Option::from(&self.owners),
        }))
    }

    /// Reads the content.
    pub(crate) fn decode(content: &[u8]) -> Result<Self, OrderError> {
        let content: Content = wire::decode(content, "restore grant")?;
        let packs = content
            .packs
            .into_iter()
            .map(|pack| {
                Ok(GrantedPack {
                    object: ObjectRef::try_from(&pack.object)?,
                    key: pack.key,
                })
            })
            .collect::<Result<Vec<_>, WireError>>()?;
        let grant = Self {
            chunk_key: content.chunk_key,
            roots: content.roots,
            owners: content.owners.try_into()?,
            packs,
        };
        grant.check()?;
        Ok(grant)
    }

    fn check(&self) -> Result<(), OrderError> {
        let is_root = |root: &Root| root.check().is_ok();
        if !self.roots.iter().all(is_root) {
            return Err(WireError::Malformed {
                what: "restore grant",
            }
            .into());
        }
        let packs_only = self
            .packs
            .iter()
            .all(|pack| matches!(pack.object.kind, ObjectKind::Pack | ObjectKind::TreePack));
        if packs_only && self.packs.is_sorted_by(|a, b| a.object.hash < b.object.hash) {
            Ok(())
        } else {
            Err(WireError::Malformed {
                what: "restore grant",
            }
            .into())
        }
    }
}

/// The message.
pub(crate) fn frame(version: u8, sealed: Sealed) -> Vec<u8> {
    wire::frame_of(Framed::RestoreGrant, version, &wire::encode(&Header { sealed }))
}

/// Reads the message without opening it.
pub(crate) fn sealed(bytes: &[u8]) -> Result<Sealed, WireError> {
    let (header, rest, _) = wire::unframe(Framed::RestoreGrant, bytes, MAX_GRANT_BYTES)?;
    if !rest.is_empty() {
        return Err(WireError::TrailingBytes);
    }
    Ok(wire::decode::<Header>(header, "restore grant")?.sealed)
}
