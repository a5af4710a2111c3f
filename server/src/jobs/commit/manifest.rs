//! The manifest of a commit: read from the bucket, verified, and compared with what the run, its parent and the request say.

use repository::{
    identity::AgentPublicKey,
    layout,
    manifest::{self, ManifestError, ManifestHeader},
    recovery::Fingerprint,
};
use shared::{
    api::agent::{CommitRequest, SnapshotTotals},
    ids::{AgentId, RunId, SourceId},
    object::{ObjectHash, ObjectKind},
};

use super::{
    failure::{Failure, of_store},
    state::Commit,
};
use crate::db;

impl Commit<'_> {
    /// The manifest as the bucket holds it: signed by this agent, of this run, on this parent.
    pub(super) async fn read_manifest(&self, request: &CommitRequest) -> Result<ManifestHeader, Failure> {
        let tx = self.app.db.tenant(self.scope).await?;
        let rows = db::ledger::find(&tx, self.source.id, &[request.manifest.hash]).await?;
        let parent = db::snapshots::by_seq(&tx, self.source.id, request.parent_seq).await?;
        drop(tx);
        let version = rows.into_iter().find_map(|row| row.lock);
        let version = version.ok_or_else(|| Failure::Run("The manifest is not confirmed.".into()))?;
        let key = layout::object_key(
            &self.set.prefix,
            self.source.id,
            ObjectKind::Manifest,
            &request.manifest.hash,
        );
        let most = manifest::MAX_MANIFEST_BYTES as u64;
        let bytes = self
            .store
            .get(&self.set.bucket, &key, &version.version_id, most)
            .await
            .map_err(|error| of_store("The manifest could not be read", error))?;
        let expected = Expected {
            agent: self.agent.id,
            source: self.source.id,
            run: self.run.id,
            parent: parent.map(|parent| (parent.seq, parent.manifest.hash)),
            recovery: self.set.recovery_key.fingerprint(),
            totals: request.totals,
        };
        match open(&bytes, request.manifest.hash, &self.agent.signing_key, &expected) {
            Ok(header) => Ok(header),
            // Perhaps something between here and the bucket answered in its place.
            Err(error @ Unacceptable::OtherBytes) => Err(Failure::Refused(error.to_string())),
            Err(error) => Err(Failure::Run(error.to_string())),
        }
    }
}

/// What the header of a run's manifest must say.
struct Expected {
    agent: AgentId,
    source: SourceId,
    run: RunId,
    /// Number and manifest of the snapshot that the run builds on.
    parent: Option<(u64, ObjectHash)>,
    recovery: Fingerprint,
    totals: SnapshotTotals,
}

