//! GetObject and HeadObject, and the stream of an object's bytes.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Result, s3_error};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::Lockbox;
use super::condition::ReadCondition;
use crate::error::{Fault, custom, internal};
use crate::faults::RangeFault;
use crate::store::Store;
use crate::store::blob::unblock;
use crate::store::find::{by_id, existing_bucket, latest};
use crate::store::record::{Object as ObjectRecord, Piece, Version, Versioning};
use crate::version::VersionRef;

const BLOCK_BYTES: usize = 256 * 1024;

/// A version that can be read, with what its answer needs.
pub(super) struct FoundVersion {
    pub(super) version: Version,
    pub(super) object: Box<ObjectRecord>,
    pub(super) versioning: Versioning,
}

/// Which bytes of an object a request is about.
struct Extent {
    bytes: Range<u64>,
    /// Set for ranges and parts, which are answered with 206.
    content_range: Option<String>,
    parts_count: Option<i32>,
}

/// Fills the fields that GetObjectOutput and HeadObjectOutput have in common.
macro_rules! describe {
    ($output:ident, $found:expr, $extent:expr, $checksum:expr) => {{
        let (found, extent, checksum): (&FoundVersion, &Extent, Checksum) = (&$found, &$extent, $checksum);
        let (object, headers) = (&found.object, &found.object.headers);
        let metadata = &headers.metadata;
        $output {
            accept_ranges: Some("bytes".into()),
            cache_control: headers.cache_control.clone(),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type: checksum.checksum_type,
            content_disposition: headers.content_disposition.clone(),
            content_encoding: headers.content_encoding.clone(),
            content_language: headers.content_language.clone(),
            content_length: i64::try_from(extent.bytes.end - extent.bytes.start).ok(),
            content_range: extent.content_range.clone(),
            content_type: Some(
                headers
                    .content_type
                    .clone()
                    .unwrap_or_else(|| "binary/octet-stream".into()),
            ),
            e_tag: Some(ETag::Strong(object.etag.clone())),
            expires: headers
                .expires_seconds
                .and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok())
                .map(Into::into),
            last_modified: Some(found.version.modified.into()),
            metadata: (!metadata.is_empty())
                .then(|| metadata.iter().map(|(k, v)| (k.clone(), v.clone())).collect()),
            object_lock_legal_hold_status: object.lock.hold_header(),
            object_lock_mode: object.lock.mode_header(),
            object_lock_retain_until_date: object.lock.until_header(),
            parts_count: extent.parts_count,
            version_id: (found.versioning != Versioning::Off).then(|| found.version.id().to_string()),
            ..Default::default()
        }
    }};
}

impl Lockbox {
    pub(super) async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<GetObjectOutput> {
        let fault = req.extensions.get::<RangeFault>().copied();
        let mut input = req.input;
        input.range = misread(input.range, fault);
        let condition = ReadCondition {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
            copies: false,
        };
        let found = self
            .find(input.bucket, input.key, input.version_id.as_deref())
            .await?;
        condition.check(&found.version, &found.object)?;
        let extent = extent(&found.object, input.range, input.part_number)?;
        let checksum = checksums(&found.object, input.checksum_mode.as_ref(), &extent);
        let body = stream(&self.store, &found.object.pieces, extent.bytes.clone()).await?;
        let mut output = describe!(GetObjectOutput, found, extent, checksum);
        output.body = Some(body);
        Ok(output)
    }

    pub(super) async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<HeadObjectOutput> {
        let input = req.input;
        let condition = ReadCondition {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
            copies: false,
        };
        let found = self
            .find(input.bucket, input.key, input.version_id.as_deref())
            .await?;
        condition.check(&found.version, &found.object)?;
        let extent = extent(&found.object, input.range, input.part_number)?;
        let checksum = checksums(&found.object, input.checksum_mode.as_ref(), &extent);
        Ok(describe!(HeadObjectOutput, found, extent, checksum))
    }

