//! A snapshot through the server, for a restore or a verification: from the server's answer to a snapshot that is known to be the one
//! that was asked for.

use std::sync::Arc;

use repository::{
    commit::CommitVerifyingKey,
    manifest::{self, MAX_MANIFEST_BYTES, ManifestHeader},
    recovery::{Fingerprint, RecoverySecret},
};
use shared::{
    api::agent::{RestorePurpose, RestoreRequest, RestoreWork},
    ids::SnapshotId,
    object::{ObjectKind, ObjectRef},
};
use tokio::runtime::Handle;

use super::{
    error::SnapshotError,
    origin::{Expected, Named, Origin},
    remote::Remote,
    trust::Trust,
};
use crate::{
    client::Client,
    enroll,
    progress::{Event, Observer},
    state::State,
    store::{ObjectSource, ReadError},
};

/// No commit record is larger.
const MAX_RECORD_BYTES: u64 = ObjectKind::Commit.max_bytes() as u64;

/// What a restore or a verification through the server works with.
pub(crate) struct Served {
    pub(crate) source: Remote,
    asked: SnapshotId,
    pub(crate) work: RestoreWork,
    trust: Trust,
    fingerprint: Fingerprint,
    observer: Arc<dyn Observer>,
}

/// A manifest that is the one that was asked for.
pub(crate) struct Chosen {
    pub(crate) bytes: Vec<u8>,
    pub(crate) header: ManifestHeader,
    /// What does not hold as it should, and does not keep the restore from going on.
    pub(crate) notes: Vec<String>,
}

impl Served {
    /// Asks the server for a snapshot whose restore somebody has allowed. With a kit, it must be the backup set's.
    ///
    /// # Errors
    /// When the kit is another set's, or the server refuses or does not answer.
    pub(crate) async fn open(
        state: &State,
        client: &Client,
        asked: SnapshotId,
        secret: Option<&RecoverySecret>,
        commit_key: Option<CommitVerifyingKey>,
        purpose: RestorePurpose,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, SnapshotError> {
        let config = state.config();
        let expected = config.fingerprint;
        if let Some(kit) = secret.map(|secret| secret.public().fingerprint())
            && kit != expected
        {
            return Err(SnapshotError::WrongKit { kit, expected });
        }
        let trust = Trust {
            agent_id: config.agent_id,
            key: state.signing_key()?.public(),
            recovery: secret.map(|secret| secret.public().clone()),
            commit_key: commit_key.or(config.commit_key),
        };
        let work = client
            .start_restore(&RestoreRequest {
                snapshot_id: asked,
                purpose,
            })
            .await?;
        let source_id = work.snapshot.source_id;
        Ok(Self {
            source: Remote::new(
                client.clone(),
                Handle::current(),
                work.restore_id,
                source_id,
                trust.clone(),
            ),
            asked,
            work,
            trust,
            fingerprint: expected,
            observer,
        })
    }

    /// The manifest of the snapshot that was asked for. Where it comes from is shown before it is compared.
    pub(crate) fn choose(
        &self,
        secret: Option<&RecoverySecret>,
        expected: &Expected,
    ) -> Result<Chosen, SnapshotError> {
        enroll::pinned_key(&self.work.backup_set, self.fingerprint)?;
        let work = &self.work;
        let bytes = self.small(&work.manifest, ObjectKind::Manifest, MAX_MANIFEST_BYTES as u64)?;
        let header = self.trust.header(&bytes)?;
        let named = match secret {
            Some(secret) => Some(Named::from(&manifest::open_content(&bytes, secret)?)),
            None => None,
        };
        let origin = Origin::new(&work.manifest, &header, named);
        self.observer.event(&Event::Origin(origin.clone()));
        expected.check(&origin)?;
        let says = (work.snapshot.id, work.snapshot.source_id, work.snapshot.seq);
        if says != (self.asked, header.source_id, header.seq()) {
            return Err(SnapshotError::OtherSnapshot);
        }
        let notes = self.bound(&header, expected)?;
        Ok(Chosen { bytes, header, notes })
    }

    /// Checks what binds the id to the manifest.
    fn bound(&self, header: &ManifestHeader, expected: &Expected) -> Result<Vec<String>, SnapshotError> {
        let read = match &self.work.record {
            Some(record) => self.small(record, ObjectKind::Commit, MAX_RECORD_BYTES),
            None => Err(ReadError::Storage {
                object: self.work.manifest.hash,
                status: 404,
                code: String::new(),
            }),
        };
        let record = match read {
            Ok(record) => record,
            // The server does not answer: that is not said of the record.
            Err(error @ (ReadError::Client(_) | ReadError::Bucket(_))) => return Err(error.into()),
            Err(error) => {
                let why = match error {
                    ReadError::Storage { status: 404, .. } => "it is gone".to_owned(),
                    error => error.to_string(),
                };
                if expected.seq.is_none() {
                    return Err(SnapshotError::NoRecord { why });
                }
                return Ok(vec![format!(
                    "the snapshot's commit record cannot be had ({why}): it was chosen by its number"
                )]);
            }
        };
        let is_verified = self
            .trust
            .record(&record, self.asked, &self.work.manifest, header)?;
        let note = "this endpoint was enrolled before servers handed out their key for commit records: that the snapshot \
                    is the one of this id, only the server says";
        Ok(if is_verified {
            Vec::new()
        } else {
            vec![note.to_owned()]
        })
    }

    /// Reads an object that only the server has named.
    fn small(&self, object: &ObjectRef, kind: ObjectKind, limit_bytes: u64) -> Result<Vec<u8>, ReadError> {
        if object.kind != kind || object.size_bytes > limit_bytes {
            let (object, size) = (object.hash, object.size_bytes);
            let what = format!("the server says that it has {size} bytes, or is something else");
            return Err(ReadError::Wrong { object, what });
        }
        self.source.read(object, None)
    }
}
