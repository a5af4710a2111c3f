//! Runs: their work, their uploads, their commits.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use repository::{commit::CommitRecord, identity::AgentPublicKey, manifest, object_list};
use shared::{
    api::{
        agent::*,
        commit::{CommitPage, PageTotals, StoredPage},
    },
    ids::*,
    retention::LockMode,
};
use uuid::Uuid;

use super::{
    lies::{commit_key, said},
    state::{Call, Inner, Server, keys, refuse},
};

fn begin(inner: &mut Inner) -> BackupWork {
    inner.runs += 1;
    let run_id = RunId::from_uuid(Uuid::from_u128(1000 + u128::from(inner.runs)));
    inner.open_run = Some(run_id);
    inner.pages.clear();
    let work = BackupWork {
        run_id,
        source: inner.source.clone().unwrap(),
        backup_set: keys(inner),
        parent: inner.parent.clone(),
        deadline: Timestamp::MAX,
        do_not_reuse: inner.do_not_reuse.clone(),
    };
    said(&mut inner.words.backup, work)
}

pub(super) async fn work(State(server): State<Server>) -> Json<Work> {
    for _ in 0..50 {
        {
            let mut inner = server.lock();
            if std::mem::take(&mut inner.queued) {
                let work = begin(&mut inner);
                return Json(Work::Backup(Box::new(work)));
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    Json(Work::None)
}

pub(super) async fn sources(State(server): State<Server>) -> Json<Vec<SourceSpec>> {
    Json(server.lock().source.iter().cloned().collect())
}

pub(super) async fn start(State(server): State<Server>, Path(_): Path<SourceId>) -> Json<BackupWork> {
    Json(begin(&mut server.called(Call::Start)))
}

pub(super) async fn uploads(
    State(server): State<Server>,
    Path(run): Path<RunId>,
    Json(request): Json<UploadsRequest>,
) -> Response {
    let mut inner = server.called(Call::Uploads);
    if inner.run_over || inner.open_run != Some(run) {
        return refuse(StatusCode::CONFLICT, "run_over", "the run's deadline has passed");
    }
    let is_deleting = |upload: &UploadRequest| inner.deleting.contains(&upload.object.hash);
    if request.objects.iter().any(is_deleting) {
        return refuse(
            StatusCode::CONFLICT,
            "deleting",
            "an earlier copy of it is being deleted",
        );
    }
    let tickets: Vec<UploadTicket> = request
        .objects
        .iter()
        .map(|upload| {
            inner.signed.insert(upload.object.hash, upload.object);
            if inner.bucket.contains_key(&upload.object.hash) {
                return UploadTicket::Stored;
            }
            UploadTicket::Put {
                url: format!("{}/bucket/{}", inner.address, upload.object.hash),
                headers: vec![
                    ("host".into(), inner.address.trim_start_matches("http://").into()),
                    ("content-length".into(), upload.object.size_bytes.to_string()),
                    ("content-md5".into(), upload.content_md5.clone()),
                    ("x-amz-object-lock-mode".into(), "COMPLIANCE".into()),
                ],
                expires_at: Timestamp::MAX,
            }
        })
        .collect();
    Json(said(&mut inner.words.uploads, tickets)).into_response()
}

pub(super) async fn commit_page(
    State(server): State<Server>,
    Path((run, number)): Path<(RunId, u32)>,
    Json(page): Json<CommitPage>,
) -> Response {
    let mut inner = server.called(Call::Page);
    if inner.open_run != Some(run) || inner.committed.contains(&run) {
        return refuse(StatusCode::CONFLICT, "run_over", "another run has begun");
    }
    assert_eq!(page.check(), Ok(()));
    if let Some(known) = inner.pages.get(&number) {
        assert_eq!(*known, page);
        inner.pages_again += 1;
    } else {
        assert_eq!(inner.pages.len(), number as usize, "one after the other");
        inner.pages.insert(number, page);
    }
    StatusCode::NO_CONTENT.into_response()
}

pub(super) async fn stored_pages(
    State(server): State<Server>,
    Path(run): Path<RunId>,
) -> Json<Vec<StoredPage>> {
    let inner = server.lock();
    assert_eq!(inner.open_run, Some(run));
    let stored = inner.pages.iter().map(|(number, page)| StoredPage {
        number: *number,
        digest: repository::hash(&page.to_bytes()),
    });
    Json(stored.collect())
}

pub(super) async fn commit(
    State(server): State<Server>,
    Path(run): Path<RunId>,
    Json(request): Json<CommitRequest>,
) -> Response {
    let mut inner = server.called(Call::Commit);
    if inner.open_run != Some(run) {
        return refuse(StatusCode::CONFLICT, "run_over", "another run has begun");
    }
    if inner.committed.contains(&run) {
        return Json(answer(&inner, run, RunState::Committing)).into_response();
    }
    let pages: Vec<CommitPage> = inner.pages.values().cloned().collect();
    assert_eq!(request.change, PageTotals::of_pages(&pages, repository::hash));
    let parent_seq = inner.parent.as_ref().map_or(0, |parent| parent.seq);
    if request.parent_seq != parent_seq {
        return refuse(StatusCode::CONFLICT, "parent_moved", "another run was faster");
    }
    let key = AgentPublicKey::from_hex(&inner.enrolled.last().unwrap().signing_key).unwrap();
    let header = manifest::open_header(&inner.bucket[&request.manifest.hash].1, &key).unwrap();
    assert_eq!(header.run_id, run);
    assert_eq!(header.totals, request.totals);
    assert_eq!(
        header.parent.map(|parent| parent.manifest),
        inner.parent.as_ref().map(|p| p.manifest.hash)
    );
    let mut needed = inner.needed.clone();
    for page in &pages {
        match page {
            CommitPage::Added(added) => {
                for object in added {
                    assert_eq!(inner.bucket[&object.hash].0, *object);
                    assert!(needed.insert(*object), "added what the parent has");
                }
            }
            CommitPage::Dropped(dropped) => {
                for hash in dropped {
                    let before = needed.len();
                    needed.retain(|object| object.hash != *hash);
                    assert_eq!(needed.len() + 1, before, "dropped what the parent has not");
                }
            }
            CommitPage::Liveness(_) => assert!(request.counted_liveness),
        }
    }
    assert_eq!(object_list::root(&needed), header.objects_root);
    inner.needed = needed;
    let seq = parent_seq + 1;
    let id = SnapshotId::from_uuid(Uuid::from_u128(2000 + u128::from(seq)));
    inner.parent = Some(ParentSnapshot {
        snapshot_id: id,
        seq,
        manifest: request.manifest,
    });
    let summary = SnapshotSummary {
        id,
        source_id: header.source_id,
        source_name: "documents".into(),
        seq,
        received_at: header.created_at,
        protected_until: Timestamp::MAX,
        complete: true,
        totals: request.totals,
    };
    let record = CommitRecord {
        source_id: header.source_id,
        snapshot_id: id,
        run_id: run,
        seq,
        parent_manifest: header.parent.map(|parent| parent.manifest),
        manifest: request.manifest,
        received_at: summary.received_at,
        protected_until: summary.protected_until,
        mode: LockMode::Compliance,
        tiers: vec![],
    };
    let record = inner.keep_record(&record, &commit_key());
    let needed = inner.needed.iter().map(|object| object.hash);
    let needed = needed.chain([request.manifest.hash, record.hash]).collect();
    inner.needed_of.push((needed, record));
    inner.snapshots.push((summary, request.manifest));
    let number = inner.runs;
    inner.made_by.push(number);
    inner.committed.insert(run);
    Json(answer(&inner, run, RunState::Committing)).into_response()
}

fn answer(inner: &Inner, run_id: RunId, state: RunState) -> RunStatus {
    RunStatus {
        run_id,
        state,
        snapshot: inner.snapshots.last().map(|(summary, _)| summary.clone()),
        error: None,
    }
}

pub(super) async fn status(State(server): State<Server>, Path(run): Path<RunId>) -> Json<RunStatus> {
    let mut inner = server.called(Call::Status);
    if inner.polls > 0 {
        inner.polls -= 1;
        return Json(answer(&inner, run, RunState::Locking));
    }
    let state = match (inner.committed.contains(&run), inner.open_run == Some(run)) {
        (true, _) => RunState::Succeeded,
        (false, true) => RunState::Running,
        (false, false) => RunState::Failed,
    };
    Json(answer(&inner, run, state))
}

pub(super) async fn progress(State(server): State<Server>, Path(run): Path<RunId>) -> Response {
    let inner = server.lock();
    if inner.run_over || inner.open_run != Some(run) {
        return refuse(StatusCode::CONFLICT, "run_over", "the run's deadline has passed");
    }
    StatusCode::NO_CONTENT.into_response()
}

pub(super) async fn abort(State(server): State<Server>, Json(request): Json<AbortRequest>) -> StatusCode {
    let mut inner = server.lock();
    inner.aborts.push(request.reason);
    inner.may_pass.push(request.may_pass);
    StatusCode::NO_CONTENT
}
