//! Storage endpoints are no way into the server's own network.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use holdfast_server::{
    app::App,
    error::ApiError,
    s3::{self, Endpoint, address::AddressRule},
    scope::Manager,
    use_cases::people::storage_accounts,
};
use shared::api::{request::NewStorageAccount, view::TenantSummary};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::Stack;

/// Something that listens on loopback, says the same to everybody, and counts who came.
struct Listener {
    address: SocketAddr,
    came: Arc<AtomicUsize>,
}

impl Listener {
    async fn saying(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let came = Arc::new(AtomicUsize::new(0));
        let counted = came.clone();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                tokio::spawn(async move {
                    // Whatever it asks, and however much of it has come.
                    let _ = socket.read(&mut [0; 8192]).await.unwrap_or(0);
                    socket.write_all(answer.as_bytes()).await.ok();
                    socket.shutdown().await.ok();
                });
            }
        });
        Self { address, came }
    }

    async fn http(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::saying(format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ))
        .await
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }
}

async fn owner(stack: &Stack) -> Manager {
    let tenant: TenantSummary = stack
        .operator
        .post("/tenants", &serde_json::json!({ "name": "acme" }))
        .await
        .unwrap();
    let user = stack.operator_user().await;
    Manager::authorise(&stack.app.db, user, tenant.id).await.unwrap()
}

async fn refusal(app: &App, actor: &Manager, stack: &Stack, endpoint: &str) -> (&'static str, String) {
    let account = NewStorageAccount {
        endpoint: endpoint.to_owned(),
        ..stack.storage_account()
    };
    match storage_accounts::create(app, actor, account).await {
        Err(ApiError::Invalid { code, message }) => (code, message),
        other => panic!("{endpoint}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loopback_is_refused_unless_the_operator_allows_it() {
    let stack = Stack::start().await;
    let actor = owner(&stack).await;
    let strict = stack.start_again_with(AddressRule::default()).await;
    let inside = Listener::http("200 OK", "", "").await;
    let port = inside.port();
    for host in [
        "127.0.0.1",
        "127.0.0.2",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "user:password@127.0.0.1",
        "169.254.169.254",
    ] {
        for scheme in ["https", "http"] {
            let endpoint = format!("{scheme}://{host}:{port}");
            let (code, message) = refusal(&strict, &actor, &stack, &endpoint).await;
            assert_eq!(code, "endpoint", "{endpoint}: {message}");
            assert!(!message.contains("password@"), "{message}");
        }
    }
    // A name is judged by what it resolves to, when it is connected to.
    let endpoint = format!("https://localhost:{port}");
    let (code, _) = refusal(&strict, &actor, &stack, &endpoint).await;
    assert_eq!(code, "endpoint_unusable");
    // So is an account that was made under another rule.
    for url in [
        format!("http://127.0.0.1:{port}"),
        format!("https://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        format!("https://localhost:{port}"),
        format!("https://2130706433:{port}"),
    ] {
        let store = s3::connect(&keys(&url), &AddressRule::default(), &stack.clock);
        assert!(store.try_keys().await.is_err(), "{url}");
    }
    assert_eq!(inside.came(), 0);

    // The same under the rule of the tests, so that it is the rule that kept them away.
    for url in [
        format!("http://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
    ] {
        let before = inside.came();
        let store = s3::connect(&keys(&url), &stack.app.storage_rule, &stack.clock);
        assert!(store.try_keys().await.is_err(), "{url}");
        assert!(inside.came() > before, "{url}");
    }
}

fn keys(url: &str) -> Endpoint {
    Endpoint {
        url: Some(url.to_owned()),
        region: "us-east-1".into(),
        access_key: "key".into(),
        secret_key: "secret".to_owned().into(),
        session_token: None,
        path_style: true,
    }
}

/// Whatever listens there, or nothing: the answer is the same, and a redirect leads nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_s3_is_told_in_one_sentence() {
    let stack = Stack::start().await;
    let actor = owner(&stack).await;
    let elsewhere = Listener::http("200 OK", "", "").await;
    let to_elsewhere = format!("Location: http://{}/\r\n", elsewhere.address);
    let html = "<html><body>Printer</body></html>";
    let listeners = [
        (
            "another protocol",
            Listener::saying("SSH-2.0-OpenSSH_9.9\r\n".into()).await,
        ),
        ("nothing", Listener::saying(String::new()).await),
        ("an empty page", Listener::http("200 OK", "", "").await),
        ("a page", Listener::http("200 OK", "", html).await),
        ("json", Listener::http("200 OK", "", "{\"secret\":1}").await),
        ("301", Listener::http("301 Moved", &to_elsewhere, "").await),
        ("307", Listener::http("307 Moved", &to_elsewhere, html).await),
        ("400", Listener::http("400 Bad Request", "", html).await),
        ("401", Listener::http("401 Unauthorized", "", "").await),
        ("403", Listener::http("403 Forbidden", "", html).await),
        ("404", Listener::http("404 Not Found", "", "").await),
        ("500", Listener::http("500 Oops", "", html).await),
        (
            "an error of another service",
            Listener::http(
                "400 Bad Request",
                "",
                "<Error><Code>Inner</Code><Message>db7</Message></Error>",
            )
            .await,
        ),
    ];
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let told = async |port: u16, scheme: &str| {
        let endpoint = format!("{scheme}://127.0.0.1:{port}");
        let (code, message) = refusal(&stack.app, &actor, &stack, &endpoint).await;
        (code, message.replace(&endpoint, "ENDPOINT"))
    };
    let expected = told(closed, "http").await;
    assert_eq!(expected.0, "endpoint_unusable");
    assert_eq!(told(closed, "https").await, expected);
    for (what, listener) in &listeners {
        assert_eq!(told(listener.port(), "http").await, expected, "{what}");
        assert!(listener.came() > 0, "{what}");
    }
    assert_eq!(told(listeners[2].1.port(), "https").await, expected, "no TLS");
    assert_eq!(elsewhere.came(), 0);
}
