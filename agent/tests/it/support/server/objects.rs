//! The storage: objects are put and read.

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use shared::object::ObjectHash;

use super::{
    liar::longer,
    reads::range,
    state::{Call, Server},
};

pub(super) async fn put_object(
    State(server): State<Server>,
    Path(hash): Path<ObjectHash>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    use base64::Engine;
    use md5::Digest;
    let kind = server.lock().signed[&hash].kind;
    let mut inner = server.called(Call::Put(kind));
    inner.puts += 1;
    let object = inner.signed[&hash];
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let md5 = base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(&body));
    assert_eq!(header("content-md5"), Some(md5));
    assert_eq!(header("content-length"), Some(object.size_bytes.to_string()));
    assert_eq!(header("x-amz-object-lock-mode").as_deref(), Some("COMPLIANCE"));
    assert_eq!(
        header("authorization"),
        None,
        "the credential is not for the storage"
    );
    assert_eq!(repository::hash(&body), hash);
    let take = |count: &mut u32| std::mem::replace(count, count.saturating_sub(1)) > 0;
    if take(&mut inner.busy_puts) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if take(&mut inner.expired_puts) {
        return (StatusCode::FORBIDDEN, "<Error><Code>AccessDenied</Code></Error>").into_response();
    }
    if take(&mut inner.long_refusals) {
        return (StatusCode::FORBIDDEN, longer(Bytes::new(), 256 << 20)).into_response();
    }
    inner.bucket.insert(hash, (object, body.to_vec()));
    inner.stored.push(object);
    if let Some(left) = &mut inner.over_after {
        *left -= 1;
        if *left == 0 {
            (inner.over_after, inner.run_over) = (None, true);
        }
    }
    if take(&mut inner.lost_answers) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let md5 = md5::Md5::digest(&body);
    let md5: String = md5.iter().map(|byte| format!("{byte:02x}")).collect();
    ([("etag", format!("\"{md5}\""))], ()).into_response()
}

pub(super) async fn get_object(
    State(server): State<Server>,
    Path(hash): Path<ObjectHash>,
    headers: HeaderMap,
) -> Response {
    let mut inner = server.lock();
    inner.gets += 1;
    if inner.expired_reads > 0 {
        inner.expired_reads -= 1;
        return StatusCode::FORBIDDEN.into_response();
    }
    let stored = inner.bucket.get(&hash).or_else(|| inner.records.get(&hash));
    let Some((_, bytes)) = stored else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Some(range) = range(&headers) else {
        return bytes.clone().into_response();
    };
    let (begin, end) = (range.start, range.end.min(bytes.len()));
    if begin >= end {
        return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    }
    let named = format!("bytes {begin}-{}/{}", end - 1, bytes.len());
    let part = bytes[begin..end].to_vec();
    (StatusCode::PARTIAL_CONTENT, [("content-range", named)], part).into_response()
}
