//! What stands in front of s3s: form uploads are turned away, XML bodies are checked against their
//! digests, aws-chunked bodies are cut into small chunks, and responses get lockbox's date.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, EXPECT, HeaderValue, SERVER};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use s3s::HttpError;
use s3s::dto::{Timestamp, TimestampFormat};
use s3s::service::S3Service;

use crate::body::{BodyCheck, Shared};
use crate::clock::Clock;
use crate::declared::Declared;
use crate::digest::Hashes;
use crate::error::no_forms;
use crate::rechunk::Rechunk;

/// DeleteObjects with 1,000 keys of 1,024 escaped characters, and 10,000 completed parts, fit.
const XML_LIMIT_BYTES: usize = 8 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub(crate) struct Front {
    service: S3Service,
    clock: Clock,
}

impl Front {
    pub(crate) fn new(service: S3Service, clock: Clock) -> Self {
        Self { service, clock }
    }

    pub(crate) async fn handle(&self, req: Request<Incoming>) -> Result<Response<s3s::Body>, HttpError> {
        let mut response = self.answer(req).await?;
        let headers = response.headers_mut();
        headers.insert(SERVER, HeaderValue::from_static("lockbox"));
        set_date(headers, &self.clock, 0);
        Ok(response)
    }

    async fn answer(&self, req: Request<Incoming>) -> Result<Response<s3s::Body>, HttpError> {
        let (mut parts, body) = req.into_parts();
        // s3s would read the whole form into memory before any access check.
        if parts.method == Method::POST && is_form(&parts.headers) {
            return no_forms()
                .to_http_response()
                .map_err(|e| HttpError::new(Box::new(e)));
        }
        let streaming = content_sha256(&parts.headers).starts_with("STREAMING-");
        if !streaming && has_xml_body(&parts.method, parts.uri.query().unwrap_or_default()) {
            let completes = parts.method == Method::POST && has_parameter(&parts, "uploadId");
            let (check, body) = read_xml(&parts.headers, body, completes).await;
            parts.extensions.insert(check);
            return self.service.call(Request::from_parts(parts, body.into())).await;
        }
        let waits = parts.headers.contains_key(EXPECT);
        let shared = Shared::new(body);
        let rest = shared.clone();
        let body = if streaming {
            let unsigned = content_sha256(&parts.headers).starts_with("STREAMING-UNSIGNED");
            s3s::Body::http_body_unsync(Rechunk::new(shared, unsigned))
        } else {
            s3s::Body::http_body_unsync(shared)
        };
        let response = self.service.call(Request::from_parts(parts, body)).await?;
        // A client that waits for "100 Continue" has not sent a body that was refused.
        if (response.status().is_client_error() || response.status().is_server_error()) && !waits {
            // What the client sends beyond this, or too slowly, is cut off with the connection.
            let _ = tokio::time::timeout(DRAIN_TIME, rest.drain()).await;
        }
        Ok(response)
    }
}

/// Tells lockbox's time, or one that is so far ahead of it. Without this hyper would tell the machine's, also under a
/// manual clock.
pub(crate) fn set_date(headers: &mut HeaderMap, clock: &Clock, ahead_seconds: i64) {
    let ahead = time::Duration::seconds(ahead_seconds);
    let at = clock.millis().offset();
    let at = Timestamp::from(at.checked_add(ahead).unwrap_or(at));
    let mut date = Vec::new();
    if at.format(TimestampFormat::HttpDate, &mut date).is_ok()
        && let Ok(date) = HeaderValue::from_bytes(&date)
    {
        headers.insert(DATE, date);
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    kind.trim_start()
        .to_ascii_lowercase()
        .starts_with("multipart/form-data")
}

fn content_sha256(headers: &HeaderMap) -> &str {
    headers
        .get("x-amz-content-sha256")
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default()
}

fn parameters(query: &str) -> impl Iterator<Item = &str> {
    query
        .split('&')
        .map(|part| part.split_once('=').map_or(part, |(name, _)| name))
}

fn has_parameter(parts: &http::request::Parts, name: &str) -> bool {
    parameters(parts.uri.query().unwrap_or_default()).any(|p| p == name)
}

/// All operations whose body is XML, except CreateBucket, which has no digest to check.
fn has_xml_body(method: &Method, query: &str) -> bool {
    let configures = ["object-lock", "versioning", "retention", "legal-hold"];
    *method == Method::POST || (*method == Method::PUT && parameters(query).any(|p| configures.contains(&p)))
}

/// `completes`: in CompleteMultipartUpload the checksum headers speak of the object, not the body.
async fn read_xml(headers: &HeaderMap, body: Incoming, completes: bool) -> (BodyCheck, Bytes) {
    let body = match Limited::new(body, XML_LIMIT_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return (BodyCheck::TooLarge, Bytes::new()),
        Err(_) => return (BodyCheck::Incomplete, Bytes::new()),
    };
    let check = match if completes {
        Declared::md5_only(headers)
    } else {
        Declared::parse(headers)
    } {
        Err(_) => BodyCheck::Invalid,
        Ok(declared) if !declared.any() => BodyCheck::Undeclared,
        Ok(declared) => {
            let mut hashes = Hashes::new(declared.algorithm());
            hashes.update(&body);
            match declared.verify(&hashes.finish(), None) {
                Ok(()) => BodyCheck::Match,
                Err(_) => BodyCheck::Mismatch,
            }
        }
    };
    (check, body)
}
