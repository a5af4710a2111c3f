//! Answers that are made up, and bodies that end badly.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use s3s::StdError;

use super::action::{Action, Answer, Listing};
use super::listing;
use super::request::Seen;

/// The body of any answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, StdError>;

const PAGE: &str =
    "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Sign in</h1></body></html>\n";
const BLOCK: Bytes = Bytes::from_static(&[b'a'; 64 * 1024]);

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// What a rule answers without asking the store; `None` when it asks.
pub(super) fn instead(action: &Action, seen: &Seen) -> Option<Response<Body>> {
    let missing = match seen.parameter("versionId") {
        Some(_) => "NoSuchVersion",
        None => "NoSuchKey",
    };
    Some(match action {
        Action::Status { status, code } => xml(*status, error(code)),
        Action::NotThere => xml(404, error(missing)),
        Action::Empty => Response::new(full(Bytes::new())),
        Action::Html => typed(200, "text/html; charset=utf-8", full(PAGE)),
        Action::ErrorInside { code } => xml(200, error(code)),
        Action::Huge { bytes } => typed(200, "application/xml", endless(*bytes)),
        Action::Listing(Listing::Endless { per_page }) => xml(200, listing::endless(seen, *per_page)),
        _ => return None,
    })
}

fn error(code: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>a fault on purpose</Message><RequestId>fault</RequestId></Error>"
    )
}

fn xml(status: u16, body: String) -> Response<Body> {
    typed(status, "application/xml", full(body))
}

fn typed(status: u16, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn endless(bytes: u64) -> Body {
    let blocks = stream::unfold(bytes, |left| async move {
        let size = usize::try_from(left).unwrap_or(BLOCK.len()).min(BLOCK.len());
        (size > 0).then(|| (Ok(Frame::data(BLOCK.slice(..size))), left - size as u64))
    });
    StreamBody::new(blocks).boxed_unsync()
}

/// The whole answer in memory.
pub(super) async fn collect(response: Response<Body>) -> Result<Answer, StdError> {
    let (parts, body) = response.into_parts();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await?.to_bytes(),
    })
}

/// The answer as it is sent: Content-Length follows from the body.
pub(super) fn send(answer: Answer) -> Response<Body> {
    let mut response = Response::new(full(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response.headers_mut().remove(CONTENT_LENGTH);
    response
}

/// Announces the whole body and breaks off after a part of it.
pub(super) fn broken(mut answer: Answer, after_bytes: usize) -> Response<Body> {
    let length = HeaderValue::from(answer.body.len());
    answer.headers.insert(CONTENT_LENGTH, length);
    let part = answer.body.slice(..after_bytes.min(answer.body.len()));
    let failure = stream::once(async {
        // Until then what was sent has left the server's buffer.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(StdError::from(io::Error::other("dropped on purpose")))
    });
    let frames = stream::iter([Ok(Frame::data(part))]).chain(failure);
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}
