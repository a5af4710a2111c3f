//! ListObjectVersions: every version and delete marker, newest first within a key.

use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::listing::{Encoder, KeyPlacement, Scope, behind};
use super::{Lockbox, owner};
use crate::error::Fault;
use crate::store::find::{by_id, existing_bucket, latest};
use crate::store::index::{View, decode};
use crate::store::record::Version;
use crate::version::VersionRef;

#[derive(Default)]
struct Page {
    /// Key, version, and whether it is the key's newest.
    rows: Vec<(String, Version, bool)>,
    prefixes: Vec<String>,
    /// Where the next page starts: behind this key and version, or behind this common prefix.
    next: Option<(String, Option<VersionRef>)>,
}

/// Where a page starts.
struct Marker {
    key: String,
    version: Option<VersionRef>,
}

impl Lockbox {
    pub(super) async fn list_object_versions(
        &self,
        req: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<ListObjectVersionsOutput> {
        let input = req.input;
        let encoder = Encoder::new(input.encoding_type.as_ref())?;
        let scope = Scope::new(input.prefix.as_ref(), input.delimiter.as_ref(), input.max_keys)?;
        let max_keys = scope.max();
        let version_marker = input.version_id_marker.as_deref().filter(|id| !id.is_empty());
        let version = VersionRef::parse_opt(version_marker)?;
        let marker = match input.key_marker.as_ref().filter(|key| !key.is_empty()) {
            Some(key) => Some(Marker {
                key: key.clone(),
                version,
            }),
            None if version.is_some() => {
                return Err(s3_error!(
                    InvalidArgument,
                    "A version-id marker cannot be specified without a key marker."
                ));
            }
            None => None,
        };
        let bucket = input.bucket.clone();
        let page = self
            .store
            .read(move |view| {
                existing_bucket(&view.buckets, &bucket)?;
                page(view, &bucket, &scope, marker.as_ref())
            })
            .await?;
        let truncated = page.next.is_some();
        let (next_key, next_version) = page.next.unzip();
        let (versions, markers) = rows(page.rows, encoder);
        let prefix = |prefix: &String| CommonPrefix {
            prefix: Some(encoder.text(prefix)),
        };
        Ok(ListObjectVersionsOutput {
            common_prefixes: (!page.prefixes.is_empty()).then(|| page.prefixes.iter().map(prefix).collect()),
            delete_markers: (!markers.is_empty()).then_some(markers),
            delimiter: encoder.opt(input.delimiter.as_ref()),
            encoding_type: input.encoding_type,
            is_truncated: Some(truncated),
            key_marker: Some(encoder.text(input.key_marker.as_deref().unwrap_or_default())),
            max_keys,
            name: Some(input.bucket),
            next_key_marker: encoder.opt(next_key.as_ref()),
            next_version_id_marker: next_version.flatten().map(|id| id.to_string()),
            prefix: Some(encoder.text(input.prefix.as_deref().unwrap_or_default())),
            request_charged: None,
            version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
            versions: (!versions.is_empty()).then_some(versions),
        })
    }
}

fn page(view: &View, bucket: &str, scope: &Scope, marker: Option<&Marker>) -> Result<Page, Fault> {
    let mut page = Page::default();
    if scope.limit == 0 {
        return Ok(page);
    }
    let end = format!("{bucket}\0");
    let mut start = first(view, bucket, scope, marker)?;
    let mut last: Option<(String, Option<VersionRef>)> = None;
    // The key whose newest version was seen on this page.
    let mut key_seen: Option<String> = None;
    'folded: while let Some((from, order)) = start.take() {
        for row in view
            .versions
            .range((bucket, from.as_str(), order)..(end.as_str(), "", 0))?
        {
            let (row_key, record) = row?;
            let key = row_key.value().1;
            let place = scope.place(key);
            if matches!(place, KeyPlacement::Outside) {
                return Ok(page);
            }
            if page.rows.len() + page.prefixes.len() == scope.limit {
                page.next = last;
                return Ok(page);
            }
            if let KeyPlacement::Folded(prefix) = place {
                page.prefixes.push(prefix.to_owned());
                last = Some((prefix.to_owned(), None));
                start = behind(prefix).map(|key| (key, 0));
                continue 'folded;
            }
            let version: Version = decode(record.value())?;
            let is_latest = if key_seen.as_deref() == Some(key) {
                false
            } else if marker.is_some_and(|marker| marker.key == key) {
                // The page may begin in the middle of this key.
                latest(&view.versions, bucket, key)?.is_some_and(|newest| newest.seq == version.seq)
            } else {
                true
            };
            key_seen = Some(key.to_owned());
            last = Some((key.to_owned(), Some(version.id())));
            page.rows.push((key.to_owned(), version, is_latest));
        }
        return Ok(page);
    }
    Ok(page)
}

/// The first row to look at. A version id tells its place even when it has been deleted since; only
/// a deleted "null" does not, then the key starts over, and repeats rather than misses.
fn first(
    view: &View,
    bucket: &str,
    scope: &Scope,
    marker: Option<&Marker>,
) -> Result<Option<(String, u64)>, Fault> {
    let prefix = scope.prefix.clone();
    let Some(Marker { key, version }) = marker else {
        return Ok(Some((prefix, 0)));
    };
    let start = match version {
        _ if scope.is_folded(key) => return Ok(behind(key).map(|key| (key, 0))),
        None => (format!("{key}\0"), 0),
        Some(VersionRef::Id { seq, .. }) => (key.clone(), seq.descending().saturating_add(1)),
        Some(VersionRef::Null) => match by_id(&view.versions, bucket, key, VersionRef::Null)? {
            Some(null) => (key.clone(), null.seq.descending().saturating_add(1)),
            None => (key.clone(), 0),
        },
    };
    Ok(Some(start.max((prefix, 0))))
}

fn rows(
    rows: Vec<(String, Version, bool)>,
    encoder: Encoder,
) -> (Vec<ObjectVersion>, Vec<DeleteMarkerEntry>) {
    let (mut versions, mut markers) = (Vec::new(), Vec::new());
    for (key, version, is_latest) in rows {
        let key = Some(encoder.text(&key));
        let version_id = Some(version.id().to_string());
        let last_modified = Some(version.modified.into());
        match version.object {
            None => markers.push(DeleteMarkerEntry {
                is_latest: Some(is_latest),
                key,
                last_modified,
                owner: Some(owner()),
                version_id,
            }),
            Some(object) => versions.push(ObjectVersion {
                checksum_algorithm: object.checksum.as_ref().map(|c| vec![c.algorithm.name()]),
                checksum_type: None,
                e_tag: Some(ETag::Strong(object.etag)),
                is_latest: Some(is_latest),
                key,
                last_modified,
                owner: Some(owner()),
                restore_status: None,
                size: i64::try_from(object.size).ok(),
                storage_class: Some(ObjectVersionStorageClass::from_static(
                    ObjectVersionStorageClass::STANDARD,
                )),
                version_id,
            }),
        }
    }
    (versions, markers)
}
