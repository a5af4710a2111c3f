//! ListParts and ListMultipartUploads.

use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::listing::{Encoder, KeyPlacement, Scope, behind};
use super::multipart::checksum_type;
use super::{Lockbox, owner};
use crate::error::Fault;
use crate::store::find;
use crate::store::index::{View, decode};
use crate::store::record::Upload;

#[derive(Default)]
struct Page {
    rows: Vec<(String, String, Upload)>,
    prefixes: Vec<String>,
    next: Option<(String, String)>,
}

impl Lockbox {
    pub(super) async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<ListPartsOutput> {
        let input = req.input;
        let limit = Scope::new(None, None, input.max_parts)?;
        let marker = input.part_number_marker.unwrap_or(0);
        let after = u32::try_from(marker)
            .map_err(|_| s3_error!(InvalidArgument, "The part number marker must not be negative"))?;
        let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
        let (upload, mut parts) = self
            .store
            .read(move |view| {
                find::existing_bucket(&view.buckets, &bucket)?;
                let upload = find::upload(&view.uploads, &bucket, &key, &id)?;
                Ok((upload, find::parts(&view.parts, &id)?))
            })
            .await?;
        parts.retain(|(number, _)| *number > after);
        let truncated = parts.len() > limit.limit;
        parts.truncate(limit.limit);
        let last = parts.last().and_then(|(number, _)| i32::try_from(*number).ok());
        let rows = parts.into_iter().map(|(number, part)| {
            let fields = part.checksum.map(|(a, value)| a.field(value)).unwrap_or_default();
            Part {
                checksum_crc32: fields.checksum_crc32,
                checksum_crc32c: fields.checksum_crc32c,
                checksum_crc64nvme: fields.checksum_crc64nvme,
                checksum_sha1: fields.checksum_sha1,
                checksum_sha256: fields.checksum_sha256,
                e_tag: Some(ETag::Strong(part.etag)),
                last_modified: Some(part.modified.into()),
                part_number: i32::try_from(number).ok(),
                size: i64::try_from(part.piece.size).ok(),
            }
        });
        Ok(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            checksum_algorithm: upload.checksum.map(|c| c.algorithm.name()),
            checksum_type: upload.checksum.map(|c| checksum_type(c.full_object)),
            is_truncated: Some(truncated),
            max_parts: limit.max(),
            next_part_number_marker: last.filter(|_| truncated),
            part_number_marker: Some(marker),
            parts: Some(rows.collect()),
            owner: Some(owner()),
            ..Default::default()
        })
    }

    pub(super) async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<ListMultipartUploadsOutput> {
        let input = req.input;
        let encoder = Encoder::new(input.encoding_type.as_ref())?;
        let scope = Scope::new(input.prefix.as_ref(), input.delimiter.as_ref(), input.max_uploads)?;
        let max_uploads = scope.max();
        let bucket = input.bucket.clone();
        let key_marker = input.key_marker.clone().filter(|key| !key.is_empty());
        let id_marker = input.upload_id_marker.clone().filter(|id| !id.is_empty());
        let page = self
            .store
            .read(move |view| {
                find::existing_bucket(&view.buckets, &bucket)?;
                page(view, &bucket, &scope, key_marker.as_deref(), id_marker.as_deref())
            })
            .await?;
        let row = |(key, id, upload): (String, String, Upload)| MultipartUpload {
            checksum_algorithm: upload.checksum.map(|c| c.algorithm.name()),
            checksum_type: upload.checksum.map(|c| checksum_type(c.full_object)),
            initiated: Some(upload.initiated.into()),
            initiator: None,
            key: Some(encoder.text(&key)),
            owner: Some(owner()),
            storage_class: None,
            upload_id: Some(id),
        };
        let prefix = |prefix: &String| CommonPrefix {
            prefix: Some(encoder.text(prefix)),
        };
        let truncated = page.next.is_some();
        let (next_key, next_id) = page.next.unzip();
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            common_prefixes: (!page.prefixes.is_empty()).then(|| page.prefixes.iter().map(prefix).collect()),
            delimiter: encoder.opt(input.delimiter.as_ref()),
            encoding_type: input.encoding_type,
            is_truncated: Some(truncated),
            key_marker: encoder.opt(input.key_marker.as_ref()),
            max_uploads,
            next_key_marker: encoder.opt(next_key.as_ref()),
            next_upload_id_marker: next_id,
            prefix: encoder.opt(input.prefix.as_ref()),
            request_charged: None,
            upload_id_marker: input.upload_id_marker,
            uploads: Some(page.rows.into_iter().map(row).collect()),
        })
    }
}

fn page(
    view: &View,
    bucket: &str,
    scope: &Scope,
    key_marker: Option<&str>,
    id_marker: Option<&str>,
) -> Result<Page, Fault> {
    let mut page = Page::default();
    if scope.limit == 0 {
        return Ok(page);
    }
    let end = format!("{bucket}\0");
    let first = (scope.prefix.clone(), String::new());
    let mut start = match (key_marker, id_marker) {
        (None, _) => Some(first),
        (Some(key), _) if scope.is_folded(key) => behind(key).map(|key| (key, String::new())),
        (Some(key), None) => Some((format!("{key}\0"), String::new()).max(first)),
        (Some(key), Some(id)) => Some((key.to_owned(), format!("{id}\0")).max(first)),
    };
    let mut last = None;
    'folded: while let Some((from, id)) = start.take() {
        for row in view
            .uploads
            .range((bucket, from.as_str(), id.as_str())..(end.as_str(), "", ""))?
        {
            let (row_key, record) = row?;
            let (_, key, id) = row_key.value();
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
                last = Some((prefix.to_owned(), String::new()));
                start = behind(prefix).map(|key| (key, String::new()));
                continue 'folded;
            }
            last = Some((key.to_owned(), id.to_owned()));
            page.rows
                .push((key.to_owned(), id.to_owned(), decode(record.value())?));
        }
        return Ok(page);
    }
    Ok(page)
}
