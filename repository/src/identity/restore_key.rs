//! The key to which restore grants are sealed.
//!
//! An agent has one at a time, in its state folder, and makes another as soon as a restore is over: whoever steals
//! the folder later opens none of the grants that were given out before.

use std::fmt;

use hpke::{Deserializable, Kem, Serializable, kem::X25519HkdfSha256};
use jiff::Timestamp;
use minicbor::{Decode, Encode};
use shared::ids::AgentId;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{AgentPublicKey, AgentSigningKey, IdentityError};
use crate::{
    seal::{SealingPublicKey, SealingSecretKey, hex},
    wire::{self, Framed, WireTime},
};

const DERIVE: &str = "holdfast v1 agent restore seed to X25519 key";
const DOMAIN: &str = "holdfast v1 agent restore key";
const MAX_HEADER: usize = 1024;

/// An agent's secret key for restore grants. It wipes itself when dropped.
pub struct AgentRestoreKey {
    secret: SealingSecretKey,
    public: AgentRestorePublicKey,
}

impl AgentRestoreKey {
    /// From 32 random bytes, which the agent keeps until the next restore is over.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        let ikm = Zeroizing::new(blake3::derive_key(DERIVE, seed.as_ref()));
        let (secret, public) = X25519HkdfSha256::derive_keypair(ikm.as_ref());
        Self {
            secret,
            public: AgentRestorePublicKey(public),
        }
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &AgentRestorePublicKey {
        &self.public
    }

    /// The public half as others may trust it: signed by the agent. `created_at` is a label.
    #[must_use]
    pub fn announce(&self, agent: AgentId, created_at: Timestamp, signing: &AgentSigningKey) -> Vec<u8> {
        let word = SignedRestoreKey {
            agent_id: agent,
            key: self.public.clone(),
            created_at,
        };
        let mut bytes = word.frame();
        let signature = signing.sign(DOMAIN, &bytes);
        bytes.extend_from_slice(&signature);
        bytes
    }

    pub(crate) const fn secret(&self) -> &SealingSecretKey {
        &self.secret
    }
}

impl fmt::Debug for AgentRestoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentRestoreKey(of {:?})", self.public)
    }
}

/// The public half of an [`AgentRestoreKey`].
#[derive(Clone, PartialEq, Eq)]
pub struct AgentRestorePublicKey(SealingPublicKey);

impl AgentRestorePublicKey {
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, IdentityError> {
        SealingPublicKey::from_bytes(bytes)
            .map(Self)
            .map_err(|_| IdentityError::NotARestoreKey)
    }

    pub(crate) fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes().into()
    }

    pub(crate) const fn sealing(&self) -> &SealingPublicKey {
        &self.0
    }

    /// What a sealed grant says of its recipient.
    pub(crate) fn short_id(&self) -> [u8; 8] {
        let mut id = [0; 8];
        id.copy_from_slice(&blake3::hash(&self.to_bytes()).as_bytes()[..8]);
        id
    }
}

impl fmt::Debug for AgentRestorePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentRestorePublicKey({})", hex(&self.to_bytes()))
    }
}

/// An agent's word for its restore key, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRestoreKey {
    /// The agent.
    pub agent_id: AgentId,
    /// The key to seal a grant to.
    pub key: AgentRestorePublicKey,
    /// The agent's clock when it made the key: a label.
    pub created_at: Timestamp,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Header {
    #[cbor(n(0), with = "minicbor::bytes")]
    agent: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    key: [u8; 32],
    #[n(2)]
    created_at: WireTime,
}

impl SignedRestoreKey {
    /// Reads what [`AgentRestoreKey::announce`] wrote. Whoever seals a grant knows the agent's signing key by the
    /// kit's certificate, or as the signer of a manifest that it trusts; a server's word for it is not enough.
    ///
    /// # Errors
    /// When it is not signed by that key, or is another agent's.
    pub fn open(bytes: &[u8], agent: AgentId, by: &AgentPublicKey) -> Result<Self, IdentityError> {
        let signed = wire::unframe_signed(Framed::RestoreKey, bytes, MAX_HEADER)?;
        by.verify(DOMAIN, signed.content, signed.signature, "agent's restore key")?;
        let read = Self::read(bytes)?;
        if read.agent_id != agent {
            return Err(IdentityError::OtherSubject);
        }
        Ok(read)
    }

    /// All but the signature.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let header = wire::encode(&Header {
            agent: *self.agent_id.as_uuid().as_bytes(),
            key: self.key.to_bytes(),
            created_at: self.created_at.into(),
        });
        wire::frame(Framed::RestoreKey, &header)
    }

    /// Reads it without verifying.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, IdentityError> {
        let signed = wire::unframe_signed(Framed::RestoreKey, bytes, MAX_HEADER)?;
        let header: Header = wire::decode(signed.header, "agent's restore key")?;
        Ok(Self {
            agent_id: AgentId::from_uuid(Uuid::from_bytes(header.agent)),
            key: AgentRestorePublicKey::from_bytes(&header.key)?,
            created_at: header.created_at.try_into()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_key_is_the_agents_word() {
        let (agent, other) = (
            AgentId::from_uuid(Uuid::from_u128(1)),
            AgentId::from_uuid(Uuid::from_u128(2)),
        );
        let signing = AgentSigningKey::from_seed([1; 32]);
        let key = AgentRestoreKey::from_seed([2; 32]);
        let at = "2026-11-23T18:00:00Z".parse().unwrap();
        let bytes = key.announce(agent, at, &signing);
        let read = SignedRestoreKey::open(&bytes, agent, &signing.public()).unwrap();
        assert_eq!(
            (read.agent_id, &read.key, read.created_at),
            (agent, key.public(), at)
        );

        // A server that swaps the key, or passes off another agent's.
        let theirs =
            AgentRestoreKey::from_seed([3; 32]).announce(agent, at, &AgentSigningKey::from_seed([4; 32]));
        assert!(matches!(
            SignedRestoreKey::open(&theirs, agent, &signing.public()),
            Err(IdentityError::BadSignature { .. })
        ));
        assert_eq!(
            SignedRestoreKey::open(&bytes, other, &signing.public()),
            Err(IdentityError::OtherSubject)
        );
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(
                SignedRestoreKey::open(&changed, agent, &signing.public()).is_err(),
                "byte {at}"
            );
            assert!(
                SignedRestoreKey::open(&bytes[..at], agent, &signing.public()).is_err(),
                "cut at {at}"
            );
        }
    }
}
