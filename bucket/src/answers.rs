//! Which answers are read at all. What stands between this program and S3 (a proxy, a sign-in page, a broken store) may
//! answer 200 without having done anything, or without end. Such an answer is turned into a failed try before the SDK reads
//! it: the SDK takes any 200 to a PUT for success, and keeps whole answers in memory, however large.
//!
//! - An answer has at most [`MAX_ANSWER_BYTES`]; only an object's content may be larger, and is bounded by its reader.
//! - A web page is never S3's.
//! - HeadObject, GetObject and PutObject name the object's ETag (Amazon S3 API); PutObjectRetention has no body, all else answers
//!   with an XML document whose root is known. An `<Error>` in its place is left to the SDK, which tells its code.
//! - A whole object comes with 200 and names no range; only a 206 may name one.
//! - A refusal of anything but a HEAD tells S3's code when it says 404 or 405: a page that was not found is no lost object.

use std::time::Duration;

use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        connector_metadata::ConnectorMetadata,
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::{RuntimeComponents, RuntimeComponentsBuilder},
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

/// A thousand entries of a listing, with keys of a thousand escaped characters, fit.
pub(crate) const MAX_ANSWER_BYTES: usize = 8 << 20;
/// A refusal is shorter.
const MAX_REFUSAL_BYTES: usize = 256 << 10;
/// How long the body of such an answer may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// An answer that S3 would not give.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotS3(pub(crate) String);

/// The client with every answer judged.
pub(crate) fn judged(inner: SharedHttpClient) -> SharedHttpClient {
    SharedHttpClient::new(Judged(inner))
}

#[derive(Debug)]
struct Judged<T>(T);

impl HttpClient for Judged<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Judged(self.0.http_connector(settings, components)))
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.validate_base_client_config(components, config)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

impl HttpConnector for Judged<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let asked = Asked::of(&request);
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            // As a failure of the connection, so that the SDK tries again.
            read(asked, answer)
                .await
                .map_err(|wrong| ConnectorError::io(Box::new(wrong)))
        })
    }
}

/// What a request asks for, as far as its answer depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// HeadObject.
    Head,
    /// GetObject: the body is the object's, and left to the reader.
    Content,
    /// GetObject with a range: the reader compares the range that is named.
    Part,
    /// PutObject.
    Put,
    /// PutObjectRetention, DeleteObject, DeleteBucket: no body.
    Change,
    /// CreateBucket: no body, or a document of the provider's own.
    Create,
    /// XML with one of these roots.
    Document(&'static [&'static str]),
}

impl Asked {
    fn of(request: &HttpRequest) -> Self {
        let (_, query) = request.uri().split_once('?').unwrap_or_default();
        let has = |name: &str| query.split('&').any(|part| part.split('=').next() == Some(name));
        match request.method() {
            "HEAD" => Self::Head,
            "GET" if query.contains("x-id=GetObject") && request.headers().contains_key("range") => {
                Self::Part
            }
            "GET" if query.contains("x-id=GetObject") => Self::Content,
            "PUT" if query.contains("x-id=PutObject") => Self::Put,
            "PUT" if has("retention") => Self::Change,
            "DELETE" => Self::Change,
            "PUT" => Self::Create,
            "POST" => Self::Document(&["DeleteResult"]),
            _ if has("versions") => Self::Document(&["ListVersionsResult"]),
            _ if has("versioning") => Self::Document(&["VersioningConfiguration"]),
            _ if has("object-lock") => Self::Document(&["ObjectLockConfiguration"]),
            _ => Self::Document(&["ListAllMyBucketsResult"]),
        }
    }
}

async fn read(asked: Asked, mut answer: HttpResponse) -> Result<HttpResponse, NotS3> {
    let is_success = answer.status().is_success();
    if is_success && is_page(answer.headers().get("content-type")) {
        return Err(NotS3("a web page".to_owned()));
    }
    if is_success && matches!(asked, Asked::Head | Asked::Content | Asked::Part | Asked::Put) {
        has_etag(&answer)?;
    }
    if is_success && asked == Asked::Content {
        return match answer.status().as_u16() {
            200 if answer.headers().get("content-range").is_none() => Ok(answer),
            _ => Err(NotS3("a part of an object instead of the whole".to_owned())),
        };
    }
    if is_success && asked == Asked::Part {
        if answer.status().as_u16() != 206 {
            // It means nothing there (RFC 9110, section 14.4), and the SDK does not tell 206 from 200.
            answer.headers_mut().remove("content-range");
        }
        return Ok(answer);
    }
    let limit = if is_success {
        MAX_ANSWER_BYTES
    } else {
        MAX_REFUSAL_BYTES
    };
    // The SDK's own limit of time for a body begins behind this function.
    let body = Limited::new(answer.take_body(), limit).collect();
    let Ok(body) = tokio::time::timeout(BODY_TIMEOUT, body).await else {
        return Err(NotS3("an answer that stalls".to_owned()));
    };
    let body = match body {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() && is_success => {
            return Err(NotS3(format!("an answer of more than {limit} bytes")));
        }
        // The status says enough.
        Err(error) if error.is::<LengthLimitError>() => Bytes::new(),
        Err(error) => return Err(NotS3(format!("an answer that breaks off: {error}"))),
    };
    judge(asked, answer.status().as_u16(), &body)?;
    *answer.body_mut() = SdkBody::from(body);
    Ok(answer)
}

