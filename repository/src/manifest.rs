//! The manifest: one snapshot. A plaintext header that the server checks and that names every object the snapshot
//! needs, a part sealed to the recovery key with everything that tells names, and the agent's signature over both.
//!
//! ```text
//! frame with header | length, u32 big-endian | sealed part, CBOR | Ed25519 signature, 64 bytes
//! ```

use jiff::Timestamp;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use shared::{
    api::agent::SnapshotTotals,
    ids::{AgentId, RunId, SourceId},
    object::{ObjectHash, ObjectKind, ObjectRef},
};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    chunk::ChunkKey,
    hedge::Hedge,
    identity::{AgentPublicKey, AgentSigningKey, Certificate, IdentityError, SIGNATURE_LEN},
    object_list,
    padding::padme,
    recovery::{Fingerprint, RecoveryPublicKey, RecoverySecret},
    seal::{SealError, Sealed, TAG_LEN},
    tree::Entry,
    wire::{self, WireError, WireObject, WireTime},
};

/// No manifest is larger: a reader refuses one that is. A later version keeps the object list in shared pages.
pub const MAX_MANIFEST_BYTES: usize = 256 * 1024 * 1024;

const DOMAIN: &str = "holdfast v1 manifest";
const HEDGE: &str = "holdfast v1 manifest randomness";
const INFO: &[u8] = b"holdfast v1 manifest sealed part";

/// Why a manifest cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are not a manifest.
    #[error("manifest: {0}")]
    Wire(#[from] WireError),
    /// The signature, the certificate or the key behind them.
    #[error("manifest: {0}")]
    Identity(#[from] IdentityError),
    /// Signed by another key than the one expected.
    #[error("the manifest is signed by another agent key ({found}) than the expected one")]
    OtherSigner {
        /// The key in the manifest.
        found: String,
    },
    /// The sealed part does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A path's entry is not one.
    #[error("manifest: {0}")]
    Tree(#[from] crate::tree::TreeError),
    /// The object list's root is not that of the list.
    #[error("the manifest's object list does not have the root that it states")]
    WrongRoot,
    /// The object list has an object twice, or out of order, or of a kind that does not belong there.
    #[error("the manifest's object list is out of order, repeats an object, or lists a wrong kind")]
    BadObjectList,
}

/// The snapshot that a run built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestParent {
    /// Its number.
    pub seq: u64,
    /// Its manifest.
    pub manifest: ObjectHash,
}

/// What everybody may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHeader {
    /// The agent that wrote it.
    pub agent_id: AgentId,
    /// The source.
    pub source_id: SourceId,
    /// The run.
    pub run_id: RunId,
    /// What the run built on; `None` for the first snapshot.
    pub parent: Option<ManifestParent>,
    /// The endpoint's clock: a label, nothing is planned by it.
    pub created_at: Timestamp,
    /// Totals.
    pub totals: SnapshotTotals,
    /// Whose kit opens the snapshot.
    pub recovery: Fingerprint,
    /// Every pack, tree pack and index segment that the snapshot needs, ascending by hash.
    pub objects: Vec<ObjectRef>,
    /// [`object_list::root`] of `objects`.
    pub objects_root: ObjectHash,
    /// The key that signed it.
    pub signer: AgentPublicKey,
    /// The kit's word for that key, where there is one. Not verified by [`open_header`], which does not know the
    /// recovery key: see [`ManifestHeader::certified`].
    pub certificate: Option<Certificate>,
}

impl ManifestHeader {
    /// Whether the recovery key vouches for the signer: `false` when there is no certificate.
    ///
    /// # Errors
    /// When there is one and it is wrong.
    pub fn certified(&self, by: &RecoveryPublicKey) -> Result<bool, ManifestError> {
        match &self.certificate {
            None => Ok(false),
            Some(certificate) => {
                certificate.verify(self.agent_id, &self.signer, by)?;
                Ok(true)
            }
        }
    }
}

