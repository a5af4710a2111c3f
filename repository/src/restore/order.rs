//! The order: what a restore is to do, signed by the recovery kit.

use jiff::{SignedDuration, Timestamp};
use minicbor::{Decode, Encode};
use shared::{
    ids::{AgentId, BackupSetId, RestoreId, SourceId},
    object::ObjectHash,
};
use uuid::Uuid;

use super::OrderError;
use crate::{
    identity::{self, AgentRestorePublicKey},
    recovery::{Fingerprint, RecoveryPublicKey, RecoverySecret},
    wire::{self, Framed, WireError, WireTime},
};

const DOMAIN: &str = "holdfast v1 restore order";
/// No order's header is larger.
const MAX_HEADER: usize = 1024 * 1024;
/// How far the clock of whoever signed may be ahead of the endpoint's.
const SKEW: SignedDuration = SignedDuration::from_mins(15);

/// What a recovery kit tells an agent to restore. Everything that an agent acts on stands here, so that neither the
/// server nor anybody on the way can add to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreOrder {
    /// The restore: no two orders have the same.
    pub restore_id: RestoreId,
    /// The backup set.
    pub backup_set_id: BackupSetId,
    /// The source.
    pub source_id: SourceId,
    /// The snapshot's manifest. The kit has verified it: an agent that reads the object with this hash needs no other
    /// word for who made it.
    pub manifest: ObjectHash,
    /// Absolute paths as they were on the endpoint; none means everything.
    pub paths: Vec<Vec<u8>>,
    /// Where to.
    pub destination: Destination,
    /// What becomes of files that are there. More than [`Overwrite::Never`] needs the leave of the agent's own
    /// configuration besides.
    pub overwrite: Overwrite,
    /// Who is to do it.
    pub agent_id: AgentId,
    /// The key that the grant is sealed to.
    pub restore_key: AgentRestorePublicKey,
    /// The grant.
    pub grant: ObjectHash,
    /// When it was signed, by the clock of whoever signed it.
    pub issued_at: Timestamp,
    /// From then on it is void, by the endpoint's clock.
    pub expires_at: Timestamp,
}

/// Where a restore writes. Never reuse a number.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Destination {
    /// Where the files were.
    #[n(1)]
    InPlace,
    /// Below this folder of the target.
    #[n(2)]
    Below(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
}

/// What becomes of files that are there. Never reuse a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Overwrite {
    /// They stay, and the restore says so.
    #[n(1)]
    Never,
    /// They are replaced where they differ.
    #[n(2)]
    IfDifferent,
    /// They are replaced.
    #[n(3)]
    Always,
}

/// Who has an order before it, and when.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    /// The agent.
    pub agent_id: AgentId,
    /// Its restore key of today.
    pub restore_key: &'a AgentRestorePublicKey,
    /// The recovery key that its backup set had when it was enrolled.
    pub recovery: &'a RecoveryPublicKey,
    /// The endpoint's clock.
    pub now: Timestamp,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireOrder {
    #[cbor(n(0), with = "minicbor::bytes")]
    recovery: [u8; 20],
    #[cbor(n(1), with = "minicbor::bytes")]
    restore: [u8; 16],
    #[cbor(n(2), with = "minicbor::bytes")]
    backup_set: [u8; 16],
    #[cbor(n(3), with = "minicbor::bytes")]
    source: [u8; 16],
    #[cbor(n(4), with = "minicbor::bytes")]
    manifest: [u8; 32],
    #[n(5)]
    paths: Vec<WirePath>,
    #[n(6)]
    destination: Destination,
    #[n(7)]
    overwrite: Overwrite,
    #[cbor(n(8), with = "minicbor::bytes")]
    agent: [u8; 16],
    #[cbor(n(9), with = "minicbor::bytes")]
    restore_key: [u8; 32],
    #[cbor(n(10), with = "minicbor::bytes")]
    grant: [u8; 32],
    #[n(11)]
    issued_at: WireTime,
    #[n(12)]
    expires_at: WireTime,
}

#[derive(Encode, Decode)]
#[cbor(transparent)]
struct WirePath(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>);

