//! Starting the server, from its settings to its sockets.

use std::{
    future::Future,
    path::{Path, PathBuf},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;

use crate::{
    app::App,
    client_address::TrustedProxies,
    clock::Clock,
    db::{self, Db},
    epoch,
    error::ApiError,
    http::{self, Deadlines, Listener},
    jobs,
    s3::address::AddressRule,
    scope::TenantScope,
    secrets::{MasterKey, SecretError, private_file},
    use_cases::system::{first_operator, refused_sign_ins},
};

/// What the server is told at its start.
pub struct Settings {
    /// Address of the Postgres database, as the role that owns the schema.
    pub database_url: String,
    /// The folder that holds the master key.
    pub data: PathBuf,
    /// Where storage endpoints may be.
    pub storage_rule: AddressRule,
    /// Where browsers and agents reach this server.
    pub public_url: String,
    /// The folder with the built console.
    pub site_root: PathBuf,
    /// The reverse proxies that are believed where requests come from.
    pub trusted_proxies: TrustedProxies,
    /// How long connections may keep the server waiting.
    pub deadlines: Deadlines,
    /// The first operator.
    pub operator_email: String,
    /// The first operator's password; made up, and told in a file of the data folder, when there is none.
    pub operator_password: Option<String>,
}

/// Why the server did not start or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data folder.
    #[error("the data folder {path}: {source}")]
    Data {
        /// The folder.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// A command was given a folder without a master key.
    #[error(
        "there is no master key at {0}: name the data folder that `holdfast serve` uses, or start the server once"
    )]
    NoKey(PathBuf),
    /// The master key.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The database.
    #[error(
        "the database can not be used: {0}. Check DATABASE_URL, and that its role may create tables and roles"
    )]
    Database(db::DbError),
    /// The database belongs to another data folder.
    #[error("the database can not be used: {0}")]
    OtherKey(db::DbError),
    /// What a start prepares: the epoch, the keys over older rows, the first operator.
    #[error(transparent)]
    Prepare(#[from] ApiError),
    /// The socket.
    #[error("the server's socket failed: {0}")]
    Socket(#[from] std::io::Error),
}

impl From<db::DbError> for ServeError {
    fn from(error: db::DbError) -> Self {
        match error {
            error @ db::DbError::OtherKey => Self::OtherKey(error),
            error => Self::Database(error),
        }
    }
}

/// Brings the database up to date and puts the parts together. At the first start there is a new master key then, and an
/// operator.
///
/// # Errors
/// When the data folder, the key or the database can not be used.
pub async fn start(settings: &Settings, clock: Clock) -> Result<App, ServeError> {
    let failed = |source| ServeError::Data {
        path: settings.data.clone(),
        source,
    };
    private_file::folder(&settings.data).map_err(failed)?;
    let master_key = MasterKey::load_or_create(&key_file(&settings.data))?;
    let app = connect(
        &settings.database_url,
        master_key,
        &settings.public_url,
        settings.storage_rule.clone(),
        clock,
    )
    .await?;
    epoch::raise(&app, &settings.data).await?;
    key_bearers(&app).await?;
    first_operator::ensure(
        &app,
        &settings.operator_email,
        settings.operator_password.clone(),
        &settings.data.join("first-operator-password"),
    )
    .await?;
    // Whoever has lost this server's master key verifies its commit records by this.
    tracing::info!(key = %app.commit_key.verifying_key(), "commit records are signed by this server's key");
    Ok(app)
}

/// Puts the key over what an older version stored without one, a tenant at a time.
async fn key_bearers(app: &App) -> Result<(), ApiError> {
    for scope in TenantScope::all(&app.db).await? {
        let tx = app.db.tenant(&scope).await?;
        if db::bearers::key_all(&tx, &app.bearers).await? > 0 {
            tx.commit().await?;
        }
    }
    Ok(())
}

/// The same for a command that serves nobody: with the key of the server, which must be there. (With another one it would lock
/// the server out of its database.)
///
/// # Errors
/// When there is no key in the folder, or the database can not be used.
pub async fn open(
    database_url: &str,
    data: &Path,
    storage_rule: AddressRule,
    clock: Clock,
) -> Result<App, ServeError> {
    let file = key_file(data);
    if !file.is_file() {
        return Err(ServeError::NoKey(file));
    }
    let master_key = MasterKey::load_or_create(&file)?;
    connect(database_url, master_key, "", storage_rule, clock).await
}

fn key_file(data: &Path) -> PathBuf {
    data.join("master.key")
}

async fn connect(
    database_url: &str,
    master_key: MasterKey,
    public_url: &str,
    storage_rule: AddressRule,
    clock: Clock,
) -> Result<App, ServeError> {
    let db = Db::start(database_url, &master_key).await?;
    Ok(App::new(db, clock, master_key, public_url, storage_rule))
}

/// Serves until `shutdown` ends; requests that are under way are given time to end.
///
/// # Errors
/// When the socket fails.
pub async fn serve(
    app: &App,
    settings: &Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    lift_file_limit();
    if app.is_https() && settings.trusted_proxies.is_empty() {
        tracing::warn!(
            "browsers come by https, so through a proxy, and no proxy is trusted: all of them count as one client address. \
             Name it with --trusted-proxy"
        );
    }
    jobs::start(app);
    tokio::spawn(epoch::keep_raising(
        app.clone(),
        settings.data.clone(),
        epoch::RAISE_INTERVAL,
    ));
    let server = Listener {
        router: http::router(app, &settings.site_root),
        connections: app.connections.clone(),
        proxies: settings.trusted_proxies.clone(),
        deadlines: settings.deadlines,
    };
    server.serve(listener, shutdown).await;
    Ok(())
}

/// What is done when nothing is served any more: the refused sign-ins of this hour are told.
pub async fn ended(app: &App) {
    if let Err(error) = refused_sign_ins::tell(app, true).await {
        tracing::error!(%error, "refused sign-ins could not be told in the audit log");
    }
}

/// Allows as many open files as the system lets this process have: each connection is one, and the usual limit is 1,024.
fn lift_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, most)
    {
        tracing::warn!(%error, files = limit.current, "the limit of open files could not be lifted");
    }
}
