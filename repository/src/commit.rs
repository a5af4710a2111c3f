//! The commit record: what makes a snapshot count. Written by the server, signed, read by whoever rebuilds a
//! ledger or restores without a server.

use std::fmt;

use ed25519_dalek::{SigningKey, VerifyingKey};
use jiff::Timestamp;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use shared::{
    ids::{RunId, SnapshotId, SourceId},
    object::{ObjectHash, ObjectKind, ObjectRef},
    retention::LockMode,
};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    identity::{self, IdentityError},
    manifest::ManifestHeader,
    seal::hex,
    wire::{self, WireError, WireObject, WireTime},
};

const DOMAIN: &str = "holdfast v1 commit record";
/// A record is a few hundred bytes; tiers may make it a little longer.
pub(crate) const MAX_HEADER: usize = 64 * 1024;

/// Why a commit record does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The bytes are not a commit record.
    #[error("commit record: {0}")]
    Wire(#[from] WireError),
    /// The signature is not by this key.
    #[error(transparent)]
    Signature(#[from] IdentityError),
    /// The manifest beside it is not the one that it makes count.
    #[error("the commit record is not of this manifest: they name different {what}")]
    OtherManifest {
        /// What differs.
        what: &'static str,
    },
}

/// A longer retention that a snapshot carries because it is the first of its period. Reserved: this version writes
/// none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Tier {
    /// First of its hour.
    #[n(1)]
    Hour,
    /// First of its day.
    #[n(2)]
    Day,
    /// First of its ISO week.
    #[n(3)]
    Week,
    /// First of its month.
    #[n(4)]
    Month,
    /// First of its year.
    #[n(5)]
    Year,
}

/// One snapshot's place in its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRecord {
    /// The source.
    pub source_id: SourceId,
    /// The snapshot.
    pub snapshot_id: SnapshotId,
    /// The run that made it.
    pub run_id: RunId,
    /// Its number: 1, 2, 3 …
    pub seq: u64,
    /// The manifest of the snapshot before; `None` for the first.
    pub parent_manifest: Option<ObjectHash>,
    /// Its manifest.
    pub manifest: ObjectRef,
    /// When the server had the commit.
    pub received_at: Timestamp,
    /// The promise.
    pub protected_until: Timestamp,
    /// The lock mode.
    pub mode: LockMode,
    /// Periods whose first snapshot it is; empty in this version.
    pub tiers: Vec<Tier>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireCommit {
    #[cbor(n(0), with = "minicbor::bytes")]
    source: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    snapshot: [u8; 16],
    #[cbor(n(2), with = "minicbor::bytes")]
    run: [u8; 16],
    #[n(3)]
    seq: u64,
    #[cbor(n(4), with = "minicbor::bytes")]
    parent_manifest: Option<[u8; 32]>,
    #[n(5)]
    manifest: WireObject,
    #[n(6)]
    received_at: WireTime,
    #[n(7)]
    protected_until: WireTime,
    #[n(8)]
    mode: WireMode,
    #[n(9)]
    tiers: Vec<Tier>,
}

#[derive(Encode, Decode)]
#[cbor(index_only)]
enum WireMode {
    #[n(1)]
    Compliance,
    #[n(2)]
    Governance,
}

impl CommitRecord {
    /// The object's bytes.
    #[must_use]
    pub fn sign(&self, key: &CommitSigningKey) -> Vec<u8> {
        let mut bytes = self.frame();
        let signature = identity::sign(&key.0, DOMAIN, &bytes);
        bytes.extend_from_slice(&signature);
        bytes
    }

    /// All but the signature.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let header = wire::encode(&WireCommit {
            source: *self.source_id.as_uuid().as_bytes(),
            snapshot: *self.snapshot_id.as_uuid().as_bytes(),
            run: *self.run_id.as_uuid().as_bytes(),
            seq: self.seq,
            parent_manifest: self.parent_manifest.map(|hash| *hash.as_bytes()),
            manifest: self.manifest.into(),
            received_at: self.received_at.into(),
            protected_until: self.protected_until.into(),
            mode: match self.mode {
                LockMode::Compliance => WireMode::Compliance,
                LockMode::Governance => WireMode::Governance,
            },
            tiers: self.tiers.clone(),
        });
        wire::frame(ObjectKind::Commit, &header)
    }

    /// Reads a record and verifies its signature.
    ///
    /// # Errors
    /// When the bytes are not a record, or not signed by `key`.
    pub fn open(bytes: &[u8], key: &CommitVerifyingKey) -> Result<Self, CommitError> {
        let signed = wire::unframe_signed(ObjectKind::Commit, bytes, MAX_HEADER)?;
        identity::verify(&key.0, DOMAIN, signed.content, signed.signature, "commit record")?;
        Self::read(bytes)
    }

    /// Checks that the record is of the snapshot that this manifest describes; that the manifest has the hash that the
    /// record names is the reader's to check.
    ///
    /// # Errors
    /// When they disagree: one of the two was put in another one's place.
    pub fn leads_to(&self, manifest: &ManifestHeader) -> Result<(), CommitError> {
        let parent = manifest.parent.map(|parent| parent.manifest);
        let what = if self.source_id != manifest.source_id {
            "sources"
        } else if self.run_id != manifest.run_id {
            "runs"
        } else if self.seq != manifest.seq() {
            "numbers"
        } else if self.parent_manifest != parent {
            "parents"
        } else {
            return Ok(());
        };
        Err(CommitError::OtherManifest { what })
    }

    /// Reads a record whose signature nobody can verify: without the server's key it is a hint, and what it leads to must
    /// prove itself.
    ///
    /// # Errors
    /// When the bytes are not a record.
    pub fn read(bytes: &[u8]) -> Result<Self, CommitError> {
        let signed = wire::unframe_signed(ObjectKind::Commit, bytes, MAX_HEADER)?;
        let wire: WireCommit = wire::decode(signed.header, "commit record")?;
        let manifest = ObjectRef::try_from(&wire.manifest)?;
        if manifest.kind != ObjectKind::Manifest || wire.seq == 0 {
            return Err(WireError::Malformed {
                what: "commit record",
            }
            .into());
        }
        Ok(Self {
            source_id: SourceId::from_uuid(Uuid::from_bytes(wire.source)),
            snapshot_id: SnapshotId::from_uuid(Uuid::from_bytes(wire.snapshot)),
            run_id: RunId::from_uuid(Uuid::from_bytes(wire.run)),
            seq: wire.seq,
            parent_manifest: wire.parent_manifest.map(ObjectHash::from_bytes),
            manifest,
            received_at: wire.received_at.try_into()?,
            protected_until: wire.protected_until.try_into()?,
            mode: match wire.mode {
                WireMode::Compliance => LockMode::Compliance,
                WireMode::Governance => LockMode::Governance,
            },
            tiers: wire.tiers,
        })
    }
}

