//! The automation API, `/api/v1/`: JSON over the session cookie. Bodies and answers are the types of `shared::api`.

use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request, State,
        rejection::JsonRejection,
    },
    http::{HeaderMap, StatusCode, header, request::Parts},
    routing::{get, post},
};
use leptos::config::LeptosOptions;
use shared::{
    api::{
        list::{ListQuery, Page},
        notice::Notice,
        request::{NewBackupSet, NewEnrollmentToken, NewSource, NewStorageAccount, NewTenant, SignIn},
        view::{
            BackupSetView, BucketInspection, EnrollmentTokenView, Me, RestoreView, RunView, SnapshotPage,
            SnapshotView, SourceView, StorageAccountView, TenantPage, TenantSummary,
        },
    },
    ids::{BackupSetId, NoticeId, RestoreId, RunId, SnapshotId, SourceId, TenantId},
    limits::Limit,
};
use tower_sessions::Session;

use super::{
    cookies,
    listener::Client,
    session::{self, SignedIn},
};
use crate::{
    app::App,
    error::ApiError,
    scope::{self, Access, Actor},
    use_cases::people::{
        backup_sets, enrollment_tokens, inspect, lists, notices, restores, runs, snapshots, sources,
        storage_accounts, tenants,
        users::{self, Visitor},
    },
};

type Answer<T> = Result<Json<T>, ApiError>;

/// JSON, refused with an error that names the field.
pub struct Body<T>(pub T);

impl<T, S> FromRequest<S> for Body<T>
where
    Json<T>: FromRequest<S, Rejection = JsonRejection>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Json::from_request(request, state).await;
        body.map(|Json(body)| Self(body)).map_err(|error| {
            if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                return ApiError::invalid(
                    "body",
                    "body: this is more than the call takes; send less at once.",
                );
            }
            // The text may repeat what was sent.
            ApiError::invalid("body", error.body_text().chars().take(300).collect::<String>())
        })
    }
}

/// The routes below `/api/v1`.
pub fn routes(app: &App) -> Router<LeptosOptions> {
    Router::new()
        .route("/session", post(sign_in).delete(sign_out))
        .route("/me", get(me))
        .route("/notices", get(open_notices))
        .route("/notices/{notice}/settle", post(settle_notice))
        .route("/tenants", get(list_tenants).post(create_tenant))
        .route("/tenants/{tenant}", get(tenant_page))
        .route("/tenants/{tenant}/storage-accounts", post(create_storage_account))
        .route("/tenants/{tenant}/backup-sets", post(create_backup_set))
        .route(
            "/tenants/{tenant}/backup-sets/{set}/inspect",
            post(inspect_bucket),
        )
        .route(
            "/tenants/{tenant}/enrollment-tokens",
            post(create_enrollment_token),
        )
        .route("/tenants/{tenant}/sources/{source}/runs", post(run_now))
        .route("/tenants/{tenant}/runs", get(list_runs))
        .route("/tenants/{tenant}/runs/{run}", get(run))
        .route("/tenants/{tenant}/runs/{run}/cancel", post(cancel_run))
        .route("/tenants/{tenant}/snapshots", get(list_snapshots))
        .route("/tenants/{tenant}/snapshots/{snapshot}", get(snapshot))
        .route(
            "/tenants/{tenant}/snapshots/{snapshot}/restores",
            post(authorise_restore),
        )
        .route("/tenants/{tenant}/restores", get(list_restores))
        .route("/tenants/{tenant}/restores/{restore}", get(restore))
        .layer(DefaultBodyLimit::max(Limit::SmallBody.max()))
        .route(
            "/tenants/{tenant}/sources",
            post(create_source).layer(DefaultBodyLimit::max(Limit::SourceBody.max())),
        )
        .fallback(no_such_call)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app.clone())
}

/// What a program is told that calls a path which is none.
pub async fn no_such_call() -> ApiError {
    ApiError::NotFound("call")
}

/// What a program is told that calls a path by a method which it has not.
pub async fn method_not_allowed() -> ApiError {
    ApiError::MethodNotAllowed
}

async fn actor(app: &App, user: Me, tenant: TenantId, access: Access) -> Result<Actor, ApiError> {
    scope::authorise(&app.db, user, tenant, access).await
}

async fn sign_in(
    State(app): State<App>,
    session: Session,
    client: Client,
    headers: HeaderMap,
    Body(request): Body<SignIn>,
) -> Result<(HeaderMap, Json<Me>), ApiError> {
    let visitor = Visitor {
        address: client.address,
        browser: cookies::browser(&app, &headers),
    };
    let signed_in = users::sign_in(&app, request, &visitor).await?;
    session::start(&session, &signed_in.user).await?;
    let cookie = signed_in
        .browser
        .and_then(|browser| cookies::set_browser(&app, browser));
    let headers = cookie.map(|cookie| (header::SET_COOKIE, cookie)).into_iter();
    Ok((headers.collect(), Json(signed_in.user)))
}

