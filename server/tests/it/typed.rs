//! Characters that do not show, in whatever is typed: refused at the field, never an error of the server's own. What agents
//! say is kept with such characters escaped.

use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::{
    api::{
        agent::{BASE_PATH, BackupWork},
        view::{EnrollmentTokenView, RunView},
    },
    schedule::Schedule,
    text,
};

use crate::support::{ACCESS_KEY, EMAIL, SECRET_KEY, Site, Stack};

/// NUL, which the database does not take; escape, which steers terminals; and the override, which turns names around.
const HIDDEN: [char; 3] = ['\0', '\x1b', '\u{202e}'];

struct Typist<'a> {
    stack: &'a Stack,
    http: reqwest::Client,
    credential: String,
}

impl<'a> Typist<'a> {
    fn new(stack: &'a Stack, site: &Site) -> Self {
        let state = agent::state::State::open(&site.state).unwrap();
        Self {
            stack,
            http: reqwest::Client::new(),
            credential: state.config().credential.reveal().to_owned(),
        }
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, String) {
        let request = self
            .http
            .post(format!("{}{path}", self.stack.url))
            .header("cookie", self.stack.operator.cookie())
            .bearer_auth(&self.credential)
            .json(body);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// The body is taken as far as this field goes, and refused at the field with a hidden character in the field.
    async fn refused(&self, path: &str, body: &Value, pointer: &str, code: &str) {
        for letter in HIDDEN {
            let mut body = body.clone();
            let field = body.pointer_mut(pointer).unwrap();
            let typed = field.as_str().unwrap();
            let (head, tail) = typed.split_at(typed.len() / 2);
            *field = format!("{head}{letter}{tail}").into();
            let (status, answer) = self.post(path, &body).await;
            let said: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{path}: {answer}"));
            let what = format!("{path} {pointer} {}: {answer}", text::number(letter));
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{what}");
            assert_eq!(said["code"], code, "{what}");
            assert_eq!(text::hidden(said["message"].as_str().unwrap()), None, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hidden_characters_are_refused_where_they_are_typed() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let typist = Typist::new(&stack, &site);
    let tenant = |path: &str| format!("/api/v1/tenants/{}{path}", site.tenant);

    typist
        .refused("/api/v1/tenants", &json!({ "name": "another" }), "/name", "name")
        .await;
    let account = json!({
        "name": "another", "endpoint": stack.lockbox.endpoint(), "region": "us-east-1", "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY, "path_style": true,
    });
    for field in ["name", "endpoint", "region", "access_key", "secret_key"] {
        typist
            .refused(
                &tenant("/storage-accounts"),
                &account,
                &format!("/{field}"),
                field,
            )
            .await;
    }
    let set = json!({
        "name": "another", "storage_account_id": site.set.storage_account_id, "bucket": "another-bucket", "prefix": "some",
        "create_bucket": false, "immutable_retention": true, "retention_days": 30, "mode": "compliance",
        "recovery_key": agent::keygen::read_kit(&site.kit).unwrap().secret().public().to_string(), "time_zone": "UTC",
    });
    for field in ["name", "bucket", "prefix", "recovery_key", "time_zone"] {
        typist
            .refused(&tenant("/backup-sets"), &set, &format!("/{field}"), field)
            .await;
    }
    let source = json!({
        "agent_id": site.source.agent_id, "name": "another", "paths": ["/srv/data"], "excludes": ["*.tmp"],
        "schedule": { "recurrence": { "every": "cron", "line": "30 2 * * 1-5" }, "time_zone": "UTC" },
    });
    for (pointer, code) in [
        ("/name", "name"),
        ("/paths/0", "paths"),
        ("/excludes/0", "excludes"),
        ("/schedule/time_zone", "schedule"),
        ("/schedule/recurrence/line", "schedule"),
    ] {
        typist.refused(&tenant("/sources"), &source, pointer, code).await;
    }
    // Without them each of these is taken: nothing else was refused above.
    let (status, answer) = typist.post(&tenant("/sources"), &source).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let (status, answer) = typist.post(&tenant("/storage-accounts"), &account).await;
    assert_eq!(status, StatusCode::OK, "{answer}");

    // What an endpoint says of itself. Each token is good for a few attempts, and is not used up by a refusal.
    let key = repository::identity::AgentSigningKey::from_seed([5; 32])
        .public()
        .to_hex();
    let enroll = format!("{BASE_PATH}/enroll");
    for field in ["hostname", "os", "agent_version", "signing_key"] {
        let set = json!({ "backup_set_id": site.set.id });
        let (_, token) = typist.post(&tenant("/enrollment-tokens"), &set).await;
        let token: EnrollmentTokenView = serde_json::from_str(&token).unwrap();
        let body = json!({
            "token": token.token, "hostname": "room", "os": "linux", "agent_version": "1.0", "signing_key": key,
        });
        typist.refused(&enroll, &body, &format!("/{field}"), field).await;
        let (status, answer) = typist.post(&enroll, &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    // Whoever signs in is told nothing but that it was wrong.
    for letter in HIDDEN {
        for body in [
            json!({ "email": format!("{letter}{EMAIL}"), "password": "wrong" }),
            json!({ "email": EMAIL, "password": format!("wrong{letter}") }),
        ] {
            let (status, answer) = typist.post("/api/v1/session", &body).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_agents_say_is_kept_with_hidden_characters_escaped() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let typist = Typist::new(&stack, &site);
    let words = json!({ "reason": "dis\0k \u{202e}full" });
    let (_, run) = typist
        .post(
            &format!("{BASE_PATH}/sources/{}/runs", site.source.id),
            &json!(null),
        )
        .await;
    let run: BackupWork = serde_json::from_str(&run).unwrap();
    let (status, answer) = typist
        .post(&format!("{BASE_PATH}/runs/{}/abort", run.run_id), &words)
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
    let path = format!("/tenants/{}/runs/{}", site.tenant, run.run_id);
    let view: RunView = stack.operator.get(&path).await.unwrap();
    assert_eq!(view.error.as_deref(), Some("dis\\u{0}k \\u{202e}full"));

    std::fs::write(site.data.join("a"), b"a").unwrap();
    let snapshot = site.backup().await.unwrap();
    site.authorise(&stack.operator, snapshot.id).await;
    let (_, begun) = typist
        .post(
            &format!("{BASE_PATH}/restores"),
            &json!({ "snapshot_id": snapshot.id }),
        )
        .await;
    let begun: shared::api::agent::RestoreWork = serde_json::from_str(&begun).unwrap();
    let finish = json!({
        "progress": shared::api::agent::RestoreProgress::default(), "error": words["reason"],
    });
    let (status, answer) = typist
        .post(
            &format!("{BASE_PATH}/restores/{}/finish", begun.restore_id),
            &finish,
        )
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
    let page = stack
        .operator
        .html(&format!("/tenants/{}/snapshots/{}", site.tenant, snapshot.id))
        .await;
    assert!(page.contains("dis\\u{0}k \\u{202e}full"), "{page}");
}
