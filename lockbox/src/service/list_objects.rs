//! ListObjects and ListObjectsV2: the newest version of each key that is not a delete marker.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::listing::{Encoder, KeyPlacement, Scope, behind};
use super::{Lockbox, owner};
use crate::error::Fault;
use crate::store::find::existing_bucket;
use crate::store::index::{View, decode};
use crate::store::record::{Object as ObjectRecord, Version};

/// One page.
#[derive(Default)]
struct Page {
    rows: Vec<(String, Version, Box<ObjectRecord>)>,
    prefixes: Vec<String>,
    /// The last key or common prefix, when there is more.
    next: Option<String>,
}

impl Lockbox {
    pub(super) async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<ListObjectsV2Output> {
        let input = req.input;
        let encoder = Encoder::new(input.encoding_type.as_ref())?;
        let scope = Scope::new(input.prefix.as_ref(), input.delimiter.as_ref(), input.max_keys)?;
        let after = match &input.continuation_token {
            Some(token) => Some(read_token(token)?),
            None => input.start_after.clone(),
        };
        let max_keys = scope.max();
        let page = self.page(input.bucket.clone(), scope, after).await?;
        let owned = input.fetch_owner.unwrap_or(false);
        let count = page.rows.len() + page.prefixes.len();
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encoder.text(input.prefix.as_deref().unwrap_or_default())),
            max_keys,
            key_count: i32::try_from(count).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.as_ref().map(|key| BASE64_URL_SAFE_NO_PAD.encode(key)),
            common_prefixes: prefixes(&page.prefixes, encoder),
            contents: contents(page.rows, encoder, owned),
            delimiter: encoder.opt(input.delimiter.as_ref()),
            encoding_type: input.encoding_type,
            start_after: encoder.opt(input.start_after.as_ref()),
            request_charged: None,
        })
    }

    pub(super) async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> S3Result<ListObjectsOutput> {
        let input = req.input;
        let encoder = Encoder::new(input.encoding_type.as_ref())?;
        let scope = Scope::new(input.prefix.as_ref(), input.delimiter.as_ref(), input.max_keys)?;
        let max_keys = scope.max();
        let after = input.marker.clone().filter(|marker| !marker.is_empty());
        let page = self.page(input.bucket.clone(), scope, after).await?;
        Ok(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(encoder.text(input.prefix.as_deref().unwrap_or_default())),
            marker: Some(encoder.text(input.marker.as_deref().unwrap_or_default())),
            max_keys,
            is_truncated: Some(page.next.is_some()),
            next_marker: encoder.opt(page.next.as_ref()),
            common_prefixes: prefixes(&page.prefixes, encoder),
            contents: contents(page.rows, encoder, true),
            delimiter: encoder.opt(input.delimiter.as_ref()),
            encoding_type: input.encoding_type,
            request_charged: None,
        })
    }

    async fn page(&self, bucket: String, scope: Scope, after: Option<String>) -> S3Result<Page> {
        self.store
            .read(move |view| {
                existing_bucket(&view.buckets, &bucket)?;
                page(view, &bucket, &scope, after.as_deref())
            })
            .await
    }
}

fn page(view: &View, bucket: &str, scope: &Scope, after: Option<&str>) -> Result<Page, Fault> {
    let mut page = Page::default();
    if scope.limit == 0 {
        return Ok(page);
    }
    let end = format!("{bucket}\0");
    let mut start = match after {
        Some(marker) if scope.is_folded(marker) => behind(marker),
        // The smallest key behind another is that key and a NUL.
        Some(marker) => Some(format!("{marker}\0").max(scope.prefix.clone())),
        None => Some(scope.prefix.clone()),
    };
    let mut last = String::new();
    while let Some(from) = start.take() {
        let Some(row) = view
            .versions
            .range((bucket, from.as_str(), 0)..(end.as_str(), "", 0))?
            .next()
        else {
            break;
        };
        let (row_key, record) = row?;
        let key = row_key.value().1;
        let place = scope.place(key);
        if matches!(place, KeyPlacement::Outside) {
            break;
        }
        let mut version: Version = decode(record.value())?;
        let Some(object) = version.object.take() else {
            start = Some(format!("{key}\0"));
            continue;
        };
        if page.rows.len() + page.prefixes.len() == scope.limit {
            page.next = Some(last);
            break;
        }
        match place {
            KeyPlacement::Folded(prefix) => {
                page.prefixes.push(prefix.to_owned());
                last = prefix.to_owned();
                start = behind(prefix);
            }
            _ => {
                last = key.to_owned();
                start = Some(format!("{key}\0"));
                page.rows.push((last.clone(), version, object));
            }
        }
    }
    Ok(page)
}

fn read_token(token: &str) -> S3Result<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

fn prefixes(prefixes: &[String], encoder: Encoder) -> Option<CommonPrefixList> {
    let row = |prefix: &String| CommonPrefix {
        prefix: Some(encoder.text(prefix)),
    };
    (!prefixes.is_empty()).then(|| prefixes.iter().map(row).collect())
}

fn contents(
    rows: Vec<(String, Version, Box<ObjectRecord>)>,
    encoder: Encoder,
    owned: bool,
) -> Option<Vec<Object>> {
    let row = |(key, version, object): (String, Version, Box<ObjectRecord>)| Object {
        checksum_algorithm: object.checksum.as_ref().map(|c| vec![c.algorithm.name()]),
        checksum_type: None,
        e_tag: Some(ETag::Strong(object.etag)),
        key: Some(encoder.text(&key)),
        last_modified: Some(version.modified.into()),
        owner: owned.then(owner),
        restore_status: None,
        size: i64::try_from(object.size).ok(),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
    };
    (!rows.is_empty()).then(|| rows.into_iter().map(row).collect())
}
