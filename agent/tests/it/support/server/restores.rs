//! Snapshots and their restores.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use shared::{api::agent::*, ids::RestoreId, object::ObjectHash};
use uuid::Uuid;

use super::{
    lies::said,
    reads::sign_reads,
    state::{Server, keys, refuse},
};

pub(super) async fn snapshots(State(server): State<Server>) -> Json<Vec<SnapshotSummary>> {
    let mut inner = server.lock();
    let snapshots = inner
        .snapshots
        .iter()
        .rev()
        .map(|(summary, _)| summary.clone())
        .collect();
    Json(said(&mut inner.words.snapshots, snapshots))
}

pub(super) async fn start_restore(
    State(server): State<Server>,
    Json(request): Json<RestoreRequest>,
) -> Response {
    let mut inner = server.lock();
    let at = inner
        .snapshots
        .iter()
        .position(|(s, _)| s.id == request.snapshot_id);
    let Some(at) = at else {
        return refuse(
            StatusCode::FORBIDDEN,
            "not_authorised",
            "authorise the restore in the console first",
        );
    };
    (inner.restoring, inner.lost) = (Some(at), None);
    let (snapshot, manifest) = inner.snapshots[at].clone();
    let work = RestoreWork {
        restore_id: RestoreId::from_uuid(Uuid::from_u128(9)),
        snapshot,
        manifest,
        record: Some(inner.needed_of[at].1),
        backup_set: keys(&inner),
        expires_at: Timestamp::MAX,
    };
    let work = said(&mut inner.words.restore, work);
    // A liar does not refuse what it has named.
    for named in work.record.into_iter().chain([work.manifest]) {
        inner.signed.insert(named.hash, named);
    }
    Json(work).into_response()
}

pub(super) async fn restore_reads(
    State(server): State<Server>,
    Json(request): Json<ReadsRequest>,
) -> Response {
    let mut inner = server.lock();
    inner.reads_calls += 1;
    let at = inner.restoring.unwrap();
    let (own, newest) = (&inner.needed_of[at].0, &inner.needed_of.last().unwrap().0);
    let is_liar = inner.words.restore.is_some();
    let may =
        |hash: &ObjectHash| is_liar || own.contains(hash) || (inner.lost.is_some() && newest.contains(hash));
    if !request.parts.iter().all(|part| may(&part.object)) {
        return refuse(
            StatusCode::NOT_FOUND,
            "not_found",
            "not an object of this snapshot",
        );
    }
    let reads = sign_reads(&inner, &request);
    Json(said(&mut inner.words.restore_reads, reads)).into_response()
}

/// Says which snapshot's objects may be read instead of what is lost.
pub(super) async fn restore_later(
    State(server): State<Server>,
    Json(request): Json<LaterRequest>,
) -> Response {
    let mut inner = server.lock();
    let at = inner.restoring.unwrap();
    let needed = &inner.needed_of[at].0;
    if request.lost.is_empty() || !request.lost.iter().all(|hash| needed.contains(hash)) {
        return refuse(
            StatusCode::NOT_FOUND,
            "not_found",
            "the snapshot does not need it",
        );
    }
    if request.nth > 0 || at + 1 == inner.snapshots.len() {
        return refuse(StatusCode::CONFLICT, "no_later_snapshot", "it is the newest");
    }
    inner.lost = Some(request.lost);
    let (snapshot, manifest) = inner.snapshots.last().unwrap();
    let later = LaterSnapshot {
        seq: snapshot.seq,
        manifest: *manifest,
    };
    Json(said(&mut inner.words.later, later)).into_response()
}

pub(super) async fn finish(State(server): State<Server>, Json(request): Json<RestoreFinish>) -> StatusCode {
    server.lock().finishes.push(request);
    StatusCode::NO_CONTENT
}
