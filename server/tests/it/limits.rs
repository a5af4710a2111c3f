//! The limits on what people and agents send: each one holds, and the largest bodies leave the server to the others.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use agent::state::State;
use holdfast_server::sign_in::{Guess, Reservation};
use jiff::SignedDuration;
use reqwest::StatusCode;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use shared::{
    api::{
        agent::{BASE_PATH, BackupWork},
        operation, operations,
        view::{EnrollmentTokenView, RunView},
    },
    limits::Limit,
    object::ObjectHash,
    schedule::Schedule,
};

use crate::support::{ACCESS_KEY, EMAIL, SECRET_KEY, Site, Stack};

fn run_of_nobody() -> &'static str {
    "run_00000000000000000000000000000000"
}

/// Where the tests' requests come from.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Someone who sends: the operator by the automation API, or the agent by its own.
struct Sender<'a> {
    stack: &'a Stack,
    site: &'a Site,
    http: reqwest::Client,
    credential: String,
}

impl<'a> Sender<'a> {
    fn new(stack: &'a Stack, site: &'a Site) -> Self {
        let state = State::open(&site.state).unwrap();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            stack,
            site,
            http,
            credential: state.config().credential.reveal().to_owned(),
        }
    }

    fn tenant(&self, path: &str) -> String {
        format!("/api/v1/tenants/{}{path}", self.site.tenant)
    }

    async fn post_raw(&self, path: &str, kind: &str, body: Vec<u8>) -> reqwest::Response {
        let request = self
            .http
            .post(format!("{}{path}", self.stack.url))
            .header("cookie", self.stack.operator.cookie())
            .header("content-type", kind)
            .header("accept", "text/html")
            .bearer_auth(&self.credential)
            .body(body);
        request.send().await.unwrap()
    }

    /// The same, in pieces, without a length.
    async fn post_pieces(
        &self,
        path: &str,
        kind: &str,
        pieces: Vec<Result<Vec<u8>, std::io::Error>>,
    ) -> reqwest::Response {
        let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
        let request = self
            .http
            .post(format!("{}{path}", self.stack.url))
            .header("cookie", self.stack.operator.cookie())
            .header("content-type", kind)
            .header("accept", "text/html")
            .body(body);
        request.send().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, String, String) {
        let answer = self
            .post_raw(path, "application/json", body.to_string().into())
            .await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (status, field("code"), field("message"))
    }

    /// With `most` the limit is kept, with one more it refuses with `code` and names itself.
    async fn holds(&self, path: &str, code: &str, limit: Limit, body: impl Fn(usize) -> Value) {
        let most = limit.max();
        let says = format!("{most}");
        let (_, kept_code, message) = self.post(path, &body(most)).await;
        assert!(
            kept_code != code || !message.contains(&says),
            "{limit:?}: {message}"
        );
        let (status, more_code, message) = self.post(path, &body(most + 1)).await;
        assert_eq!(
            (status, more_code.as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, code),
            "{limit:?}: {message}"
        );
        assert!(
            message.contains(&says) && message.len() < 1_000,
            "{limit:?}: {message}"
        );
    }

    /// The last one that there is room for is taken, the next one is refused.
    async fn has_room_for_one(
        &self,
        limit: Limit,
        code: &str,
        add: impl AsyncFn(usize) -> (StatusCode, String),
    ) {
        let (status, _) = add(0).await;
        assert_eq!(status, StatusCode::OK, "{limit:?}");
        assert_eq!(add(1).await, (StatusCode::CONFLICT, code.to_owned()), "{limit:?}");
    }

    /// Copies a row until there is room for one only.
    async fn fill(&self, table: &str, id: uuid::Uuid, there_are: usize, limit: Limit, changes: &str) {
        let copies = limit.max() - 1 - there_are;
        let sql = format!(
            "INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid(), {changes}))).*
             FROM {table} t, generate_series(1, {copies}) n WHERE t.id = '{id}'"
        );
        self.stack.owner.execute_unprepared(&sql).await.unwrap();
    }

    async fn count(&self, sql: &str) -> usize {
        let rows = self
            .stack
            .query(&format!("SELECT count(*) AS n FROM {sql}"))
            .await;
        usize::try_from(rows[0].try_get::<i64>("", "n").unwrap()).unwrap()
    }

    async fn run(&self) -> BackupWork {
        let path = format!("{BASE_PATH}/sources/{}/runs", self.site.source.id);
        let answer = self.post_raw(&path, "application/json", Vec::new()).await;
        answer.json().await.unwrap()
    }

    /// Addresses are signed up to the limit, and for one more only after something was sent.
    async fn holds_unsent(&self, limit: Limit) {
        self.stack.advance(SignedDuration::from_hours(2)).await;
        let run = self.run().await.run_id;
        let uploads = format!("{BASE_PATH}/runs/{run}/uploads");
        let name = |nth: usize| repository::hash(format!("{limit:?} {nth}").as_bytes());
        let (size, count) = match limit {
            Limit::UnsentObjects => (10, limit.max()),
            _ => (
                Limit::PackBytes.max(),
                (limit.max() << 20) / Limit::PackBytes.max(),
            ),
        };
        let ask = async |from: usize, to: usize| {
            let objects = (from..to).map(|nth| {
                let mut object = upload(nth, size as u64);
                object["object"]["hash"] = json!(name(nth));
                object
            });
            let body = json!({ "objects": objects.collect::<Vec<_>>() });
            self.post(&uploads, &body).await
        };
        let per_call = Limit::ObjectsPerCall.max();
        for from in (0..count - 1).step_by(per_call) {
            let (status, _, message) = ask(from, (count - 1).min(from + per_call)).await;
            assert_eq!(status, StatusCode::OK, "{message}");
        }
        // What has arrived counts no longer, once it is in the way.
        self.site.upload_pack(run, b"it is sent").await;
        let (status, _, message) = ask(count - 1, count).await;
        assert_eq!(status, StatusCode::OK, "{message}");
        let (status, code, message) = ask(count, count + 1).await;
        assert_eq!(
            (status, code.as_str()),
            (StatusCode::TOO_MANY_REQUESTS, "upload_budget"),
            "{message}"
        );
        // The same again is no more.
        let (status, _, message) = ask(0, 1).await;
        assert_eq!(status, StatusCode::OK, "{message}");
    }

    async fn token(&self) -> String {
        let path = self.tenant("/enrollment-tokens");
        let body = json!({ "backup_set_id": self.site.set.id });
        let answer = self
            .post_raw(&path, "application/json", body.to_string().into())
            .await;
        answer.json::<EnrollmentTokenView>().await.unwrap().token
    }

    fn account(&self) -> Value {
        json!({
            "name": "another", "endpoint": self.stack.lockbox.endpoint(), "region": "us-east-1", "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY, "path_style": true,
        })
    }

    fn set(&self) -> Value {
        json!({
            "name": "another", "storage_account_id": self.site.set.storage_account_id, "bucket": "another-bucket",
            "prefix": "", "create_bucket": true, "immutable_retention": true, "retention_days": 30, "mode": "compliance",
            "recovery_key": agent::keygen::read_kit(&self.site.kit).unwrap().secret().public().to_string(),
        })
    }

    fn source(&self) -> Value {
        json!({
            "agent_id": self.site.source.agent_id, "name": "another", "paths": ["/srv"], "excludes": [],
            "schedule": Schedule::manual(),
        })
    }
}

fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    body[field] = value.into();
    body
}

fn paths(count: usize) -> Value {
    (0..count).map(|nth| Value::from(format!("/{nth}"))).collect()
}

fn hash(nth: usize) -> ObjectHash {
    ObjectHash::from_bytes(std::array::from_fn(|at| {
        nth.to_le_bytes().get(at).copied().unwrap_or(7)
    }))
}

fn upload(nth: usize, size_bytes: u64) -> Value {
    json!({
        "object": { "kind": "pack", "hash": hash(nth), "size_bytes": size_bytes },
        "content_md5": "AAAAAAAAAAAAAAAAAAAAAA==",
    })
}

fn part(nth: usize) -> Value {
    json!({ "object": hash(nth), "begin": 0, "end": 1 })
}

/// Walks the table. A limit that is added has to be tried here, or this does not compile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_limit_holds() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let sender = Sender::new(&stack, &site);
    // The one that takes its time.
    let work = format!("{}{BASE_PATH}/work?wait_seconds=100000", stack.url);
    let wait = sender.http.get(work).bearer_auth(&sender.credential).send();
    let wait = tokio::spawn(tokio::time::timeout(Duration::from_secs(180), wait));
    for limit in Limit::ALL {
        Box::pin(hold(&sender, *limit)).await;
    }
    let waited = wait.await.unwrap().expect("the call for work ended by itself");
    assert_eq!(waited.unwrap().status(), StatusCode::OK);
}

