//! Secrets at rest: the master key, what it seals, and hashes of what only needs to be recognised.

mod bearer;
pub mod private_file;

pub use bearer::{Bearer, BearerKey};

use std::{fs, io::ErrorKind, path::Path};

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, PasswordHasher, Version};
use data_encoding::HEXLOWER;
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::random;

/// Why a secret could not be sealed, opened or loaded.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A secret's file can not be read or written.
    #[error("the secret file {path}: {source}")]
    KeyFile {
        /// The file.
        path: String,
        /// What the file system said.
        source: std::io::Error,
    },
    /// The file is not a key.
    #[error(
        "the master key {0} must hold exactly 32 bytes; put the right file back from the server's backup"
    )]
    KeyLength(String),
    /// The sealed text does not open.
    #[error("a sealed secret does not open: the master key is another one, or the row was changed")]
    DoesNotOpen,
    /// A sealed S3 secret opens and is not UTF-8.
    #[error("a sealed S3 secret is not text")]
    NotText,
    /// Argon2 refused.
    #[error("password hashing failed: {0}")]
    Password(String),
}

/// The key that seals secrets in the database. Whoever has the database alone has none of them.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// Wraps a key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// Reads the key's file, or makes one with mode 0600 when there is none.
    ///
    /// # Errors
    /// When the file can not be read or made, or holds no key.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretError> {
        let failed = |source| key_file(path, source);
        match fs::symlink_metadata(path) {
            Ok(_) => Self::load(path),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = Self::new(random::bytes());
                match private_file::create(path, key.0.as_slice()) {
                    // Another process was faster: there is one key.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::load(path),
                    Err(error) => Err(failed(error)),
                    Ok(()) => Ok(key),
                }
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn load(path: &Path) -> Result<Self, SecretError> {
        let bytes = fs::read(path)
            .map(Zeroizing::new)
            .map_err(|source| key_file(path, source))?;
        <[u8; 32]>::try_from(bytes.as_slice())
            .map(Self::new)
            .map_err(|_| SecretError::KeyLength(path.display().to_string()))
    }

    /// A key of its own for one purpose. `context` must be a constant, never reused for another purpose.
    #[must_use]
    pub fn derive(&self, context: &'static str) -> [u8; 32] {
        blake3::derive_key(context, self.0.as_slice())
    }

    /// What a database is bound to the key by. It tells whether a key is the right one, and nothing of it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        HEXLOWER.encode(&self.derive("Holdfast 2026-11 fingerprint of the master key"))
    }

    /// The password of the restricted database role: hexadecimal digits.
    #[must_use]
    pub fn database_password(&self) -> Zeroizing<String> {
        Zeroizing::new(
            HEXLOWER.encode(&self.derive("Holdfast 2026-11 password of the restricted database role")),
        )
    }

    /// Seals a secret, bound to the tenant and the row that it belongs to: AES-256-GCM, a random nonce in
    /// front. A sealed text that is copied into another row does not open there.
    ///
    /// # Errors
    /// Never in practice: AES-GCM refuses only texts of gigabytes.
    pub fn seal(&self, tenant: Uuid, row: Uuid, secret: &[u8]) -> Result<Vec<u8>, SecretError> {
        let nonce = random::bytes::<12>();
        let payload = Payload {
            msg: secret,
            aad: &binding(tenant, row),
        };
        let sealed = self
            .cipher()
            .encrypt(&nonce.into(), payload)
            .map_err(|_| SecretError::DoesNotOpen)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`seal`](Self::seal) made.
    ///
    /// # Errors
    /// When the key, the tenant or the row is another one, or a bit was changed.
    pub fn open(&self, tenant: Uuid, row: Uuid, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let (nonce, sealed) = sealed.split_first_chunk::<12>().ok_or(SecretError::DoesNotOpen)?;
        let payload = Payload {
            msg: sealed,
            aad: &binding(tenant, row),
        };
        self.cipher()
            .decrypt(&(*nonce).into(), payload)
            .map(Zeroizing::new)
            .map_err(|_| SecretError::DoesNotOpen)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(
            &self
                .derive("Holdfast 2026-11 sealed secrets of the database")
                .into(),
        )
    }
}

