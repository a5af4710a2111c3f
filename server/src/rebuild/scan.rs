//! Reading one source from the bucket alone: commit records, the manifests that they lead to, and the lists of what each
//! snapshot needs. All of that is readable without any key; what proves it is signatures and hashes.

mod records;
mod state;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    mem,
};

use repository::{
    commit::CommitRecord,
    layout,
    manifest::{self, MAX_MANIFEST_BYTES, ManifestHeader},
    object_list::ListError,
};
use shared::{
    api::agent::SnapshotTotals,
    ids::{RunId, SourceId},
    object::{ObjectHash, ObjectKind, ObjectRef},
};

pub(super) use self::state::{Expected, Trust};
use self::{records::Counted, state::Scan};
use super::report::{Finding, Kind};
use crate::{
    s3::S3Error,
    source_listing::{SetLocation, SourceListing},
};

/// A source as the bucket tells it.
pub(super) struct Found {
    pub id: SourceId,
    /// The header of the newest manifest that is whole.
    pub newest_header: Option<ManifestHeader>,
    /// Every signer of a manifest that counts, with the number of the first such snapshot.
    pub signers: BTreeMap<String, u64>,
    /// The snapshots that commit records make count.
    pub snapshots: BTreeMap<u64, FoundSnapshot>,
    /// What they need, manifests and commit records included.
    pub spans: BTreeMap<ObjectHash, Span>,
    pub listing: SourceListing,
    pub findings: Vec<Finding>,
}

/// A snapshot that a commit record makes count.
pub(super) struct FoundSnapshot {
    pub record: CommitRecord,
    /// What its manifest tells; `None` when the manifest is lost.
    pub totals: Option<SnapshotTotals>,
    /// Why the list of what it needs cannot be read, if it cannot.
    pub unlisted: Option<String>,
}

/// An object, and the snapshots `born ≤ seq < dropped` that need it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub object: ObjectRef,
    /// Where the list of a snapshot cannot be read, it counts as needing what its neighbours need.
    pub born: u64,
    pub dropped: Option<u64>,
    /// The first and the last snapshot whose list has it.
    pub first: u64,
    pub last: u64,
    /// The run of the first.
    pub run: RunId,
}

impl Span {
    pub(super) fn needed_by(&self, seq: u64) -> bool {
        self.born <= seq && self.dropped.is_none_or(|dropped| seq < dropped)
    }

    pub(super) fn key(&self, prefix: &str, source: SourceId) -> String {
        match self.object.kind {
            ObjectKind::Commit => layout::commit_key(prefix, source, self.born),
            kind => layout::object_key(prefix, source, kind, &self.object.hash),
        }
    }
}

// Promise: P7
/// Reads a source.
///
/// # Errors
/// When the bucket cannot be asked. What is damaged is among the findings.
pub(super) async fn source(
    location: SetLocation<'_>,
    id: SourceId,
    trust: Trust<'_>,
    expected: &Expected,
) -> Result<Found, S3Error> {
    let listing = location.list_source(id, expected.bounds).await?;
    let scan = Scan {
        location,
        id,
        trust,
        listing: &listing,
    };
    let mut findings = Vec::new();
    let mut records = scan.records(expected, &mut findings).await?;
    let mut spans = Spans::default();
    let mut pages = HashMap::new();
    let mut snapshots = BTreeMap::new();
    let mut signers = BTreeMap::new();
    let mut newest_header = None;
    for (seq, candidates) in &mut records {
        let chosen = scan.choose(mem::take(candidates), &mut findings).await?;
        let Some((record, object, header)) = chosen else {
            continue;
        };
        let list = match &header {
            None => Err("its manifest is not in the bucket".to_owned()),
            Some(header) => scan
                .list(header, &mut pages)
                .await?
                .map_err(|error| error.to_string()),
        };
        spans.snapshot(*seq, record.run_id, list.as_deref().ok());
        spans.alone(record.manifest, *seq, record.run_id);
        spans.alone(object, *seq, record.run_id);
        snapshots.insert(
            *seq,
            FoundSnapshot {
                record,
                totals: header.as_ref().map(|header| header.totals),
                unlisted: list.err(),
            },
        );
        if let Some(header) = header {
            signers.entry(header.signer.to_hex()).or_insert(*seq);
            newest_header = Some(header);
        }
    }
    scan.lost_records(&snapshots, &mut findings);
    Ok(Found {
        id,
        newest_header,
        signers,
        spans: spans.finish(),
        snapshots,
        findings,
        listing,
    })
}

/// The snapshots that need each object, gathered list by list in the order of their numbers.
#[derive(Default)]
struct Spans {
    spans: BTreeMap<ObjectHash, Span>,
    /// Numbers whose list could be read.
    listed: Vec<u64>,
    /// The first number of those just before whose lists could not be read.
    unlisted_since: Option<u64>,
}

impl Spans {
    fn snapshot(&mut self, seq: u64, run: RunId, list: Option<&[ObjectRef]>) {
        let Some(list) = list else {
            self.unlisted_since.get_or_insert(seq);
            return;
        };
        let born = self.unlisted_since.take().unwrap_or(seq);
        self.listed.push(seq);
        for object in list {
            let span = self.spans.entry(object.hash).or_insert(Span {
                object: *object,
                born,
                dropped: None,
                first: seq,
                last: seq,
                run,
            });
            span.last = seq;
        }
    }

