//! The manifest's header: what everybody may read.

use jiff::Timestamp;
use minicbor::{Decode, Encode};
use shared::{
    api::agent::SnapshotTotals,
    ids::{AgentId, RunId, SourceId},
    object::{ObjectHash, ObjectRef},
};
use uuid::Uuid;

use super::error::ManifestError;
use crate::{
    further::Further,
    identity::{AgentPublicKey, Certificate},
    object_list::{ListError, ObjectList, Replay, WireList},
    recovery::{Fingerprint, RecoveryPublicKey},
    wire::{WireError, WireTime},
};

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
    /// The version of the format that it is written in.
    pub version: u8,
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
    /// What leads to every object that the snapshot needs: see [`ManifestHeader::objects`].
    pub list: ObjectList,
    /// [`object_list::root`] of the packs, tree packs, index segments and list pages that the snapshot needs.
    pub objects_root: ObjectHash,
    /// The key that signed it.
    pub signer: AgentPublicKey,
    /// The kit's word for that key, where there is one. Not verified by [`open_header`], which does not know the
    /// recovery key: see [`ManifestHeader::certified`].
    pub certificate: Option<Certificate>,
    /// What later writers add and readers may pass over.
    pub further: Option<Further>,
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

    /// Checks that the manifest is of this source.
    ///
    /// # Errors
    /// When it is another's.
    pub fn is_of(&self, source: SourceId) -> Result<(), ManifestError> {
        if self.source_id == source {
            Ok(())
        } else {
            Err(ManifestError::OtherSource {
                found: self.source_id,
                expected: source,
            })
        }
    }

    /// The snapshot's number, as far as its writer knew it.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.parent.map_or(0, |parent| parent.seq).saturating_add(1)
    }

    /// Every pack, tree pack, index segment and list page that the snapshot needs, ascending by hash. `read` reads a
    /// page of the list.
    ///
    /// # Errors
    /// When a page cannot be read, or the list is not that of the root.
    pub fn objects<E: From<ListError>>(
        &self,
        mut read: impl FnMut(&ObjectRef) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<ObjectRef>, E> {
        let mut replay = Replay::new(&self.list);
        for page in self.list.pages() {
            replay.page(&read(page)?)?;
        }
        Ok(replay.finish(&self.objects_root)?)
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct WireHeader {
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
    list: WireList,
    #[cbor(n(8), with = "minicbor::bytes")]
    pub(super) objects_root: [u8; 32],
    #[cbor(n(9), with = "minicbor::bytes")]
    signer: [u8; 32],
    #[n(10)]
    certificate: Option<Certificate>,
    /// Not in version 1.
    #[n(11)]
    further: Option<Further>,
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
    /// Absent for none, and in manifests of older agents.
    #[n(5)]
    notes: Option<u64>,
}

impl From<&ManifestHeader> for WireHeader {
    fn from(header: &ManifestHeader) -> Self {
        Self {
            agent: *header.agent_id.as_uuid().as_bytes(),
            source: *header.source_id.as_uuid().as_bytes(),
            run: *header.run_id.as_uuid().as_bytes(),
            parent: header.parent.map(|parent| WireParent {
                seq: parent.seq,
                manifest: *parent.manifest.as_bytes(),
            }),
            created_at: header.created_at.into(),
            totals: WireTotals {
                files: header.totals.files,
                folders: header.totals.folders,
                bytes: header.totals.bytes,
                bytes_sent: header.totals.bytes_sent,
                warnings: header.totals.warnings,
                notes: (header.totals.notes > 0).then_some(header.totals.notes),
            },
            recovery: *header.recovery.as_bytes(),
            list: WireList::from(&header.list),
            objects_root: *header.objects_root.as_bytes(),
            signer: *header.signer.as_bytes(),
            certificate: header.certificate.clone(),
            further: header.further.clone(),
        }
    }
}

impl WireHeader {
    /// What it says in a manifest of this version.
    pub(super) fn read(self, version: u8) -> Result<ManifestHeader, ManifestError> {
        let wire = self;
        let is_sound = wire
            .further
            .as_ref()
            .is_none_or(|further| version > 1 && further.check().is_ok());
        if !is_sound {
            return Err(WireError::NotCanonical {
                what: "manifest header",
            }
            .into());
        }
        Ok(ManifestHeader {
            version,
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
                notes: wire.totals.notes.unwrap_or(0),
            },
            recovery: Fingerprint::from_bytes(wire.recovery),
            list: wire.list.try_into()?,
            objects_root: ObjectHash::from_bytes(wire.objects_root),
            signer: AgentPublicKey::from_bytes(&wire.signer)?,
            certificate: wire.certificate,
            further: wire.further,
        })
    }
}
