//! How a bucket is read, and what was found in it.

use jiff::Timestamp;
use repository::{
    commit::{CommitRecord, CommitVerifyingKey},
    identity::AgentPublicKey,
    manifest::ManifestHeader,
    recovery::RecoverySecret,
};
use serde::Serialize;
use shared::{
    ids::{SnapshotId, SourceId},
    object::ObjectRef,
};

use super::bucket::Bucket;
use crate::snapshot::{Finding, Named, Origin};

/// Manifests read at the same time.
pub(super) const READERS: usize = 8;
/// A source in the bucket.
#[derive(Debug)]
pub struct FoundSource {
    /// The source.
    pub id: SourceId,
    /// Its snapshots, by number. Several may have the same number when somebody forged one.
    pub snapshots: Vec<FoundSnapshot>,
    /// Manifests and commit records that are no use.
    pub problems: Vec<Finding>,
    /// Manifests that commit records name, and that are no use.
    pub lost_manifests: Vec<ObjectRef>,
}

/// A snapshot in the bucket.
#[derive(Debug, Clone)]
pub struct FoundSnapshot {
    /// Its manifest.
    pub manifest: ObjectRef,
    /// What everybody may read of it.
    pub header: ManifestHeader,
    /// The commit record that makes it count. Without one it is what a run that broke off left, or the record is lost.
    pub commit: Option<CommitRecord>,
    /// Who vouches for the agent's key that signed it.
    pub vouched: Vouched,
    /// The source's name and the endpoint's, which the kit opens.
    pub named: Option<Named>,
}

/// Who vouches for the key that signed a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Vouched {
    /// The recovery kit, by a certificate.
    Kit,
    /// Whoever recovers, by naming the key.
    You,
    /// Nobody; but every manifest of the source is signed by it.
    OneSigner,
    /// Nobody, and others sign manifests of the source too.
    Nobody,
}

impl FoundSnapshot {
    /// Its number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.header.seq()
    }

    /// Where it comes from, by its manifest.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin::new(&self.manifest, &self.header, self.named.clone())
    }

    /// Its id, which the commit record tells.
    #[must_use]
    pub fn id(&self) -> Option<SnapshotId> {
        self.commit.as_ref().map(|commit| commit.snapshot_id)
    }

    /// Its time: the server's, or else what the endpoint's clock said.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.commit
            .as_ref()
            .map_or(self.header.created_at, |commit| commit.received_at)
    }
}

/// How a bucket is read.
pub struct Reading<'a> {
    /// The bucket.
    pub bucket: &'a dyn Bucket,
    /// The backup set's prefix: empty, or ending with a slash.
    pub prefix: &'a str,
    /// What opens it. Without it there are no names, and nothing can be restored.
    pub secret: Option<&'a RecoverySecret>,
    /// The server's key for commit records, if it is known. Otherwise a record counts when it and its manifest fit.
    pub commit_key: Option<CommitVerifyingKey>,
    /// Agents' keys that whoever recovers vouches for.
    pub signers: &'a [AgentPublicKey],
}