#[expect(clippy::too_many_lines, reason = "one case a limit")]
async fn hold(sender: &Sender<'_>, limit: Limit) {
    let accounts = sender.tenant("/storage-accounts");
    let sets = sender.tenant("/backup-sets");
    let sources = sender.tenant("/sources");
    let text = |length: usize| "x".repeat(length);
    match limit {
        Limit::Name => {
            let name = |length: usize| json!({ "name": "ä".repeat(length) });
            sender.holds("/api/v1/tenants", "name", limit, name).await;
        }
        Limit::Email | Limit::Password => {
            // What is looked at counts as a guess of this address and account.
            let looked_at = |email: &str| {
                let account = Guess::Account(LOOPBACK, email.to_owned());
                let rate = account.rate();
                let guesses = &sender.stack.app.guesses;
                let now = sender.stack.clock.now();
                let left = (0..rate.burst).map_while(|_| guesses.take(&[(account.clone(), rate)], now));
                let left: Vec<_> = left.collect();
                let looked_at = rate.burst as usize - left.len();
                left.into_iter().for_each(Reservation::give_back);
                looked_at
            };
            for (length, told) in [(limit.max(), 1), (limit.max() + 1, 0)] {
                let body = match limit {
                    Limit::Email => json!({ "email": text(length), "password": "wrong" }),
                    _ => json!({ "email": EMAIL, "password": text(length) }),
                };
                let email = body["email"].as_str().unwrap().to_owned();
                let before = looked_at(&email);
                let (status, code, _) = sender.post("/api/v1/session", &body).await;
                assert_eq!(
                    (status, code.as_str()),
                    (StatusCode::UNAUTHORIZED, "wrong_credentials")
                );
                assert_eq!(looked_at(&email), before + told, "{limit:?} {length}");
            }
        }
        Limit::Endpoint => {
            let slashes = |length: usize| format!("{:/<length$}", sender.stack.lockbox.endpoint());
            let body = |length| {
                with(
                    with(sender.account(), "endpoint", slashes(length)),
                    "name",
                    "slashes",
                )
            };
            sender.holds(&accounts, "endpoint", limit, body).await;
        }
        Limit::Region => {
            sender
                .holds(&accounts, "region", limit, |n| {
                    with(sender.account(), "region", text(n))
                })
                .await;
        }
        Limit::AccessKey => {
            let body = |n| with(sender.account(), "access_key", text(n));
            sender.holds(&accounts, "access_key", limit, body).await;
        }
        Limit::SecretKey => {
            let body = |n| with(sender.account(), "secret_key", text(n));
            sender.holds(&accounts, "secret_key", limit, body).await;
        }
        Limit::Bucket => {
            sender
                .holds(&sets, "bucket", limit, |n| with(sender.set(), "bucket", text(n)))
                .await;
        }
        Limit::Prefix => {
            let body = |n| with(with(sender.set(), "prefix", text(n)), "create_bucket", false);
            sender.holds(&sets, "prefix", limit, body).await;
        }
        Limit::Tiers => {
            let tiers = |count: usize| -> Value {
                let periods = ["hour", "day", "week", "month", "year"];
                (0..count)
                    .map(|nth| json!({ "every": periods[nth % 5], "retention_days": 400 }))
                    .collect()
            };
            let body = |n| with(with(sender.set(), "tiers", tiers(n)), "create_bucket", false);
            sender.holds(&sets, "tiers", limit, body).await;
        }
        Limit::RecoveryKey => {
            let body = |n| with(sender.set(), "recovery_key", text(n));
            sender.holds(&sets, "recovery_key", limit, body).await;
        }
        Limit::TimeZone => {
            sender
                .holds(&sets, "time_zone", limit, |n| {
                    with(sender.set(), "time_zone", text(n))
                })
                .await;
            let schedule = |n| json!({ "recurrence": { "every": "manual" }, "time_zone": text(n) });
            let body = |n| with(sender.source(), "schedule", schedule(n));
            sender.holds(&sources, "time_zone", limit, body).await;
        }
        Limit::CronLine => {
            let line = |n: usize| format!("{:<n$}", "30 2 * * 1-5");
            let schedule =
                |n| json!({ "recurrence": { "every": "cron", "line": line(n) }, "time_zone": "UTC" });
            let body = |n| with(with(sender.source(), "schedule", schedule(n)), "name", "cron");
            sender.holds(&sources, "schedule", limit, body).await;
        }
        Limit::Paths => {
            let body = |n| with(with(sender.source(), "paths", paths(n)), "name", "paths");
            sender.holds(&sources, "paths", limit, body).await;
        }
        Limit::Path => {
            let body = |n| {
                with(
                    with(sender.source(), "paths", json!([format!("/{}", text(n - 1))])),
                    "name",
                    "path",
                )
            };
            sender.holds(&sources, "paths", limit, body).await;
        }
        Limit::Excludes => {
            let body = |n| with(with(sender.source(), "excludes", paths(n)), "name", "excludes");
            sender.holds(&sources, "excludes", limit, body).await;
        }
        Limit::Exclude => {
            let body = |n| {
                with(
                    with(sender.source(), "excludes", json!([text(n)])),
                    "name",
                    "exclude",
                )
            };
            sender.holds(&sources, "excludes", limit, body).await;
        }
        Limit::SourceText => {
            let body = |n: usize| {
                let paths: Value = (0..16)
                    .map(|nth| json!(format!("/{nth:02}{}", text(4_090))))
                    .collect();
                let rest = n - 16 * 4_093;
                with(
                    with(
                        with(sender.source(), "paths", paths),
                        "excludes",
                        json!([text(rest)]),
                    ),
                    "name",
                    "text",
                )
            };
            sender.holds(&sources, "paths", limit, body).await;
        }
        Limit::StorageAccounts => {
            let there_are = sender.count("storage_accounts").await;
            let id = sender.site.set.storage_account_id.as_uuid();
            sender
                .fill("storage_accounts", id, there_are, limit, "'name', 'n' || n")
                .await;
            let add = async |nth: usize| {
                let (status, code, _) = sender
                    .post(&accounts, &with(sender.account(), "name", format!("room {nth}")))
                    .await;
                (status, code)
            };
            sender
                .has_room_for_one(limit, "too_many_storage_accounts", add)
                .await;
        }
        Limit::BackupSets => {
            let there_are = sender.count("backup_sets").await;
            let id = sender.site.set.id.as_uuid();
            sender
                .fill("backup_sets", id, there_are, limit, "'name', 'n' || n")
                .await;
            let add = async |nth: usize| {
                let set = with(
                    with(sender.set(), "name", format!("room {nth}")),
                    "bucket",
                    format!("room-{nth}"),
                );
                let (status, code, _) = sender.post(&sets, &set).await;
                (status, code)
            };
            sender.has_room_for_one(limit, "too_many_backup_sets", add).await;
        }
        Limit::Agents => {
            let tokens = [sender.token().await, sender.token().await];
            let there_are = sender.count("agents").await;
            let id = sender.site.source.agent_id.as_uuid();
            sender
                .fill(
                    "agents",
                    id,
                    there_are,
                    limit,
                    "'token_id', NULL, 'hostname', 'n' || n",
                )
                .await;
            let add = async |nth: usize| {
                let body = json!({
                    "token": tokens[nth], "hostname": "room", "os": "linux", "agent_version": "1",
                    "signing_key": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                });
                let (status, code, _) = sender.post(&format!("{BASE_PATH}/enroll"), &body).await;
                (status, code)
            };
            sender.has_room_for_one(limit, "too_many_agents", add).await;
        }
        Limit::OpenTokens => {
            sender.token().await;
            let there_are = sender.count("enrollment_tokens WHERE used_at IS NULL").await;
            let newest = "SELECT id FROM enrollment_tokens WHERE used_at IS NULL LIMIT 1";
            let id: uuid::Uuid = sender.stack.query(newest).await[0].try_get("", "id").unwrap();
            sender
                .fill(
                    "enrollment_tokens",
                    id,
                    there_are,
                    limit,
                    "'created_by', 'n' || n",
                )
                .await;
            let add = async |_: usize| {
                let body = json!({ "backup_set_id": sender.site.set.id });
                let (status, code, _) = sender.post(&sender.tenant("/enrollment-tokens"), &body).await;
                (status, code)
            };
            sender.has_room_for_one(limit, "too_many_tokens", add).await;
            let used = "UPDATE enrollment_tokens SET used_at = now()";
            sender.stack.owner.execute_unprepared(used).await.unwrap();
        }
        Limit::SourcesPerAgent => {
            let of_agent = format!(
                "sources WHERE agent_id = '{}'",
                sender.site.source.agent_id.as_uuid()
            );
            let there_are = sender.count(&of_agent).await;
            let id = sender.site.source.id.as_uuid();
            sender
                .fill("sources", id, there_are, limit, "'name', 'n' || n")
                .await;
            let add = async |nth: usize| {
                let (status, code, _) = sender
                    .post(&sources, &with(sender.source(), "name", format!("room {nth}")))
                    .await;
                (status, code)
            };
            sender.has_room_for_one(limit, "too_many_sources", add).await;
        }
        Limit::ListPage => {
            let limit = limit.max();
            for list in ["snapshots", "runs", "restores"] {
                for (asked, status) in [
                    (limit, StatusCode::OK),
                    (limit + 1, StatusCode::UNPROCESSABLE_ENTITY),
                ] {
                    let path = sender.tenant(&format!("/{list}?limit={asked}"));
                    let path = path.trim_start_matches("/api/v1").to_owned();
                    let answer = sender
                        .stack
                        .operator
                        .send::<()>(reqwest::Method::GET, &path, None)
                        .await;
                    assert_eq!(answer.status(), status, "{path}");
                }
            }
        }
        Limit::TypedText => {
            let form = format!(
                "tenant={}&agent_id={}&name=typed&paths={}&every=manual&time_zone=UTC",
                sender.site.tenant,
                sender.site.source.agent_id,
                "relative%0A".repeat(limit.max() / 10)
            );
            let kind = "application/x-www-form-urlencoded";
            let answer = sender
                .post_raw("/console/fn/create_source", kind, form.into())
                .await;
            let to = answer.headers()["location"].to_str().unwrap();
            let cookie = answer.headers()["set-cookie"].to_str().unwrap();
            assert!(cookie.len() < 4_096, "{}", cookie.len());
            // There the reason stands at its field, with what the cookie had room for.
            let page = sender
                .stack
                .operator
                .html_with(to, cookie.split(';').next())
                .await;
            assert!(
                page.contains("id=\"paths-error\"") && page.contains("value=\"typed\""),
                "{page}"
            );
            assert!(!page.contains("relative\nrelative"), "{page}");
        }
        Limit::TokenText => {
            let token = sender.token().await;
            assert!(token.len() < limit.max());
            for (token, expected) in [(format!("{token:x<201}"), false), (token, true)] {
                let path = format!("{BASE_PATH}/enrollment");
                let (status, _, message) = sender.post(&path, &json!({ "token": token })).await;
                assert_eq!(status == StatusCode::OK, expected, "{message}");
            }
        }
        Limit::ObjectsPerCall => {
            let run = sender.run().await.run_id;
            let uploads = format!("{BASE_PATH}/runs/{run}/uploads");
            let body = |n| json!({ "objects": (0..n).map(|nth| upload(nth, 10)).collect::<Vec<_>>() });
            sender.holds(&uploads, "objects", limit, body).await;
        }
        Limit::PartsPerCall => {
            let reads = format!("{BASE_PATH}/sources/{}/reads", sender.site.source.id);
            let body = |n| json!({ "parts": (0..n).map(part).collect::<Vec<_>>() });
            sender.holds(&reads, "parts", limit, body).await;
        }
        Limit::PackBytes | Limit::IndexBytes | Limit::ManifestBytes | Limit::ListPageBytes => {
            let kinds: &[&str] = match limit {
                Limit::PackBytes => &["pack", "tree_pack"],
                Limit::IndexBytes => &["index"],
                Limit::ManifestBytes => &["manifest"],
                _ => &["list_page"],
            };
            let run = sender.run().await.run_id;
            let uploads = format!("{BASE_PATH}/runs/{run}/uploads");
            for kind in kinds {
                for (more, expected) in [(0, StatusCode::OK), (1, StatusCode::UNPROCESSABLE_ENTITY)] {
                    let mut object = upload(limit.max() + more, (limit.max() + more) as u64);
                    object["object"]["kind"] = json!(kind);
                    object["object"]["hash"] = json!(repository::hash(format!("{kind} {more}").as_bytes()));
                    let body = json!({ "objects": [object] });
                    let (status, _, message) = sender.post(&uploads, &body).await;
                    assert_eq!(status, expected, "{message}");
                }
            }
        }
        // Only the server writes it.
        Limit::CommitRecordBytes => {
            let run = sender.run().await.run_id;
            let uploads = format!("{BASE_PATH}/runs/{run}/uploads");
            let mut object = upload(1, 10);
            object["object"]["kind"] = json!("commit");
            let (status, _, message) = sender.post(&uploads, &json!({ "objects": [object] })).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{message}");
        }
        Limit::UnsentObjects | Limit::UnsentMebibytes => sender.holds_unsent(limit).await,
        // Of several sources and agents: see `upload_budget`.
        Limit::UnsentMebibytesOfAgent | Limit::UnsentMebibytesOfTenant => {}
        Limit::Reason => {
            let run = sender.run().await.run_id;
            let body = json!({ "reason": "ä".repeat(limit.max() + 1) });
            let (status, ..) = sender.post(&format!("{BASE_PATH}/runs/{run}/abort"), &body).await;
            assert_eq!(status, StatusCode::NO_CONTENT);
            let view: RunView = sender
                .stack
                .operator
                .get(&format!("/tenants/{}/runs/{run}", sender.site.tenant))
                .await
                .unwrap();
            assert_eq!(view.error.unwrap().chars().count(), limit.max());
        }
        // The first is asked for at the beginning, and awaited at the end; for the others see `large`, `later` and `permissions`.
        Limit::Wait | Limit::ObjectsPerAnswer | Limit::LaterSnapshots | Limit::RestoresPerPermission => {}
        Limit::SmallBody | Limit::SourceBody | Limit::ObjectsBody | Limit::CommitBody => {
            let path = match limit {
                Limit::SmallBody => "/api/v1/tenants".to_owned(),
                Limit::SourceBody => sources,
                Limit::CommitBody => {
                    format!("{BASE_PATH}/runs/{}/commit", run_of_nobody())
                }
                _ => format!("{BASE_PATH}/sources/{}/reads", sender.site.source.id),
            };
            for (length, refused) in [(limit.max(), false), (limit.max() + 1, true)] {
                let body = "{}".to_owned() + &" ".repeat(length - 2);
                let answer = sender.post_raw(&path, "application/json", body.into()).await;
                let text = answer.text().await.unwrap();
                assert_eq!(
                    text.contains("more than the call takes"),
                    refused,
                    "{limit:?}: {text}"
                );
            }
        }
        Limit::FormBody => {
            let kind = "application/x-www-form-urlencoded";
            let body = vec![b'x'; limit.max() + 1];
            let answer = sender
                .post_raw("/console/fn/create_source", kind, body.clone())
                .await;
            assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
            // A body in pieces, which does not say its length, has the same limit.
            for (length, refused) in [(limit.max(), false), (limit.max() + 1, true)] {
                let pieces: Vec<Result<Vec<u8>, std::io::Error>> = body[..length]
                    .chunks(10_000)
                    .map(|piece| Ok(piece.to_vec()))
                    .collect();
                let answer = sender
                    .post_pieces("/console/fn/create_source", kind, pieces)
                    .await;
                let (status, text) = (answer.status(), answer.text().await.unwrap());
                assert_eq!(
                    status == StatusCode::PAYLOAD_TOO_LARGE,
                    refused,
                    "{status}: {text}"
                );
                assert_eq!(text.contains("more than the call takes"), refused, "{text}");
            }
        }
        // Held by the tests of the commit.
        Limit::CommitPageBody => {}
        // Held by those of the doors and of signing in.
        Limit::ConnectionsPerAddress
        | Limit::UnsignedConnections
        | Limit::ConnectionsPerAgent
        | Limit::ConnectionsPerSession
        | Limit::StreamsPerSession
        | Limit::HeaderBytes
        | Limit::HeaderLines
        | Limit::HeadersWait
        | Limit::IdleWait
        | Limit::BodyWait
        | Limit::BodyPause
        | Limit::WriteWait
        | Limit::PasswordQueue => {}
    }
}

