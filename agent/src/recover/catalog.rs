//! What a bucket holds: its sources and their snapshots, told by commit records and manifests alone.

use std::collections::{BTreeMap, BTreeSet};

use repository::{
    commit::CommitRecord,
    layout,
    manifest::{self, MAX_MANIFEST_BYTES, ManifestHeader},
};
use shared::{
    ids::SourceId,
    object::{ObjectHash, ObjectKind, ObjectRef},
};

use super::{
    error::RecoverError,
    reading::{FoundSnapshot, FoundSource, READERS, Reading, Vouched},
    records::Records,
    store::SourceStore,
};
use crate::{
    parallel,
    snapshot::{Defect, Finding, Named, SnapshotError, Subject},
    store::{ObjectSource, ReadError},
};

/// A manifest and what reading it gave.
type Read = (ObjectRef, Result<(ManifestHeader, Option<Named>), RecoverError>);

impl Reading<'_> {
    /// The sources below the prefix.
    ///
    /// # Errors
    /// When the bucket cannot be asked.
    pub fn sources(&self) -> Result<Vec<SourceId>, RecoverError> {
        let folders = self.bucket.folders(&format!("{}sources/", self.prefix))?;
        let source = |name: &String| {
            let source: SourceId = format!("src_{name}").parse().ok()?;
            (layout::source_prefix("", source) == format!("sources/{name}/")).then_some(source)
        };
        Ok(folders.iter().filter_map(source).collect())
    }

    /// One source's snapshots.
    ///
    /// # Errors
    /// When the bucket cannot be asked. What is damaged is among the problems.
    pub fn source(&self, id: SourceId) -> Result<FoundSource, RecoverError> {
        let mut problems = Vec::new();
        let records = self.records(id, &mut problems)?;
        let mut snapshots = Vec::new();
        for (manifest, read) in self.manifests(id, &records, &mut problems)? {
            match read.and_then(|(header, named)| self.found(&records, manifest, header, named)) {
                Ok(found) => snapshots.push(found),
                Err(RecoverError::Bucket(error)) => return Err(error.into()),
                Err(error) => problems.push(Finding::object(&manifest, defect(error))),
            }
        }
        // One signer for everything is what an honest source has; whoever forges a manifest is another.
        let signers: BTreeSet<String> = snapshots
            .iter()
            .map(|snapshot| snapshot.header.signer.to_hex())
            .collect();
        if signers.len() == 1 {
            for snapshot in snapshots.iter_mut().filter(|s| s.vouched == Vouched::Nobody) {
                snapshot.vouched = Vouched::OneSigner;
            }
        }
        snapshots.sort_by_key(|snapshot| (snapshot.seq(), snapshot.at()));
        self.what_is_missing(&records, &snapshots, &mut problems);
        let is_lost = |record: &&CommitRecord| {
            let found = |one: &FoundSnapshot| one.manifest.hash == record.manifest.hash;
            !snapshots.iter().any(found)
        };
        let lost = records.values().flatten().filter(is_lost);
        let lost_manifests = lost.map(|record| record.manifest).collect();
        Ok(FoundSource {
            id,
            snapshots,
            problems,
            lost_manifests,
        })
    }

    fn found(
        &self,
        records: &Records,
        manifest: ObjectRef,
        header: ManifestHeader,
        named: Option<Named>,
    ) -> Result<FoundSnapshot, RecoverError> {
        let fits = |record: &&CommitRecord| {
            record.manifest.hash == manifest.hash && record.leads_to(&header).is_ok()
        };
        let is_certified = match self.secret {
            Some(secret) => header.certified(secret.public())?,
            None => false,
        };
        Ok(FoundSnapshot {
            manifest,
            commit: records.values().flatten().find(fits).cloned(),
            vouched: if is_certified {
                Vouched::Kit
            } else if self.signers.contains(&header.signer) {
                Vouched::You
            } else {
                Vouched::Nobody
            },
            named,
            header,
        })
    }

    /// Commit records without their manifests, and manifests without their commit records.
    fn what_is_missing(&self, records: &Records, snapshots: &[FoundSnapshot], problems: &mut Vec<Finding>) {
        for (seq, versions) in records {
            let counts =
                |record: &&CommitRecord| !snapshots.iter().any(|one| one.commit.as_ref() == Some(*record));
            // A record that does not fit beside one that does is somebody's addition.
            let has_one = snapshots
                .iter()
                .any(|one| one.seq() == *seq && one.commit.is_some());
            if let (false, Some(record)) = (has_one, versions.iter().find(counts)) {
                let there = snapshots
                    .iter()
                    .find(|one| one.manifest.hash == record.manifest.hash);
                problems.push(match there {
                    Some(one) => Finding::new(
                        Subject::Record { seq: *seq },
                        Defect::Malformed {
                            error: record
                                .leads_to(&one.header)
                                .err()
                                .map_or_else(String::new, |error| error.to_string()),
                        },
                    ),
                    None => Finding {
                        snapshots: vec![*seq],
                        ..Finding::object(&record.manifest, Defect::Missing)
                    },
                });
            }
        }
        for one in snapshots.iter().filter(|one| one.commit.is_none()) {
            let is_parent = |other: &FoundSnapshot| {
                let parent = other.header.parent.map(|parent| parent.manifest);
                other.commit.is_some() && parent == Some(one.manifest.hash)
            };
            let seq = one.seq();
            let known = problems
                .iter()
                .any(|problem| problem.subject == Subject::Record { seq });
            if snapshots.iter().any(is_parent) && !known {
                // What a committed snapshot builds on was committed.
                problems.push(Finding {
                    snapshots: vec![seq],
                    ..Finding::new(Subject::Record { seq }, Defect::Missing)
                });
            } else if !known {
                problems.push(Finding {
                    snapshots: vec![seq],
                    ..Finding::object(&one.manifest, Defect::Uncommitted)
                });
            }
        }
    }

    /// Every manifest that is listed or that a commit record names: the version that has the hash in its name.
    fn manifests(
        &self,
        source: SourceId,
        records: &Records,
        problems: &mut Vec<Finding>,
    ) -> Result<Vec<Read>, RecoverError> {
        let folder = format!("{}manifests/", layout::source_prefix(self.prefix, source));
        let mut objects: BTreeMap<ObjectHash, BTreeSet<u64>> = BTreeMap::new();
        for version in self.bucket.versions(&folder)? {
            let hash = version
                .key
                .strip_prefix(&folder)
                .and_then(|name| name.parse().ok());
            match hash {
                Some(hash) if !version.is_marker => {
                    // Another size is another content: each is tried.
                    objects.entry(hash).or_default().insert(version.size_bytes);
                }
                Some(_) => {}
                None => {
                    let key = version.key.clone();
                    problems.push(Finding::new(Subject::Key { key }, Defect::Foreign));
                }
            }
        }
        let store = SourceStore::new(self.bucket, self.prefix, source);
        let named = records.values().flatten().map(|record| record.manifest);
        let unlisted: Vec<ObjectRef> = named
            .filter(|manifest| !objects.contains_key(&manifest.hash))
            .map(|manifest| (manifest.hash, manifest))
            .collect::<BTreeMap<_, _>>()
            .into_values()
            .collect();
        let given = parallel::map(READERS, &unlisted, |manifest| {
            (*manifest, self.manifest(source, &store, manifest))
        });
        let objects: Vec<(ObjectHash, BTreeSet<u64>)> = objects.into_iter().collect();
        Ok(parallel::map(READERS, &objects, |(hash, sizes)| {
            let mut result = None;
            for size_bytes in sizes {
                let object = ObjectRef {
                    kind: ObjectKind::Manifest,
                    hash: *hash,
                    size_bytes: *size_bytes,
                };
                let read = self.manifest(source, &store, &object);
                let is_good = read.is_ok();
                result = Some((object, read));
                if is_good {
                    break;
                }
            }
            result
        })
        .into_iter()
        .flatten()
        // What is neither listed nor given is told with its commit record.
        .chain(
            given
                .into_iter()
                .filter(|(_, read)| !read.as_ref().is_err_and(is_missing)),
        )
        .collect())
    }

    fn manifest(
        &self,
        source: SourceId,
        store: &SourceStore<'_>,
        object: &ObjectRef,
    ) -> Result<(ManifestHeader, Option<Named>), RecoverError> {
        if object.size_bytes > MAX_MANIFEST_BYTES as u64 {
            return Err(RecoverError::TooLarge);
        }
        let bytes = store.read(object, None)?;
        let header = manifest::open_header_of_any(&bytes)?;
        if header.source_id != source {
            return Err(RecoverError::OtherSource);
        }
        let named = match self.secret {
            None => None,
            Some(secret) => Some(Named::from(&manifest::open_content(&bytes, secret)?)),
        };
        Ok((header, named))
    }
}

fn is_missing(error: &RecoverError) -> bool {
    matches!(
        error,
        RecoverError::Snapshot(SnapshotError::Read(ReadError::Storage { status: 404, .. }))
    )
}

/// What is known of a manifest that cannot be used.
fn defect(error: RecoverError) -> Defect {
    match error {
        RecoverError::Snapshot(SnapshotError::Read(error)) => match error {
            ReadError::Wrong { .. } => Defect::Changed,
            ReadError::Storage { status: 404, .. } => Defect::Missing,
            error => Defect::Unreadable {
                error: error.to_string(),
            },
        },
        error => Defect::Malformed {
            error: error.to_string(),
        },
    }
}
