//! Connections: slow ones end, many of them leave the server to the others, and each is counted by whom it is of.

use std::{net::SocketAddr, path::Path, time::Duration};

use agent::state::State;
use futures::{StreamExt, future::join_all};
use holdfast_server::{
    connections::Owner,
    db::{CONNECTIONS, LOOK_UPS},
    http::Deadlines,
    serve::Settings,
};
use reqwest::{Method, StatusCode};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sea_orm::{ConnectionTrait, TransactionTrait};
use shared::{
    api::{
        agent::{BASE_PATH, Work},
        view::{LiveEvent, RunView},
    },
    ids::AgentId,
    limits::Limit,
    schedule::Schedule,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use tower_sessions::session::Id;

use crate::support::{EMAIL, PASSWORD, Session, Site, Stack};

/// Longer than anything here takes; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

fn address(stack: &Stack) -> SocketAddr {
    stack.url.trim_start_matches("http://").parse().unwrap()
}

fn short(settings: &mut Settings) {
    settings.deadlines = Deadlines {
        headers: Duration::from_millis(600),
        body: Duration::from_millis(900),
        pause: Duration::from_millis(400),
        ..Deadlines::default()
    };
}

async fn sent(stack: &Stack, text: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address(stack)).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    socket
}

/// Everything that comes until the server closes the connection.
async fn until_closed(mut socket: TcpStream) -> String {
    let mut text = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut text))
        .await
        .expect("the server closes the connection")
        .ok();
    String::from_utf8_lossy(&text).into_owned()
}

/// What has come within a moment, on a connection that stays open.
async fn so_far(socket: &mut TcpStream) -> String {
    let mut text = vec![0; 16 << 10];
    let length = timeout(PATIENCE, socket.read(&mut text)).await.unwrap().unwrap();
    String::from_utf8_lossy(&text[..length]).into_owned()
}

/// Waits until something is so.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("not within a minute: {what}");
}

