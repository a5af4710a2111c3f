//! The recovery key of a backup set: a 32-byte seed that gives an X25519 pair (what packs are sealed to) and an
//! Ed25519 pair (what certifies agents and signs restore orders). The public half travels to server and agents;
//! the seed stays in the recovery kit.

use std::{fmt, str::FromStr};

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use ed25519_dalek::{SigningKey, VerifyingKey};
use hpke::{Deserializable, Kem, Serializable, kem::X25519HkdfSha256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::seal::{SealingPublicKey, SealingSecretKey};

const SEALING: &str = "holdfast v1 recovery seed to X25519 sealing key";
const CERTIFYING: &str = "holdfast v1 recovery seed to Ed25519 certifying key";
const FINGERPRINT: &str = "holdfast v1 recovery public key fingerprint";
const CHECKSUM: &str = "holdfast v1 recovery public key checksum";
const TEXT_PREFIX: &str = "hfrk1";

/// Why a text is not a recovery public key or a fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryKeyError {
    /// Another form altogether.
    #[error("a recovery public key begins with `{TEXT_PREFIX}` and goes on with 109 letters and digits")]
    Form,
    /// The checksum does not match.
    #[error("the recovery public key is mistyped or cut: its checksum does not match")]
    Checksum,
    /// A half is no usable key.
    #[error("the {half} half of the recovery public key is not a usable key")]
    NotAKey {
        /// Which half.
        half: &'static str,
    },
    /// Not a fingerprint.
    #[error("a fingerprint is eight groups of four letters and digits (A-Z, 2-7)")]
    Fingerprint,
}

/// The public half of a recovery key.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryPublicKey {
    sealing: SealingPublicKey,
    certifying: VerifyingKey,
}

impl RecoveryPublicKey {
    /// Reads the text form `hfrk1…`.
    ///
    /// # Errors
    /// When the text has another form, its checksum does not match, or a half is not a key.
    pub fn parse(text: &str) -> Result<Self, RecoveryKeyError> {
        let body = text
            .trim()
            .strip_prefix(TEXT_PREFIX)
            .ok_or(RecoveryKeyError::Form)?;
        if body.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(RecoveryKeyError::Form);
        }
        let bytes = BASE32_NOPAD
            .decode(body.to_ascii_uppercase().as_bytes())
            .map_err(|_| RecoveryKeyError::Form)?;
        let bytes: [u8; 68] = bytes.try_into().map_err(|_| RecoveryKeyError::Form)?;
        let (key, sum) = bytes.split_at(64);
        if checksum(key) != sum {
            return Err(RecoveryKeyError::Checksum);
        }
        Self::from_halves(&key[..32], &key[32..])
    }

    /// From the two halves as 64 lower-case hexadecimal digits each.
    ///
    /// # Errors
    /// When one is not hexadecimal or not a key.
    pub fn from_hex_parts(sealing: &str, certifying: &str) -> Result<Self, RecoveryKeyError> {
        let decode = |text: &str, half| {
            HEXLOWER
                .decode(text.as_bytes())
                .map_err(|_| RecoveryKeyError::NotAKey { half })
        };
        Self::from_halves(&decode(sealing, "sealing")?, &decode(certifying, "certifying")?)
    }

    fn from_halves(sealing: &[u8], certifying: &[u8]) -> Result<Self, RecoveryKeyError> {
        let bad = |half| RecoveryKeyError::NotAKey { half };
        let certifying: &[u8; 32] = certifying.try_into().map_err(|_| bad("certifying"))?;
        let certifying = VerifyingKey::from_bytes(certifying).map_err(|_| bad("certifying"))?;
        if certifying.is_weak() {
            return Err(bad("certifying"));
        }
        let sealing = SealingPublicKey::from_bytes(sealing).map_err(|_| bad("sealing"))?;
        Ok(Self { sealing, certifying })
    }

    /// The X25519 half as hexadecimal.
    #[must_use]
    pub fn sealing_hex(&self) -> String {
        HEXLOWER.encode(&self.sealing_bytes())
    }

    /// The Ed25519 half as hexadecimal.
    #[must_use]
    pub fn certifying_hex(&self) -> String {
        HEXLOWER.encode(self.certifying.as_bytes())
    }

    /// What people compare.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = blake3::Hasher::new_derive_key(FINGERPRINT);
        hasher
            .update(&self.sealing_bytes())
            .update(self.certifying.as_bytes());
        let mut bytes = [0; 20];
        hasher.finalize_xof().fill(&mut bytes);
        Fingerprint(bytes)
    }

    pub(crate) const fn sealing(&self) -> &SealingPublicKey {
        &self.sealing
    }

    pub(crate) const fn certifying(&self) -> &VerifyingKey {
        &self.certifying
    }

    pub(crate) fn short_id(&self) -> [u8; 8] {
        self.fingerprint().short_id()
    }

    fn sealing_bytes(&self) -> [u8; 32] {
        self.sealing.to_bytes().into()
    }
}

impl fmt::Display for RecoveryPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [self.sealing_bytes(), *self.certifying.as_bytes()].concat();
        bytes.extend_from_slice(&checksum(&bytes));
        write!(
            f,
            "{TEXT_PREFIX}{}",
            BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
        )
    }
}

