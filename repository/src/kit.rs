//! The recovery kit: a file to keep offline, readable by people and by programs, with the seed as 24 words.

use std::fmt;

use bip39::{Language, Mnemonic};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::recovery::{RecoveryKeyError, RecoveryPublicKey, RecoverySecret, RecoverySeed};

const VERSION: u32 = 1;
const ABOUT: &str = "Holdfast recovery kit. Whoever holds the 24 words can read every backup that was sealed to this \
public key; without them nobody can, neither Holdfast's server nor the storage provider. Keep it offline, in two \
places. The words alone suffice: everything else in this file follows from them.";

/// Why a kit does not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KitError {
    /// Not a kit at all.
    #[error("not a recovery kit: {reason}")]
    NotAKit {
        /// What the parser says, without the content.
        reason: String,
    },
    /// A newer kit.
    #[error("the kit has version {0}, this program knows {VERSION}: update it")]
    UnknownVersion(u32),
    /// The words are mistyped.
    #[error("the 24 words are not a valid kit: {reason}")]
    Words {
        /// What is wrong, without the words.
        reason: &'static str,
    },
    /// The words belong to another key than the one printed beside them.
    #[error(
        "the words give the key {from_words}, the kit says {in_kit}: a word is wrong, or the file was changed"
    )]
    Disagrees {
        /// Fingerprint of what the words give.
        from_words: String,
        /// Fingerprint in the file.
        in_kit: String,
    },
    /// The public key in the kit does not read.
    #[error(transparent)]
    PublicKey(#[from] RecoveryKeyError),
}

/// A recovery kit.
pub struct Kit {
    seed: RecoverySeed,
    label: String,
    created_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct KitFile {
    holdfast_recovery_kit: u32,
    about: String,
    label: String,
    created_at: Option<Timestamp>,
    public_key: String,
    fingerprint: String,
    words: String,
}

impl Drop for KitFile {
    fn drop(&mut self) {
        self.words.zeroize();
    }
}

impl Kit {
    /// A kit for a fresh seed. `label` says where it belongs, `created_at` is the maker's clock; both only inform.
    #[must_use]
    pub fn new(seed: RecoverySeed, label: impl Into<String>, created_at: Option<Timestamp>) -> Self {
        Self {
            seed,
            label: label.into(),
            created_at,
        }
    }

    /// From the 24 words alone.
    ///
    /// # Errors
    /// When they are not 24 words of the English BIP 39 list with a right checksum.
    pub fn from_words(words: &str) -> Result<Self, KitError> {
        let words = Zeroizing::new(
            words
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .to_lowercase(),
        );
        let mnemonic =
            Mnemonic::parse_in_normalized(Language::English, &words).map_err(|error| KitError::Words {
                reason: match error {
                    bip39::Error::BadWordCount(_) => "there must be 24",
                    bip39::Error::UnknownWord(_) => "one is not in the BIP 39 word list",
                    bip39::Error::InvalidChecksum => {
                        "the checksum does not match, so one is wrong or out of order"
                    }
                    _ => "they do not parse",
                },
            })?;
        let entropy = Zeroizing::new(mnemonic.to_entropy());
        let seed: [u8; 32] = entropy.as_slice().try_into().map_err(|_| KitError::Words {
            reason: "there must be 24",
        })?;
        Ok(Self::new(RecoverySeed::from_bytes(seed), "", None))
    }

    /// Reads a kit file and checks that its words and its public key belong together.
    ///
    /// # Errors
    /// When it is no kit, too new, or inconsistent.
    pub fn parse(text: &str) -> Result<Self, KitError> {
        let file: KitFile = serde_json::from_str(text).map_err(|error| KitError::NotAKit {
            // Category and place only: serde's message may quote the content.
            reason: format!("line {}, column {}", error.line(), error.column()),
        })?;
        if file.holdfast_recovery_kit != VERSION {
            return Err(KitError::UnknownVersion(file.holdfast_recovery_kit));
        }
        let kit = Self {
            label: file.label.clone(),
            created_at: file.created_at,
            ..Self::from_words(&file.words)?
        };
        let public = kit.secret().public().clone();
        let printed = RecoveryPublicKey::parse(&file.public_key)?;
        if public != printed || public.fingerprint().to_string() != file.fingerprint {
            return Err(KitError::Disagrees {
                from_words: public.fingerprint().to_string(),
                in_kit: file.fingerprint.clone(),
            });
        }
        Ok(kit)
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let public = self.secret().public().clone();
        let file = KitFile {
            holdfast_recovery_kit: VERSION,
            about: ABOUT.to_owned(),
            label: self.label.clone(),
            created_at: self.created_at,
            public_key: public.to_string(),
            fingerprint: public.fingerprint().to_string(),
            words: self.words().to_string(),
        };
        // A struct of strings always serialises.
        let mut text = Zeroizing::new(serde_json::to_string_pretty(&file).unwrap_or_default());
        text.push('\n');
        text
    }

