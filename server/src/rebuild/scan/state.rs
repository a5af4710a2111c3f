//! What reading a source goes by: what is expected, whose word counts, and the listing.

use std::collections::BTreeSet;

use repository::{commit::CommitVerifyingKey, identity::AgentPublicKey, layout, recovery::Fingerprint};
use shared::{api::view::SnapshotState, ids::SourceId, object::ObjectRef};

use crate::{
    rebuild::ledger::Ledger,
    s3::{Bounds, S3Error},
    source_listing::{SetLocation, SourceListing, Version},
};

/// Objects that are read side by side.
pub(super) const PARALLEL: usize = 16;

/// What the ledger expects in the bucket.
pub(in crate::rebuild) struct Expected {
    /// How long the listing may get.
    pub(super) bounds: Bounds,
    /// The numbers of the snapshots whose commit records should be there.
    pub(super) complete: BTreeSet<u64>,
}

impl Expected {
    pub(in crate::rebuild) fn of(ledger: &Ledger) -> Self {
        let complete = ledger.snapshots.iter();
        let complete = complete.filter(|(_, snapshot)| snapshot.state == SnapshotState::Complete);
        Self {
            bounds: match ledger.rows.len() + ledger.spares.len() {
                0 => Bounds::unknown(),
                known => Bounds::expecting(known as u64),
            },
            complete: complete.map(|(seq, _)| *seq).collect(),
        }
    }
}

/// Whose word counts.
#[derive(Clone, Copy)]
pub(in crate::rebuild) struct Trust<'a> {
    /// Keys for commit records.
    pub commit_keys: &'a [CommitVerifyingKey],
    /// Whether a record counts that none of them has signed, if its manifest fits it.
    pub any_commit_key: bool,
    /// The key that the database knows of the source's agent. Without a commit key to go by, nobody else's manifest counts.
    pub signer: Option<AgentPublicKey>,
    /// The recovery key that everything must be sealed to.
    pub recovery: Fingerprint,
}

pub(super) struct Scan<'a> {
    pub(super) location: SetLocation<'a>,
    pub(super) id: SourceId,
    pub(super) trust: Trust<'a>,
    pub(super) listing: &'a SourceListing,
}

impl Scan<'_> {
    pub(super) fn key(&self, object: &ObjectRef) -> String {
        layout::object_key(self.location.prefix, self.id, object.kind, &object.hash)
    }

    pub(super) async fn get(
        &self,
        key: &str,
        version: &Version,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, S3Error> {
        if version.size_bytes > limit {
            return Ok(None);
        }
        match self
            .location
            .store
            .get(self.location.bucket, key, &version.id, limit)
            .await
        {
            Ok(bytes) => Ok(Some(bytes)),
            // Deleted since it was listed.
            Err(S3Error::Refused {
                status: 404 | 405, ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
