//! One stack for each test: its own database, lockbox, server and folders.

use std::{path::PathBuf, sync::Arc};

use agent::{client::Client, keygen::read_kit, progress::Silent, state::State};
use aws_sdk_s3::{
    config::{BehaviorVersion, Credentials, Region},
    types::ObjectLockMode,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use holdfast_server::{
    app::App,
    client_address::TrustedProxies,
    clock::Clock,
    db,
    http::Deadlines,
    s3::address::AddressRule,
    scope,
    serve::{self, Settings},
};
use jiff::SignedDuration;
use lockbox::{Config, Running};
use reqwest::{Method, StatusCode};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    api::{
        agent::{SnapshotSummary, UploadRequest, UploadTicket, UploadsRequest},
        request::{
            NewBackupSet, NewEnrollmentToken, NewSource, NewStorageAccount, NewTenant, PolicyOptions, SignIn,
            SourceLimits,
        },
        view::{
            BackupSetView, EnrollmentTokenView, RestoreView, RunView, SourceView, StorageAccountView,
            TenantSummary,
        },
    },
    ids::{RunId, SnapshotId, TenantId},
    object::{ObjectKind, ObjectRef},
    retention::{LockAhead, LockMode},
    schedule::Schedule,
};
use tempfile::TempDir;

pub const EMAIL: &str = "operator@example.test";
pub const PASSWORD: &str = "correct horse battery";
pub const ACCESS_KEY: &str = "test-root";
pub const SECRET_KEY: &str = "test-root-secret";

/// A running Holdfast.
pub struct Stack {
    pub app: App,
    pub clock: Clock,
    /// The bucket's own.
    pub bucket_clock: lockbox::ManualClock,
    pub url: String,
    /// The database's address, as its owner.
    pub database_url: String,
    /// The server's data folder.
    pub data: PathBuf,
    pub owner: DatabaseConnection,
    pub lockbox: Running,
    pub folder: TempDir,
    /// The operator's session.
    pub operator: Session,
}

/// A signed-in person.
#[derive(Clone)]
pub struct Session {
    url: String,
    cookie: String,
    http: reqwest::Client,
}

/// A tenant with everything that a backup needs.
pub struct Site {
    pub tenant: TenantId,
    pub set: BackupSetView,
    pub source: SourceView,
    pub state: PathBuf,
    pub kit: PathBuf,
    pub data: PathBuf,
}

fn admin_url() -> String {
    std::env::var("HOLDFAST_TEST_DATABASE_URL").expect(
        "HOLDFAST_TEST_DATABASE_URL must name a Postgres for tests: run `cargo xtask test unit`, which starts one",
    )
}

async fn database() -> (String, DatabaseConnection) {
    let admin = admin_url();
    let name = format!(
        "test_{}",
        uuid::Uuid::from_bytes(holdfast_server::random::bytes()).simple()
    );
    let connection = Database::connect(&admin).await.unwrap();
    connection
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let (server, _) = admin.rsplit_once('/').unwrap();
    let url = format!("{server}/{name}");
    let owner = Database::connect(&url).await.unwrap();
    (url, owner)
}

/// A server on a database of its own.
struct Server {
    app: App,
    url: String,
    database_url: String,
    data: PathBuf,
    owner: DatabaseConnection,
    operator: Session,
}

/// What a server of the tests is told at its start.
fn settings(database_url: &str, data: &std::path::Path, url: &str) -> Settings {
    Settings {
        database_url: database_url.to_owned(),
        data: data.to_owned(),
        storage_rule: AddressRule::new(vec!["127.0.0.0/8".parse().unwrap()]),
        public_url: url.to_owned(),
        site_root: data.join("site"),
        trusted_proxies: TrustedProxies::default(),
        deadlines: Deadlines::default(),
        operator_email: EMAIL.into(),
        operator_password: Some(PASSWORD.into()),
    }
}

impl Server {
    async fn start(data: &std::path::Path, clock: Clock, change: impl FnOnce(&mut Settings)) -> Self {
        let (database_url, owner) = database().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut settings = settings(&database_url, data, &url);
        change(&mut settings);
        let app = serve::start(&settings, clock).await.unwrap();
        let served = app.clone();
        tokio::spawn(async move { serve::serve(&served, &settings, listener, std::future::pending()).await });
        let operator = Session::sign_in(&url, EMAIL, PASSWORD).await.unwrap();
        Self {
            app,
            url,
            database_url,
            data: data.to_owned(),
            owner,
            operator,
        }
    }
}