/// A body of about `bytes` bytes with as many elements as go into it.
fn swollen(mut body: Value, field: &str, bytes: usize, element: impl Fn(usize) -> Value) -> Vec<u8> {
    body[field] = json!([]);
    let one = element(10_000).to_string().len() + 1;
    let count = bytes.saturating_sub(body.to_string().len()) / one;
    body[field] = (0..count).map(element).collect();
    body.to_string().into_bytes()
}

fn swollen_form(mut form: String, field: &str, element: &str) -> Vec<u8> {
    let one = format!("&{field}={element}");
    while form.len() + one.len() <= Limit::FormBody.max() {
        form.push_str(&one);
    }
    form.into_bytes()
}

/// Every route that takes a body, with the largest that it takes. A route that is added must be added here: the test counts.
async fn largest(sender: &Sender<'_>) -> Vec<(String, &'static str, Vec<u8>)> {
    let run = sender.run().await.run_id;
    let (source, restore) = (sender.site.source.id, "rst_00000000000000000000000000000000");
    let snapshot = "snp_00000000000000000000000000000000";
    let tenant = |path: &str| sender.tenant(path);
    let agents = |path: &str| format!("{BASE_PATH}{path}");
    let small = Limit::SmallBody.max();
    let nothing = |_: usize| json!([]);
    let junk = |body: Value| swollen(body, "junk", small, nothing);
    let path = |nth: usize| Value::from(format!("/{nth}"));
    let json = "application/json";
    let mut cases = vec![
        (
            "/api/v1/session".into(),
            json,
            junk(json!({ "email": "x", "password": "y" })),
        ),
        ("/api/v1/tenants".into(), json, junk(json!({ "name": "" }))),
        (
            "/api/v1/notices/ntc_00000000000000000000000000000000/settle".into(),
            json,
            junk(json!({})),
        ),
        (tenant("/storage-accounts"), json, junk(sender.account())),
        (
            tenant("/backup-sets"),
            json,
            swollen(
                sender.set(),
                "tiers",
                small,
                |_| json!({ "every": "day", "retention_days": 1 }),
            ),
        ),
        (
            tenant(&format!("/backup-sets/{}/inspect", sender.site.set.id)),
            json,
            junk(json!({})),
        ),
        (
            tenant("/enrollment-tokens"),
            json,
            junk(json!({ "backup_set_id": sender.site.set.id })),
        ),
        (
            tenant("/sources"),
            json,
            swollen(sender.source(), "paths", Limit::SourceBody.max(), path),
        ),
        (
            tenant("/sources"),
            json,
            swollen(sender.source(), "excludes", Limit::SourceBody.max(), path),
        ),
        (tenant(&format!("/sources/{source}/runs")), json, junk(json!({}))),
        (tenant(&format!("/runs/{run}/cancel")), json, junk(json!({}))),
        (
            tenant(&format!("/snapshots/{snapshot}/judgement")),
            json,
            junk(json!({ "judgement": "bad" })),
        ),
        (
            tenant(&format!("/snapshots/{snapshot}/restores")),
            json,
            junk(json!({})),
        ),
        (tenant(&format!("/restores/{restore}/end")), json, junk(json!({}))),
        (agents("/enrollment"), json, junk(json!({ "token": "hfe" }))),
        (agents("/enroll"), json, junk(json!({ "token": "hfe" }))),
        (agents(&format!("/sources/{source}/runs")), json, junk(json!({}))),
        (agents(&format!("/sources/{source}/reads")), json, {
            swollen(json!({}), "parts", Limit::ObjectsBody.max(), part)
        }),
        (agents(&format!("/runs/{run}/uploads")), json, {
            swollen(json!({}), "objects", Limit::ObjectsBody.max(), |nth| {
                upload(nth, 10)
            })
        }),
        (agents(&format!("/runs/{run}/progress")), json, junk(json!({}))),
        (
            agents(&format!("/runs/{run}/abort")),
            json,
            swollen(json!({ "reason": "x" }), "junk", small, nothing),
        ),
        (
            agents("/restores"),
            json,
            junk(json!({ "snapshot_id": snapshot })),
        ),
        (agents(&format!("/restores/{restore}/reads")), json, {
            swollen(json!({}), "parts", Limit::ObjectsBody.max(), part)
        }),
        (agents(&format!("/restores/{restore}/later")), json, {
            swollen(json!({}), "lost", Limit::ObjectsBody.max(), |nth| {
                json!(hash(nth))
            })
        }),
        (
            agents(&format!("/restores/{restore}/progress")),
            json,
            junk(json!({})),
        ),
        (
            agents(&format!("/restores/{restore}/finish")),
            json,
            junk(json!({})),
        ),
    ];
    let form = "application/x-www-form-urlencoded";
    for name in server_functions() {
        let head = format!(
            "tenant={}&agent_id={}&name=x",
            sender.site.tenant, sender.site.source.agent_id
        );
        let every = format!("{head}&every=week&time_zone=UTC&paths=/x");
        cases.push((
            format!("/console/fn/{name}"),
            form,
            swollen_form(every, "weekdays[]", "1"),
        ));
        if name == "create_source" {
            let mut lines = format!("{head}&every=manual&time_zone=UTC&paths=");
            for nth in 0.. {
                let line = format!("/{nth}%0A");
                if lines.len() + line.len() > Limit::FormBody.max() {
                    break;
                }
                lines.push_str(&line);
            }
            cases.push((format!("/console/fn/{name}"), form, lines.into_bytes()));
        }
    }
    cases
}

