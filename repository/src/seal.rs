//! The two seals: HPKE to the recovery key, and AES-256-GCM under a key of one object.

use hpke::{
    Deserializable, OpModeR, OpModeS, Serializable, aead::AesGcm256, kdf::HkdfSha256, kem::X25519HkdfSha256,
    single_shot_open, single_shot_seal_with_rng,
};
use minicbor::{Decode, Encode};

use crate::{
    gcm::{Gcm, TAG_LEN},
    hedge::Hedge,
};

pub(crate) type SealingPublicKey = <X25519HkdfSha256 as hpke::Kem>::PublicKey;
pub(crate) type SealingSecretKey = <X25519HkdfSha256 as hpke::Kem>::PrivateKey;

/// Sealed content that does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key is another one, or the bytes were changed: the two cannot be told apart.
    #[error("{what} does not open: wrong key, or the bytes were changed")]
    DoesNotOpen {
        /// What was to be opened.
        what: &'static str,
    },
    /// Nothing in the object is sealed to this key.
    #[error("sealed to another recovery key ({found}), not to this one ({wanted})")]
    OtherRecipient {
        /// The short id of the key that it is sealed to.
        found: String,
        /// The short id of the key at hand.
        wanted: String,
    },
    /// A public key that no honest holder of a secret has.
    #[error("the public key to seal to is not a usable X25519 key")]
    BadPublicKey,
}

/// A secret sealed to a recovery key by HPKE (RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
/// AES-256-GCM).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct Sealed {
    /// Which key it is sealed to: the first eight bytes of its id.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) recipient: [u8; 8],
    /// The encapsulated key.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) encapsulated: [u8; 32],
    /// The ciphertext with its tag.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) ciphertext: Vec<u8>,
}

impl Sealed {
    /// Seals. The ephemeral key comes from `hedge`, which must bind `plaintext`.
    pub(crate) fn seal(
        recipient: [u8; 8],
        key: &SealingPublicKey,
        info: &[u8],
        plaintext: &[u8],
        aad: &[u8],
        hedge: &mut Hedge,
    ) -> Result<Self, SealError> {
        let (encapsulated, ciphertext) =
            single_shot_seal_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                key,
                info,
                plaintext,
                aad,
                hedge,
            )
            .map_err(|_| SealError::BadPublicKey)?;
        Ok(Self {
            recipient,
            encapsulated: encapsulated.to_bytes().into(),
            ciphertext,
        })
    }

    /// Opens.
    pub(crate) fn open(
        &self,
        recipient: [u8; 8],
        key: &SealingSecretKey,
        info: &[u8],
        aad: &[u8],
        what: &'static str,
    ) -> Result<Vec<u8>, SealError> {
        if self.recipient != recipient {
            return Err(SealError::OtherRecipient {
                found: hex(&self.recipient),
                wanted: hex(&recipient),
            });
        }
        let failed = SealError::DoesNotOpen { what };
        let Ok(encapsulated) = <X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(&self.encapsulated)
        else {
            return Err(failed);
        };
        single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            key,
            &encapsulated,
            info,
            &self.ciphertext,
            aad,
        )
        .map_err(|_| failed)
    }
}

/// AES-256-GCM under the key of one object. Each (role, position) must be used once.
pub(crate) struct ObjectCipher(Gcm);

/// What a segment of an object is. Part of the nonce; never reuse a number.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Role {
    /// A chunk; the position counts them.
    Chunk = 0,
    /// The list of the chunks.
    Footer = 1,
    /// Zeros that hide the exact size.
    Padding = 2,
    /// The only segment of an index segment.
    Index = 3,
    /// An index segment's key, under the agent's key.
    IndexKey = 4,
}

impl ObjectCipher {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Gcm::new(key))
    }

    /// Encrypts in place and gives the tag.
    pub(crate) fn seal(&self, role: Role, position: u32, aad: &[u8], bytes: &mut [u8]) -> [u8; TAG_LEN] {
        match self.0.seal(nonce(role, position), aad, bytes) {
            Some(tag) => tag,
            None => unreachable!("a segment is far below AES-GCM's limit"),
        }
    }

    /// Decrypts `sealed` (ciphertext and tag) in place and gives the plaintext.
    pub(crate) fn open<'a>(
        &self,
        role: Role,
        position: u32,
        aad: &[u8],
        sealed: &'a mut [u8],
        what: &'static str,
    ) -> Result<&'a mut [u8], SealError> {
        let opened = self.0.open(nonce(role, position), aad, sealed);
        opened.ok_or(SealError::DoesNotOpen { what })
    }
}

/// Role, seven zeros, position: distinct for every segment of an object.
pub(crate) fn nonce(role: Role, position: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[0] = role as u8;
    nonce[8..].copy_from_slice(&position.to_be_bytes());
    nonce
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
