//! A server and a bucket on a loopback port: as much of both as an agent sees, with faults on demand, and lies
//! (`lies.rs`). It checks what the real server must check of a commit.

#[path = "lies.rs"]
#[allow(dead_code, reason = "not every test lies")]
pub mod lies;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use jiff::Timestamp;
use repository::{
    commit::{CommitRecord, CommitSigningKey},
    identity::AgentPublicKey,
    manifest, object_list,
    recovery::RecoveryPublicKey,
};
use shared::{
    api::{
        ErrorBody,
        agent::*,
        commit::{CommitPage, PageTotals, StoredPage},
    },
    ids::*,
    object::{ObjectHash, ObjectKind, ObjectRef},
    retention::LockMode,
};
use uuid::Uuid;

use lies::{Words, said};

pub const TOKEN: &str = "one-time-token";
/// What the query of a read address says that is signed.
pub const SIGNED_RANGE: &str = "signed-range=";
const CREDENTIAL: &str = "credential-of-the-agent";

/// What an agent asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Start,
    Uploads,
    Put(ObjectKind),
    Page,
    Commit,
    Status,
}

/// Is told of a call before it has any effect.
pub type Hook = Box<dyn FnMut(Call) + Send>;

#[derive(Default)]
pub struct Inner {
    pub hook: Option<Hook>,
    pub address: String,
    pub key: Option<RecoveryPublicKey>,
    pub source: Option<SourceSpec>,
    pub enrolled: Vec<EnrollRequest>,
    pub bucket: HashMap<ObjectHash, (ObjectRef, Vec<u8>)>,
    pub puts: u32,
    pub parent: Option<ParentSnapshot>,
    pub needed: BTreeSet<ObjectRef>,
    pub snapshots: Vec<(SnapshotSummary, ObjectRef)>,
    /// Which run made each of them: the nth that was begun.
    pub made_by: Vec<u32>,
    pub runs: u32,
    pub open_run: Option<RunId>,
    /// What the open run has sent of its change.
    pub pages: BTreeMap<u32, CommitPage>,
    /// How often a page came that was there.
    pub pages_again: u32,
    /// Runs that have committed.
    pub committed: BTreeSet<RunId>,
    pub queued: bool,
    pub aborts: Vec<String>,
    pub finishes: Vec<RestoreFinish>,
    pub signed: HashMap<ObjectHash, ObjectRef>,
    /// Objects in the order in which they were stored.
    pub stored: Vec<ObjectRef>,
    /// Packs that are not to be reused.
    pub do_not_reuse: Vec<ObjectHash>,
    /// Objects that are being deleted: asking for one is refused.
    pub deleting: BTreeSet<ObjectHash>,
    /// So many puts answer 503.
    pub busy_puts: u32,
    /// So many puts answer 403, as an expired address does.
    pub expired_puts: u32,
    /// So many puts answer 403 with a body of a quarter of a gibibyte.
    pub long_refusals: u32,
    /// So many puts are stored, but answered 500.
    pub lost_answers: u32,
    /// So many reads answer 403.
    pub expired_reads: u32,
    /// So many API calls answer 503.
    pub busy_calls: u32,
    /// Uploads are refused: the run is over.
    pub run_over: bool,
    /// The run is over when so many objects more are stored.
    pub over_after: Option<usize>,
    /// So many polls answer `committing`.
    pub polls: u32,
    /// The commit records of the snapshots.
    pub records: HashMap<ObjectHash, (ObjectRef, Vec<u8>)>,
    /// What each snapshot needs, its manifest among it, and its record.
    pub needed_of: Vec<(BTreeSet<ObjectHash>, ObjectRef)>,
    /// Which of the snapshots is being restored.
    pub restoring: Option<usize>,
    /// What the agent said that the restored snapshot has lost.
    pub lost: Option<Vec<ObjectHash>>,
    /// Reads of objects.
    pub gets: u32,
    /// Calls for addresses of a restore.
    pub reads_calls: u32,
    pub words: Words,
    pub orders: Vec<lies::Order>,
    pub told: u32,
}

#[derive(Clone, Default)]
pub struct Server(Arc<Mutex<Inner>>);