/// The names of all server functions.
fn server_functions() -> Vec<&'static str> {
    const FILES: [&str; 8] = [
        include_str!("../../../frontend/src/functions/backup_set.rs"),
        include_str!("../../../frontend/src/functions/enrollment.rs"),
        include_str!("../../../frontend/src/functions/notice.rs"),
        include_str!("../../../frontend/src/functions/run.rs"),
        include_str!("../../../frontend/src/functions/session.rs"),
        include_str!("../../../frontend/src/functions/snapshot.rs"),
        include_str!("../../../frontend/src/functions/source.rs"),
        include_str!("../../../frontend/src/functions/storage_account.rs"),
    ];
    const TENANT: &str = include_str!("../../../frontend/src/functions/tenant.rs");
    let all = FILES.iter().chain([&TENANT]);
    all.flat_map(|file| file.split("endpoint = \"").skip(1))
        .map(|rest| rest.split('"').next().unwrap())
        .collect()
}

/// The most memory that this process has had, in bytes.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1_024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_bodies_leave_the_server_to_the_others() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let sender = Arc::new(Sender::new(&stack, &site));
    let cases = largest(&sender).await;
    // The two that take a body besides those above: a second list of the source, and the commit, which has tests of its own.
    let of_people = operations::ALL
        .iter()
        .filter(|operation| operation.method == operation::Method::Post);
    let of_agents = include_str!("../../src/http/agent_api.rs").matches("post(");
    let posts = of_people.count() + of_agents.count();
    let tried = cases
        .iter()
        .filter(|(path, ..)| path.starts_with("/api/"))
        .count();
    assert_eq!(tried - 1, posts - 1, "a route has no case here");

    let done = Arc::new(AtomicBool::new(false));
    let health = tokio::spawn({
        let (done, http, url) = (
            done.clone(),
            sender.http.clone(),
            format!("{}/healthz", stack.url),
        );
        async move {
            let mut slowest = Duration::ZERO;
            let mut asked = 0_u32;
            while !done.load(Ordering::SeqCst) {
                let asking = http.get(&url).send();
                let took = crate::support::timed(asking).await;
                assert_eq!(took.1.unwrap().status(), StatusCode::OK);
                slowest = slowest.max(took.0);
                asked += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            (slowest, asked)
        }
    });
    let before = peak_memory();
    let mut slowest = (Duration::ZERO, String::new());
    for (path, kind, body) in cases {
        let ten = (0..10).map(|_| sender.post_raw(&path, kind, body.clone()));
        let (took, answers) = crate::support::timed(futures::future::join_all(ten)).await;
        for answer in answers {
            let status = answer.status();
            // A server function whose arguments can not be read answers 500: nothing was done.
            let refused = path.starts_with("/console/") || status.as_u16() < 500;
            assert!(refused, "{path}: {status} {}", answer.text().await.unwrap());
        }
        if took > slowest.0 {
            slowest = (took, path);
        }
    }
    done.store(true, Ordering::SeqCst);
    let (silent, asked) = health.await.unwrap();
    let grown = peak_memory().saturating_sub(before);
    let _ = writeln!(
        std::io::stderr(),
        "slowest: {slowest:?}; /healthz: {asked} times, at most {silent:?}; memory: {} KiB more",
        grown / 1_024
    );
    // Without the limits ten sources of 12,000 paths alone take minutes, in which nobody is answered.
    assert!(slowest.0 < Duration::from_secs(60), "{slowest:?}");
    assert!(silent < Duration::from_secs(15), "{silent:?}");
    assert!(grown < 512 << 20, "{grown}");
}