fn is_page(content_type: Option<&str>) -> bool {
    let kind = content_type.unwrap_or_default().trim_start().to_ascii_lowercase();
    kind.starts_with("text/html") || kind.starts_with("application/xhtml")
}

fn has_etag(answer: &HttpResponse) -> Result<(), NotS3> {
    match answer.headers().get("etag") {
        Some(etag) if !etag.trim_matches('"').is_empty() => Ok(()),
        _ => Err(NotS3("an answer without an ETag".to_owned())),
    }
}

fn judge(asked: Asked, status: u16, body: &[u8]) -> Result<(), NotS3> {
    let root = root(body);
    if !(200..300).contains(&status) {
        return match (asked, status, root) {
            (Asked::Head, ..) | (.., Some("Error")) => Ok(()),
            (_, 404 | 405, _) => Err(NotS3(format!("HTTP {status} without S3's error"))),
            _ => Ok(()),
        };
    }
    let is_blank = body.iter().all(u8::is_ascii_whitespace);
    match (asked, root) {
        (_, Some("Error")) => Ok(()),
        (Asked::Document(roots), Some(root)) if roots.contains(&root) => Ok(()),
        (Asked::Document(_), _) if is_blank => Err(NotS3("an empty answer".to_owned())),
        (Asked::Document(_), _) => Err(NotS3("another document than was asked for".to_owned())),
        (..) if is_blank => Ok(()),
        (Asked::Create, Some(root))
            if !root.eq_ignore_ascii_case("html") && !root.eq_ignore_ascii_case("!doctype") =>
        {
            Ok(())
        }
        _ => Err(NotS3("an answer with a body where S3 has none".to_owned())),
    }
}

/// The name of an XML document's root, without its namespace; `None` when it is no XML.
fn root(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let mut text = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        if let Some(rest) = text.strip_prefix("<?") {
            text = rest.split_once("?>")?.1.trim_start();
        } else if let Some(rest) = text.strip_prefix("<!--") {
            text = rest.split_once("-->")?.1.trim_start();
        } else {
            break;
        }
    }
    let rest = text.strip_prefix('<')?;
    let name = rest
        .split(|c: char| c == '>' || c == '/' || c.is_ascii_whitespace())
        .next()?;
    Some(name.rsplit(':').next().unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots() {
        for (body, expected) in [
            ("", None),
            ("ok", None),
            ("<Error><Code>A</Code></Error>", Some("Error")),
            (
                "\u{feff}<?xml version='1.0'?>\n<!-- a > b -->\n<s3:Error xmlns:s3='x'>",
                Some("Error"),
            ),
            ("<!DOCTYPE html><html>", Some("!DOCTYPE")),
            ("<ListVersionsResult/>", Some("ListVersionsResult")),
        ] {
            assert_eq!(root(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn what_is_not_asked_for_is_no_answer() {
        let listing = Asked::Document(&["ListVersionsResult"]);
        let error = b"<Error><Code>SlowDown</Code></Error>".as_slice();
        for asked in [Asked::Change, Asked::Put, listing] {
            // The SDK tells its code.
            assert!(judge(asked, 200, error).is_ok());
            assert!(judge(asked, 503, b"<html>").is_ok());
            assert!(judge(asked, 200, b"<html>").is_err());
            assert!(judge(asked, 404, b"<html>").is_err());
            assert!(judge(asked, 404, b"").is_err());
            assert!(judge(asked, 404, error).is_ok());
        }
        assert!(judge(Asked::Create, 200, b"<CreateBucketResult/>").is_ok());
        assert!(
            judge(Asked::Create, 200, b"<!doctype html>").is_err()
                && judge(Asked::Create, 200, b"ok").is_err()
        );
        assert!(judge(Asked::Head, 404, b"").is_ok());
        assert!(judge(Asked::Change, 200, b"\n").is_ok() && judge(listing, 200, b"\n").is_err());
        assert!(judge(listing, 200, b"<ListVersionsResult/>").is_ok());
        assert!(judge(listing, 200, b"<ListBucketResult/>").is_err());
        assert!(judge(Asked::Change, 200, b"<ListVersionsResult/>").is_err());
    }
}