/// A path of the source and what stood there.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Root {
    /// The absolute path.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub path: Vec<u8>,
    /// What stood there. Its name is the path's last part, or `root` for `/`.
    #[n(1)]
    pub entry: Entry,
}

/// What was not backed up whole. Never reuse a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum WarningKind {
    /// It could not be read; it is missing.
    #[n(1)]
    Unreadable,
    /// It was there when its folder was listed and gone when it was to be read.
    #[n(2)]
    Vanished,
    /// It changed while it was read: what is stored may mix old and new.
    #[n(3)]
    ChangedWhileRead,
    /// A device, pipe or socket: not backed up.
    #[n(4)]
    UnsupportedType,
    /// Its extended attributes could not be read; its content is whole.
    #[n(5)]
    MetadataIncomplete,
    /// A path of the source that does not exist.
    #[n(6)]
    PathMissing,
    /// Its listing entry is too large to be stored; it is missing.
    #[n(7)]
    TooLarge,
}

/// One thing that was not backed up whole.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Warning {
    /// Where.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub path: Vec<u8>,
    /// What.
    #[n(1)]
    pub kind: WarningKind,
    /// What the system said.
    #[n(2)]
    pub detail: String,
}

/// What only the recovery kit opens.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ManifestContent {
    /// The source's name.
    #[n(0)]
    pub source_name: String,
    /// The endpoint's host name.
    #[n(1)]
    pub hostname: String,
    /// What was backed up, ascending by path.
    #[n(2)]
    pub roots: Vec<Root>,
    /// What names this source's chunks.
    #[n(3)]
    pub chunk_key: ChunkKey,
    /// What was not backed up whole; the header's totals count all of them.
    #[n(4)]
    pub warnings: Vec<Warning>,
}

