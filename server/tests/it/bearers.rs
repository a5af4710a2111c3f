//! What a copy of the database is worth: nothing in it opens the server. And a database that was restored is noticed.

use std::{collections::BTreeSet, time::Duration};

use agent::state::State;
use data_encoding::{
    BASE32, BASE32_NOPAD, BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE,
    HEXUPPER,
};
use holdfast_server::scope;
use reqwest::StatusCode;
use sea_orm::ConnectionTrait;
use serde_json::Value;
use shared::{
    api::{
        notice::{Notice, NoticeKind},
        request::NewEnrollmentToken,
        view::{EnrollmentTokenView, Me},
    },
    schedule::Schedule,
};
use tower_sessions::session::Id;
use uuid::Uuid;

use crate::support::{EMAIL, PASSWORD, Session, Site, Stack};

/// The ways to open the server by showing something.
struct Doors<'a> {
    stack: &'a Stack,
    http: reqwest::Client,
    /// What stands before the secret in each agent's credential and each token: no secret, all of it is in the database.
    credential_prefixes: Vec<String>,
    token_prefixes: Vec<String>,
}

impl<'a> Doors<'a> {
    async fn of(stack: &'a Stack) -> Self {
        let prefixes = |prefix: &'static str, table: &'static str| async move {
            let rows = stack.query(&format!("SELECT tenant_id, id FROM {table}")).await;
            let of_row = |row: &sea_orm::QueryResult| {
                let tenant: Uuid = row.try_get("", "tenant_id").unwrap();
                let id: Uuid = row.try_get("", "id").unwrap();
                format!("{prefix}_{}_{}_", tenant.simple(), id.simple())
            };
            rows.iter().map(of_row).collect::<Vec<_>>()
        };
        Self {
            stack,
            http: reqwest::Client::new(),
            credential_prefixes: prefixes(scope::CREDENTIAL_PREFIX, "agents").await,
            token_prefixes: prefixes(scope::ENROLLMENT_PREFIX, "enrollment_tokens").await,
        }
    }

    async fn cookie_opens(&self, value: &str) -> bool {
        // Anything else is not looked up at all.
        if value.parse::<Id>().is_err() {
            return false;
        }
        let request = self.http.get(format!("{}/api/v1/me", self.stack.url));
        let request = request.header("cookie", format!("holdfast_session={value}"));
        request.send().await.unwrap().status() != StatusCode::UNAUTHORIZED
    }

    async fn credential_opens(&self, text: &str) -> bool {
        let app = &self.stack.app;
        scope::authorise_agent(&app.db, &app.bearers, text).await.is_ok()
    }

    async fn token_opens(&self, text: &str) -> bool {
        let app = &self.stack.app;
        let now = app.clock.now();
        scope::authorise_enrollment(&app.db, &app.bearers, text, now)
            .await
            .is_ok()
    }

    /// The door that a value opens, by itself or behind a prefix.
    async fn opened_by(&self, value: &str) -> Option<&'static str> {
        if self.cookie_opens(value).await {
            return Some("cookie");
        }
        if self.credential_opens(value).await {
            return Some("credential");
        }
        if self.token_opens(value).await {
            return Some("token");
        }
        for prefix in &self.credential_prefixes {
            if self.credential_opens(&format!("{prefix}{value}")).await {
                return Some("secret of a credential");
            }
        }
        for prefix in &self.token_prefixes {
            if self.token_opens(&format!("{prefix}{value}")).await {
                return Some("secret of a token");
            }
        }
        None
    }
}

/// Every value of every column of every table, with where it stands.
async fn dump(stack: &Stack) -> Vec<(String, String)> {
    let tables = stack
        .query(
            "SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
             WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')",
        )
        .await;
    let mut values = Vec::new();
    for table in tables {
        let table: String = table.try_get("", "name").unwrap();
        for row in stack
            .query(&format!("SELECT to_jsonb(t) AS row FROM {table} t"))
            .await
        {
            leaves(&table, &row.try_get::<Value>("", "row").unwrap(), &mut values);
        }
    }
    values
}

fn leaves(at: &str, value: &Value, into: &mut Vec<(String, String)>) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => into.push((at.to_owned(), number.to_string())),
        Value::String(text) => into.push((at.to_owned(), text.clone())),
        Value::Array(items) => items.iter().for_each(|item| leaves(at, item, into)),
        Value::Object(fields) => {
            for (name, value) in fields {
                into.push((at.to_owned(), name.clone()));
                leaves(&format!("{at}.{name}"), value, into);
            }
        }
    }
}