    /// The version that a read means: the named one, or the newest.
    pub(super) async fn find(&self, bucket: String, key: String, id: Option<&str>) -> S3Result<FoundVersion> {
        let id = VersionRef::parse_opt(id)?;
        self.store
            .read(move |view| {
                let versioning = existing_bucket(&view.buckets, &bucket)?.versioning;
                let version = match id {
                    Some(id) => by_id(&view.versions, &bucket, &key, id)?,
                    None => latest(&view.versions, &bucket, &key)?,
                };
                let Some(mut version) = version else {
                    return Err(missing(id).into());
                };
                match version.object.take() {
                    Some(object) => Ok(FoundVersion {
                        version,
                        object,
                        versioning,
                    }),
                    None => Err(Fault::Refused(is_marker(&version, id.is_some()))),
                }
            })
            .await
    }
}

pub(super) fn missing(id: Option<VersionRef>) -> S3Error {
    match id {
        Some(_) => s3_error!(NoSuchVersion, "The specified version does not exist."),
        None => s3_error!(NoSuchKey, "The specified key does not exist."),
    }
}

/// AWS, "Working with delete markers": a GET of the key is a 404, a GET of the marker itself a 405,
/// both with `x-amz-delete-marker: true`.
pub(super) fn is_marker(version: &Version, named: bool) -> S3Error {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/xml"),
    );
    if let Ok(id) = HeaderValue::from_str(&version.id().to_string()) {
        headers.insert("x-amz-version-id", id);
    }
    let mut error = if named {
        headers.insert(http::header::ALLOW, HeaderValue::from_static("DELETE"));
        let mut date = Vec::new();
        if Timestamp::from(version.modified)
            .format(TimestampFormat::HttpDate, &mut date)
            .is_ok()
            && let Ok(date) = HeaderValue::from_bytes(&date)
        {
            headers.insert(http::header::LAST_MODIFIED, date);
        }
        s3_error!(
            MethodNotAllowed,
            "The specified method is not allowed against this resource."
        )
    } else {
        s3_error!(NoSuchKey, "The specified key does not exist.")
    };
    error.set_headers(headers);
    error
}

/// The range that is answered: the one that was asked for, unless a test wants a fault.
fn misread(asked: Option<s3s::dto::Range>, fault: Option<RangeFault>) -> Option<s3s::dto::Range> {
    match (asked, fault) {
        (Some(_), Some(RangeFault::Whole)) => None,
        (Some(s3s::dto::Range::Int { first, last }), Some(RangeFault::Shifted(by))) => {
            Some(s3s::dto::Range::Int {
                first: first.saturating_add_signed(by),
                last: last.map(|last| last.saturating_add_signed(by)),
            })
        }
        (asked, _) => asked,
    }
}

fn extent(object: &ObjectRecord, range: Option<s3s::dto::Range>, part: Option<i32>) -> S3Result<Extent> {
    let size = object.size;
    let content_range = |r: &Range<u64>| format!("bytes {}-{}/{size}", r.start, r.end.saturating_sub(1));
    match (range, part) {
        (None, None) => Ok(Extent {
            bytes: 0..size,
            content_range: None,
            parts_count: None,
        }),
        (Some(range), None) => {
            let bytes = range.check(size).map_err(|_| out_of_range(size))?;
            Ok(Extent {
                content_range: Some(content_range(&bytes)),
                bytes,
                parts_count: None,
            })
        }
        (None, Some(number)) => {
            let parts = if object.multipart { object.pieces.len() } else { 1 };
            let index = usize::try_from(number)
                .ok()
                .and_then(|n| n.checked_sub(1))
                .filter(|i| *i < parts);
            let index = index.ok_or_else(|| {
                custom(
                    "InvalidPartNumber",
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "The requested partnumber is not satisfiable",
                )
            })?;
            let start: u64 = object.pieces[..index].iter().map(|p| p.size).sum();
            let bytes = start..start + object.pieces[index].size;
            Ok(Extent {
                content_range: (!bytes.is_empty()).then(|| content_range(&bytes)),
                bytes,
                parts_count: i32::try_from(parts).ok().filter(|_| object.multipart),
            })
        }
        (Some(_), Some(_)) => Err(s3_error!(
            InvalidRequest,
            "Cannot specify both Range header and partNumber query parameter"
        )),
    }
}