impl Stack {
    /// What the automation API answers the operator below the site's tenant; `path` begins with a slash or is empty.
    pub async fn of_tenant<T: DeserializeOwned>(&self, site: &Site, path: &str) -> T {
        let path = format!("/tenants/{}{path}", site.tenant);
        self.operator.get(&path).await.unwrap()
    }

    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same, with other settings of the server.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = TempDir::new().unwrap();
        let clock = Clock::system();
        let (lockbox_clock, bucket_clock) = lockbox::Clock::manual(clock.system_time());
        let lockbox = Running::start(Config {
            data: folder.path().join("lockbox"),
            credentials: vec![lockbox::Credentials {
                access_key: ACCESS_KEY.into(),
                secret_key: SECRET_KEY.into(),
            }],
            clock: lockbox_clock,
            domains: Vec::new(),
        })
        .await
        .unwrap();
        let server = Server::start(&folder.path().join("server"), clock.clone(), change).await;
        Self {
            app: server.app,
            clock,
            bucket_clock,
            url: server.url,
            database_url: server.database_url,
            data: server.data,
            owner: server.owner,
            lockbox,
            folder,
            operator: server.operator,
        }
    }

    /// Starts the server once more on the same database and data folder, beside the running one. It serves nobody and works on
    /// no job.
    pub async fn start_again(&self) -> App {
        self.start_again_with(self.app.storage_rule.clone()).await
    }

    /// What a server on this database is told at its start.
    pub fn settings(&self) -> Settings {
        Settings {
            storage_rule: self.app.storage_rule.clone(),
            ..settings(&self.database_url, &self.data, &self.url)
        }
    }

    /// The same, with another rule for storage endpoints.
    pub async fn start_again_with(&self, storage_rule: AddressRule) -> App {
        let settings = Settings {
            storage_rule,
            ..settings(&self.database_url, &self.data, &self.url)
        };
        serve::start(&settings, self.clock.clone()).await.unwrap()
    }

    /// The database is no more, whatever the server is doing in it.
    pub async fn lose_database(&self) {
        let (_, name) = self.database_url.rsplit_once('/').unwrap();
        let admin = Database::connect(admin_url()).await.unwrap();
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        admin.execute_unprepared(&drop).await.unwrap();
    }

    /// No deadlock, and no row lock out of order: in every test, whatever it is about.
    fn must_have_locked_in_order(&self) {
        let faults = self.app.db.lock_faults();
        assert!(faults.is_empty(), "row locks went wrong: {faults:#?}");
    }

    /// Server, database and master key are gone; another server is there instead, and knows nothing.
    pub async fn lose_server(&mut self) {
        self.must_have_locked_in_order();
        self.lose_database().await;
        let server = Server::start(
            &self.folder.path().join("another-server"),
            self.clock.clone(),
            |_| {},
        )
        .await;
        self.app = server.app;
        self.url = server.url;
        self.database_url = server.database_url;
        self.data = server.data;
        self.owner = server.owner;
        self.operator = server.operator;
    }

    /// Moves the whole world forward: the server's clock, the database's and the bucket's. What is at work ends before: a sweep
    /// that sees one clock jump before the other refuses, and comes again later.
    pub async fn advance(&self, by: SignedDuration) {
        self.idle().await;
        self.clock.advance(by);
        self.bucket_clock.set(self.clock.system_time());
    }

    /// Does `work` while time passes: whenever no job is at work or due, the whole world is moved 20 seconds forward. For what
    /// the server waits for, such as an asking that is repeated.
    pub async fn while_time_passes<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            let quiet = async {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                self.idle().await;
            };
            tokio::select! {
                done = &mut work => return done,
                () = quiet => {
                    self.clock.advance(SignedDuration::from_secs(20));
                    self.bucket_clock.set(self.clock.system_time());
                }
            }
        }
    }

    /// Lets so much time pass, in steps of 20 seconds, with every round and job that falls due in it.
    pub async fn live_through(&self, span: SignedDuration) {
        let end = self.clock.now() + span;
        while self.clock.now() < end {
            self.settle().await;
            self.clock.advance(SignedDuration::from_secs(20));
            self.bucket_clock.set(self.clock.system_time());
        }
        self.settle().await;
    }

    /// One round, and every job that is due until there is none.
    pub async fn settle(&self) {
        holdfast_server::jobs::round(&self.app).await.unwrap();
        self.idle().await;
    }

    /// Waits until no job is at work or due.
    async fn idle(&self) {
        for _ in 0..24_000 {
            let waiting = format!(
                "SELECT 1 FROM jobs WHERE state = 'running' OR run_at <= '{}' LIMIT 1",
                self.clock.now()
            );
            if self.query(&waiting).await.is_empty() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("jobs are still waiting after 2 min");
    }

    /// Sweeps every source now.
    pub async fn sweep(&self) {
        self.owner
            .execute_unprepared(
                "UPDATE sources SET next_sweep_at = NULL;
                 UPDATE jobs SET run_at = '-infinity' WHERE kind = 'sweep'",
            )
            .await
            .unwrap();
        self.settle().await;
    }

    /// Ends the sweeps and daily checks that are due; from now on none comes by itself, but for the sweep after a commit.
    pub async fn hold_rounds(&self) {
        self.settle().await;
        let later = self.clock.now() + SignedDuration::from_hours(24 * 1_000);
        let later = format!(
            "UPDATE sources SET next_sweep_at = '{later}'; UPDATE backup_sets SET next_check_at = '{later}'"
        );
        self.owner.execute_unprepared(&later).await.unwrap();
        self.settle().await;
    }

    /// A question to the database, past both walls.
    pub async fn query(&self, sql: &str) -> Vec<sea_orm::QueryResult> {
        let statement = sea_orm::Statement::from_string(self.owner.get_database_backend(), sql);
        self.owner.query_all_raw(statement).await.unwrap()
    }

    /// A change to the database, past both walls.
    pub async fn change(&self, sql: &str) {
        self.owner.execute_unprepared(sql).await.unwrap();
    }

    /// A transaction in a site's tenant.
    pub async fn tx(&self, site: &Site) -> db::TenantTx {
        self.app.db.tenant(&self.scope(site).await).await.unwrap()
    }

    /// The same, with the row of its source locked: what changes anything of the source.
    pub async fn source_tx(&self, site: &Site) -> db::TenantTx {
        let scope = self.scope(site).await;
        self.app.db.of_source(&scope, site.source.id).await.unwrap()
    }

    async fn scope(&self, site: &Site) -> scope::TenantScope {
        let user = self.operator_user().await;
        scope::Viewer::authorise(&self.app.db, user, site.tenant)
            .await
            .unwrap()
            .scope
    }

    /// The bucket's root user.
    pub fn root(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(self.lockbox.endpoint())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test"))
            .force_path_style(true)
            .time_source(TimeOf(self.clock.clone()))
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// The operator.
    pub async fn operator_user(&self) -> scope::Person {
        scope::Person::of_session(self.operator.get("/me").await.unwrap())
    }

    pub fn storage_account(&self) -> NewStorageAccount {
        NewStorageAccount {
            name: "lockbox".into(),
            endpoint: self.lockbox.endpoint().to_owned(),
            region: "us-east-1".into(),
            access_key: ACCESS_KEY.into(),
            secret_key: SECRET_KEY.into(),
            path_style: true,
        }
    }

    /// A tenant `name` with storage account, backup set, enrolled agent and a source.
    pub async fn site(&self, name: &str, schedule: Schedule) -> Site {
        self.site_in(name, schedule, LockMode::Compliance).await
    }

    /// The same, in a lock mode.
    pub async fn site_in(&self, name: &str, schedule: Schedule, mode: LockMode) -> Site {
        let options = PolicyOptions {
            lock_ahead: LockAhead::Days(14),
            ..PolicyOptions::default()
        };
        self.site_with(name, schedule, mode, options).await
    }

    /// The same, its store behind another address.
    pub async fn site_behind(&self, name: &str, endpoint: &str) -> Site {
        let account = NewStorageAccount {
            endpoint: endpoint.to_owned(),
            ..self.storage_account()
        };
        let options = PolicyOptions::default();
        self.site_on(name, Schedule::manual(), LockMode::Compliance, options, account)
            .await
    }

    /// The same, under a policy of 30 days with `options`.
    pub async fn site_with(
        &self,
        name: &str,
        schedule: Schedule,
        mode: LockMode,
        options: PolicyOptions,
    ) -> Site {
        self.site_on(name, schedule, mode, options, self.storage_account())
            .await
    }

    /// The same, on a storage account.
    pub async fn site_on(
        &self,
        name: &str,
        schedule: Schedule,
        mode: LockMode,
        options: PolicyOptions,
        account: NewStorageAccount,
    ) -> Site {
        let folder = self.folder.path().join(name);
        let data = folder.join("data");
        std::fs::create_dir_all(&data).unwrap();
        let kit = folder.join("kit.txt");
        let recovery_key = agent::keygen(&kit).unwrap();
        let tenant: TenantSummary = self
            .operator
            .post(
                "/tenants",
                &NewTenant {
                    name: name.to_owned(),
                },
            )
            .await
            .unwrap();
        let tenant = tenant.id;
        let base = format!("/tenants/{tenant}");
        let account: StorageAccountView = self
            .operator
            .post(&format!("{base}/storage-accounts"), &account)
            .await
            .unwrap();
        let set: BackupSetView = self
            .operator
            .post(
                &format!("{base}/backup-sets"),
                &NewBackupSet {
                    name: "main".into(),
                    storage_account_id: account.id,
                    bucket: format!("{name}-bucket"),
                    prefix: "holdfast".into(),
                    create_bucket: true,
                    immutable_retention: true,
                    retention_days: 30,
                    mode,
                    recovery_key: recovery_key.to_string(),
                    options,
                },
            )
            .await
            .unwrap();
        let token: EnrollmentTokenView = self
            .operator
            .post(
                &format!("{base}/enrollment-tokens"),
                &NewEnrollmentToken {
                    backup_set_id: set.id,
                },
            )
            .await
            .unwrap();
        let state = folder.join("agent");
        let enrolled = agent::enroll(&state, &self.url, &token.token, recovery_key.fingerprint())
            .await
            .unwrap();
        let agent_id = enrolled.config().agent_id;
        let source: SourceView = self
            .operator
            .post(
                &format!("{base}/sources"),
                &NewSource {
                    agent_id,
                    name: "files".into(),
                    paths: vec![data.to_string_lossy().into_owned()],
                    limits: SourceLimits::default(),
                    excludes: Vec::new(),
                    schedule,
                },
            )
            .await
            .unwrap();
        Site {
            tenant,
            set,
            source,
            state,
            kit,
            data,
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.must_have_locked_in_order();
        }
    }
}

impl Site {
    pub fn client(&self) -> Client {
        Client::new(State::open(&self.state).unwrap().config()).unwrap()
    }

    pub async fn backup(&self) -> Result<SnapshotSummary, String> {
        let done = agent::backup(&self.state, None, Arc::new(Silent)).await;
        done.map(|mut snapshots| snapshots.remove(0))
            .map_err(|error| error.to_string())
    }

    /// The same, while time passes: see [`Stack::while_time_passes`].
    pub async fn backup_while_time_passes(&self, stack: &Stack) -> Result<SnapshotSummary, String> {
        stack.while_time_passes(self.backup()).await
    }

    /// Sends an object of kind pack with this content, as a run of this site's agent; gives the request, and what it was answered
    /// with before it was sent.
    pub async fn upload_pack(&self, run: RunId, content: &[u8]) -> (UploadsRequest, UploadTicket) {
        let upload = UploadRequest {
            object: ObjectRef {
                kind: ObjectKind::Pack,
                hash: repository::hash(content),
                size_bytes: content.len() as u64,
            },
            content_md5: BASE64.encode(holdfast_server::s3::content_md5(content)),
        };
        let request = UploadsRequest {
            objects: vec![upload],
        };
        let ticket = self.client().uploads(run, &request).await.unwrap().remove(0);
        if let UploadTicket::Put { url, headers, .. } = &ticket {
            let put = headers
                .iter()
                .fold(reqwest::Client::new().put(url), |put, (name, value)| {
                    put.header(name, value)
                });
            let answer = put.body(content.to_vec()).send().await.unwrap();
            assert!(answer.status().is_success(), "{}", answer.status());
        }
        (request, ticket)
    }

    pub async fn restore(&self, snapshot: SnapshotId, to: &std::path::Path) -> Result<(), String> {
        read_kit(&self.kit).unwrap();
        let request = agent::restore::Request {
            snapshot,
            paths: Vec::new(),
            order: agent::restore::Order {
                target: to.to_owned(),
                ..agent::restore::Order::default()
            },
            expected: agent::snapshot::Expected::default(),
            commit_key: None,
        };
        match agent::restore(&self.state, &request, &self.kit, Arc::new(Silent)).await {
            Ok(report) => match report.outcome.losses.first() {
                None => Ok(()),
                Some(loss) => Err(loss.to_string()),
            },
            Err(error) => Err(error.to_string()),
        }
    }

    pub async fn authorise(&self, session: &Session, snapshot: SnapshotId) -> RestoreView {
        let path = format!("/tenants/{}/snapshots/{snapshot}/restores", self.tenant);
        session.post(&path, &serde_json::json!({})).await.unwrap()
    }

    /// Waits for a run to end.
    pub async fn ended(&self, session: &Session, run: RunId) -> RunView {
        for _ in 0..1_200 {
            let view: RunView = session
                .get(&format!("/tenants/{}/runs/{run}", self.tenant))
                .await
                .unwrap();
            if view.state.is_final() {
                return view;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("the run did not end in 2 min");
    }
}

/// What the API refused with.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub code: String,
    pub message: String,
}

impl Session {
    pub async fn sign_in(url: &str, email: &str, password: &str) -> Result<Self, Refusal> {
        let mut session = Self {
            url: format!("{url}/api/v1"),
            cookie: String::new(),
            http: reqwest::Client::new(),
        };
        let request = SignIn {
            email: email.into(),
            password: password.into(),
        };
        let answer = session.send(Method::POST, "/session", Some(&request)).await;
        let cookies: Vec<String> = answer
            .headers()
            .get_all("set-cookie")
            .iter()
            .map(|cookie| cookie.to_str().unwrap().to_owned())
            .collect();
        read::<serde_json::Value>(answer).await?;
        for cookie in &cookies {
            assert!(
                cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
                "{cookie}"
            );
        }
        let session_cookie = cookies.iter().find(|cookie| cookie.contains("holdfast_session="));
        let session_cookie = session_cookie.expect("signing in sets a cookie");
        session.cookie = session_cookie.split(';').next().unwrap().to_owned();
        Ok(session)
    }

    /// The session's cookie, `name=value`.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    pub fn nobody(url: &str) -> Self {
        Self {
            url: format!("{url}/api/v1"),
            cookie: String::new(),
            http: reqwest::Client::new(),
        }
    }

    pub async fn send<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> reqwest::Response {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .header("cookie", &self.cookie);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refusal> {
        read(self.send::<()>(Method::GET, path, None).await).await
    }

    /// A page of the console, as a browser without JavaScript gets it.
    pub async fn html(&self, path: &str) -> String {
        self.html_with(path, None).await
    }

    /// The same, with another cookie besides the session's.
    pub async fn html_with(&self, path: &str, cookie: Option<&str>) -> String {
        let console = self.url.trim_end_matches("/api/v1");
        let request = self.http.get(format!("{console}{path}"));
        let cookies = [Some(self.cookie.as_str()), cookie];
        let cookies: Vec<&str> = cookies.into_iter().flatten().collect();
        let answer = request.header("cookie", cookies.join("; ")).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.text().await.unwrap()
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Refusal> {
        read(self.send(Method::POST, path, Some(body)).await).await
    }
}

async fn read<T: DeserializeOwned>(answer: reqwest::Response) -> Result<T, Refusal> {
    let status = answer.status();
    let text = answer.text().await.unwrap();
    if status.is_success() {
        return Ok(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")));
    }
    let body: shared::api::ErrorBody =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    Err(Refusal {
        status,
        code: body.code,
        message: body.message,
    })
}

/// The stack's time, to sign with.
#[derive(Debug)]
struct TimeOf(Clock);

impl aws_smithy_async::time::TimeSource for TimeOf {
    fn now(&self) -> std::time::SystemTime {
        self.0.system_time()
    }
}

/// Every version in a bucket: key, version id, lock.
pub async fn versions(s3: &aws_sdk_s3::Client, bucket: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let (mut key, mut version) = (None, None);
    loop {
        let page = s3.list_object_versions().bucket(bucket);
        let page = page.set_key_marker(key).set_version_id_marker(version);
        let page = page.send().await.unwrap();
        let of_page = page.versions().iter();
        pairs.extend(of_page.map(|v| (v.key().unwrap().to_owned(), v.version_id().unwrap().to_owned())));
        if page.next_key_marker.is_none() {
            return pairs;
        }
        (key, version) = (page.next_key_marker, page.next_version_id_marker);
    }
}

/// The earliest retain-until among the versions whose key contains `part`; panics when one is not locked in
/// COMPLIANCE mode.
pub async fn earliest_lock(s3: &aws_sdk_s3::Client, bucket: &str, part: &str) -> jiff::Timestamp {
    let mut earliest = jiff::Timestamp::MAX;
    for (key, version) in versions(s3, bucket)
        .await
        .iter()
        .filter(|(key, _)| key.contains(part))
    {
        let head = s3
            .head_object()
            .bucket(bucket)
            .key(key)
            .version_id(version)
            .send()
            .await
            .unwrap();
        assert_eq!(
            head.object_lock_mode(),
            Some(&ObjectLockMode::Compliance),
            "{key}"
        );
        let until = head.object_lock_retain_until_date().unwrap().secs();
        earliest = earliest.min(jiff::Timestamp::from_second(until).unwrap());
    }
    earliest
}

/// A future's result, and how long it took.
pub async fn timed<T>(work: impl Future<Output = T>) -> (std::time::Duration, T) {
    #[expect(clippy::disallowed_methods, reason = "a test measures")]
    let began = std::time::Instant::now();
    let result = work.await;
    (began.elapsed(), result)
}
