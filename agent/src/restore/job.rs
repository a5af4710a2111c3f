//! A restore or a verification through the server: from the server's answer to a snapshot that is known to be the one
//! that was asked for.

use std::sync::Arc;

use repository::{
    manifest::{self, MAX_MANIFEST_BYTES, ManifestHeader},
    recovery::{Fingerprint, RecoverySecret},
};
use shared::{
    api::agent::RestoreWork,
    ids::SnapshotId,
    object::{ObjectKind, ObjectRef},
};

use super::{
    Expected, Named, Origin, Outcome, Request, RestoreError, Snapshot, remote::Remote, restore_from,
    trust::Trust,
};
use crate::{
    enroll,
    progress::{Event, Observer, RestoreCounters},
    store::{ObjectSource, ReadError},
    verify::{self, Depth, Report},
};

/// No commit record is larger.
const MAX_RECORD_BYTES: u64 = ObjectKind::Commit.max_bytes() as u64;

/// What a restore or a verification through the server works with.
pub(super) struct Job {
    pub(super) source: Remote,
    pub(super) asked: SnapshotId,
    pub(super) work: RestoreWork,
    pub(super) trust: Trust,
    pub(super) fingerprint: Fingerprint,
    pub(super) observer: Arc<dyn Observer>,
}

/// A manifest that is the one that was asked for.
struct Chosen {
    bytes: Vec<u8>,
    header: ManifestHeader,
    /// What does not hold as it should, and does not keep the restore from going on.
    notes: Vec<String>,
}

impl Job {
    pub(super) fn restore(
        self,
        secret: &RecoverySecret,
        request: &Request,
        counters: &RestoreCounters,
    ) -> Result<Outcome, RestoreError> {
        let chosen = self.choose(Some(secret), &request.expected)?;
        let snapshot = Snapshot::open(&self.source, &chosen.bytes, &chosen.header, secret)?;
        let mut outcome = restore_from(
            &self.source,
            &snapshot,
            secret,
            &request.paths,
            &request.order,
            counters,
        )?;
        outcome.notes.splice(0..0, chosen.notes);
        Ok(outcome)
    }

    pub(super) fn verify(
        self,
        secret: Option<&RecoverySecret>,
        expected: &Expected,
        depth: Depth,
    ) -> Result<Report, RestoreError> {
        let chosen = self.choose(secret, expected)?;
        verify::verify_snapshot(
            &self.source,
            self.work.manifest,
            &chosen.bytes,
            chosen.header,
            secret,
            depth,
        )
    }

    /// The manifest of the snapshot that was asked for. Where it comes from is shown before it is compared.
    fn choose(&self, secret: Option<&RecoverySecret>, expected: &Expected) -> Result<Chosen, RestoreError> {
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
            return Err(RestoreError::OtherSnapshot);
        }
        let notes = self.bound(&header, expected)?;
        Ok(Chosen { bytes, header, notes })
    }

    /// Checks what binds the id to the manifest.
    fn bound(&self, header: &ManifestHeader, expected: &Expected) -> Result<Vec<String>, RestoreError> {
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
                    return Err(RestoreError::NoRecord { why });
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
