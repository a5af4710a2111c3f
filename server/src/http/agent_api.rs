//! The agent API: see `shared::api::agent` for the table of calls.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRef, FromRequestParts, Path, Query, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION, request::Parts},
    routing::{get, post, put},
};
use serde::Deserialize;
use shared::{
    api::{
        agent::{
            AbortRequest, BackupWork, CommitRequest, EnrollRequest, EnrollResponse, EnrollmentOffer,
            EnrollmentQuery, LaterRequest, LaterSnapshot, ReadsRequest, RestoreFinish, RestoreProgress,
            RestoreRequest, RestoreWork, RunProgress, RunStatus, SignedRead, SnapshotSummary, SourceSpec,
            UploadTicket, UploadsRequest, Work,
        },
        commit::{CommitPage, StoredPage},
    },
    ids::{RestoreId, RunId, SourceId},
    limits::Limit,
    object::{ObjectHash, ObjectRef},
};

use super::{
    api::{method_not_allowed, no_such_call},
    listener::Client,
    operations::Body,
};
use crate::{
    app::App,
    connections::Owner,
    error::ApiError,
    scope::{self, Caller},
    use_cases::agents::{commit_pages, enrollment, machines, reads, restores, runs, uploads},
};

type Answer<T> = Result<Json<T>, ApiError>;
type Done = Result<StatusCode, ApiError>;

/// The routes below [`shared::api::agent::BASE_PATH`].
pub fn routes(app: &App) -> Router {
    Router::new()
        .route("/enrollment", post(offer))
        .route("/enroll", post(enroll))
        .route("/work", get(work))
        .route("/sources", get(sources))
        .route("/sources/{source}/runs", post(start))
        .route("/sources/{source}/snapshots/{seq}/objects", get(own_objects))
        .route("/runs/{run}", get(status))
        .route("/runs/{run}/progress", post(progress))
        .route("/runs/{run}/commit/pages", get(stored_pages))
        .route("/runs/{run}/abort", post(abort))
        .route("/snapshots", get(snapshots))
        .route("/restores", post(begin_restore))
        .route("/restores/{restore}/progress", post(restore_progress))
        .route("/restores/{restore}/finish", post(restore_finish))
        .layer(DefaultBodyLimit::max(Limit::SmallBody.max()))
        .merge(naming_objects())
        .route(
            "/runs/{run}/commit",
            post(commit).layer(DefaultBodyLimit::max(Limit::CommitBody.max())),
        )
        .route(
            "/runs/{run}/commit/pages/{number}",
            put(commit_page).layer(DefaultBodyLimit::max(Limit::CommitPageBody.max())),
        )
        .fallback(no_such_call)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app.clone())
}

/// The routes whose bodies name objects.
fn naming_objects() -> Router<App> {
    Router::new()
        .route("/sources/{source}/reads", post(own_reads))
        .route("/runs/{run}/uploads", post(uploads))
        .route("/restores/{restore}/reads", post(restore_reads))
        .route("/restores/{restore}/later", post(restore_later))
        .layer(DefaultBodyLimit::max(Limit::ObjectsBody.max()))
}

/// The agent, proven by its credential, or a refusal.
impl<S> FromRequestParts<S> for Caller
where
    App: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let app = App::from_ref(state);
        let client = Client::from_request_parts(parts, state).await?;
        let header = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let credential = header
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or(ApiError::SignInNeeded)?;
        let turn = app.db.turn().await;
        let caller = scope::authorise_agent(&app.db, &app.bearers, credential.trim()).await?;
        drop(turn);
        client.connection.belongs_to(Owner::Agent(caller.agent.id))?;
        runs::seen(&app, &caller).await?;
        Ok(caller)
    }
}

/// Extracts the agent and its run that takes pages, or refuses the request before its body is read.
struct TakesPages {
    caller: Caller,
    run: RunId,
    number: u32,
}

impl<S> FromRequestParts<S> for TakesPages
where
    App: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let path = Path::<(RunId, u32)>::from_request_parts(parts, state).await;
        let Path((run, number)) = path.map_err(|_| ApiError::NotFound("page of a run"))?;
        commit_pages::must_take_pages(&App::from_ref(state), &caller, run).await?;
        Ok(Self { caller, run, number })
    }
}

async fn offer(
    State(app): State<App>,
    client: Client,
    Body(query): Body<EnrollmentQuery>,
) -> Answer<EnrollmentOffer> {
    enrollment::offer(&app, &query.token, client.address)
        .await
        .map(Json)
}

