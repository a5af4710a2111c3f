//! The manifest: one snapshot. A plaintext header that the server checks and that leads to every object the snapshot
//! needs, a part sealed to the recovery key with everything that tells names, and the agent's signature over both.
//!
//! ```text
//! frame with header | length, u32 big-endian | sealed part, CBOR | Ed25519 signature, 64 bytes
//! ```

mod content;
mod error;
mod header;
mod warning;

pub use content::{MAX_INDEX_PAGES, ManifestContent, NameIndex, Root, WarningList};
pub(crate) use content::{are_version_1, decode_content};
pub use error::ManifestError;
pub(crate) use header::WireHeader;
pub use header::{ManifestHeader, ManifestParent};
pub(crate) use warning::encode_warning_page;
pub use warning::{
    ListedWarning, MAX_DETAIL_BYTES, MAX_WARNING_BYTES, MAX_WARNING_PAGES, MAX_WARNINGS, Warning,
    WarningKind, decode_warning_page, encode_warnings,
};

use jiff::Timestamp;
use rand_core::CryptoRng;
use shared::{
    api::agent::SnapshotTotals,
    ids::{AgentId, RunId, SourceId},
    object::{ObjectKind, ObjectRef},
};
use zeroize::Zeroizing;

use crate::{
    gcm::TAG_LEN,
    hedge::Hedge,
    identity::{AgentPublicKey, AgentSigningKey, Certificate},
    object_list::{self, ListError, ObjectList},
    padding::padme,
    recovery::{RecoveryPublicKey, RecoverySecret},
    seal::Sealed,
    wire::{self, SIGNATURE_LEN, WireError},
};

/// No manifest is larger: a reader refuses one that is.
pub const MAX_MANIFEST_BYTES: usize = ObjectKind::Manifest.max_bytes();
/// No manifest's header is larger: enough for the pages of a list of a hundred million objects.
const MAX_HEADER_BYTES: usize = 1024 * 1024;

const DOMAIN: &str = "holdfast v1 manifest";
const HEDGE: &str = "holdfast v1 manifest randomness";
const INFO: &[u8] = b"holdfast v1 manifest sealed part";

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
    /// Every pack, tree pack and index segment that the snapshot needs, in any order.
    pub objects: Vec<ObjectRef>,
    /// The list of them; its pages are stored.
    pub list: ObjectList,
    /// The kit's word for the agent's key.
    pub certificate: Option<Certificate>,
    /// What only the kit opens.
    pub content: ManifestContent,
}

impl NewManifest {
    // Promise: P6
    /// Seals the content, signs.
    ///
    /// # Errors
    /// When the list is not that of the objects, or the recovery key is unusable.
    pub fn seal(
        self,
        recovery: &RecoveryPublicKey,
        key: &AgentSigningKey,
        rng: &mut impl CryptoRng,
    ) -> Result<(ObjectRef, Vec<u8>), ManifestError> {
        // A reader would find it, too late.
        if !self.list.accounts_for(&self.objects) {
            return Err(ListError::WrongRoot.into());
        }
        let header = ManifestHeader {
            agent_id: self.agent_id,
            source_id: self.source_id,
            run_id: self.run_id,
            parent: self.parent,
            created_at: self.created_at,
            totals: self.totals,
            recovery: recovery.fingerprint(),
            version: self.content.version(),
            further: None,
            objects_root: object_list::root(self.objects.iter().chain(self.list.pages())),
            list: self.list,
            signer: key.public(),
            certificate: self.certificate,
        };
        let version = header.version;
        let header = wire::encode(&WireHeader::from(&header));
        let mut bytes = wire::frame_of(ObjectKind::Manifest, version, &header);

        let content = Zeroizing::new(self.content.encode());
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

/// Reads the header and verifies that `signing_key` signed the manifest. The object list is in order then; whether it
/// comes to what the root stands for is seen when its pages are read.
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
    let header = read_header(bytes)?;
    let parts = split(bytes)?;
    header
        .signer
        .verify(DOMAIN, parts.signed, parts.signature, "manifest")?;
    Ok(header)
}

/// Reads the header without verifying anything.
pub(crate) fn read_header(bytes: &[u8]) -> Result<ManifestHeader, ManifestError> {
    let header: WireHeader = wire::decode(split(bytes)?.header, "manifest header")?;
    header.read(wire::version_of(bytes))
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
    decode_content(content, wire::version_of(bytes))
}

struct Parts<'a> {
    frame: &'a [u8],
    header: &'a [u8],
    sealed: &'a [u8],
    signed: &'a [u8],
    signature: &'a [u8],
}

fn split(bytes: &[u8]) -> Result<Parts<'_>, WireError> {
    let (header, rest, offset) = wire::unframe(ObjectKind::Manifest, bytes, MAX_HEADER_BYTES)?;
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

#[cfg(test)]
mod tests;
