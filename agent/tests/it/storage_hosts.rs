//! A server that is somebody else's now: it may name any address and any header, and nothing of this endpoint goes there.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use agent::{
    backup::BackupError,
    client::ClientError,
    enroll::EnrollError,
    progress::Silent,
    snapshot::{Expected, SnapshotError},
    state::State,
    store::ReadError,
    verify::Depth,
    verify::Verification,
};
use shared::api::agent::{SignedRead, UploadTicket};

use crate::support::enrolled::{World, noise};
use crate::support::server::{TOKEN, lies::Change};

/// A storage that is not the backup set's. Counts who comes.
struct Stranger {
    address: String,
    came: Arc<AtomicUsize>,
}

impl Stranger {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let came = Arc::new(AtomicUsize::new(0));
        let counted = came.clone();
        let answer = axum::Router::new().fallback(move || {
            counted.fetch_add(1, SeqCst);
            std::future::ready(axum::http::StatusCode::OK)
        });
        tokio::spawn(async move { axum::serve(listener, answer).await.unwrap() });
        Self { address, came }
    }

    fn came(&self) -> usize {
        self.came.load(SeqCst)
    }
}

/// Puts another origin into every upload address.
fn lead_uploads(world: &World, to: &str) {
    let (from, to) = (world.server.lock().address.clone(), to.to_owned());
    world.server.lock().words.uploads = Some(Box::new(move |tickets| {
        for ticket in tickets {
            if let UploadTicket::Put { url, .. } = ticket {
                *url = url.replace(&from, &to);
            }
        }
    }));
}

/// The same of reads.
fn leading(world: &World, to: &str) -> Change<Vec<SignedRead>> {
    let (from, to) = (world.server.lock().address.clone(), to.to_owned());
    Box::new(move |reads| {
        for read in reads {
            read.url = read.url.replace(&from, &to);
        }
    })
}

fn reason(error: &BackupError) -> String {
    error.to_string()
}

/// An upload to a host that was not learnt: nothing goes there, the console is told why, and a person's confirmation on the
/// endpoint is what changes it.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_go_to_hosts_that_were_learnt_at_enrollment() {
    let world = World::new().await;
    world.enroll().await;
    let stranger = Stranger::start().await;
    world.write("a", &noise(100_000, 1));
    lead_uploads(&world, &stranger.address);
    let error = world.backup().await.unwrap_err();
    let said = reason(&error);
    assert!(
        said.contains(&stranger.address) && said.contains("trust-host"),
        "{said}"
    );
    assert_eq!(stranger.came(), 0);
    // It was asked for once: trying again would change nothing.
    let told = world.server.lock().aborts.last().unwrap().clone();
    assert_eq!(told, said);
    assert!(told.len() < 500, "{told}");

    // The endpoint of the backup set was changed on purpose: here, back to the true one under another name.
    let other_name = world.server.lock().address.replace("127.0.0.1", "localhost");
    lead_uploads(&world, &other_name);
    assert!(world.backup().await.is_err());
    let state = State::open(&world.path("state")).unwrap();
    state.hosts().unwrap().trust(other_name.parse().unwrap()).unwrap();
    world.backup().await.unwrap();
    assert_eq!(stranger.came(), 0);
}

/// Addresses that no confirmation makes good.
#[tokio::test(flavor = "multi_thread")]
async fn http_and_other_schemes_are_never_spoken() {
    let world = World::new().await;
    world.enroll().await;
    world.write("a", b"a");
    for to in [
        "http://s3.example.com",
        "http://10.0.0.1:9000",
        "ftp://127.0.0.1",
        "file://",
        "https://user:password@127.0.0.1",
        "not an address",
    ] {
        lead_uploads(&world, to);
        let error = world.backup().await.unwrap_err();
        assert!(reason(&error).contains("never spoken to"), "{to}: {error}");
    }
}

