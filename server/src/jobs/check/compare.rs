//! One source's listing beside the ledger.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use shared::{api::view::BucketFindingKind, ids::SourceId, words::counted};

use super::ledger::{Compared, Ledger, Questions};
use crate::{
    app::App,
    db::{self, checks::NewFinding, ledger::LedgerObject},
    jobs::error::JobError,
    s3::{Bounds, S3Error, VersionHead},
    scope::TenantScope,
    source_listing::{SetLocation, SourceListing},
};

/// HEADs that are under way together.
const PARALLEL: usize = 16;
/// HEADs that are prepared together.
const PART: usize = 1_000;
/// Unknown versions that are asked for one by one, and delete markers that are named, at most; the others are counted as they
/// are listed.
const LOOKED_AT: usize = 2_000;

/// Compares. `slice` of `slices` parts has its locks asked for, and so have the keys in `again`.
///
/// # Errors
/// When S3 or the database does not answer.
pub(super) async fn source(
    app: &App,
    scope: &TenantScope,
    location: SetLocation<'_>,
    id: SourceId,
    (slice, slices): (u32, u32),
    again: &HashSet<String>,
) -> Result<Compared, JobError> {
    // The bucket first: what is put meanwhile is then in the ledger and missed in the listing, and asked for by name.
    let tx = app.db.tenant(scope).await?;
    let expected = db::ledger::count(&tx, id).await?;
    drop(tx);
    let listing = location.list_source(id, Bounds::expecting(expected)).await?;
    let ledger = Ledger::load(app, scope, location.prefix, id).await?;
    let mut out = Compared::default();
    let Questions { suspects, sample } =
        ledger.beside(&listing, location.prefix, (slice, slices), again, &mut out);
    for (row, head) in heads(location, id, suspects).await? {
        ledger.take_suspect(row, head.as_ref(), location.prefix, &mut out);
    }
    let asked = heads(location, id, sample).await?;
    out.locks_asked = asked.len() as u64;
    for (row, head) in asked {
        ledger.take_sampled(row, head.as_ref(), location.prefix, &mut out);
    }
    unknown_versions(location, id, &listing, &ledger, &mut out).await?;
    ledger.drop_what_moved(app, scope, &mut out).await?;
    Ok(out)
}

async fn heads<'r>(
    location: SetLocation<'_>,
    id: SourceId,
    rows: Vec<&'r LedgerObject>,
) -> Result<Vec<(&'r LedgerObject, Option<VersionHead>)>, S3Error> {
    let mut heads = Vec::with_capacity(rows.len());
    for part in rows.chunks(PART) {
        let asked = part.iter().map(|row| async move {
            let head = match &row.lock {
                None => None,
                Some(lock) => {
                    let key = row.key(location.prefix, id);
                    location
                        .store
                        .head(location.bucket, &key, Some(&lock.version_id))
                        .await?
                }
            };
            Ok::<_, S3Error>((*row, head))
        });
        let asked = stream::iter(asked.collect::<Vec<_>>()).buffer_unordered(PARALLEL);
        heads.extend(asked.try_collect::<Vec<_>>().await?);
    }
    Ok(heads)
}

/// What is listed and nobody signed, and delete markers.
async fn unknown_versions(
    location: SetLocation<'_>,
    id: SourceId,
    listing: &SourceListing,
    ledger: &Ledger,
    out: &mut Compared,
) -> Result<(), S3Error> {
    let mut unknown = Vec::new();
    for (key, versions) in &listing.keys {
        if ledger.open_keys.contains(key) {
            continue;
        }
        for version in versions {
            if !ledger.known.contains(&(key.clone(), version.id.clone())) {
                unknown.push((key, version));
            }
        }
    }
    out.unlooked = unknown.len().saturating_sub(LOOKED_AT) as u64;
    unknown.truncate(LOOKED_AT);
    let asked = unknown.into_iter().map(|(key, version)| async move {
        // The groomer may have deleted it, and forgotten it, since it was listed.
        let is_there = location
            .store
            .head(location.bucket, key, Some(&version.id))
            .await?
            .is_some();
        Ok::<_, S3Error>(is_there.then(|| NewFinding {
            kind: BucketFindingKind::UnknownVersion,
            source_id: id,
            key: key.clone(),
            version_id: version.id.clone(),
            needed: false,
            detail: format!(
                "{} that this server has not signed",
                counted(version.size_bytes, "byte", "bytes")
            ),
        }))
    });
    let found: Vec<Option<NewFinding>> = stream::iter(asked.collect::<Vec<_>>())
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    out.findings.extend(found.into_iter().flatten());
    out.unnamed_markers = listing.markers.len().saturating_sub(LOOKED_AT) as u64;
    let markers = listing.markers.iter().take(LOOKED_AT);
    out.findings.extend(markers.map(|(key, version)| NewFinding {
        kind: BucketFindingKind::DeleteMarker,
        source_id: id,
        key: key.clone(),
        version_id: version.clone(),
        needed: false,
        detail: "somebody deleted the key; the versions beneath are unharmed".to_owned(),
    }));
    Ok(())
}
