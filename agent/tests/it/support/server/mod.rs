//! A server and a bucket on a loopback port: as much of both as an agent sees, with faults on demand, and lies
//! (`lies.rs`). It checks what the real server must check of a commit.

mod enrollment;
mod liar;
pub mod lies;
mod objects;
mod reads;
mod restores;
mod runs;
mod state;

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use repository::recovery::RecoveryPublicKey;
use shared::{
    api::agent::{BASE_PATH, SourceOptions, SourceSpec},
    ids::SourceId,
};
use uuid::Uuid;

use enrollment::{enroll, enrollment};
use objects::{get_object, put_object};
use reads::reads;
use restores::{finish, restore_later, restore_reads, snapshots, start_restore};
use runs::{abort, commit, commit_page, progress, sources, start, status, stored_pages, uploads, work};
use state::{CREDENTIAL, refuse};
pub use state::{Call, Hook, Server, TOKEN};

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
            .route("/runs/{run}/progress", post(progress))
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
            .layer(axum::middleware::from_fn_with_state(server.clone(), liar::lie))
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        server
    }
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
