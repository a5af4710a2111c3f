//! Who an agent is: the Ed25519 key that signs, the certificate by which a recovery kit vouches for it, and the
//! X25519 key to which restore grants are sealed.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use minicbor::{Decode, Encode};
use shared::ids::AgentId;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    recovery::{RecoveryPublicKey, RecoverySecret},
    seal::hex,
    wire::{self, SIGNATURE_LEN},
};

mod restore_key;

pub use restore_key::{AgentRestoreKey, AgentRestorePublicKey, SignedRestoreKey};

const CERTIFICATE: &str = "holdfast v1 agent certificate";

/// A key or a signature that is not right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not a public key.
    #[error("an Ed25519 public key is 64 lower-case hexadecimal digits")]
    NotAKey,
    /// The signature is not by this key over these bytes.
    #[error("the signature of the {what} does not verify")]
    BadSignature {
        /// What was signed.
        what: &'static str,
    },
    /// A certificate or a restore key of another agent.
    #[error("it is the word for another agent or key than this one")]
    OtherSubject,
    /// Not an X25519 key.
    #[error("a restore key is 32 bytes of an X25519 public key")]
    NotARestoreKey,
    /// The bytes are not what they should be.
    #[error(transparent)]
    Wire(#[from] wire::WireError),
}

/// An agent's public key: verifies its manifests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AgentPublicKey(VerifyingKey);

impl AgentPublicKey {
    /// Reads 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// When it is something else or a weak key.
    pub fn from_hex(text: &str) -> Result<Self, IdentityError> {
        let bytes = data_encoding::HEXLOWER
            .decode(text.as_bytes())
            .map_err(|_| IdentityError::NotAKey)?;
        Self::from_bytes(bytes.as_slice().try_into().map_err(|_| IdentityError::NotAKey)?)
    }

    /// Wraps the 32 bytes.
    ///
    /// # Errors
    /// When they are not a usable key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, IdentityError> {
        VerifyingKey::from_bytes(bytes)
            .ok()
            .filter(|key| !key.is_weak())
            .map(Self)
            .ok_or(IdentityError::NotAKey)
    }

    /// 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(self.0.as_bytes())
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub(crate) fn verify(
        &self,
        domain: &str,
        content: &[u8],
        signature: &[u8],
        what: &'static str,
    ) -> Result<(), IdentityError> {
        verify(&self.0, domain, content, signature, what)
    }
}

impl fmt::Debug for AgentPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentPublicKey({})", self.to_hex())
    }
}

/// An agent's secret signing key.
pub struct AgentSigningKey(SigningKey);

impl AgentSigningKey {
    /// From 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self(SigningKey::from_bytes(&seed))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> AgentPublicKey {
        AgentPublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, domain: &str, content: &[u8]) -> [u8; SIGNATURE_LEN] {
        sign(&self.0, domain, content)
    }
}

impl fmt::Debug for AgentSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentSigningKey(of {})", self.public().to_hex())
    }
}

/// A recovery kit's word that a signing key belongs to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Certificate {
    #[cbor(n(0), with = "minicbor::bytes")]
    agent: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    key: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    signature: [u8; SIGNATURE_LEN],
}

impl Certificate {
    /// Certifies an agent's key by the kit's.
    #[must_use]
    pub fn issue(agent: AgentId, key: &AgentPublicKey, kit: &RecoverySecret) -> Self {
        let agent = *agent.as_uuid().as_bytes();
        let signature = sign(kit.certifying(), CERTIFICATE, &subject(&agent, key.as_bytes()));
        Self {
            agent,
            key: *key.as_bytes(),
            signature,
        }
    }

    /// Checks that it is about this agent and key, and by this recovery key.
    ///
    /// # Errors
    /// When it is about another or the signature does not verify.
    pub fn verify(
        &self,
        agent: AgentId,
        key: &AgentPublicKey,
        by: &RecoveryPublicKey,
    ) -> Result<(), IdentityError> {
        if Uuid::from_bytes(self.agent) != agent.as_uuid() || self.key != *key.as_bytes() {
            return Err(IdentityError::OtherSubject);
        }
        verify(
            by.certifying(),
            CERTIFICATE,
            &subject(&self.agent, &self.key),
            &self.signature,
            "agent certificate",
        )
    }

    /// The stored form, for a server or an agent to keep.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads the stored form; [`Certificate::verify`] it before use.
    ///
    /// # Errors
    /// When the bytes are not a certificate.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, wire::WireError> {
        wire::decode(bytes, "agent certificate")
    }
}

fn subject(agent: &[u8; 16], key: &[u8; 32]) -> Vec<u8> {
    [agent.as_slice(), key.as_slice()].concat()
}

/// Signs `domain`, a zero byte and the BLAKE3 of `content`: a signature for one purpose never fits another.
pub(crate) fn sign(key: &SigningKey, domain: &str, content: &[u8]) -> [u8; SIGNATURE_LEN] {
    key.sign(&message(domain, content)).to_bytes()
}

pub(crate) fn verify(
    key: &VerifyingKey,
    domain: &str,
    content: &[u8],
    signature: &[u8],
    what: &'static str,
) -> Result<(), IdentityError> {
    let bad = IdentityError::BadSignature { what };
    let Ok(signature) = Signature::from_slice(signature) else {
        return Err(bad);
    };
    key.verify_strict(&message(domain, content), &signature)
        .map_err(|_| bad)
}

fn message(domain: &str, content: &[u8]) -> Vec<u8> {
    [domain.as_bytes(), &[0], blake3::hash(content).as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery::RecoverySeed;

    #[test]
    fn a_certificate_fits_one_agent_key_and_kit() {
        let agent = AgentId::from_uuid(Uuid::from_u128(1));
        let key = AgentSigningKey::from_seed([1; 32]).public();
        let kit = RecoverySeed::from_bytes([2; 32]).secret();
        let certificate = Certificate::issue(agent, &key, &kit);
        let read = Certificate::from_bytes(&certificate.to_bytes()).unwrap();
        assert_eq!(read.verify(agent, &key, kit.public()), Ok(()));

        let other_kit = RecoverySeed::from_bytes([3; 32]).secret();
        assert!(read.verify(agent, &key, other_kit.public()).is_err());
        let other_agent = AgentId::from_uuid(Uuid::from_u128(2));
        assert_eq!(
            read.verify(other_agent, &key, kit.public()),
            Err(IdentityError::OtherSubject)
        );
        let other_key = AgentSigningKey::from_seed([4; 32]).public();
        assert_eq!(
            read.verify(agent, &other_key, kit.public()),
            Err(IdentityError::OtherSubject)
        );
    }

    #[test]
    fn keys_have_one_spelling() {
        let key = AgentSigningKey::from_seed([1; 32]).public();
        assert_eq!(AgentPublicKey::from_hex(&key.to_hex()), Ok(key));
        assert!(AgentPublicKey::from_hex(&key.to_hex().to_uppercase()).is_err());
        assert!(
            AgentPublicKey::from_hex(&"0".repeat(64)).is_err(),
            "the neutral point is weak"
        );
    }
}
