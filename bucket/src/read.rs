//! Reading one version, or a part of it.

use std::ops::Range;

use aws_sdk_s3::{
    operation::get_object::GetObjectOutput, primitives::ByteStream, types::ServerSideEncryption,
};
use bytes::Bytes;
use shared::{api::reads::range_header, words::counted};

use crate::{
    client::S3Client,
    error::{S3Error, failed, root_cause},
    range::RangeBody,
};

/// What is read.
#[derive(Debug, Clone)]
pub struct ReadRequest<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The version; `None` for the newest.
    pub version: Option<&'a str>,
    /// Which bytes; `None` for all. What is behind the object's end is left out.
    pub range: Option<Range<u64>>,
    /// More is `TooLong`. No memory is taken for a length that is only announced.
    pub limit_bytes: u64,
}

/// Why an attempt failed, and whether this crate makes another one. The SDK has asked again for what did not come, and for what
/// `answers` refuses.
struct Failed {
    error: S3Error,
    is_of_body: bool,
}

impl From<S3Error> for Failed {
    fn from(error: S3Error) -> Self {
        let is_of_body = matches!(error, S3Error::Unreachable(_));
        Self { error, is_of_body }
    }
}

fn garbled(what: String) -> Failed {
    Failed {
        error: S3Error::Malformed(what),
        is_of_body: true,
    }
}

impl S3Client {
    /// Reads one version of at most `limit_bytes`, or a part of it.
    ///
    /// # Errors
    /// When the store does not answer or refuses, when the content is longer than `limit_bytes`, and when what comes is something else
    /// than was asked for: `Malformed`.
    pub async fn read(&self, request: &ReadRequest<'_>) -> Result<Vec<u8>, S3Error> {
        let mut attempt = 1;
        loop {
            match self.read_once(request).await {
                Err(Failed {
                    error,
                    is_of_body: true,
                }) if attempt < self.retries.bodies => {
                    tracing::debug!(key = request.key, attempt, %error, "a read broke off: asking again");
                    tokio::time::sleep((self.retries.pause)(attempt)).await;
                    attempt += 1;
                }
                done => return done.map_err(|failed| failed.error),
            }
        }
    }

    async fn read_once(&self, request: &ReadRequest<'_>) -> Result<Vec<u8>, Failed> {
        let ReadRequest {
            bucket, key, version, ..
        } = *request;
        let range = request.range.as_ref();
        let wanted = range.map(|range| range.end.saturating_sub(range.start));
        if wanted.is_some_and(|wanted| wanted > request.limit_bytes) {
            return Err(request.too_long().into());
        }
        let get = self
            .client
            .get_object()
            .bucket(bucket)
            .key(key)
            .set_version_id(version.map(str::to_owned))
            .set_range(range.map(range_header));
        let mut answer = match get.send().await.map_err(failed) {
            Ok(answer) => answer,
            // The object ends before the range begins.
            Err(S3Error::Refused { status: 416, .. }) if range.is_some() => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        if let (Some(asked), Some(given)) = (version, answer.version_id())
            && asked != given
        {
            return Err(garbled(format!("another version of {key} than {asked}")));
        }
        match range {
            Some(range) => {
                // `answers` lets only a 206 name a range.
                let body = RangeBody::part(range, answer.content_range()).map_err(garbled)?;
                self.part(answer.body, body).await
            }
            None => {
                let expected = plain_md5(&answer).filter(|_| self.compare_etags);
                let announced = answer
                    .content_length()
                    .and_then(|length| u64::try_from(length).ok());
                if announced.is_some_and(|announced| announced > request.limit_bytes) {
                    return Err(request.too_long().into());
                }
                let bytes = self.whole(&mut answer.body, request).await?;
                match expected {
                    Some(md5) if content_md5(&bytes) != md5 => Err(garbled(format!(
                        "{key}: {} of content that are not what the ETag says",
                        counted(bytes.len() as u64, "byte", "bytes")
                    ))),
                    _ => Ok(bytes),
                }
            }
        }
    }

    async fn part(&self, mut stream: ByteStream, mut body: RangeBody) -> Result<Vec<u8>, Failed> {
        while let Some(piece) = self.next(&mut stream).await? {
            body.take(&piece).map_err(garbled)?;
        }
        body.done()
            .ok_or_else(|| S3Error::Unreachable("the answer broke off".to_owned()).into())
    }

    async fn whole(&self, stream: &mut ByteStream, request: &ReadRequest<'_>) -> Result<Vec<u8>, S3Error> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.next(stream).await? {
            if (bytes.len() + piece.len()) as u64 > request.limit_bytes {
                return Err(request.too_long());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    async fn next(&self, stream: &mut ByteStream) -> Result<Option<Bytes>, S3Error> {
        let piece = stream.try_next().await;
        let piece = piece.map_err(|error| S3Error::Unreachable(root_cause(&error)))?;
        if let (Some(throttle), Some(piece)) = (&self.throttle, &piece) {
            throttle.pass(piece.len()).await;
        }
        Ok(piece)
    }
}

impl ReadRequest<'_> {
    fn too_long(&self) -> S3Error {
        S3Error::TooLong {
            key: self.key.to_owned(),
            limit_bytes: self.limit_bytes,
        }
    }
}

/// MD5 of an object's content, for Content-MD5 and to recognise an ETag.
#[must_use]
pub fn content_md5(bytes: &[u8]) -> [u8; 16] {
    use md5::Digest;
    md5::Md5::digest(bytes).into()
}

/// The content's MD5 as the ETag shows it: of a plain PUT, without KMS keys and without keys of the client's (Amazon S3 API,
/// Object, `ETag`).
fn plain_md5(answer: &GetObjectOutput) -> Option<[u8; 16]> {
    let is_plain = matches!(
        answer.server_side_encryption(),
        None | Some(ServerSideEncryption::Aes256)
    ) && answer.sse_customer_algorithm().is_none();
    let etag = answer.e_tag().filter(|_| is_plain)?.trim_matches('"');
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(etag.as_bytes()).ok()?;
    bytes.try_into().ok()
}
