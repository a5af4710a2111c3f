//! Tells the lies that are ordered (`lies.rs`), before the true answer or instead of it.

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, stream};
use shared::object::ObjectHash;

use super::{
    lies::{Lie, On, Order},
    reads::range,
    state::{Inner, SIGNED_RANGE, Server},
};

impl Server {
    /// Lies to the next `times` requests that fit.
    pub fn order(&self, on: On, times: u32, lie: Lie) {
        self.lock().orders.push(Order { on, times, lie });
    }

    /// How many ordered lies were told.
    pub fn told(&self) -> u32 {
        self.lock().told
    }
}

fn next_lie(inner: &mut Inner, method: &Method, path: &str) -> Option<Lie> {
    let object = path.strip_prefix("/bucket/").and_then(|hash| hash.parse().ok());
    let kind = object.and_then(|hash: ObjectHash| inner.signed.get(&hash).map(|object| object.kind));
    let is_read = method == Method::GET;
    let is_status = is_read && path.rsplit('/').nth(1) == Some("runs");
    let fits = |on: &On| match on {
        On::Api(end) => object.is_none() && path.ends_with(end),
        On::Status => is_status,
        On::Put(wanted) => !is_read && kind == Some(*wanted),
        On::Kind(wanted) => is_read && kind == Some(*wanted),
        On::Object(wanted) => is_read && object == Some(*wanted),
    };
    let order = inner
        .orders
        .iter_mut()
        .find(|order| order.times > 0 && fits(&order.on))?;
    order.times -= 1;
    inner.told += 1;
    Some(order.lie.clone())
}

/// The outermost layer: tells the lie that is due, or the truth.
pub(super) async fn lie(State(server): State<Server>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if request.method() == "GET" && path.starts_with("/bucket/") {
        // As S3 does it, whoever answers: the range is among the signed headers.
        let signed = request
            .uri()
            .query()
            .and_then(|query| query.strip_prefix(SIGNED_RANGE));
        let asked = request.headers().get(header::RANGE);
        if signed.is_none() || signed != asked.and_then(|asked| asked.to_str().ok()) {
            let code = "<Error><Code>SignatureDoesNotMatch</Code></Error>";
            return (StatusCode::FORBIDDEN, code).into_response();
        }
    }
    let due = next_lie(&mut server.lock(), request.method(), &path);
    let Some(lie) = due else {
        return next.run(request).await;
    };
    match &lie {
        Lie::Refusal(status, code) => {
            let body = format!("<Error><Code>{code}</Code></Error>");
            return (StatusCode::from_u16(*status).unwrap(), body).into_response();
        }
        Lie::HtmlStatus(status) => {
            let page = axum::response::Html("<!DOCTYPE html><html>bad gateway</html>");
            return (StatusCode::from_u16(*status).unwrap(), page).into_response();
        }
        Lie::Status(status) => return StatusCode::from_u16(*status).unwrap().into_response(),
        Lie::Html => {
            return axum::response::Html("<!DOCTYPE html><html>please sign in</html>").into_response();
        }
        Lie::Empty => return StatusCode::OK.into_response(),
        Lie::Redirect => {
            let to = format!("{}{path}", server.lock().address);
            return (StatusCode::FOUND, [(header::LOCATION, to)]).into_response();
        }
        Lie::Other(hash) => {
            let other = server.lock().bucket[hash].1.clone();
            return other.into_response();
        }
        Lie::Whole => drop(request.headers_mut().remove(header::RANGE)),
        Lie::OtherRange => {
            let range =
                range(request.headers()).map(|range| format!("bytes={}-{}", range.start + 1, range.end));
            if let Some(range) = range {
                let range = HeaderValue::from_str(&range).unwrap();
                request.headers_mut().insert(header::RANGE, range);
            }
        }
        _ => {}
    }
    let (mut parts, body) = next.run(request).await.into_parts();
    let truth = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = match lie {
        Lie::Cut(len) => Body::from(truth.slice(..len.min(truth.len()))),
        Lie::BreakOff(len) => {
            parts.headers.insert(header::CONTENT_LENGTH, truth.len().into());
            ending(truth.slice(..len.min(truth.len())))
        }
        Lie::Stall(len) => {
            parts
                .headers
                .insert(header::CONTENT_LENGTH, (truth.len() + 1).into());
            let begin = stream::iter([Ok::<_, std::convert::Infallible>(
                truth.slice(..len.min(truth.len())),
            )]);
            Body::from_stream(begin.chain(stream::pending()))
        }
        Lie::Announce(len) => {
            parts.headers.insert(header::CONTENT_LENGTH, len.into());
            ending(truth)
        }
        Lie::Longer(len) => longer(truth, len),
        Lie::Flip => {
            let mut bytes = truth.to_vec();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            Body::from(bytes)
        }
        Lie::Unnamed => {
            parts.headers.remove(header::CONTENT_RANGE);
            Body::from(truth)
        }
        _ => Body::from(truth),
    };
    Response::from_parts(parts, body)
}

/// A body that ends with an error: the connection is closed.
fn ending(bytes: Bytes) -> Body {
    Body::from_stream(stream::iter([
        Ok(bytes),
        Err(std::io::Error::other("the connection ends")),
    ]))
}

pub(super) fn longer(truth: Bytes, zeros: u64) -> Body {
    const PIECE: u64 = 1 << 20;
    let pieces = (0..zeros.div_ceil(PIECE)).map(move |at| {
        let len = PIECE.min(zeros - at * PIECE);
        Bytes::from(vec![0; usize::try_from(len).unwrap()])
    });
    let all = std::iter::once(truth).chain(pieces);
    Body::from_stream(stream::iter(all.map(Ok::<_, std::convert::Infallible>)))
}