async fn sign_out(State(app): State<App>, session: Session) -> Result<StatusCode, ApiError> {
    session::end(&app, &session).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn me(SignedIn(user): SignedIn) -> Json<Me> {
    Json(user)
}

async fn open_notices(State(app): State<App>, SignedIn(user): SignedIn) -> Answer<Vec<Notice>> {
    notices::open(&app, &user).await.map(Json)
}

async fn settle_notice(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path(notice): Path<NoticeId>,
) -> Result<StatusCode, ApiError> {
    notices::settle(&app, &user, notice).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_tenants(State(app): State<App>, SignedIn(user): SignedIn) -> Answer<Vec<TenantSummary>> {
    tenants::list(&app, &user).await.map(Json)
}

async fn create_tenant(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Body(request): Body<NewTenant>,
) -> Answer<TenantSummary> {
    tenants::create(&app, &user, request).await.map(Json)
}

async fn tenant_page(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path(tenant): Path<TenantId>,
) -> Answer<TenantPage> {
    tenants::page(&app, &actor(&app, user, tenant, Access::Read).await?)
        .await
        .map(Json)
}

async fn create_storage_account(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path(tenant): Path<TenantId>,
    Body(request): Body<NewStorageAccount>,
) -> Answer<StorageAccountView> {
    storage_accounts::create(&app, &actor(&app, user, tenant, Access::Manage).await?, request)
        .await
        .map(Json)
}

async fn create_backup_set(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path(tenant): Path<TenantId>,
    Body(request): Body<NewBackupSet>,
) -> Answer<BackupSetView> {
    backup_sets::create(&app, &actor(&app, user, tenant, Access::Manage).await?, request)
        .await
        .map(Json)
}

async fn inspect_bucket(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path((tenant, set)): Path<(TenantId, BackupSetId)>,
) -> Answer<BucketInspection> {
    inspect::bucket(&app, &actor(&app, user, tenant, Access::Manage).await?, set)
        .await
        .map(Json)
}

async fn create_enrollment_token(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path(tenant): Path<TenantId>,
    Body(request): Body<NewEnrollmentToken>,
) -> Answer<EnrollmentTokenView> {
    enrollment_tokens::create(&app, &actor(&app, user, tenant, Access::Manage).await?, request)
        .await
        .map(Json)
}

async fn create_source(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path(tenant): Path<TenantId>,
    Body(request): Body<NewSource>,
) -> Answer<SourceView> {
    sources::create(&app, &actor(&app, user, tenant, Access::Manage).await?, request)
        .await
        .map(Json)
}

async fn run_now(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path((tenant, source)): Path<(TenantId, SourceId)>,
) -> Answer<RunView> {
    runs::run_now(&app, &actor(&app, user, tenant, Access::Manage).await?, source)
        .await
        .map(Json)
}

/// Which part of a list, refused with an error that names the field.
struct Listed(ListQuery);

impl<S: Send + Sync> FromRequestParts<S> for Listed {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<ListQuery>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|error| {
            // The text may repeat what was sent.
            ApiError::invalid("query", error.body_text().chars().take(300).collect::<String>())
        })
    }
}

async fn list_runs(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path(tenant): Path<TenantId>,
    Listed(query): Listed,
) -> Answer<Page<RunView>> {
    lists::runs(&app, &actor(&app, user, tenant, Access::Read).await?, &query)
        .await
        .map(Json)
}

async fn list_snapshots(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path(tenant): Path<TenantId>,
    Listed(query): Listed,
) -> Answer<Page<SnapshotView>> {
    lists::snapshots(&app, &actor(&app, user, tenant, Access::Read).await?, &query)
        .await
        .map(Json)
}

async fn list_restores(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path(tenant): Path<TenantId>,
    Listed(query): Listed,
) -> Answer<Page<RestoreView>> {
    lists::restores(&app, &actor(&app, user, tenant, Access::Read).await?, &query)
        .await
        .map(Json)
}

async fn run(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path((tenant, run)): Path<(TenantId, RunId)>,
) -> Answer<RunView> {
    runs::view(&app, &actor(&app, user, tenant, Access::Read).await?, run)
        .await
        .map(Json)
}

async fn cancel_run(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path((tenant, run)): Path<(TenantId, RunId)>,
) -> Answer<RunView> {
    runs::cancel(&app, &actor(&app, user, tenant, Access::Manage).await?, run)
        .await
        .map(Json)
}

async fn snapshot(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path((tenant, snapshot)): Path<(TenantId, SnapshotId)>,
) -> Answer<SnapshotPage> {
    snapshots::page(&app, &actor(&app, user, tenant, Access::Read).await?, snapshot)
        .await
        .map(Json)
}

async fn authorise_restore(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path((tenant, snapshot)): Path<(TenantId, SnapshotId)>,
) -> Answer<RestoreView> {
    restores::authorise(&app, &actor(&app, user, tenant, Access::Manage).await?, snapshot)
        .await
        .map(Json)
}

async fn restore(
    State(app): State<App>,
    SignedIn(user): SignedIn,
    Path((tenant, restore)): Path<(TenantId, RestoreId)>,
) -> Answer<RestoreView> {
    restores::view(&app, &actor(&app, user, tenant, Access::Read).await?, restore)
        .await
        .map(Json)
}