/// A value as text, and the bytes that it may stand for in every usual spelling.
fn spellings(value: &str) -> BTreeSet<String> {
    let mut bytes: Vec<Vec<u8>> = vec![value.as_bytes().to_vec()];
    let hex = value.strip_prefix("\\x").unwrap_or(value);
    bytes.extend(HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok());
    bytes.extend(Uuid::try_parse(value).ok().map(|id| id.as_bytes().to_vec()));
    bytes.extend(
        value
            .parse::<i128>()
            .ok()
            .map(|number| number.to_le_bytes().to_vec()),
    );
    for base in [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD] {
        bytes.extend(base.decode(value.as_bytes()).ok());
    }
    let mut spelt = BTreeSet::from([value.to_owned(), value.to_lowercase()]);
    for bytes in bytes.iter().filter(|bytes| bytes.len() <= 200) {
        for base in [
            HEXLOWER,
            HEXUPPER,
            BASE64,
            BASE64_NOPAD,
            BASE64URL,
            BASE64URL_NOPAD,
            BASE32,
            BASE32_NOPAD,
        ] {
            spelt.insert(base.encode(bytes));
        }
        spelt.insert(BASE32_NOPAD.encode(bytes).to_lowercase());
        spelt.extend(String::from_utf8(bytes.clone()).ok());
        if let Ok(id) = Uuid::from_slice(bytes) {
            spelt.extend([id.simple().to_string(), id.hyphenated().to_string()]);
            let backwards: Vec<u8> = bytes.iter().rev().copied().collect();
            spelt.insert(BASE64URL_NOPAD.encode(&backwards));
        }
    }
    spelt
}

async fn token(stack: &Stack, site: &Site) -> EnrollmentTokenView {
    let request = NewEnrollmentToken {
        backup_set_id: site.set.id,
    };
    let path = format!("/tenants/{}/enrollment-tokens", site.tenant);
    stack.operator.post(&path, &request).await.unwrap()
}

fn credential(site: &Site) -> String {
    let state = State::open(&site.state).unwrap();
    state.config().credential.reveal().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_of_the_database_opens_a_door() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    std::fs::write(site.data.join("file"), "content").unwrap();
    let snapshot = site.backup().await.unwrap();
    site.authorise(&stack.operator, snapshot.id).await;
    let token = token(&stack, &site).await.token;
    // A browser that was there before it signed in, with data of its own in the session.
    Session::sign_in(&stack.url, EMAIL, PASSWORD).await.unwrap();

    let doors = Doors::of(&stack).await;
    // The doors open by what belongs to them.
    let (_, cookie) = stack.operator.cookie().split_once('=').unwrap();
    assert_eq!(doors.opened_by(cookie).await, Some("cookie"));
    assert_eq!(doors.opened_by(&credential(&site)).await, Some("credential"));
    assert_eq!(doors.opened_by(&token).await, Some("token"));
    let secret = |bearer: &str| bearer.rsplit_once('_').unwrap().1.to_owned();
    assert_eq!(
        doors.opened_by(&secret(&credential(&site))).await,
        Some("secret of a credential")
    );
    assert_eq!(doors.opened_by(&secret(&token)).await, Some("secret of a token"));

    let values = dump(&stack).await;
    for table in [
        "public.sessions.id",
        "public.agents.credential_hash",
        "public.enrollment_tokens.secret_hash",
    ] {
        assert!(
            values.iter().any(|(at, _)| at == table),
            "{table} is not in the dump"
        );
    }
    let mut tried = BTreeSet::new();
    for (at, value) in values {
        for spelling in spellings(&value) {
            if tried.insert(spelling.clone()) {
                let opened = doors.opened_by(&spelling).await;
                assert_eq!(opened, None, "{at}: {value} as {spelling}");
            }
        }
    }
    assert!(tried.len() > 1_000, "{}", tried.len());
}

/// A server that is brought up to this version takes its agents along.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hashes_without_a_key_get_one_at_the_start() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let token = token(&stack, &site).await.token;
    // As the version before stored them.
    for (table, column, bearer) in [
        ("agents", "credential_hash", credential(&site)),
        ("enrollment_tokens", "secret_hash", token.clone()),
    ] {
        let (before, secret) = bearer.rsplit_once('_').unwrap();
        let (_, row) = before.rsplit_once('_').unwrap();
        let hash = blake3::derive_key(
            "Holdfast 2026-11 hash of tokens and credentials",
            secret.as_bytes(),
        );
        let sql = format!(
            "UPDATE {table} SET {column} = '\\x{}', keyed = false WHERE id = '{row}'",
            HEXLOWER.encode(&hash)
        );
        assert_eq!(
            stack
                .owner
                .execute_unprepared(&sql)
                .await
                .unwrap()
                .rows_affected(),
            1
        );
    }
    let doors = Doors::of(&stack).await;
    assert!(!doors.credential_opens(&credential(&site)).await);
    stack.start_again().await;
    assert!(doors.credential_opens(&credential(&site)).await);
    assert!(doors.token_opens(&token).await);
    let unkeyed =
        "SELECT 1 FROM agents WHERE NOT keyed UNION ALL SELECT 1 FROM enrollment_tokens WHERE NOT keyed";
    assert!(stack.query(unkeyed).await.is_empty());
    // It is done once.
    stack.start_again().await;
    assert!(doors.credential_opens(&credential(&site)).await);
}

