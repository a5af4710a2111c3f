//! Whom a restore believes: a manifest is this agent's own or of one that the kit has certified, and the commit record,
//! which says whose id it is, is signed by the server that this endpoint was enrolled with.

use repository::{
    commit::{CommitError, CommitRecord, CommitVerifyingKey},
    identity::AgentPublicKey,
    manifest::{self, ManifestHeader},
    recovery::RecoveryPublicKey,
};
use shared::{
    ids::{AgentId, SnapshotId},
    object::ObjectRef,
};

use super::error::SnapshotError;

/// What there is to believe by.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    /// This agent.
    pub(super) agent_id: AgentId,
    /// Its signing key.
    pub(super) key: AgentPublicKey,
    /// What certifies others, when the kit is there.
    pub(super) recovery: Option<RecoveryPublicKey>,
    /// The server's key for commit records. Agents that were enrolled before it was handed out have none.
    pub(super) commit_key: Option<CommitVerifyingKey>,
}

impl Trust {
    /// Reads the header of a manifest: whatever the server says, nothing that a stranger wrote is put onto this endpoint.
    pub(super) fn header(&self, bytes: &[u8]) -> Result<ManifestHeader, SnapshotError> {
        let header = manifest::open_header_of_any(bytes)?;
        let is_certified = match &self.recovery {
            Some(recovery) => header.certified(recovery)?,
            None => false,
        };
        if !is_certified {
            if header.agent_id != self.agent_id {
                return Err(SnapshotError::UnknownSigner(header.agent_id));
            }
            manifest::open_header(bytes, &self.key)?;
        }
        Ok(header)
    }

    /// Checks that a commit record binds this id to this manifest. Says whether its signature could be verified.
    pub(super) fn record(
        &self,
        bytes: &[u8],
        id: SnapshotId,
        manifest: &ObjectRef,
        header: &ManifestHeader,
    ) -> Result<bool, SnapshotError> {
        let record = match &self.commit_key {
            Some(key) => CommitRecord::open(bytes, key).map_err(|error| match error {
                CommitError::Signature(_) => SnapshotError::OtherCommitKey {
                    pinned: Box::new(*key),
                },
                error => SnapshotError::Record(error),
            })?,
            None => CommitRecord::read(bytes)?,
        };
        if (record.snapshot_id, record.manifest) != (id, *manifest) {
            return Err(SnapshotError::OtherRecord {
                asked: id,
                found: record.snapshot_id,
                seq: record.seq,
            });
        }
        record.leads_to(header)?;
        Ok(self.commit_key.is_some())
    }
}
