//! Addresses of parts of objects.

use std::{collections::BTreeSet, ops::Range};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use shared::{
    api::agent::{PARTS_PER_CALL, ReadsRequest, SignedRead},
    object::{ObjectHash, ObjectKind},
};

use super::{
    lies::said,
    state::{Inner, SIGNED_RANGE, Server, refuse},
};

pub(super) fn sign_reads(inner: &Inner, request: &ReadsRequest) -> Vec<SignedRead> {
    assert!(request.parts.len() <= PARTS_PER_CALL);
    request
        .parts
        .iter()
        // What is gone from the bucket is signed for as well: the server does not look.
        .filter_map(|part| Some((part, inner.signed.get(&part.object)?)))
        .map(|(part, object)| {
            assert!(part.is_within(object.size_bytes), "{part:?} of {object:?}");
            let header = part.header();
            SignedRead {
                part: *part,
                kind: object.kind,
                size_bytes: object.size_bytes,
                url: format!("{}/bucket/{}?{SIGNED_RANGE}{header}", inner.address, object.hash),
                expires_at: Timestamp::MAX,
            }
        })
        .collect()
}

/// What the newest snapshot needs, without its packs, and its manifest.
pub(super) async fn reads(State(server): State<Server>, Json(request): Json<ReadsRequest>) -> Response {
    let mut inner = server.lock();
    let newest = inner.parent.iter().map(|parent| parent.manifest);
    let readable: BTreeSet<ObjectHash> = inner
        .needed
        .iter()
        .filter(|object| matches!(object.kind, ObjectKind::Index | ObjectKind::ListPage))
        .copied()
        .chain(newest)
        .map(|object| object.hash)
        .collect();
    if request.parts.iter().all(|part| readable.contains(&part.object)) {
        let reads = sign_reads(&inner, &request);
        Json(said(&mut inner.words.reads, reads)).into_response()
    } else {
        refuse(
            StatusCode::NOT_FOUND,
            "not_found",
            "not an object of the newest snapshot",
        )
    }
}

/// The range that is asked for.
pub(super) fn range(headers: &HeaderMap) -> Option<Range<usize>> {
    let text = headers.get("range")?.to_str().ok()?;
    let (begin, end) = text.strip_prefix("bytes=")?.split_once('-')?;
    Some(begin.parse().ok()?..end.parse::<usize>().ok()? + 1)
}