pub(super) fn out_of_range(size: u64) -> S3Error {
    let mut error = s3_error!(InvalidRange, "The requested range is not satisfiable");
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
        headers.insert(http::header::CONTENT_RANGE, value);
    }
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/xml"),
    );
    error.set_headers(headers);
    error
}

/// Checksums are of the whole object, so an answer with a part of it has none.
fn checksums(object: &ObjectRecord, mode: Option<&ChecksumMode>, extent: &Extent) -> Checksum {
    let asked = mode.is_some_and(|mode| mode.as_str().eq_ignore_ascii_case(ChecksumMode::ENABLED));
    match &object.checksum {
        Some(stored) if asked && extent.content_range.is_none() => {
            let mut fields = stored.algorithm.field(stored.value.clone());
            fields.checksum_type = Some(ChecksumType::from_static(if stored.full_object {
                ChecksumType::FULL_OBJECT
            } else {
                ChecksumType::COMPOSITE
            }));
            fields
        }
        _ => Checksum::default(),
    }
}

/// Sends the bytes of `range` block by block; a slow receiver slows the reading down.
pub(super) async fn blocks(
    store: &Arc<Store>,
    pieces: &[Piece],
    range: Range<u64>,
) -> S3Result<mpsc::Receiver<io::Result<Bytes>>> {
    let mut segments = Vec::new();
    let mut start = 0;
    for piece in pieces {
        let end = start + piece.size;
        let wanted = range.start.max(start)..range.end.min(end);
        if !wanted.is_empty() {
            segments.push((*piece, wanted.start - start..wanted.end - start));
        }
        start = end;
    }
    let (sender, receiver) = mpsc::channel(2);
    let mut segments = segments.into_iter();
    // The first is opened before the answer begins, so that a failure is still a proper error.
    if let Some((piece, range)) = segments.next() {
        let first = open(store, piece).await.map_err(internal)?;
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let copied = async {
                first.send(range, &sender).await?;
                for (piece, range) in segments {
                    open(&store, piece).await?.send(range, &sender).await?;
                }
                io::Result::Ok(())
            };
            if let Err(error) = copied.await {
                tracing::error!(%error, "an object could not be read to its end");
                // Nobody listens any more when the client has gone.
                let _ = sender.send(Err(error)).await;
            }
        });
    }
    Ok(receiver)
}

async fn stream(store: &Arc<Store>, pieces: &[Piece], range: Range<u64>) -> S3Result<StreamingBlob> {
    let mut receiver = blocks(store, pieces, range).await?;
    Ok(StreamingBlob::wrap(futures::stream::poll_fn(move |cx| {
        receiver.poll_recv(cx)
    })))
}

enum BlobSource {
    Inline(Bytes),
    File(File),
}

async fn open(store: &Arc<Store>, piece: Piece) -> io::Result<BlobSource> {
    let inline = store
        .read(move |view| view.inline(piece.blob))
        .await
        .map_err(io::Error::other)?;
    match inline {
        Some(bytes) => Ok(BlobSource::Inline(bytes.into())),
        None => Ok(BlobSource::File(store.folder.open_blob(piece.blob).await?)),
    }
}

impl BlobSource {
    /// Ends early, and well, when nobody receives any more.
    async fn send(self, range: Range<u64>, to: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
        let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let mut file = match self {
            Self::Inline(bytes) => {
                let index = |at: u64| usize::try_from(at).ok().filter(|at| *at <= bytes.len());
                let (start, end) = index(range.start).zip(index(range.end)).ok_or_else(short)?;
                let _ = to.send(Ok(bytes.slice(start..end))).await;
                return Ok(());
            }
            Self::File(file) => file,
        };
        let mut left = range.end - range.start;
        let mut seek = Some(range.start);
        while left > 0 {
            let size = usize::try_from(left).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
            let start = seek.take();
            let (block, back) = unblock(move || {
                if let Some(start) = start {
                    file.seek(SeekFrom::Start(start))?;
                }
                let mut block = vec![0; size];
                file.read_exact(&mut block)?;
                Ok((block, file))
            })
            .await?;
            file = back;
            left -= size as u64;
            if to.send(Ok(block.into())).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}