impl Server {
    pub async fn start(key: RecoveryPublicKey, paths: &[&std::path::Path]) -> Self {
        let server = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        {
            let mut inner = server.lock();
            inner.address = format!("http://{}", listener.local_addr().unwrap());
            inner.key = Some(key);
            inner.source = Some(SourceSpec {
                id: SourceId::from_uuid(Uuid::from_u128(77)),
                name: "documents".into(),
                paths: paths
                    .iter()
                    .map(|path| path.to_str().unwrap().to_owned())
                    .collect(),
                excludes: vec![],
                options: SourceOptions::default(),
            });
        }
        let api = Router::new()
            .route("/enrollment", post(enrollment))
            .route("/enroll", post(enroll))
            .route("/work", get(work))
            .route("/sources", get(sources))
            .route("/sources/{source}/runs", post(start))
            .route("/sources/{source}/reads", post(reads))
            .route("/runs/{run}/uploads", post(uploads))
            .route("/runs/{run}/progress", post(|| async { StatusCode::NO_CONTENT }))
            .route("/runs/{run}/commit", post(commit))
            .route("/runs/{run}/commit/pages", get(stored_pages))
            .route("/runs/{run}/commit/pages/{number}", put(commit_page))
            .route("/runs/{run}/abort", post(abort))
            .route("/runs/{run}", get(status))
            .route("/snapshots", get(snapshots))
            .route("/restores", post(start_restore))
            .route("/restores/{restore}/reads", post(restore_reads))
            .route("/restores/{restore}/later", post(restore_later))
            .route(
                "/restores/{restore}/progress",
                post(|| async { StatusCode::NO_CONTENT }),
            )
            .route("/restores/{restore}/finish", post(finish))
            .layer(axum::middleware::from_fn_with_state(server.clone(), guard));
        let app = Router::new()
            .nest(BASE_PATH, api)
            .route("/bucket/{hash}", put(put_object).get(get_object))
            .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
            .layer(axum::middleware::from_fn_with_state(server.clone(), lies::lie))
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        server
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// The same, of an agent's call.
    fn called(&self, call: Call) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        if let Some(hook) = &mut inner.hook {
            hook(call);
        }
        inner
    }
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    let body = ErrorBody {
        code: code.into(),
        message: message.into(),
    };
    (status, Json(body)).into_response()
}

