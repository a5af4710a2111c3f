//! Bearers at rest: what opens the server by being shown, and the keyed hash under which the database keeps it.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::MasterKey;

/// What is shown. The kind enters the hash, so that one kind's hash is worth nothing in another kind's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// The id in a session's cookie.
    Session,
    /// The id in a session's cookie together with whose session it is and when it ends. Nobody shows it: its hash proves that a
    /// session's row was written by this server.
    SessionOwner,
    /// The secret part of an agent's credential.
    Credential,
    /// The secret part of an enrollment token.
    Enrollment,
    /// What the cookie of a known browser says. It is not stored: the cookie carries its own hash.
    Browser,
    /// An enrollment token's text together with the signing key of who enrolls with it. Nobody shows it: its hash is the secret part
    /// of the credential, the same one however often the same endpoint asks.
    Enrolled,
}

impl Bearer {
    const fn tag(self) -> &'static [u8] {
        match self {
            Self::Session => b"session",
            Self::SessionOwner => b"session's owner",
            Self::Credential => b"credential",
            Self::Enrollment => b"enrollment",
            Self::Browser => b"browser",
            Self::Enrolled => b"enrolled",
        }
    }
}

/// The key of the hashes, derived from the master key. A copy of the database has neither, so that nobody can tell by it
/// whether a guess is right.
#[derive(Clone)]
pub struct BearerKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for BearerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BearerKey(…)")
    }
}

impl BearerKey {
    /// The key of this server.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        Self(Zeroizing::new(
            master.derive("Holdfast 2026-11 keyed hashes of bearers"),
        ))
    }

    /// The hash under which a bearer of full entropy is stored: 32 bytes. Not for passwords.
    #[must_use]
    pub fn hash(&self, kind: Bearer, secret: &str) -> [u8; 32] {
        self.over(kind, &unkeyed(secret))
    }

    /// Compares a presented secret with a stored hash in constant time.
    #[must_use]
    pub fn matches(&self, kind: Bearer, secret: &str, stored: &[u8]) -> bool {
        self.hash(kind, secret).ct_eq(stored).into()
    }

    /// The keyed hash that belongs to an unkeyed one, as servers stored them before there was a key.
    #[must_use]
    pub fn over(&self, kind: Bearer, unkeyed: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(kind.tag()).update(b"\0").update(unkeyed);
        hasher.finalize().into()
    }
}

/// The inner hash. It is what servers stored before there was a key: rows of that time are carried over by
/// [`BearerKey::over`], without their secrets.
fn unkeyed(secret: &str) -> [u8; 32] {
    blake3::derive_key(
        "Holdfast 2026-11 hash of tokens and credentials",
        secret.as_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(of: u8) -> BearerKey {
        BearerKey::new(&MasterKey::new([of; 32]))
    }

    #[test]
    fn a_bearer_is_recognised_under_its_own_key_and_kind_only() {
        let stored = key(1).hash(Bearer::Credential, "abc");
        assert!(key(1).matches(Bearer::Credential, "abc", &stored));
        assert!(!key(1).matches(Bearer::Credential, "abd", &stored));
        assert!(!key(1).matches(Bearer::Enrollment, "abc", &stored));
        assert!(!key(1).matches(Bearer::Session, "abc", &stored));
        assert!(!key(2).matches(Bearer::Credential, "abc", &stored));
        assert!(!key(1).matches(Bearer::Credential, "abc", &[]));
    }

    #[test]
    fn a_hash_of_the_time_before_the_key_is_carried_over() {
        let old = unkeyed("abc");
        assert!(key(1).matches(Bearer::Credential, "abc", &key(1).over(Bearer::Credential, &old)));
        assert!(!key(1).matches(Bearer::Credential, "abc", &old));
    }
}