    /// The 24 words.
    #[must_use]
    pub fn words(&self) -> Zeroizing<String> {
        match Mnemonic::from_entropy_in(Language::English, self.seed.as_bytes()) {
            Ok(mnemonic) => Zeroizing::new(mnemonic.to_string()),
            // 32 bytes is one of the lengths that BIP 39 knows.
            Err(never) => unreachable!("{never}"),
        }
    }

    /// The secret keys.
    #[must_use]
    pub fn secret(&self) -> RecoverySecret {
        self.seed.secret()
    }

    /// What its maker called it.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }
}

/// So many words of the list are taken for a kit's: fewer may stand in any sentence.
const TELLING_WORDS: usize = 4;

/// Whether a text holds words of a kit, all of them or some: however they are numbered, spelt in capitals or set apart. For places
/// where only the public key belongs; a public key holds none.
#[must_use]
pub fn holds_secret_words(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let of_the_list = words.filter(|word| {
        let word = Zeroizing::new(word.to_ascii_lowercase());
        Language::English.find_word(&word).is_some()
    });
    of_the_list.take(TELLING_WORDS).count() == TELLING_WORDS
}

impl fmt::Debug for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kit({:?})", self.secret())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kit() -> Kit {
        Kit::new(
            RecoverySeed::from_bytes([7; 32]),
            "Acme",
            "2026-11-23T12:00:00Z".parse().ok(),
        )
    }

    #[test]
    fn a_kit_reads_back() {
        let text = kit().to_text();
        let read = Kit::parse(&text).unwrap();
        assert_eq!(read.secret().public(), kit().secret().public());
        assert_eq!(read.label(), "Acme");
        assert_eq!(*read.to_text(), *text);
        assert_eq!(kit().words().split(' ').count(), 24);
        assert!(!format!("{read:?}").contains(kit().words().as_str()));
    }

    #[test]
    fn words_alone_suffice_however_they_are_typed() {
        let typed = format!("  {}\n", kit().words().to_uppercase().replace(' ', "\n "));
        assert_eq!(
            Kit::from_words(&typed).unwrap().secret().public(),
            kit().secret().public()
        );
    }

    #[test]
    fn secret_words_are_recognised_however_they_are_pasted_and_a_public_key_is_not() {
        let words = kit().words().to_string();
        let numbered: Vec<String> = (1..)
            .zip(words.split(' '))
            .map(|(n, word)| format!("{n}. {word}"))
            .collect();
        let misspelt = words.replacen(' ', "x ", 12);
        let some: Vec<&str> = words.split(' ').take(4).collect();
        for secret in [
            words.to_uppercase(),
            words.replace(' ', "\n"),
            words.replace(' ', ", "),
            numbered.join("\n"),
            misspelt,
            some.join(" "),
            kit().to_text().to_string(),
        ] {
            assert!(holds_secret_words(&secret));
        }
        let key = kit().secret().public().to_string();
        let in_groups: Vec<&str> = key
            .as_bytes()
            .chunks(4)
            .map(|group| std::str::from_utf8(group).unwrap())
            .collect();
        for public in [
            key.as_str(),
            &in_groups.join(" "),
            "",
            "Acme, main office",
            "abandon ability able",
        ] {
            assert!(!holds_secret_words(public), "{public}");
        }
    }

    #[test]
    fn damage_is_named() {
        let text = kit().to_text();
        let other = Kit::new(RecoverySeed::from_bytes([8; 32]), "", None);
        let swapped = text.replace(kit().words().as_str(), &other.words());
        assert!(matches!(Kit::parse(&swapped), Err(KitError::Disagrees { .. })));
        let newer = text.replace("\"holdfast_recovery_kit\": 1", "\"holdfast_recovery_kit\": 2");
        assert!(matches!(Kit::parse(&newer), Err(KitError::UnknownVersion(2))));
        let words = kit().words();
        let (first, rest) = words.split_once(' ').unwrap();
        assert!(matches!(
            Kit::from_words(&format!("{rest} {first}")),
            Err(KitError::Words { .. })
        ));
        assert!(matches!(Kit::from_words(rest), Err(KitError::Words { .. })));
        assert!(matches!(Kit::parse("{}"), Err(KitError::NotAKit { .. })));
    }
}
