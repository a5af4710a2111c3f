//! Verification of a source in a bucket, and of one snapshot through any source of objects.

use std::collections::HashMap;

use repository::{
    manifest::{self, ManifestHeader},
    recovery::RecoverySecret,
};
use shared::{
    ids::SourceId,
    object::{ObjectKind, ObjectRef},
};

use super::{
    audit::{Audit, CheckedSnapshot},
    bucket_listing::BucketListing,
    depth::Depth,
    lookup::{DirectLookup, ObjectLookup},
    report::Report,
};
use crate::{
    recover::{Reading, RecoverError, SourceStore, Vouched},
    snapshot::{Defect, Finding, SnapshotError, Subject},
    store::ObjectSource,
};

/// What to verify.
#[derive(Debug, Clone)]
pub struct Options {
    /// How much is read.
    pub depth: Depth,
    /// Whether every object's lock is asked for, one call each.
    pub locks: bool,
    /// Only the newest snapshot.
    pub newest_only: bool,
}

/// Verifies one source in a bucket.
///
/// # Errors
/// When the bucket cannot be asked. Damage is no error.
pub fn verify_source(
    reading: &Reading<'_>,
    source: SourceId,
    options: &Options,
) -> Result<Report, RecoverError> {
    let found = reading.source(source)?;
    let listing = BucketListing::list(reading.bucket, reading.prefix, source)?;
    let store = SourceStore::new(reading.bucket, reading.prefix, source);
    let mut findings = found.problems;
    // What the listing diagnoses is more exact than what the catalog saw in passing.
    findings.extend(listing.additions());
    let mut snapshots = Vec::new();
    for one in &found.snapshots {
        if one.vouched == Vouched::Nobody {
            let signer = one.header.signer.to_hex();
            findings.push(Finding::object(&one.manifest, Defect::Stranger { signer }));
            continue;
        }
        let lost_record = Subject::Record { seq: one.seq() };
        let counts = one.commit.is_some() || findings.iter().any(|finding| finding.subject == lost_record);
        if counts {
            let content = match reading.secret {
                Some(secret) => Some(manifest::open_content(&store.read(&one.manifest, None)?, secret)?),
                None => None,
            };
            snapshots.push(CheckedSnapshot {
                manifest: one.manifest,
                header: one.header.clone(),
                promised: one.commit.as_ref().map(|commit| commit.protected_until),
                content,
            });
        }
    }
    if options.newest_only {
        snapshots.drain(..snapshots.len().saturating_sub(1));
    }
    let audit = Audit::new(&listing, reading.secret, options.depth, options.locks);
    let mut report = audit.run(&snapshots)?;
    for finding in &mut findings {
        if let (Some(hash), Defect::Changed | Defect::Missing) = (finding.hash(), &finding.defect) {
            let named = found.lost_manifests.iter().find(|manifest| manifest.hash == hash);
            finding.defect = match named {
                Some(manifest) => listing.diagnose(manifest)?,
                None => listing.diagnose_named(ObjectKind::Manifest, hash)?,
            };
        }
    }
    findings.append(&mut report.findings);
    report.findings = merged(findings);
    Ok(report)
}

/// Verifies one snapshot, whose header is verified, through any source of objects.
///
/// # Errors
/// When the storage cannot be asked, or the kit does not open the snapshot.
pub fn verify_snapshot(
    source: &dyn ObjectSource,
    object: ObjectRef,
    bytes: &[u8],
    header: ManifestHeader,
    secret: Option<&RecoverySecret>,
    depth: Depth,
) -> Result<Report, SnapshotError> {
    let content = secret
        .map(|secret| manifest::open_content(bytes, secret))
        .transpose()?;
    let snapshots = [CheckedSnapshot {
        manifest: object,
        header,
        promised: None,
        content,
    }];
    let lookup = DirectLookup(source);
    let mut report = Audit::new(&lookup, secret, depth, false).run(&snapshots)?;
    report.findings = merged(report.findings);
    Ok(report)
}

/// Each defect of a thing once, damage first.
fn merged(findings: Vec<Finding>) -> Vec<Finding> {
    let mut merged: Vec<Finding> = Vec::with_capacity(findings.len());
    let mut known: HashMap<(Subject, Defect), usize> = HashMap::new();
    for finding in findings {
        let at = *known
            .entry((finding.subject.clone(), finding.defect.clone()))
            .or_insert(merged.len());
        match merged.get_mut(at) {
            None => merged.push(finding),
            Some(other) => {
                other.snapshots.extend(finding.snapshots);
                other.snapshots.sort_unstable();
                other.snapshots.dedup();
            }
        }
    }
    merged.sort_by_key(|finding| !finding.defect.is_damage());
    merged
}