/// The server's key for commit records.
pub struct CommitSigningKey(SigningKey);

impl CommitSigningKey {
    /// From 32 secret bytes.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self(SigningKey::from_bytes(&seed))
    }

    /// The public half.
    #[must_use]
    pub fn verifying_key(&self) -> CommitVerifyingKey {
        CommitVerifyingKey(self.0.verifying_key())
    }
}

impl fmt::Debug for CommitSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommitSigningKey(of {})", self.verifying_key())
    }
}

/// The public half of a [`CommitSigningKey`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CommitVerifyingKey(VerifyingKey);

impl CommitVerifyingKey {
    /// Reads 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_hex(text: &str) -> Result<Self, IdentityError> {
        let bytes = data_encoding::HEXLOWER
            .decode(text.as_bytes())
            .map_err(|_| IdentityError::NotAKey)?;
        let bytes: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| IdentityError::NotAKey)?;
        VerifyingKey::from_bytes(bytes)
            .map(Self)
            .map_err(|_| IdentityError::NotAKey)
    }
}

impl fmt::Display for CommitVerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(self.0.as_bytes()))
    }
}

impl Serialize for CommitVerifyingKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CommitVerifyingKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_hex(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl fmt::Debug for CommitVerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommitVerifyingKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> CommitRecord {
        CommitRecord {
            source_id: SourceId::from_uuid(Uuid::from_u128(1)),
            snapshot_id: SnapshotId::from_uuid(Uuid::from_u128(2)),
            run_id: RunId::from_uuid(Uuid::from_u128(3)),
            seq: 4,
            parent_manifest: Some(ObjectHash::from_bytes([5; 32])),
            manifest: ObjectRef {
                kind: ObjectKind::Manifest,
                hash: ObjectHash::from_bytes([6; 32]),
                size_bytes: 7,
            },
            received_at: "2026-11-23T18:00:00.123456Z".parse().unwrap(),
            protected_until: "2027-02-21T18:00:01Z".parse().unwrap(),
            mode: LockMode::Compliance,
            tiers: vec![],
        }
    }

    #[test]
    fn a_record_reads_back() {
        let key = CommitSigningKey::from_seed([1; 32]);
        for record in [
            record(),
            CommitRecord {
                parent_manifest: None,
                mode: LockMode::Governance,
                tiers: vec![Tier::Day, Tier::Year],
                ..record()
            },
        ] {
            let bytes = record.sign(&key);
            assert_eq!(CommitRecord::open(&bytes, &key.verifying_key()), Ok(record));
        }
        let other = CommitSigningKey::from_seed([2; 32]).verifying_key();
        assert!(CommitRecord::open(&record().sign(&key), &other).is_err());
        let verifying = key.verifying_key();
        assert_eq!(
            CommitVerifyingKey::from_hex(&verifying.to_string()),
            Ok(verifying)
        );
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_found() {
        let key = CommitSigningKey::from_seed([1; 32]);
        let bytes = record().sign(&key);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(
                CommitRecord::open(&changed, &key.verifying_key()).is_err(),
                "byte {at}"
            );
            assert!(
                CommitRecord::open(&bytes[..at], &key.verifying_key()).is_err(),
                "cut at {at}"
            );
        }
        assert!(CommitRecord::open(&[bytes, vec![0]].concat(), &key.verifying_key()).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_do_not_panic(bytes: Vec<u8>) {
            let key = CommitSigningKey::from_seed([1; 32]).verifying_key();
            let framed = [wire::frame(ObjectKind::Commit, &bytes), vec![0; 64]].concat();
            prop_assert!(CommitRecord::open(&bytes, &key).is_err());
            prop_assert!(CommitRecord::open(&framed, &key).is_err());
        }
    }
}