    /// A manifest or a commit record: its snapshot's alone.
    fn alone(&mut self, object: ObjectRef, seq: u64, run: RunId) {
        let span = Span {
            object,
            born: seq,
            dropped: Some(seq + 1),
            first: seq,
            last: seq,
            run,
        };
        self.spans.insert(object.hash, span);
    }

    fn finish(mut self) -> BTreeMap<ObjectHash, Span> {
        for span in self.spans.values_mut().filter(|span| span.dropped.is_none()) {
            let behind = self.listed.partition_point(|seq| *seq <= span.last);
            span.dropped = self.listed.get(behind).copied();
        }
        self.spans
    }
}

impl Scan<'_> {
    /// The first of the commit records of one number that counts, with the header of its manifest where that is there.
    async fn choose(
        &self,
        candidates: Vec<Counted>,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<(CommitRecord, ObjectRef, Option<ManifestHeader>)>, S3Error> {
        for counted in candidates {
            let header = match self.manifest(&counted.record).await? {
                Ok(header) => header,
                Err(reason) => {
                    let key = self.key(&counted.record.manifest);
                    findings.push(Finding::new(Kind::OtherManifest, key, None, Some(reason)));
                    continue;
                }
            };
            // Without a signature to go by, a record counts only with the manifest that it fits.
            let is_signed =
                |header: &ManifestHeader| self.trust.signer.is_none_or(|signer| signer == header.signer);
            if let (false, Some(header)) = (counted.is_verified, &header)
                && !is_signed(header)
            {
                let (key, signer) = (self.key(&counted.record.manifest), header.signer.to_hex());
                let reason = format!("it is signed by {signer}, which is not the agent's key");
                findings.push(Finding::new(Kind::OtherManifest, key, None, Some(reason)));
                continue;
            }
            if header.is_some() || counted.is_verified {
                return Ok(Some((counted.record, counted.object, header)));
            }
        }
        Ok(None)
    }

    /// The manifest that a record means: the earliest version with the right hash. None when there is none; a reason when it
    /// is not what the record says, or not of this backup set.
    async fn manifest(
        &self,
        record: &CommitRecord,
    ) -> Result<Result<Option<ManifestHeader>, String>, S3Error> {
        let key = self.key(&record.manifest);
        let Some(bytes) = self
            .content(&key, &record.manifest, MAX_MANIFEST_BYTES as u64)
            .await?
        else {
            return Ok(Ok(None));
        };
        let checked = manifest::open_header_of_any(&bytes)
            .map_err(|error| error.to_string())
            .and_then(|header| {
                header.is_of(self.id).map_err(|error| error.to_string())?;
                record.leads_to(&header).map_err(|error| error.to_string())?;
                if header.recovery == self.trust.recovery {
                    Ok(Some(header))
                } else {
                    Err(format!(
                        "it is sealed to another recovery key ({})",
                        header.recovery
                    ))
                }
            });
        Ok(checked)
    }

    /// An object's bytes: those of the earliest version that is what its name says.
    async fn content(&self, key: &str, object: &ObjectRef, limit: u64) -> Result<Option<Vec<u8>>, S3Error> {
        for version in &self.location.versions(self.listing, key).await? {
            if version.size_bytes != object.size_bytes {
                continue;
            }
            if let Some(bytes) = self.get(key, version, limit).await?
                && repository::hash(&bytes) == object.hash
            {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// What a snapshot needs apart from its manifest and commit record. `pages` keeps what the snapshot before named too.
    async fn list(
        &self,
        header: &ManifestHeader,
        pages: &mut HashMap<ObjectHash, Vec<u8>>,
    ) -> Result<Result<Vec<ObjectRef>, ListError>, S3Error> {
        let wanted: HashSet<ObjectHash> = header.list.pages().map(|page| page.hash).collect();
        pages.retain(|hash, _| wanted.contains(hash));
        for page in header.list.pages() {
            if !pages.contains_key(&page.hash) {
                let key = self.key(page);
                let bytes = self.content(&key, page, page.kind.max_bytes() as u64).await?;
                pages.extend(bytes.map(|bytes| (page.hash, bytes)));
            }
        }
        Ok(header.objects(|page| {
            pages
                .get(&page.hash)
                .cloned()
                .ok_or(ListError::OtherPage { page: page.hash })
        }))
    }

    /// Snapshots on which others build, whose manifest is there and whose commit record is not. One of which neither is there
    /// has expired and was groomed.
    fn lost_records(&self, snapshots: &BTreeMap<u64, FoundSnapshot>, findings: &mut Vec<Finding>) {
        for (seq, snapshot) in snapshots {
            let Some(parent) = snapshot.record.parent_manifest else {
                continue;
            };
            let key = layout::object_key(self.location.prefix, self.id, ObjectKind::Manifest, &parent);
            if !snapshots.contains_key(&(seq - 1)) && !self.listing.versions(&key).is_empty() {
                let subject = format!("snapshot {}", seq - 1);
                findings.push(Finding::new(Kind::LostRecord, subject, None, Some(key)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
