//! The edge: routes, sessions, headers. Handlers are shims over the use cases.

mod agent_api;
mod api;
mod body;
mod console;
mod cookies;
mod deadlines;
mod events;
mod headers;
mod listener;
mod operations;
mod sealed;
mod session;
mod stalled;

pub use deadlines::Deadlines;
pub use listener::{Client, Listener};

use std::path::Path;

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    middleware,
    routing::{any, get},
};
use leptos::config::LeptosOptions;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer, Predicate,
        predicate::{DefaultPredicate, NotForContentType},
    },
    services::ServeFile,
    trace::TraceLayer,
};
use tower_sessions::{
    Expiry, SessionManagerLayer,
    cookie::{SameSite, time::Duration},
};

use shared::limits::Limit;

use crate::{app::App, db::sessions::PostgresSessions, error::ApiError};

/// How long a session lasts after it was last written, which is at the sign-in.
const SESSION_IDLE: Duration = Duration::hours(12);

/// The files of the built console, and nothing else of its folder; those with `true` also lie there compressed.
const SITE: [(&str, bool); 4] = [
    ("pkg/frontend.js", true),
    ("pkg/frontend_bg.wasm", true),
    ("pkg/frontend.css", true),
    ("favicon.svg", false),
];

/// Serves the files of the console.
fn site_files(site: &Path) -> Router {
    SITE.iter().fold(Router::new(), |router, (name, compressed)| {
        let file = ServeFile::new(site.join(name));
        let file = if *compressed {
            file.precompressed_gzip()
        } else {
            file
        };
        router.route_service(&format!("/{name}"), file)
    })
}

/// Every route of the server. `site` is the folder with the built console.
pub fn router(app: &App, site: &Path) -> Router {
    let sessions = SessionManagerLayer::new(PostgresSessions::new(app.db.clone(), app.bearers.clone()))
        .with_name(cookies::session_name(app.is_https()))
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(app.is_https())
        .with_expiry(Expiry::OnInactivity(SESSION_IDLE));
    let options = LeptosOptions::builder()
        .output_name("frontend")
        .site_root(site.to_string_lossy().as_ref())
        .site_pkg_dir("pkg")
        .build();
    let people = console::routes(app, &options)
        .route("/console/events", get(events::stream).with_state(app.clone()))
        .nest(shared::api::operation::BASE_PATH, api::routes(app))
        .layer(middleware::from_fn(headers::same_origin))
        .layer(sessions)
        .layer(middleware::from_fn_with_state(
            Limit::FormBody.max(),
            body::bounded,
        ))
        .with_state(options);
    let agents = agent_api::routes(app);
    // Server-sent events must not sit in a compressor's buffer.
    let compressible = DefaultPredicate::new().and(NotForContentType::const_new("text/event-stream"));
    Router::new()
        .route("/healthz", get(health).with_state(app.clone()))
        .nest(shared::api::agent::BASE_PATH, agents)
        // What programs call answers as programs read.
        .route("/api", any(api::no_such_call))
        .route("/api/", any(api::no_such_call))
        .route("/api/{*call}", any(api::no_such_call))
        .merge(site_files(site))
        .merge(people)
        .layer(CompressionLayer::new().compress_when(compressible))
        .layer(middleware::from_fn_with_state(app.is_https(), headers::security))
        .layer(CatchPanicLayer::new())
        .layer(TraceLayer::new_for_http().make_span_with(headers::span))
}

/// Ready when the database answers.
async fn health(State(app): State<App>) -> Result<StatusCode, ApiError> {
    app.db.ping().await?;
    Ok(StatusCode::OK)
}