/// Reads for a lost cache, for a restore and for a verification.
#[tokio::test(flavor = "multi_thread")]
async fn reads_come_from_known_hosts() {
    let world = World::new().await;
    world.enroll().await;
    world.write("a", b"first");
    let snapshot = world.backup().await.unwrap();
    let stranger = Stranger::start().await;
    world.server.lock().words.reads = Some(leading(&world, &stranger.address));
    world.server.lock().words.restore_reads = Some(leading(&world, &stranger.address));

    let restored = world.restore(snapshot.id, "back", "kit").await;
    let error = restored.unwrap_err();
    assert!(error.to_string().contains("trust-host"), "{error}");
    assert!(!world.path("back").exists());
    let told = world.server.lock().finishes.last().unwrap().error.clone();
    assert!(told.unwrap().contains("trust-host"));
    let what = Verification {
        snapshot: snapshot.id,
        depth: Depth::Everything,
        expected: Expected::default(),
        commit_key: None,
    };
    let verified = agent::verify(&world.path("state"), &what, None, Arc::new(Silent)).await;
    assert!(
        matches!(
            verified,
            Err(SnapshotError::Read(ReadError::Client(ClientError::Host(_)))
                | SnapshotError::Client(ClientError::Host(_)))
        ),
        "{verified:?}"
    );

    for entry in fs::read_dir(world.path("state/sources")).unwrap() {
        fs::remove_file(entry.unwrap().path().join("cache")).unwrap();
    }
    let error = world.backup().await.unwrap_err();
    assert!(reason(&error).contains("trust-host"), "{error}");
    assert_eq!(stranger.came(), 0);
}

/// Headers that the server names go along only if they are an upload's own, once.
#[tokio::test(flavor = "multi_thread")]
async fn only_headers_of_an_upload_are_sent() {
    let world = World::new().await;
    world.enroll().await;
    world.write("a", b"a");
    for (name, value) in [
        ("authorization", "Basic eA=="),
        ("cookie", "a=b"),
        ("x-amz-acl", "public-read"),
        ("x-amz-bypass-governance-retention", "true"),
        ("x-amz-tagging", "a=b"),
        ("transfer-encoding", "chunked"),
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("x-evil\r\nhost", "x"),
        ("x-amz-object-lock-retain-until-date", "a\r\nx-evil: b"),
        ("\u{202e}", "x"),
    ] {
        world.server.lock().words.uploads = Some(Box::new(move |tickets| {
            for ticket in tickets {
                if let UploadTicket::Put { headers, .. } = ticket {
                    headers.push((name.to_owned(), value.to_owned()));
                }
            }
        }));
        let puts = world.server.lock().puts;
        let error = world.backup().await.unwrap_err();
        let said = reason(&error);
        assert!(
            said.contains("nothing was sent") && shared::text::hidden(&said).is_none(),
            "{name}: {said}"
        );
        assert_eq!(world.server.lock().puts, puts, "{name}");
    }
    world.server.lock().words.uploads = None;
    world.backup().await.unwrap();
}

/// What a server offers at enrollment is judged before the token is used up.
#[tokio::test(flavor = "multi_thread")]
async fn an_offer_of_an_unencrypted_storage_enrolls_nobody() {
    let world = World::new().await;
    let address = world.server.lock().address.clone();
    for offered in [
        vec!["http://s3.example.com".to_owned()],
        vec!["s3 example".to_owned()],
        vec!["https://s3.example.com".to_owned(); 17],
    ] {
        world.server.lock().words.offer = Some(Box::new(move |offer| offer.storage.clone_from(&offered)));
        let refused = agent::enroll(&world.path("state"), &address, TOKEN, world.fingerprint).await;
        assert!(
            matches!(refused, Err(EnrollError::Client(ClientError::Host(_)))),
            "{refused:?}"
        );
        assert_eq!(world.server.lock().enrolled.len(), 0);
        assert!(State::open(&world.path("state")).is_err());
    }
    // The server itself, too, is spoken to over https.
    let refused = agent::enroll(
        &world.path("state"),
        "http://backup.example.com",
        TOKEN,
        world.fingerprint,
    )
    .await;
    assert!(
        matches!(refused, Err(EnrollError::Client(ClientError::Address(_)))),
        "{refused:?}"
    );
}

/// An agent that was enrolled before servers named hosts learns the first that it meets, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_agent_learns_the_first_host_and_keeps_it() {
    let world = World::new().await;
    world.server.lock().words.offer = Some(Box::new(|offer| offer.storage.clear()));
    world.enroll().await;
    assert!(!world.path("state/storage-hosts").exists());
    world.write("a", b"a");
    world.backup().await.unwrap();
    let known = State::open(&world.path("state"))
        .unwrap()
        .hosts()
        .unwrap()
        .known();
    assert_eq!(known, [world.server.lock().address.parse().unwrap()]);

    let stranger = Stranger::start().await;
    lead_uploads(&world, &stranger.address);
    world.write("b", b"b");
    let error = world.backup().await.unwrap_err();
    assert!(reason(&error).contains("trust-host"), "{error}");
    assert_eq!(stranger.came(), 0);
}