/// A manifest to be written.
#[derive(Debug)]
pub struct NewManifest {
    /// The agent.
    pub agent_id: AgentId,
    /// The source.
    pub source_id: SourceId,
    /// The run.
    pub run_id: RunId,
    /// What the run built on.
    pub parent: Option<ManifestParent>,
    /// The endpoint's clock.
    pub created_at: Timestamp,
    /// Totals.
    pub totals: SnapshotTotals,
    /// Every object that the snapshot needs, in any order.
    pub objects: Vec<ObjectRef>,
    /// The kit's word for the agent's key.
    pub certificate: Option<Certificate>,
    /// What only the kit opens.
    pub content: ManifestContent,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireHeader {
    #[cbor(n(0), with = "minicbor::bytes")]
    agent: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    source: [u8; 16],
    #[cbor(n(2), with = "minicbor::bytes")]
    run: [u8; 16],
    #[n(3)]
    parent: Option<WireParent>,
    #[n(4)]
    created_at: WireTime,
    #[n(5)]
    totals: WireTotals,
    #[cbor(n(6), with = "minicbor::bytes")]
    recovery: [u8; 20],
    #[n(7)]
    objects: WireObjects,
    #[cbor(n(8), with = "minicbor::bytes")]
    objects_root: [u8; 32],
    #[cbor(n(9), with = "minicbor::bytes")]
    signer: [u8; 32],
    #[n(10)]
    certificate: Option<Certificate>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct WireParent {
    #[n(0)]
    seq: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    manifest: [u8; 32],
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireTotals {
    #[n(0)]
    files: u64,
    #[n(1)]
    folders: u64,
    #[n(2)]
    bytes: u64,
    #[n(3)]
    bytes_sent: u64,
    #[n(4)]
    warnings: u64,
}

/// Never reuse a number; 1 is reserved for a list in shared pages.
#[derive(Encode, Decode)]
enum WireObjects {
    #[n(0)]
    Inline(#[n(0)] Vec<WireObject>),
}

impl NewManifest {
    /// Sorts the object list, seals the content, signs.
    ///
    /// # Errors
    /// When the object list has an object twice with different sizes or kinds, or the recovery key is unusable.
    pub fn seal(
        mut self,
        recovery: &RecoveryPublicKey,
        key: &AgentSigningKey,
        rng: &mut impl CryptoRng,
    ) -> Result<(ObjectRef, Vec<u8>), ManifestError> {
        self.objects.sort_unstable_by_key(object_list::sort_key);
        self.objects.dedup();
        check_objects(&self.objects)?;
        let header = wire::encode(&WireHeader {
            agent: *self.agent_id.as_uuid().as_bytes(),
            source: *self.source_id.as_uuid().as_bytes(),
            run: *self.run_id.as_uuid().as_bytes(),
            parent: self.parent.map(|parent| WireParent {
                seq: parent.seq,
                manifest: *parent.manifest.as_bytes(),
            }),
            created_at: self.created_at.into(),
            totals: WireTotals {
                files: self.totals.files,
                folders: self.totals.folders,
                bytes: self.totals.bytes,
                bytes_sent: self.totals.bytes_sent,
                warnings: self.totals.warnings,
            },
            recovery: *recovery.fingerprint().as_bytes(),
            objects: WireObjects::Inline(self.objects.iter().copied().map(WireObject::from).collect()),
            objects_root: *object_list::root(&self.objects).as_bytes(),
            signer: *key.public().as_bytes(),
            certificate: self.certificate,
        });
        let mut bytes = wire::frame(ObjectKind::Manifest, &header);

        let content = Zeroizing::new(wire::encode(&self.content));
        let mut hedge = Hedge::new(rng, HEDGE, &[&bytes, &content]);
        let mut plain = Zeroizing::new(Vec::with_capacity(padme(4 + content.len() + TAG_LEN)));
        plain.extend_from_slice(&wire::length(content.len()));
        plain.extend_from_slice(&content);
        let padded = padme(plain.len() + TAG_LEN) - TAG_LEN;
        plain.resize(padded, 0);
        let aad = *blake3::hash(&bytes).as_bytes();
        let sealed = Sealed::seal(
            recovery.short_id(),
            recovery.sealing(),
            INFO,
            &plain,
            &aad,
            &mut hedge,
        )?;
        let sealed = wire::encode(&sealed);
        bytes.extend_from_slice(&wire::length(sealed.len()));
        bytes.extend_from_slice(&sealed);

        let signature = key.sign(DOMAIN, &bytes);
        bytes.extend_from_slice(&signature);
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(WireError::TooLong {
                found: bytes.len() as u64,
                limit: MAX_MANIFEST_BYTES as u64,
            }
            .into());
        }
        let object = ObjectRef {
            kind: ObjectKind::Manifest,
            hash: crate::hash(&bytes),
            size_bytes: bytes.len() as u64,
        };
        Ok((object, bytes))
    }
}

/// Reads the header and verifies that `signing_key` signed the manifest, that the object list is in order and
/// that its root is right.
///
/// # Errors
/// The first thing that is wrong.
pub fn open_header(bytes: &[u8], signing_key: &AgentPublicKey) -> Result<ManifestHeader, ManifestError> {
    let header = open_header_of_any(bytes)?;
    if header.signer != *signing_key {
        return Err(ManifestError::OtherSigner {
            found: header.signer.to_hex(),
        });
    }
    Ok(header)
}

/// Like [`open_header`], with the key that the manifest itself names. That proves that the manifest is whole, not
/// who wrote it: ask [`ManifestHeader::certified`].
///
/// # Errors
/// The first thing that is wrong.
pub fn open_header_of_any(bytes: &[u8]) -> Result<ManifestHeader, ManifestError> {
    let parts = split(bytes)?;
    let wire: WireHeader = wire::decode(parts.header, "manifest header")?;
    let signer = AgentPublicKey::from_bytes(&wire.signer)?;
    signer.verify(DOMAIN, parts.signed, parts.signature, "manifest")?;

    let WireObjects::Inline(objects) = wire.objects;
    let objects = objects
        .iter()
        .map(ObjectRef::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    check_objects(&objects)?;
    let objects_root = object_list::root(&objects);
    if objects_root.as_bytes() != &wire.objects_root {
        return Err(ManifestError::WrongRoot);
    }
    Ok(ManifestHeader {
        agent_id: AgentId::from_uuid(Uuid::from_bytes(wire.agent)),
        source_id: SourceId::from_uuid(Uuid::from_bytes(wire.source)),
        run_id: RunId::from_uuid(Uuid::from_bytes(wire.run)),
        parent: wire.parent.map(|parent| ManifestParent {
            seq: parent.seq,
            manifest: ObjectHash::from_bytes(parent.manifest),
        }),
        created_at: wire.created_at.try_into()?,
        totals: SnapshotTotals {
            files: wire.totals.files,
            folders: wire.totals.folders,
            bytes: wire.totals.bytes,
            bytes_sent: wire.totals.bytes_sent,
            warnings: wire.totals.warnings,
        },
        recovery: Fingerprint::from_bytes(wire.recovery),
        objects,
        objects_root,
        signer,
        certificate: wire.certificate,
    })
}

/// Opens the sealed part. Verify the header first.
///
/// # Errors
/// When it is sealed to another key, or changed.
pub fn open_content(bytes: &[u8], kit: &RecoverySecret) -> Result<ManifestContent, ManifestError> {
    let parts = split(bytes)?;
    let sealed: Sealed = wire::decode(parts.sealed, "manifest sealed part")?;
    let aad = *blake3::hash(parts.frame).as_bytes();
    let wanted = kit.public().short_id();
    let plain = Zeroizing::new(sealed.open(wanted, kit.sealing(), INFO, &aad, "manifest sealed part")?);
    let (len, rest) = wire::take_length(&plain, MAX_MANIFEST_BYTES)?;
    let (content, padding) = rest.split_at_checked(len).ok_or(WireError::Truncated)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(WireError::TrailingBytes.into());
    }
    let content: ManifestContent = wire::decode(content, "manifest sealed part")?;
    content.roots.iter().try_for_each(|root| root.entry.check())?;
    Ok(content)
}

struct Parts<'a> {
    frame: &'a [u8],
    header: &'a [u8],
    sealed: &'a [u8],
    signed: &'a [u8],
    signature: &'a [u8],
}

fn split(bytes: &[u8]) -> Result<Parts<'_>, WireError> {
    let (header, rest, offset) = wire::unframe(ObjectKind::Manifest, bytes, MAX_MANIFEST_BYTES)?;
    let (len, rest) = wire::take_length(rest, MAX_MANIFEST_BYTES)?;
    let (sealed, signature) = rest.split_at_checked(len).ok_or(WireError::Truncated)?;
    if signature.len() > SIGNATURE_LEN {
        return Err(WireError::TrailingBytes);
    }
    let (signed, signature) = wire::split_tail(bytes, SIGNATURE_LEN)?;
    if signed.len() != offset + 4 + sealed.len() {
        return Err(WireError::Truncated);
    }
    Ok(Parts {
        frame: &bytes[..offset],
        header,
        sealed,
        signed,
        signature,
    })
}

/// Strictly ascending by hash, and of kinds that a snapshot lists.
fn check_objects(objects: &[ObjectRef]) -> Result<(), ManifestError> {
    let listed = |object: &ObjectRef| {
        matches!(
            object.kind,
            ObjectKind::Pack | ObjectKind::TreePack | ObjectKind::Index
        )
    };
    if objects.iter().all(listed) && objects.is_sorted_by(|a, b| a.hash < b.hash) {
        Ok(())
    } else {
        Err(ManifestError::BadObjectList)
    }
}

#[cfg(test)]
mod tests;