impl fmt::Debug for RecoveryPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryPublicKey({})", self.fingerprint())
    }
}

impl FromStr for RecoveryPublicKey {
    type Err = RecoveryKeyError;

    fn from_str(text: &str) -> Result<Self, RecoveryKeyError> {
        Self::parse(text)
    }
}

fn checksum(key: &[u8]) -> [u8; 4] {
    let mut sum = [0; 4];
    let mut hasher = blake3::Hasher::new_derive_key(CHECKSUM);
    hasher.update(key);
    hasher.finalize_xof().fill(&mut sum);
    sum
}

/// 160 bits that stand for a recovery public key, in eight groups of four.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 20]);

impl Fingerprint {
    /// The 20 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// From the 20 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    pub(crate) fn short_id(&self) -> [u8; 8] {
        let mut id = [0; 8];
        id.copy_from_slice(&self.0[..8]);
        id
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = BASE32_NOPAD.encode(&self.0);
        for (index, letter) in text.chars().enumerate() {
            if index > 0 && index.is_multiple_of(4) {
                f.write_str("-")?;
            }
            write!(f, "{letter}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = RecoveryKeyError;

    /// Case, spaces and hyphens do not matter: people type it.
    fn from_str(text: &str) -> Result<Self, RecoveryKeyError> {
        let plain: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .map(|c| c.to_ascii_uppercase())
            .collect();
        BASE32_NOPAD
            .decode(plain.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(RecoveryKeyError::Fingerprint)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// The seed: whoever has it can open everything of the backup set.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecoverySeed([u8; 32]);

impl RecoverySeed {
    /// Wraps 32 bytes from the operating system's random source or from a kit.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret keys that the seed stands for.
    #[must_use]
    pub fn secret(&self) -> RecoverySecret {
        let ikm = Zeroizing::new(blake3::derive_key(SEALING, &self.0));
        let (sealing, sealing_public) = X25519HkdfSha256::derive_keypair(ikm.as_ref());
        let certifying_seed = Zeroizing::new(blake3::derive_key(CERTIFYING, &self.0));
        let certifying = SigningKey::from_bytes(&certifying_seed);
        RecoverySecret {
            sealing,
            public: RecoveryPublicKey {
                sealing: sealing_public,
                certifying: certifying.verifying_key(),
            },
            certifying,
        }
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for RecoverySeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoverySeed(secret)")
    }
}

/// Both secret keys. The key types wipe themselves when dropped.
pub struct RecoverySecret {
    sealing: SealingSecretKey,
    certifying: SigningKey,
    public: RecoveryPublicKey,
}

impl RecoverySecret {
    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &RecoveryPublicKey {
        &self.public
    }

    pub(crate) const fn sealing(&self) -> &SealingSecretKey {
        &self.sealing
    }

    pub(crate) const fn certifying(&self) -> &SigningKey {
        &self.certifying
    }
}

impl fmt::Debug for RecoverySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoverySecret(of {})", self.public.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// These texts must never change: they stand in kits that are locked away on paper.
    #[test]
    fn a_seed_gives_the_same_keys_for_ever() {
        let public = RecoverySeed::from_bytes([7; 32]).secret().public().clone();
        assert_eq!(
            public.fingerprint().to_string(),
            GOLDEN_FINGERPRINT,
            "{public} {}",
            public.fingerprint()
        );
        assert_eq!(public.to_string(), GOLDEN_PUBLIC_KEY);
    }

    const GOLDEN_FINGERPRINT: &str = "5JZH-GQ5L-ZG5B-2EQA-FYRY-J6J4-WR7G-UMM7";
    const GOLDEN_PUBLIC_KEY: &str = "hfrk1ogugb6gvq4ocivr265xiod2yfqzsyliamqacz53e2adi6pvyevbui6nr54nnvslknrd25zty3kfcbdma2syzpkgtfyw7m6qtbr3dqhnsnzkyk";

    #[test]
    fn secrets_do_not_print() {
        let seed = RecoverySeed::from_bytes([7; 32]);
        assert_eq!(format!("{seed:?}"), "RecoverySeed(secret)");
        assert!(format!("{:?}", seed.secret()).starts_with("RecoverySecret(of "));
    }

    proptest! {
        #[test]
        fn public_keys_read_back_and_mistyped_ones_do_not(seed: [u8; 32], at in 5usize..114, letter in 0usize..32) {
            let public = RecoverySeed::from_bytes(seed).secret().public().clone();
            let text = public.to_string();
            prop_assert_eq!(text.len(), 114);
            prop_assert_eq!(RecoveryPublicKey::parse(&text), Ok(public.clone()));
            prop_assert_eq!(
                RecoveryPublicKey::from_hex_parts(&public.sealing_hex(), &public.certifying_hex()),
                Ok(public.clone())
            );
            prop_assert_eq!(public.fingerprint().to_string().to_lowercase().parse(), Ok(public.fingerprint()));

            let mut typo = text.clone().into_bytes();
            typo[at] = b"abcdefghijklmnopqrstuvwxyz234567"[letter];
            let typo = String::from_utf8(typo).unwrap();
            prop_assert!(typo == text || RecoveryPublicKey::parse(&typo).is_err());
        }
    }
}
