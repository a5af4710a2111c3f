//! Recovery with no server and no database: the recovery kit and read access to the bucket are enough.

mod bucket;
mod catalog;
mod credentials;
mod error;
mod reading;
mod records;
mod s3;
mod store;

pub use self::bucket::{Bucket, BucketError, Version};
pub use credentials::{AccessKey, CredentialsError};
pub use error::RecoverError;
pub use reading::{FoundSnapshot, FoundSource, Reading, Vouched};
pub use s3::{Endpoint, S3Bucket};
pub use store::SourceStore;

use repository::{manifest, recovery::RecoverySecret};

use crate::{
    progress::RestoreCounters,
    restore::{Order, Outcome, restore_from},
    snapshot::{ChunkIndex, Snapshot, Tree},
    store::ObjectSource,
};

impl Reading<'_> {
    // Promise: P7
    /// Every source with its snapshots.
    ///
    /// # Errors
    /// When the bucket cannot be asked, or holds nothing of ours.
    pub fn all(&self) -> Result<Vec<FoundSource>, RecoverError> {
        let sources = self.sources()?;
        if sources.is_empty() {
            let prefix = self.prefix.to_owned();
            return Err(RecoverError::Empty { prefix });
        }
        sources.into_iter().map(|source| self.source(source)).collect()
    }

    /// One snapshot. The source is named by its id, its name, or the endpoint's name, and need not be named when there
    /// is one. The snapshot is `latest`, a number, a snapshot's id, or the beginning of its manifest's hash.
    ///
    /// # Errors
    /// When it is not there, or not clear which one is meant or whom to trust.
    pub fn choose(&self, source: Option<&str>, snapshot: &str) -> Result<FoundSnapshot, RecoverError> {
        let source = self.choose_source(source)?;
        let fits = |found: &&FoundSnapshot| match snapshot {
            "latest" => found.commit.is_some(),
            text => {
                found.seq().to_string() == text
                    || found.id().is_some_and(|id| id.to_string() == text)
                    || (text.len() >= 8 && found.manifest.hash.to_string().starts_with(text))
            }
        };
        let mut found: Vec<FoundSnapshot> = source.snapshots.iter().filter(fits).cloned().collect();
        // Those of a signer that is vouched for come before those of a stranger.
        if found.iter().any(|one| one.vouched != Vouched::Nobody) {
            found.retain(|one| one.vouched != Vouched::Nobody);
        }
        if found.iter().any(|one| one.vouched == Vouched::Nobody) {
            let mut signers: Vec<String> = source
                .snapshots
                .iter()
                .map(|one| one.header.signer.to_hex())
                .collect();
            signers.sort_unstable();
            signers.dedup();
            return Err(RecoverError::WhoSigned { signers });
        }
        if snapshot == "latest" {
            let newest = found.into_iter().max_by_key(FoundSnapshot::seq);
            return newest.ok_or_else(|| RecoverError::NoSnapshot(snapshot.to_owned()));
        }
        // A run that broke off and the snapshot after it have the same number: only one of them counts.
        if found.iter().any(|one| one.commit.is_some()) {
            found.retain(|one| one.commit.is_some());
        }
        match found.len() {
            0 => Err(RecoverError::NoSnapshot(snapshot.to_owned())),
            1 => Ok(found.remove(0)),
            _ => Err(RecoverError::WhichSnapshot {
                wanted: snapshot.to_owned(),
                manifests: found.iter().map(|one| one.manifest.hash.to_string()).collect(),
            }),
        }
    }

    fn choose_source(&self, wanted: Option<&str>) -> Result<FoundSource, RecoverError> {
        let sources = self.all()?;
        let ids: Vec<String> = sources.iter().map(|source| source.id.to_string()).collect();
        let fits = |source: &FoundSource| {
            let named = |text: &str| {
                source.id.to_string() == text
                    || source
                        .snapshots
                        .iter()
                        .filter_map(|snapshot| snapshot.named.as_ref())
                        .any(|named| named.source_name == text || named.hostname == text)
            };
            wanted.is_none_or(named)
        };
        let mut found: Vec<FoundSource> = sources.into_iter().filter(fits).collect();
        match found.len() {
            1 => Ok(found.remove(0)),
            count => Err(RecoverError::WhichSource {
                wanted: wanted.unwrap_or("any").to_owned(),
                found: count,
                ids,
            }),
        }
    }

    /// Restores a snapshot, or parts of it.
    ///
    /// # Errors
    /// See [`RestoreError`](crate::restore::RestoreError). Damage is no error: see [`Outcome::losses`].
    pub fn restore(
        &self,
        found: &FoundSnapshot,
        paths: &[Vec<u8>],
        order: &Order,
        counters: &RestoreCounters,
    ) -> Result<Outcome, RecoverError> {
        let secret = self.secret.ok_or(RecoverError::NoKit)?;
        let (store, snapshot) = self.open(found, secret)?;
        Ok(restore_from(&store, &snapshot, secret, paths, order, counters)?)
    }

    /// What is in a snapshot, or in parts of it.
    ///
    /// # Errors
    /// When the bucket cannot be asked, or a path is not in it.
    pub fn contents(&self, found: &FoundSnapshot, paths: &[Vec<u8>]) -> Result<Tree, RecoverError> {
        let secret = self.secret.ok_or(RecoverError::NoKit)?;
        let (store, snapshot) = self.open(found, secret)?;
        let index = ChunkIndex::open(&store, &snapshot, secret)?;
        Ok(Tree::read(&index, &snapshot.content.roots, paths)?)
    }

    fn open(
        &self,
        found: &FoundSnapshot,
        secret: &RecoverySecret,
    ) -> Result<(SourceStore<'_>, Snapshot), RecoverError> {
        let (store, bytes) = self.bytes_of(found)?;
        let header = manifest::open_header_of_any(&bytes)?;
        let snapshot = Snapshot::open(&store, &bytes, &header, secret)?;
        Ok((store, snapshot))
    }

    /// A snapshot's manifest, and where the rest of it is read from.
    pub(crate) fn bytes_of(&self, found: &FoundSnapshot) -> Result<(SourceStore<'_>, Vec<u8>), RecoverError> {
        let store = SourceStore::new(self.bucket, self.prefix, found.header.source_id);
        let bytes = store.read(&found.manifest, None)?;
        Ok((store, bytes))
    }
}