async fn enroll(
    State(app): State<App>,
    client: Client,
    Body(request): Body<EnrollRequest>,
) -> Answer<EnrollResponse> {
    enrollment::enroll(&app, request, client.address).await.map(Json)
}

#[derive(Deserialize)]
struct Wait {
    wait_seconds: Option<u64>,
}

async fn work(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Query(wait): Query<Wait>,
) -> Answer<Work> {
    machines::must_be_one(&app, &caller, machines::named(&headers)).await?;
    let wait = Duration::from_secs(wait.wait_seconds.unwrap_or(0).min(Limit::Wait.max() as u64));
    runs::next_work(&app, &caller, wait).await.map(Json)
}

async fn sources(State(app): State<App>, caller: Caller) -> Answer<Vec<SourceSpec>> {
    runs::list_sources(&app, &caller).await.map(Json)
}

async fn start(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(source): Path<SourceId>,
) -> Answer<BackupWork> {
    machines::must_be_one(&app, &caller, machines::named(&headers)).await?;
    runs::start(&app, &caller, source).await.map(Json)
}

async fn own_reads(
    State(app): State<App>,
    caller: Caller,
    Path(source): Path<SourceId>,
    Body(request): Body<ReadsRequest>,
) -> Answer<Vec<SignedRead>> {
    reads::sign_own_reads(&app, &caller, source, request)
        .await
        .map(Json)
}

#[derive(Deserialize)]
struct Behind {
    after: Option<ObjectHash>,
}

async fn own_objects(
    State(app): State<App>,
    caller: Caller,
    Path((source, seq)): Path<(SourceId, u64)>,
    Query(Behind { after }): Query<Behind>,
) -> Answer<Vec<ObjectRef>> {
    uploads::list_own_objects(&app, &caller, source, seq, after)
        .await
        .map(Json)
}

async fn status(State(app): State<App>, caller: Caller, Path(run): Path<RunId>) -> Answer<RunStatus> {
    runs::status(&app, &caller, run).await.map(Json)
}

async fn uploads(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
    Body(request): Body<UploadsRequest>,
) -> Answer<Vec<UploadTicket>> {
    uploads::sign_uploads(&app, &caller, run, request).await.map(Json)
}

async fn progress(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
    Body(report): Body<RunProgress>,
) -> Done {
    runs::progress(&app, &caller, run, report).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn commit_page(State(app): State<App>, to: TakesPages, Body(page): Body<CommitPage>) -> Done {
    commit_pages::receive(&app, &to.caller, to.run, to.number, page).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn stored_pages(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
) -> Answer<Vec<StoredPage>> {
    commit_pages::list(&app, &caller, run).await.map(Json)
}

async fn commit(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
    Body(request): Body<CommitRequest>,
) -> Answer<RunStatus> {
    runs::commit(&app, &caller, run, request).await.map(Json)
}

async fn abort(
    State(app): State<App>,
    caller: Caller,
    Path(run): Path<RunId>,
    Body(request): Body<AbortRequest>,
) -> Done {
    runs::abort(&app, &caller, run, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn snapshots(State(app): State<App>, caller: Caller) -> Answer<Vec<SnapshotSummary>> {
    runs::snapshots(&app, &caller).await.map(Json)
}

async fn begin_restore(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<RestoreRequest>,
) -> Answer<RestoreWork> {
    restores::begin(&app, &caller, &request).await.map(Json)
}

async fn restore_reads(
    State(app): State<App>,
    caller: Caller,
    Path(restore): Path<RestoreId>,
    Body(request): Body<ReadsRequest>,
) -> Answer<Vec<SignedRead>> {
    restores::sign_reads(&app, &caller, restore, request)
        .await
        .map(Json)
}

async fn restore_later(
    State(app): State<App>,
    caller: Caller,
    Path(restore): Path<RestoreId>,
    Body(request): Body<LaterRequest>,
) -> Answer<LaterSnapshot> {
    restores::later(&app, &caller, restore, &request).await.map(Json)
}

async fn restore_progress(
    State(app): State<App>,
    caller: Caller,
    Path(restore): Path<RestoreId>,
    Body(report): Body<RestoreProgress>,
) -> Done {
    restores::progress(&app, &caller, restore, report).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn restore_finish(
    State(app): State<App>,
    caller: Caller,
    Path(restore): Path<RestoreId>,
    Body(finish): Body<RestoreFinish>,
) -> Done {
    restores::finish(&app, &caller, restore, finish).await?;
    Ok(StatusCode::NO_CONTENT)
}