async fn notices(session: &Session) -> Vec<Notice> {
    session.get("/notices").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_database_is_noticed() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    stack.hold_rounds().await;
    // A usual start says nothing and signs nobody out.
    stack.start_again().await;
    assert_eq!(notices(&stack.operator).await, []);
    let epoch = |text: &str| text.trim().parse::<u64>().unwrap();
    let file = stack.data.join("epoch");
    assert_eq!(epoch(&std::fs::read_to_string(&file).unwrap()), 2);

    // The backup was made before that start, while somebody worked on a job, and a token was waiting.
    let token = token(&stack, &site).await.token;
    let lease = format!(
        "UPDATE server_epoch SET epoch = 1;
         INSERT INTO jobs (id, tenant_id, kind, subject, state, run_at, lease_until)
         VALUES (gen_random_uuid(), '{}', 'check', '{}', 'running', now(), now() + interval '1 year')",
        site.tenant.as_uuid(),
        site.set.id.as_uuid()
    );
    stack.owner.execute_unprepared(&lease).await.unwrap();
    stack.start_again().await;

    let signed_out = stack.operator.get::<Me>("/me").await.unwrap_err();
    assert_eq!(signed_out.status, StatusCode::UNAUTHORIZED);
    assert!(!Doors::of(&stack).await.token_opens(&token).await);
    // The running server takes the job, whose lease would have lasted for a year.
    stack.settle().await;
    assert!(
        stack
            .query("SELECT 1 FROM jobs WHERE kind = 'check'")
            .await
            .is_empty()
    );
    let told = stack
        .query("SELECT detail FROM audit_events WHERE action = 'database.restored'")
        .await;
    let detail: Value = told[0].try_get("", "detail").unwrap();
    assert_eq!(detail["folder_epoch"], 2);
    assert_eq!(detail["database_epoch"], 1);

    let operator = Session::sign_in(&stack.url, EMAIL, PASSWORD).await.unwrap();
    let open = notices(&operator).await;
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].kind, NoticeKind::DatabaseRestored);
    let page = operator.html("/").await;
    assert!(page.contains(NoticeKind::DatabaseRestored.title()), "{page}");
    // The next start is a usual one: the epochs go on from the higher of the two.
    stack.start_again().await;
    assert_eq!(epoch(&std::fs::read_to_string(&file).unwrap()), 4);
    assert_eq!(notices(&operator).await.len(), 1);

    let settle = format!("/notices/{}/settle", open[0].id);
    let settled = operator.send(reqwest::Method::POST, &settle, None::<&()>).await;
    assert_eq!(settled.status(), StatusCode::NO_CONTENT);
    assert_eq!(notices(&operator).await, []);
    assert!(
        !operator
            .html("/")
            .await
            .contains(NoticeKind::DatabaseRestored.title())
    );
    let again = operator.send(reqwest::Method::POST, &settle, None::<&()>).await;
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
}

/// Most backups of a database are of last night, and the server was started long before that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_last_night_is_noticed() {
    let stack = Stack::start().await;
    let epoch = async || -> i64 {
        let row = stack.query("SELECT epoch FROM server_epoch").await.remove(0);
        row.try_get("", "epoch").unwrap()
    };
    let last_night = epoch().await;
    // The server does it once a minute.
    let often = Duration::from_millis(50);
    let raising = holdfast_server::epoch::keep_raising(stack.app.clone(), stack.data.clone(), often);
    let raising = tokio::spawn(raising);
    while epoch().await == last_night {
        tokio::time::sleep(often).await;
    }
    assert_eq!(notices(&stack.operator).await, []);
    stack
        .change(&format!("UPDATE server_epoch SET epoch = {last_night}"))
        .await;
    while epoch().await <= last_night {
        tokio::time::sleep(often).await;
    }
    raising.abort();
    let _ = raising.await;
    let operator = Session::sign_in(&stack.url, EMAIL, PASSWORD).await.unwrap();
    assert_eq!(notices(&operator).await[0].kind, NoticeKind::DatabaseRestored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_without_an_epoch_is_not_trusted_either() {
    let stack = Stack::start().await;
    std::fs::remove_file(stack.data.join("epoch")).unwrap();
    stack.start_again().await;
    let signed_out = stack.operator.get::<Me>("/me").await.unwrap_err();
    assert_eq!(signed_out.status, StatusCode::UNAUTHORIZED);
    let operator = Session::sign_in(&stack.url, EMAIL, PASSWORD).await.unwrap();
    let open = notices(&operator).await;
    assert_eq!(
        open.iter().map(|notice| notice.kind).collect::<Vec<_>>(),
        [NoticeKind::EpochLost]
    );
}
