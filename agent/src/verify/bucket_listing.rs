//! One source's part of a bucket, listed once, and the questions that the listing answers.

use std::collections::{BTreeMap, HashMap};

use repository::layout;
use shared::{
    ids::SourceId,
    object::{ObjectHash, ObjectKind, ObjectRef},
};

use super::lookup::{Lock, ObjectLookup};
use crate::{
    recover::{Bucket, BucketError, RecoverError, SourceStore, Version},
    snapshot::{Defect, Finding, Subject},
    store::{ObjectSource, ReadError},
};

/// One source's part of a bucket, listed.
pub(super) struct BucketListing<'b> {
    bucket: &'b dyn Bucket,
    store: SourceStore<'b>,
    /// Every version under the key of an object, the earliest first.
    objects: HashMap<(ObjectKind, ObjectHash), Vec<Version>>,
    /// Commit records, by their numbers.
    records: BTreeMap<u64, Vec<Version>>,
    /// What is no object's key.
    foreign: Vec<String>,
}

const KINDS: [ObjectKind; 5] = [
    ObjectKind::Pack,
    ObjectKind::TreePack,
    ObjectKind::Index,
    ObjectKind::Manifest,
    ObjectKind::ListPage,
];

impl<'b> BucketListing<'b> {
    /// Lists everything below the source's prefix.
    pub(super) fn list(bucket: &'b dyn Bucket, prefix: &str, source: SourceId) -> Result<Self, RecoverError> {
        let none = ObjectHash::from_bytes([0; 32]);
        let folders: Vec<(ObjectKind, String)> = KINDS
            .map(|kind| {
                let key = layout::object_key(prefix, source, kind, &none);
                (kind, key[..key.len() - none.to_string().len()].to_owned())
            })
            .into();
        let home = layout::source_prefix(prefix, source);
        let commits = format!("{home}commits/");
        let mut listing = Self {
            bucket,
            store: SourceStore::new(bucket, prefix, source),
            objects: HashMap::new(),
            records: BTreeMap::new(),
            foreign: Vec::new(),
        };
        for version in bucket.versions(&home)? {
            let named = folders.iter().find_map(|(kind, folder)| {
                let hash = version.key.strip_prefix(folder.as_str())?.parse().ok()?;
                Some((*kind, hash))
            });
            let number = || version.key.strip_prefix(&commits)?.parse().ok();
            match (named, number()) {
                (Some(named), _) => listing.objects.entry(named).or_default().push(version),
                (None, Some(number)) => listing.records.entry(number).or_default().push(version),
                (None, None) => listing.foreign.push(version.key),
            }
        }
        for versions in listing.objects.values_mut() {
            // The sort is stable, and listings have the newest first.
            versions.reverse();
            versions.sort_by_key(|version| version.modified);
        }
        listing.foreign.sort_unstable();
        listing.foreign.dedup();
        Ok(listing)
    }

    fn versions(&self, object: &ObjectRef) -> &[Version] {
        self.objects
            .get(&(object.kind, object.hash))
            .map_or(&[], Vec::as_slice)
    }

    /// What is wrong with an object of which only the name is known.
    pub(super) fn diagnose_named(&self, kind: ObjectKind, hash: ObjectHash) -> Result<Defect, ReadError> {
        let versions = self.objects.get(&(kind, hash)).map_or(&[][..], Vec::as_slice);
        let earliest = versions.iter().find(|version| !version.is_marker);
        let size_bytes = earliest.map_or(0, |version| version.size_bytes);
        self.diagnose(&ObjectRef {
            kind,
            hash,
            size_bytes,
        })
    }

    /// What others put into the source's part of the bucket.
    pub(super) fn additions(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self
            .foreign
            .iter()
            .map(|key| Finding::new(Subject::Key { key: key.clone() }, Defect::Foreign))
            .collect();
        let by_name: BTreeMap<_, _> = self.objects.iter().collect();
        let objects = by_name.into_iter().map(|((kind, hash), versions)| {
            let (kind, hash) = (*kind, *hash);
            (Subject::Object { kind, hash }, versions)
        });
        let records = self.records.iter();
        let records = records.map(|(seq, versions)| (Subject::Record { seq: *seq }, versions));
        for (subject, versions) in objects.chain(records) {
            let markers = versions.iter().filter(|version| version.is_marker).count();
            let others = versions.len() - markers;
            if others > 1 {
                let versions = others as u64;
                findings.push(Finding::new(subject.clone(), Defect::Versions { versions }));
            }
            if markers > 0 && others > 0 {
                findings.push(Finding::new(subject, Defect::Hidden));
            }
        }
        findings
    }
}

impl ObjectLookup for BucketListing<'_> {
    fn source(&self) -> &dyn ObjectSource {
        &self.store
    }

    fn is_there(&self, object: &ObjectRef) -> Result<Option<Defect>, ReadError> {
        let mut sizes = self
            .versions(object)
            .iter()
            .filter(|version| !version.is_marker)
            .map(|version| version.size_bytes)
            .peekable();
        if sizes.peek().is_none() {
            return Ok(Some(Defect::Missing));
        }
        if sizes.any(|size| size == object.size_bytes) {
            return Ok(None);
        }
        self.diagnose(object).map(Some)
    }

    fn diagnose(&self, object: &ObjectRef) -> Result<Defect, ReadError> {
        let mut defect = Defect::Missing;
        for version in self.versions(object).iter().filter(|version| !version.is_marker) {
            // Whoever writes to the bucket may have put any length there, and a listing may say any.
            let limit = version.size_bytes.min(layout::max_object_bytes(object.kind));
            let content = match self
                .bucket
                .get(&version.key, Some(&version.version_id), None, limit)
            {
                Err(BucketError::TooLong { .. }) if version.size_bytes == object.size_bytes => {
                    defect = Defect::Changed;
                    continue;
                }
                Err(BucketError::TooLong { .. }) => {
                    defect = defect.or_resized(object.size_bytes, version.size_bytes);
                    continue;
                }
                content => content?.unwrap_or_default(),
            };
            let hash = repository::hash(&content);
            let other = KINDS
                .into_iter()
                .find(|kind| self.objects.contains_key(&(*kind, hash)));
            if let Some(kind) = other.filter(|_| hash != object.hash) {
                return Ok(Defect::Swapped { kind, hash });
            }
            let found_bytes = content.len() as u64;
            if found_bytes == object.size_bytes {
                defect = Defect::Changed;
            } else {
                defect = defect.or_resized(object.size_bytes, found_bytes);
            }
        }
        Ok(defect)
    }

    fn remains(&self, object: &ObjectRef) -> Option<Vec<u8>> {
        let version = self.versions(object).iter().find(|version| !version.is_marker)?;
        self.bucket
            .get(
                &version.key,
                Some(&version.version_id),
                None,
                object.size_bytes.min(layout::max_object_bytes(object.kind)),
            )
            .ok()?
    }

    fn is_ambiguous(&self, object: &ObjectRef) -> bool {
        self.versions(object).len() > 1
    }

    fn lock(&self, object: &ObjectRef) -> Result<Option<Lock>, ReadError> {
        let fits = |version: &&Version| !version.is_marker && version.size_bytes == object.size_bytes;
        let mut best = None;
        for version in self.versions(object).iter().filter(fits) {
            let until = self.bucket.locked_until(&version.key, &version.version_id)?;
            best = Some(match (best, until) {
                (Some(Lock::Until(best)), Some(until)) => Lock::Until(best.max(until)),
                (_, Some(until)) => Lock::Until(until),
                (best, None) => best.unwrap_or(Lock::None),
            });
        }
        Ok(best)
    }
}