async fn guard(
    State(server): State<Server>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let open = request.uri().path().ends_with("/enrollment") || request.uri().path().ends_with("/enroll");
    let bearer = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    if !open && bearer != Some(&format!("Bearer {CREDENTIAL}")) {
        return refuse(StatusCode::UNAUTHORIZED, "unauthorized", "who are you?");
    }
    {
        let mut inner = server.lock();
        if inner.busy_calls > 0 {
            inner.busy_calls -= 1;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    }
    next.run(request).await
}

fn keys(inner: &Inner) -> BackupSetKeys {
    let key = inner.key.as_ref().unwrap();
    BackupSetKeys {
        id: BackupSetId::from_uuid(Uuid::from_u128(5)),
        name: "set".into(),
        recovery_key: shared::api::agent::RecoveryPublicKey {
            sealing: key.sealing_hex(),
            certifying: key.certifying_hex(),
        },
    }
}

async fn enrollment(State(server): State<Server>, Json(query): Json<EnrollmentQuery>) -> Response {
    let mut inner = server.lock();
    if query.token != TOKEN {
        return refuse(
            StatusCode::FORBIDDEN,
            "bad_token",
            "the token is unknown or used up",
        );
    }
    let offer = EnrollmentOffer {
        tenant_name: "Acme".into(),
        backup_set: keys(&inner),
        storage: vec![inner.address.clone()],
        expires_at: Timestamp::MAX,
    };
    Json(said(&mut inner.words.offer, offer)).into_response()
}

async fn enroll(State(server): State<Server>, Json(request): Json<EnrollRequest>) -> Response {
    let mut inner = server.lock();
    inner.enrolled.push(request);
    let enrolled = EnrollResponse {
        agent_id: AgentId::from_uuid(Uuid::from_u128(6)),
        credential: CREDENTIAL.into(),
        commit_key: lies::commit_key().verifying_key().to_string(),
    };
    Json(said(&mut inner.words.enrolled, enrolled)).into_response()
}

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

async fn work(State(server): State<Server>) -> Json<Work> {
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

async fn sources(State(server): State<Server>) -> Json<Vec<SourceSpec>> {
    Json(server.lock().source.iter().cloned().collect())
}

async fn start(State(server): State<Server>, Path(_): Path<SourceId>) -> Json<BackupWork> {
    Json(begin(&mut server.called(Call::Start)))
}

fn sign_reads(inner: &Inner, request: &ReadsRequest) -> Vec<SignedRead> {
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
async fn reads(State(server): State<Server>, Json(request): Json<ReadsRequest>) -> Response {
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

async fn uploads(
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

async fn put_object(
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
        return (StatusCode::FORBIDDEN, lies::longer(Bytes::new(), 256 << 20)).into_response();
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
    StatusCode::OK.into_response()
}

async fn get_object(
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

/// The range that is asked for.
fn range(headers: &HeaderMap) -> Option<Range<usize>> {
    let text = headers.get("range")?.to_str().ok()?;
    let (begin, end) = text.strip_prefix("bytes=")?.split_once('-')?;
    Some(begin.parse().ok()?..end.parse::<usize>().ok()? + 1)
}

async fn commit_page(
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

async fn stored_pages(State(server): State<Server>, Path(run): Path<RunId>) -> Json<Vec<StoredPage>> {
    let inner = server.lock();
    assert_eq!(inner.open_run, Some(run));
    let stored = inner.pages.iter().map(|(number, page)| StoredPage {
        number: *number,
        digest: repository::hash(&page.to_bytes()),
    });
    Json(stored.collect())
}

async fn commit(
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
    let record = inner.keep_record(&record, &lies::commit_key());
    let needed = inner.needed.iter().map(|object| object.hash);
    let needed = needed.chain([request.manifest.hash, record.hash]).collect();
    inner.needed_of.push((needed, record));
    inner.snapshots.push((summary, request.manifest));
    let number = inner.runs;
    inner.made_by.push(number);
    inner.committed.insert(run);
    Json(answer(&inner, run, RunState::Committing)).into_response()
}

impl Inner {
    /// Stores a commit record, true or not.
    pub fn keep_record(&mut self, record: &CommitRecord, key: &CommitSigningKey) -> ObjectRef {
        let bytes = record.sign(key);
        let object = ObjectRef {
            kind: ObjectKind::Commit,
            hash: repository::hash(&bytes),
            size_bytes: bytes.len() as u64,
        };
        self.signed.insert(object.hash, object);
        self.records.insert(object.hash, (object, bytes));
        object
    }
}

fn answer(inner: &Inner, run_id: RunId, state: RunState) -> RunStatus {
    RunStatus {
        run_id,
        state,
        snapshot: inner.snapshots.last().map(|(summary, _)| summary.clone()),
        error: None,
    }
}

async fn status(State(server): State<Server>, Path(run): Path<RunId>) -> Json<RunStatus> {
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

async fn abort(State(server): State<Server>, Json(request): Json<AbortRequest>) -> StatusCode {
    server.lock().aborts.push(request.reason);
    StatusCode::NO_CONTENT
}

async fn snapshots(State(server): State<Server>) -> Json<Vec<SnapshotSummary>> {
    let mut inner = server.lock();
    let snapshots = inner
        .snapshots
        .iter()
        .rev()
        .map(|(summary, _)| summary.clone())
        .collect();
    Json(said(&mut inner.words.snapshots, snapshots))
}

async fn start_restore(State(server): State<Server>, Json(request): Json<RestoreRequest>) -> Response {
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

async fn restore_reads(State(server): State<Server>, Json(request): Json<ReadsRequest>) -> Response {
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
async fn restore_later(State(server): State<Server>, Json(request): Json<LaterRequest>) -> Response {
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

async fn finish(State(server): State<Server>, Json(request): Json<RestoreFinish>) -> StatusCode {
    server.lock().finishes.push(request);
    StatusCode::NO_CONTENT
}