fn binding(tenant: Uuid, row: Uuid) -> [u8; 32] {
    let mut aad = [0; 32];
    aad[..16].copy_from_slice(tenant.as_bytes());
    aad[16..].copy_from_slice(row.as_bytes());
    aad
}

fn key_file(path: &Path, source: std::io::Error) -> SecretError {
    SecretError::KeyFile {
        path: path.display().to_string(),
        source,
    }
}

/// Writes a secret into a file that only this user can read.
///
/// # Errors
/// When the file can not be written.
pub fn write_private(path: &Path, secret: &[u8]) -> Result<(), SecretError> {
    private_file::replace(path, secret).map_err(|source| key_file(path, source))
}

/// Hashes a password with Argon2id and the crate's recommended cost. Slow on purpose: call it off the runtime.
///
/// # Errors
/// When Argon2 refuses the password.
pub fn hash_password(password: &str) -> Result<String, SecretError> {
    Argon2::default()
        .hash_password_with_salt(password.as_bytes(), &random::bytes::<16>())
        .map(|hash| hash.to_string())
        .map_err(|error| SecretError::Password(error.to_string()))
}

/// The most memory that a stored hash may ask for: 64 MiB. More is no hash of ours.
const MOST_BLOCKS: usize = 64 << 10;

/// Whether a password is the one that was hashed; `false` for what is no hash. Slow on purpose: call it off the runtime. `memory`
/// is what Argon2 works in: it grows to what the hash asks for, and is used again by the next call.
#[must_use]
pub fn password_matches(password: &str, stored: &str, memory: &mut Vec<Block>) -> bool {
    hash_again(password, stored, memory).unwrap_or(false)
}

fn hash_again(password: &str, stored: &str, memory: &mut Vec<Block>) -> Option<bool> {
    let stored = PasswordHash::new(stored).ok()?;
    let (salt, expected) = (stored.salt?, stored.hash?);
    let algorithm = Algorithm::try_from(stored.algorithm.as_str()).ok()?;
    let version = stored
        .version
        .map_or(Some(Version::default()), |version| version.try_into().ok())?;
    let params = Params::try_from(&stored).ok()?;
    let blocks = params.block_count();
    if blocks > MOST_BLOCKS {
        return None;
    }
    if memory.len() < blocks {
        memory.resize(blocks, Block::default());
    }
    let mut hash = vec![0; expected.len()];
    Argon2::new(algorithm, version, params)
        .hash_password_into_with_memory(password.as_bytes(), &salt, &mut hash, memory)
        .ok()?;
    Some(hash.ct_eq(expected.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_only_in_its_own_row() {
        let key = MasterKey::new([7; 32]);
        let (tenant, row, other) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let sealed = key.seal(tenant, row, b"s3 secret").unwrap();
        assert_eq!(key.open(tenant, row, &sealed).unwrap().as_slice(), b"s3 secret");
        assert!(key.open(tenant, other, &sealed).is_err());
        assert!(key.open(other, row, &sealed).is_err());
        assert!(MasterKey::new([8; 32]).open(tenant, row, &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(tenant, row, &changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn passwords_are_recognised() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$"));
        let memory = &mut Vec::new();
        assert!(password_matches("correct horse", &hash, memory));
        assert!(!password_matches("wrong horse", &hash, memory));
        assert!(
            password_matches("correct horse", &hash, memory),
            "the memory is used again"
        );
        for none in [
            "",
            "x",
            "$argon2id$v=19$m=19456,t=2,p=1$AAAA",
            "$argon2id$v=19$m=4194304,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(!password_matches("correct horse", none, memory), "{none}");
        }
    }

    #[test]
    fn the_key_file_is_made_once_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let made = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(made.derive("test"), read.derive("test"));
        fs::write(&path, b"short").unwrap();
        assert!(matches!(
            MasterKey::load_or_create(&path),
            Err(SecretError::KeyLength(_))
        ));
    }
}