impl RestoreOrder {
    /// Signs the order.
    ///
    /// # Errors
    /// When a path cannot be one, or there are too many.
    pub fn sign(&self, kit: &RecoverySecret) -> Result<Vec<u8>, OrderError> {
        self.check()?;
        let mut bytes = self.frame(kit.public().fingerprint());
        if bytes.len() > wire::FRAME_LEN + MAX_HEADER {
            return Err(WireError::TooLong {
                found: bytes.len() as u64,
                limit: MAX_HEADER as u64,
            }
            .into());
        }
        let signature = identity::sign(kit.certifying(), DOMAIN, &bytes);
        bytes.extend_from_slice(&signature);
        Ok(bytes)
    }

    /// All but the signature.
    pub(crate) fn frame(&self, recovery: Fingerprint) -> Vec<u8> {
        let header = wire::encode(&WireOrder {
            recovery: *recovery.as_bytes(),
            restore: *self.restore_id.as_uuid().as_bytes(),
            backup_set: *self.backup_set_id.as_uuid().as_bytes(),
            source: *self.source_id.as_uuid().as_bytes(),
            manifest: *self.manifest.as_bytes(),
            paths: self.paths.iter().cloned().map(WirePath).collect(),
            destination: self.destination.clone(),
            overwrite: self.overwrite,
            agent: *self.agent_id.as_uuid().as_bytes(),
            restore_key: self.restore_key.to_bytes(),
            grant: *self.grant.as_bytes(),
            issued_at: self.issued_at.into(),
            expires_at: self.expires_at.into(),
        });
        wire::frame(Framed::RestoreOrder, &header)
    }

    /// Reads an order, if the kit has signed it, for this agent and its key of today, and it is in force.
    ///
    /// # Errors
    /// The first thing that is wrong: see [`OrderError`].
    pub fn open(bytes: &[u8], recipient: Recipient<'_>) -> Result<Self, OrderError> {
        let signed = wire::unframe_signed(Framed::RestoreOrder, bytes, MAX_HEADER)?;
        let (kit, order) = Self::read(bytes)?;
        let expected = recipient.recovery.fingerprint();
        if kit != expected {
            return Err(OrderError::OtherKit { found: kit, expected });
        }
        let kit = recipient.recovery.certifying();
        identity::verify(kit, DOMAIN, signed.content, signed.signature, "restore order")
            .map_err(|_| OrderError::Forged)?;
        if order.agent_id != recipient.agent_id {
            return Err(OrderError::OtherAgent(order.agent_id));
        }
        if order.restore_key != *recipient.restore_key {
            return Err(OrderError::OtherRestoreKey);
        }
        if recipient.now >= order.expires_at {
            return Err(OrderError::Expired(order.expires_at));
        }
        if order.issued_at.duration_since(recipient.now) > SKEW {
            return Err(OrderError::FromTheFuture(order.issued_at));
        }
        Ok(order)
    }

    /// Reads an order without verifying it.
    pub(crate) fn read(bytes: &[u8]) -> Result<(Fingerprint, Self), OrderError> {
        let signed = wire::unframe_signed(Framed::RestoreOrder, bytes, MAX_HEADER)?;
        let wire: WireOrder = wire::decode(signed.header, "restore order")?;
        let order = Self {
            restore_id: RestoreId::from_uuid(Uuid::from_bytes(wire.restore)),
            backup_set_id: BackupSetId::from_uuid(Uuid::from_bytes(wire.backup_set)),
            source_id: SourceId::from_uuid(Uuid::from_bytes(wire.source)),
            manifest: ObjectHash::from_bytes(wire.manifest),
            paths: wire.paths.into_iter().map(|path| path.0).collect(),
            destination: wire.destination,
            overwrite: wire.overwrite,
            agent_id: AgentId::from_uuid(Uuid::from_bytes(wire.agent)),
            restore_key: AgentRestorePublicKey::from_bytes(&wire.restore_key).map_err(|_| {
                WireError::Malformed {
                    what: "restore order",
                }
            })?,
            grant: ObjectHash::from_bytes(wire.grant),
            issued_at: wire.issued_at.try_into()?,
            expires_at: wire.expires_at.try_into()?,
        };
        order.check()?;
        Ok((Fingerprint::from_bytes(wire.recovery), order))
    }

    fn check(&self) -> Result<(), WireError> {
        let below = match &self.destination {
            Destination::InPlace => None,
            Destination::Below(folder) => Some(folder),
        };
        let sound = |path: &Vec<u8>| !path.is_empty() && !path.contains(&0);
        if self.paths.iter().chain(below).all(sound) {
            Ok(())
        } else {
            Err(WireError::Malformed {
                what: "restore order's path",
            })
        }
    }
}