/// Why a manifest does not become a snapshot.
#[derive(Debug, thiserror::Error)]
enum Unacceptable {
    #[error("Not committed: the manifest in the bucket is not the one that was announced.")]
    OtherBytes,
    #[error("Not committed: the manifest is not acceptable: {0}.")]
    Malformed(#[from] ManifestError),
    #[error("Not committed: the manifest belongs to another agent, source or run.")]
    OtherRun,
    #[error("Not committed: the manifest builds on another snapshot.")]
    OtherParent,
    #[error("Not committed: the manifest is sealed to another recovery key.")]
    OtherRecoveryKey,
    #[error("Not committed: the manifest tells other totals than the commit.")]
    OtherTotals,
}

fn open(
    bytes: &[u8],
    hash: ObjectHash,
    signing_key: &AgentPublicKey,
    expected: &Expected,
) -> Result<ManifestHeader, Unacceptable> {
    if repository::hash(bytes) != hash {
        return Err(Unacceptable::OtherBytes);
    }
    let header = manifest::open_header(bytes, signing_key)?;
    compare(&header, expected)?;
    Ok(header)
}

fn compare(header: &ManifestHeader, expected: &Expected) -> Result<(), Unacceptable> {
    let named = header.parent.as_ref().map(|parent| (parent.seq, parent.manifest));
    if (header.agent_id, header.source_id, header.run_id) != (expected.agent, expected.source, expected.run) {
        return Err(Unacceptable::OtherRun);
    }
    if named != expected.parent {
        return Err(Unacceptable::OtherParent);
    }
    if header.recovery != expected.recovery {
        return Err(Unacceptable::OtherRecoveryKey);
    }
    if header.totals != expected.totals {
        return Err(Unacceptable::OtherTotals);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use repository::{
        identity::AgentSigningKey, manifest::ManifestParent, object_list::ObjectList, recovery::RecoverySeed,
    };
    use uuid::Uuid;

    use super::*;

    fn fingerprint(seed: u8) -> Fingerprint {
        RecoverySeed::from_bytes([seed; 32])
            .secret()
            .public()
            .fingerprint()
    }

    fn hash(byte: u8) -> ObjectHash {
        ObjectHash::from_bytes([byte; 32])
    }

    fn expected() -> Expected {
        Expected {
            agent: AgentId::from_uuid(Uuid::from_u128(1)),
            source: SourceId::from_uuid(Uuid::from_u128(2)),
            run: RunId::from_uuid(Uuid::from_u128(3)),
            parent: Some((4, hash(4))),
            recovery: fingerprint(1),
            totals: SnapshotTotals {
                files: 5,
                ..SnapshotTotals::default()
            },
        }
    }

    fn header() -> ManifestHeader {
        let expected = expected();
        ManifestHeader {
            version: 2,
            further: None,
            agent_id: expected.agent,
            source_id: expected.source,
            run_id: expected.run,
            parent: Some(ManifestParent {
                seq: 4,
                manifest: hash(4),
            }),
            created_at: Timestamp::UNIX_EPOCH,
            totals: expected.totals,
            recovery: expected.recovery,
            list: ObjectList::default(),
            objects_root: hash(6),
            signer: AgentSigningKey::from_seed([7; 32]).public(),
            certificate: None,
        }
    }

    #[test]
    fn every_field_of_the_header_must_be_as_the_server_has_it() {
        compare(&header(), &expected()).unwrap();
        let other = Uuid::from_u128(9);
        type Change = fn(&mut ManifestHeader, Uuid);
        let cases: [(&str, Change); 8] = [
            ("another agent", |header, id| {
                header.agent_id = AgentId::from_uuid(id);
            }),
            ("another agent", |header, id| {
                header.source_id = SourceId::from_uuid(id);
            }),
            ("another agent", |header, id| header.run_id = RunId::from_uuid(id)),
            ("another snapshot", |header, _| header.parent = None),
            ("another snapshot", |header, _| {
                header.parent.as_mut().unwrap().seq = 3;
            }),
            ("another snapshot", |header, _| {
                header.parent.as_mut().unwrap().manifest = hash(3);
            }),
            ("another recovery key", |header, _| {
                header.recovery = fingerprint(2);
            }),
            ("other totals", |header, _| header.totals.warnings = 1),
        ];
        for (words, change) in cases {
            let mut header = header();
            change(&mut header, other);
            let error = compare(&header, &expected()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    /// What agents of the first release write, and what today's do.
    #[test]
    fn manifests_of_both_versions_are_read() {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../repository/testdata");
        for (folder, version) in [("v1", 1), ("v2", 2)] {
            let keys = std::fs::read_to_string(golden.join(folder).join("keys.txt")).unwrap();
            let key = keys
                .lines()
                .find_map(|line| line.strip_prefix("agent_signing_key "));
            let key = AgentPublicKey::from_hex(key.unwrap()).unwrap();
            let sources = golden.join(folder).join("bucket/sources");
            let source = std::fs::read_dir(sources)
                .unwrap()
                .next()
                .unwrap()
                .unwrap()
                .path();
            let mut read = 0;
            for file in std::fs::read_dir(source.join("manifests")).unwrap() {
                let bytes = std::fs::read(file.unwrap().path()).unwrap();
                let header = manifest::open_header_of_any(&bytes).unwrap();
                assert_eq!(header.version, version);
                let expected = Expected {
                    agent: header.agent_id,
                    source: header.source_id,
                    run: header.run_id,
                    parent: header.parent.map(|parent| (parent.seq, parent.manifest)),
                    recovery: header.recovery,
                    totals: header.totals,
                };
                open(&bytes, repository::hash(&bytes), &key, &expected).unwrap();
                read += 1;
            }
            assert_eq!(read, 2);
        }
    }

    #[test]
    fn bytes_that_were_not_announced_are_told_apart_from_a_manifest_that_is_wrong() {
        let key = AgentSigningKey::from_seed([7; 32]).public();
        let bytes = b"no manifest";
        let opened = open(bytes, hash(1), &key, &expected());
        assert!(matches!(opened, Err(Unacceptable::OtherBytes)), "{opened:?}");
        let opened = open(bytes, repository::hash(bytes), &key, &expected());
        assert!(matches!(opened, Err(Unacceptable::Malformed(_))), "{opened:?}");
    }
}