const HALF: &str = "GET /healthz HTTP/1.1\r\nHost: holdfast\r\nX-Slow: ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_headers_are_closed() {
    let stack = Stack::start_with(short).await;
    for text in ["", "G", HALF] {
        let socket = sent(&stack, text).await;
        assert_eq!(until_closed(socket).await, "", "{text:?}");
    }
    // Another byte does not prolong the deadline.
    let (mut read, mut write) = sent(&stack, HALF).await.into_split();
    let dribbling = tokio::spawn(async move {
        while write.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    timeout(PATIENCE, read.read_to_end(&mut Vec::new()))
        .await
        .expect("it is closed")
        .ok();
    dribbling.await.unwrap();
    // Nor does a request that was answered, for whoever has not signed in.
    let whole = "GET /healthz HTTP/1.1\r\nHost: holdfast\r\n\r\n";
    let answered = until_closed(sent(&stack, whole).await).await;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    eventually("nobody is left", || stack.app.connections.not_signed_in() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_agents_stay_open_between_requests() {
    let stack = Stack::start_with(short).await;
    let site = stack.site("acme", Schedule::manual()).await;
    let credential = credential(&site);
    let request = format!(
        "GET {BASE_PATH}/sources HTTP/1.1\r\nHost: holdfast\r\nAuthorization: Bearer {credential}\r\n\r\n"
    );
    let mut socket = sent(&stack, &request).await;
    assert!(so_far(&mut socket).await.starts_with("HTTP/1.1 200"));
    sleep(2 * Duration::from_millis(600)).await;
    socket.write_all(request.as_bytes()).await.unwrap();
    assert!(so_far(&mut socket).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_are_refused_with_a_reason() {
    let stack = Stack::start_with(short).await;
    let credential = {
        let site = stack.site("acme", Schedule::manual()).await;
        credential(&site)
    };
    let heads = [
        "POST /api/v1/session HTTP/1.1\r\nHost: holdfast\r\nContent-Type: application/json\r\n".to_owned(),
        "POST /console/fn/sign_in HTTP/1.1\r\nHost: holdfast\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            .to_owned(),
        format!("POST {BASE_PATH}/enrollment HTTP/1.1\r\nHost: holdfast\r\nContent-Type: application/json\r\n"),
        format!(
            "POST {BASE_PATH}/restores HTTP/1.1\r\nHost: holdfast\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {credential}\r\n"
        ),
    ];
    for head in heads {
        for length in ["Content-Length: 10000", "Transfer-Encoding: chunked"] {
            // Nothing comes, and one byte after the other.
            for dribbles in [false, true] {
                let (mut read, mut write) = sent(&stack, &format!("{head}{length}\r\n\r\n"))
                    .await
                    .into_split();
                let sending = tokio::spawn(async move {
                    let piece: &[u8] = if length.starts_with("C") {
                        b" "
                    } else {
                        b"1\r\n \r\n"
                    };
                    while !dribbles || write.write_all(piece).await.is_ok() {
                        sleep(Duration::from_millis(50)).await;
                    }
                });
                let mut answer = Vec::new();
                timeout(PATIENCE, read.read_to_end(&mut answer))
                    .await
                    .expect("it is answered")
                    .ok();
                let answer = String::from_utf8_lossy(&answer);
                assert!(answer.starts_with("HTTP/1.1 408"), "{head}{length}: {answer}");
                assert!(answer.contains("\"too_slow\""), "{answer}");
                sending.abort();
            }
        }
    }
}

fn credential(site: &Site) -> String {
    let state = State::open(&site.state).unwrap();
    state.config().credential.reveal().to_owned()
}

/// More agents with the same secret: their credentials differ in the row that they name.
async fn more_agents(stack: &Stack, site: &Site, count: usize) -> Vec<String> {
    let first = site.source.agent_id.as_uuid();
    stack
        .change(&format!(
            "INSERT INTO agents SELECT (jsonb_populate_record(a, jsonb_build_object('id', gen_random_uuid(), 'token_id', NULL, 'hostname', 'n' || n))).*
             FROM agents a, generate_series(1, {count}) n WHERE a.id = '{first}'"
        ))
        .await;
    let rows = stack
        .query(&format!("SELECT id FROM agents WHERE id <> '{first}'"))
        .await;
    let own = credential(site);
    let simple = first.simple().to_string();
    let credentials = rows.iter().map(|row| {
        let id: uuid::Uuid = row.try_get("", "id").unwrap();
        own.replace(&simple, &id.simple().to_string())
    });
    credentials.collect()
}

async fn polling(stack: &Stack, credential: &str) -> TcpStream {
    let request = format!(
        "GET {BASE_PATH}/work?wait_seconds=30 HTTP/1.1\r\nHost: holdfast\r\nAuthorization: Bearer {credential}\r\n\r\n"
    );
    sent(stack, &request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_office_of_500_agents_works_beside_900_half_sent_headers() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let others = more_agents(&stack, &site, 499).await;
    let slow = join_all((0..900).map(|_| sent(&stack, HALF))).await;
    let mut polls = join_all(others.iter().map(|credential| polling(&stack, credential))).await;
    let own = tokio::spawn({
        let client = site.client();
        async move { client.work(Duration::from_secs(30)).await.unwrap() }
    });
    eventually("all of them wait", || stack.app.long_polls.waiting() == 500).await;
    // They count for themselves, and not for the address: at most while their credentials were looked at did slow ones make room.
    let slow_left = stack.app.connections.not_signed_in();
    assert!(
        slow_left >= Limit::ConnectionsPerAddress.max() - 500,
        "{slow_left}"
    );
    let run: RunView = stack
        .operator
        .post(
            &format!("/tenants/{}/sources/{}/runs", site.tenant, site.source.id),
            &serde_json::json!({}),
        )
        .await
        .unwrap();
    match own.await.unwrap() {
        Work::Backup(work) => assert_eq!(work.run_id, run.id),
        Work::None => panic!("its agent was not woken"),
    }
    // Nobody else was: their calls go on waiting.
    assert_eq!(stack.app.long_polls.waiting(), 499);
    let again = others.iter().map(|credential| {
        let request = reqwest::Client::new()
            .get(format!("{}{BASE_PATH}/sources", stack.url))
            .bearer_auth(credential);
        async move { request.send().await.unwrap().status() }
    });
    let statuses: Vec<StatusCode> = futures::stream::iter(again).buffered(50).collect().await;
    assert!(statuses.iter().all(|status| *status == StatusCode::OK));
    assert!(Session::sign_in(&stack.url, EMAIL, PASSWORD).await.is_ok());
    // The agents of the office go.
    polls.clear();
    eventually("nobody waits", || stack.app.long_polls.waiting() == 0).await;
    drop(slow);
    eventually("nobody is left", || stack.app.connections.not_signed_in() < 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_agent_waits_once_and_holds_few_connections() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let credential = credential(&site);
    let mut polls = join_all((0..300).map(|_| polling(&stack, &credential))).await;
    eventually("the newest waits", || stack.app.long_polls.waiting() == 1).await;
    let owner = Owner::Agent(site.source.agent_id);
    assert!(stack.app.connections.of(owner) <= Limit::ConnectionsPerAgent.max());
    // All but those few are told at once, and some displaced calls a little later: only one is left open.
    let answers = join_all(
        polls
            .iter_mut()
            .map(|socket| timeout(Duration::from_secs(15), socket.read_u8())),
    )
    .await;
    let open = answers.iter().filter(|answer| answer.is_err()).count();
    assert!(open <= 1, "{open}");
    // The agent itself finds room meanwhile.
    let sources = format!("{}{BASE_PATH}/sources", stack.url);
    let request = reqwest::Client::new().get(sources).bearer_auth(&credential);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_holds_few_connections() {
    let stack = Stack::start().await;
    let most = Limit::ConnectionsPerSession.max();
    let request = format!(
        "GET /api/v1/tenants HTTP/1.1\r\nHost: holdfast\r\nCookie: {}\r\n\r\n",
        stack.operator.cookie()
    );
    let mut open = Vec::new();
    for _ in 0..most + 22 {
        let mut socket = sent(&stack, &request).await;
        let answer = so_far(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        open.push(socket);
    }
    let owner = Owner::Session(session_id(&stack.operator));
    eventually("the oldest have made room", || {
        stack.app.connections.of(owner) <= most
    })
    .await;
    // Those are closed, and the newest go on.
    let newest = open.split_off(22);
    for oldest in open {
        until_closed(oldest).await;
    }
    let mut newest = newest.into_iter().next_back().unwrap();
    newest.write_all(request.as_bytes()).await.unwrap();
    assert!(so_far(&mut newest).await.starts_with("HTTP/1.1 200"));
}

/// How many connections of the server's role there are, and how many of them wait for a lock of the database.
async fn connections(stack: &Stack) -> (i64, i64) {
    let sql = "SELECT count(*) AS all, count(*) FILTER (WHERE wait_event_type = 'Lock') AS held
               FROM pg_stat_activity WHERE usename = current_database() || '_app'";
    let row = stack.query(sql).await.remove(0);
    (row.try_get("", "all").unwrap(), row.try_get("", "held").unwrap())
}

/// Waits until so many connections wait for a lock, and gives the most that ever did, and were, for a while from then on.
async fn most_held(stack: &Stack, at_least: i64) -> (i64, i64) {
    let mut most = (0, 0);
    let mut left = None;
    while left != Some(0) {
        let (all, held) = connections(stack).await;
        most = (most.0.max(all), most.1.max(held));
        left = match left {
            None => (held >= at_least).then_some(50),
            Some(left) => Some(left - 1),
        };
        sleep(Duration::from_millis(10)).await;
    }
    most
}

/// Connections to the database are few, and those that look up who somebody is are fewer: the rest are left for others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_databases_connections_are_bounded() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    stack.hold_rounds().await;
    let agents = more_agents(&stack, &site, 40).await;
    // Whoever is looked up waits for `agents`; whoever is known, for `sources`.
    let cases = [
        ("agents", i64::try_from(LOOK_UPS).unwrap()),
        ("sources", i64::from(CONNECTIONS)),
    ];
    for (table, most) in cases {
        let held = stack.owner.begin().await.unwrap();
        let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        held.execute_unprepared(&lock).await.unwrap();
        let asked = agents.iter().map(|credential| {
            let request = reqwest::Client::new()
                .get(format!("{}{BASE_PATH}/sources", stack.url))
                .bearer_auth(credential);
            tokio::spawn(async move { request.send().await.unwrap().status() })
        });
        let asked: Vec<_> = asked.collect();
        let waiting = timeout(PATIENCE, most_held(&stack, most)).await;
        let (all, waiting) = waiting.expect("they come to wait");
        assert_eq!(waiting, most, "{table}");
        assert!(all <= i64::from(CONNECTIONS), "{table}: {all}");
        if table == "agents" {
            // There is room for whoever asks for something else.
            let health = reqwest::get(format!("{}/healthz", stack.url));
            assert_eq!(
                timeout(PATIENCE, health).await.unwrap().unwrap().status(),
                StatusCode::OK
            );
        }
        held.rollback().await.unwrap();
        for status in join_all(asked).await {
            assert_eq!(status.unwrap(), StatusCode::OK, "{table}");
        }
    }
}

/// An open event stream of the console.
async fn watch(stack: &Stack, session: &Session, site: &Site) -> reqwest::Response {
    let answer = reqwest::Client::new()
        .get(format!("{}/console/events?tenant={}", stack.url, site.tenant))
        .header("cookie", session.cookie())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer
}

fn session_id(session: &Session) -> i128 {
    let (_, id) = session.cookie().split_once('=').unwrap();
    id.parse::<Id>().unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_has_few_live_streams() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let most = Limit::StreamsPerSession.max();
    let mut streams = Vec::new();
    for _ in 0..400 {
        streams.push(watch(&stack, &stack.operator, &site).await);
    }
    let id = session_id(&stack.operator);
    assert_eq!(stack.app.live.streams_of(id), most);
    // The oldest have ended, the newest go on.
    let newest = streams.split_off(400 - most);
    for ended in streams {
        timeout(PATIENCE, ended.bytes())
            .await
            .expect("it has ended")
            .unwrap();
    }
    assert_eq!(stack.app.live.streams_of(id), most);
    drop(newest);
    eventually("none is left", || stack.app.live.streams_of(id) == 0).await;
}

/// The next event of a stream; `None` when the server has ended it.
async fn event(stream: &mut reqwest::Response) -> Option<LiveEvent> {
    loop {
        let chunk = timeout(PATIENCE, stream.chunk())
            .await
            .expect("it goes on, or ends");
        let text = String::from_utf8(chunk.ok()??.to_vec()).unwrap();
        if let Some(data) = text.strip_prefix("data: ") {
            return Some(serde_json::from_str(data.trim()).unwrap());
        }
    }
}

fn something_moves_on(stack: &Stack, site: &Site) {
    let event = LiveEvent::Sweep {
        source: site.source.id,
    };
    stack.app.live.send(site.tenant, event);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_streams_end_at_the_sign_out() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    // Nothing else moves on meanwhile.
    stack.hold_rounds().await;
    let session = Session::sign_in(&stack.url, EMAIL, PASSWORD).await.unwrap();
    let mut stream = watch(&stack, &session, &site).await;
    let mut other = watch(&stack, &stack.operator, &site).await;
    something_moves_on(&stack, &site);
    assert!(event(&mut stream).await.is_some());
    assert!(event(&mut other).await.is_some());
    let out = session.send::<()>(Method::DELETE, "/session", None).await;
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    something_moves_on(&stack, &site);
    assert!(event(&mut stream).await.is_none());
    assert!(event(&mut other).await.is_some(), "another session goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_streams_end_with_the_membership_and_with_a_session_that_was_deleted() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    // Nothing else moves on meanwhile.
    stack.hold_rounds().await;
    for ends in [
        "DELETE FROM memberships",
        "DELETE FROM sessions",
        "DELETE FROM memberships; DELETE FROM users WHERE NOT operator",
    ] {
        let (_, session) = crate::tenancy::technician(&stack, site.tenant, "technician").await;
        let mut stream = watch(&stack, &session, &site).await;
        something_moves_on(&stack, &site);
        assert!(event(&mut stream).await.is_some());
        let tenant = site.tenant.as_uuid();
        stack
            .change(&format!("SET app.tenant_id = '{tenant}'; {ends}"))
            .await;
        // What was looked at a second ago is looked at again.
        sleep(Duration::from_millis(1_100)).await;
        something_moves_on(&stack, &site);
        assert!(event(&mut stream).await.is_none(), "{ends}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_calls_are_answered_as_programs_read() {
    let stack = Stack::start().await;
    let http = reqwest::Client::new();
    for (method, path, status) in [
        (Method::GET, "/api", 404),
        (Method::GET, "/api/", 404),
        (Method::GET, "/api/v2/tenants", 404),
        (Method::POST, "/api/v1", 404),
        (Method::GET, "/api/v1/", 404),
        (Method::GET, "/api/v1/nothing", 404),
        (Method::POST, "/api/v1/tenants/x/nothing", 404),
        (Method::GET, "/api/agent", 404),
        (Method::GET, "/api/agent/v1", 404),
        (Method::GET, "/api/agent/v1/", 404),
        (Method::DELETE, "/api/agent/v1/nothing/at/all", 404),
        (Method::DELETE, "/api/v1/tenants", 405),
        (Method::PATCH, "/api/v1/session", 405),
        (Method::GET, "/api/agent/v1/enroll", 405),
        (Method::POST, "/api/agent/v1/work", 405),
    ] {
        let answer = http
            .request(method.clone(), format!("{}{path}", stack.url))
            .header("accept", "text/html")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        assert_eq!(
            answer.headers()["content-type"],
            "application/json",
            "{method} {path}"
        );
        assert_eq!(
            answer.headers().contains_key("allow"),
            status == 405,
            "{method} {path}"
        );
        let body: shared::api::ErrorBody = answer.json().await.unwrap();
        let code = if status == 404 {
            "not_found"
        } else {
            "method_not_allowed"
        };
        assert_eq!(body.code, code, "{method} {path}");
    }
    // A person gets a page.
    let page = http.get(format!("{}/nothing", stack.url)).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::NOT_FOUND);
    assert!(
        page.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
}

fn write(site: &Path, name: &str) {
    let file = site.join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, format!("content of {name}")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_site_folder_serves_its_named_files_only() {
    let stack = Stack::start().await;
    let site = stack.data.join("site");
    let served = [
        "pkg/frontend.js",
        "pkg/frontend_bg.wasm",
        "pkg/frontend.css",
        "favicon.svg",
    ];
    let not_served = [
        "wasm.stamp",
        ".env",
        "index.html",
        "pkg/frontend.js.gz",
        "pkg/frontend_bg.wasm.map",
        "pkg/.hidden",
        "pkg/folder/file",
        "backup/master.key",
    ];
    for name in served.iter().chain(&not_served) {
        write(&site, name);
    }
    for (name, expected) in served
        .map(|name| (name, true))
        .into_iter()
        .chain(not_served.map(|name| (name, false)))
    {
        let answer = reqwest::get(format!("{}/{name}", stack.url)).await.unwrap();
        assert_eq!(
            answer.status() == StatusCode::OK,
            expected,
            "{name}: {}",
            answer.status()
        );
        let text = answer.text().await.unwrap();
        assert_eq!(text.contains("content of"), expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_https_cookies_are_bound_to_the_host_and_browsers_stay_with_it() {
    let sign_in = async |stack: &Stack| {
        reqwest::Client::new()
            .post(format!("{}/api/v1/session", stack.url))
            .json(&serde_json::json!({ "email": EMAIL, "password": PASSWORD }))
            .send()
            .await
            .unwrap()
    };
    let cookies = |answer: &reqwest::Response| -> Vec<String> {
        let all = answer.headers().get_all("set-cookie").iter();
        all.map(|cookie| cookie.to_str().unwrap().to_owned()).collect()
    };
    let stack = Stack::start_with(|settings| settings.public_url = "https://backup.example".into()).await;
    let answer = sign_in(&stack).await;
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");
    let set = cookies(&answer);
    assert_eq!(set.len(), 2, "{set:?}");
    for (cookie, name) in set
        .iter()
        .zip(["__Host-holdfast_browser=", "__Host-holdfast_session="])
    {
        assert!(cookie.starts_with(name), "{cookie}");
        for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
    // The session works, and by no other name.
    let (_, value) = stack.operator.cookie().split_once('=').unwrap();
    for (name, expected) in [
        ("__Host-holdfast_session", StatusCode::OK),
        ("holdfast_session", StatusCode::UNAUTHORIZED),
    ] {
        let me = reqwest::Client::new()
            .get(format!("{}/api/v1/me", stack.url))
            .header("cookie", format!("{name}={value}"));
        assert_eq!(me.send().await.unwrap().status(), expected, "{name}");
    }
    // Where the public address is http, such a cookie would not come back.
    let stack = Stack::start().await;
    let answer = sign_in(&stack).await;
    assert!(!answer.headers().contains_key("strict-transport-security"));
    for cookie in cookies(&answer) {
        assert!(
            cookie.starts_with("holdfast_") && !cookie.contains("Secure"),
            "{cookie}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_trusted_proxy_each_request_is_counted() {
    let stack = Stack::start_with(|settings| {
        short(settings);
        settings.trusted_proxies =
            holdfast_server::client_address::TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
    })
    .await;
    let site = stack.site("acme", Schedule::manual()).await;
    // The proxy keeps its connections open, and none of them counts.
    let idle = sent(&stack, "").await;
    sleep(2 * Duration::from_millis(600)).await;
    assert_eq!(stack.app.connections.not_signed_in(), 0);
    let request = |credential: &str, path: &str| {
        format!(
            "GET {BASE_PATH}/{path} HTTP/1.1\r\nHost: holdfast\r\nX-Forwarded-For: 203.0.113.7\r\nAuthorization: Bearer {credential}\r\n\r\n"
        )
    };
    let mut socket = idle;
    let first = credential(&site);
    let others = more_agents(&stack, &site, 2).await;
    // One connection of the proxy brings requests of several agents.
    for credential in others.iter().chain([&first]) {
        socket
            .write_all(request(credential, "sources").as_bytes())
            .await
            .unwrap();
        assert!(so_far(&mut socket).await.starts_with("HTTP/1.1 200"));
        eventually("it counts no more", || {
            stack.app.connections.of(Owner::Agent(agent_of(credential))) == 0
        })
        .await;
    }
    socket
        .write_all(request(&first, "work?wait_seconds=30").as_bytes())
        .await
        .unwrap();
    let owner = Owner::Agent(site.source.agent_id);
    eventually("it counts for its agent", || stack.app.connections.of(owner) == 1).await;
    drop(socket);
    eventually("it counts no more", || stack.app.connections.of(owner) == 0).await;
}

fn agent_of(credential: &str) -> AgentId {
    AgentId::from_uuid(credential.split('_').nth(2).unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_headers_are_refused() {
    let stack = Stack::start().await;
    for (header, expected) in [
        (format!("X-Long: {}\r\n", "x".repeat(20_000)), "HTTP/1.1 200"),
        (
            format!("X-Long: {}\r\n", "x".repeat(2 * Limit::HeaderBytes.max())),
            "HTTP/1.1 431",
        ),
        (
            "X-More: x\r\n".repeat(Limit::HeaderLines.max() - 2),
            "HTTP/1.1 200",
        ),
        (
            "X-More: x\r\n".repeat(Limit::HeaderLines.max() + 1),
            "HTTP/1.1 431",
        ),
    ] {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: holdfast\r\nConnection: close\r\n{header}\r\n");
        let socket = sent(&stack, &request).await;
        let answer = until_closed(socket).await;
        assert!(answer.starts_with(expected), "{}: {answer}", header.len());
    }
}

/// The limit of open files is the process's own, which nextest gives every test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_open_files_is_lifted() {
    let most = getrlimit(Resource::Nofile).maximum;
    let usual = Rlimit {
        current: Some(1_024),
        maximum: most,
    };
    setrlimit(Resource::Nofile, usual).unwrap();
    let _stack = Stack::start().await;
    assert_eq!(getrlimit(Resource::Nofile).current, most);
}
