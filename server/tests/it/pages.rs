//! The change that a run commits arrives in pages: in order, once, checked, and for as long as the run is open.

use std::time::Duration;

use agent::{
    client::{Client, ClientError},
    state::State,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use holdfast_server::{
    client_address::TrustedProxies,
    http::Deadlines,
    jobs, s3,
    serve::{self, Settings},
};
use sea_orm::{ConnectionTrait, TransactionTrait};
use shared::{
    api::{
        agent::{
            AbortRequest, BackupWork, CommitRequest, RunState, SnapshotTotals, UploadRequest, UploadsRequest,
        },
        commit::{CommitPage, PAGE_LIMIT_BYTES, PAGES_PER_RUN, PackLiveness, PageTotals, StoredPage},
    },
    ids::RunId,
    object::{ObjectHash, ObjectKind, ObjectRef},
    schedule::Schedule,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{EMAIL, PASSWORD, Site, Stack};

fn object(kind: ObjectKind, number: u8) -> ObjectRef {
    ObjectRef {
        kind,
        hash: repository::hash(&[number]),
        size_bytes: 1,
    }
}

/// A run for which these are signed, ascending by hash.
async fn signed(site: &Site, objects: &mut [ObjectRef]) -> BackupWork {
    objects.sort_unstable_by_key(|object| object.hash);
    let client = site.client();
    let work = client.start_run(site.source.id).await.unwrap();
    let objects = objects
        .iter()
        .map(|object| UploadRequest {
            object: *object,
            content_md5: BASE64.encode(s3::content_md5(object.hash.as_bytes())),
        })
        .collect();
    client
        .uploads(work.run_id, &UploadsRequest { objects })
        .await
        .unwrap();
    work
}

fn code(result: Result<(), ClientError>) -> String {
    match result {
        Ok(()) => "kept".into(),
        Err(ClientError::Refused { code, .. }) => code,
        Err(error) => panic!("{error}"),
    }
}

async fn count(stack: &Stack, what: &str) -> i64 {
    let rows = stack.query(&format!("SELECT count(*) AS n FROM {what}")).await;
    rows[0].try_get("", "n").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_come_in_order_once_and_name_what_was_signed() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let mut all: Vec<ObjectRef> = (1..=6).map(|number| object(ObjectKind::Pack, number)).collect();
    let work = signed(&site, &mut all).await;
    let (client, run) = (site.client(), work.run_id);
    let send = async |number: u32, page: &CommitPage| code(client.commit_page(run, number, page).await);
    let added = |objects: &[ObjectRef]| CommitPage::Added(objects.to_vec());

    assert_eq!(send(1, &added(&all[2..3])).await, "commit_page_missing");
    assert_eq!(send(0, &added(&all[..2])).await, "kept");
    assert_eq!(send(0, &added(&all[..2])).await, "kept", "the same again");
    assert_eq!(send(0, &added(&all[..1])).await, "commit_page_differs");
    let manifest = object(ObjectKind::Manifest, 9);
    let other_size = ObjectRef {
        size_bytes: 2,
        ..all[3]
    };
    let other_kind = ObjectRef {
        kind: ObjectKind::Index,
        ..all[3]
    };
    let worn = |hash| CommitPage::Liveness(vec![PackLiveness { hash, live_bytes: 0 }]);
    for (what, page, refused) in [
        ("nothing", added(&[]), "commit_page"),
        ("out of order", added(&[all[4], all[3]]), "commit_page"),
        ("one twice", added(&[all[3], all[3]]), "commit_page"),
        ("what page 0 has", added(&all[1..3]), "commit_page"),
        ("a manifest", added(&[manifest]), "commit_page"),
        (
            "what was not signed",
            CommitPage::Added(vec![ObjectRef {
                hash: ObjectHash::from_bytes([0xff; 32]),
                ..all[3]
            }]),
            "commit_page_object",
        ),
        ("another size", added(&[other_size]), "commit_page_object"),
        ("another kind", added(&[other_kind]), "commit_page_object"),
        (
            "what no snapshot needs",
            CommitPage::Dropped(vec![all[0].hash]),
            "commit_page_object",
        ),
        ("what is no pack", worn(manifest.hash), "commit_page_object"),
    ] {
        assert_eq!(send(1, &page).await, refused, "{what}");
    }
    assert_eq!(send(PAGES_PER_RUN, &added(&all[2..3])).await, "commit_page");
    assert_eq!(send(1, &added(&all[2..4])).await, "kept");
    assert_eq!(send(2, &worn(all[0].hash)).await, "kept");
    assert_eq!(
        send(3, &added(&all[4..])).await,
        "commit_page",
        "what is used in part comes last"
    );

    let sent = [added(&all[..2]), added(&all[2..4]), worn(all[0].hash)];
    let stored: Vec<StoredPage> = (0..)
        .zip(&sent)
        .map(|(number, page)| StoredPage {
            number,
            digest: repository::hash(&page.to_bytes()),
        })
        .collect();
    assert_eq!(client.commit_pages(run).await.unwrap(), stored);

    // A commit of other pages, or of fewer, is none.
    let request = |pages: &[CommitPage], counted_liveness| CommitRequest {
        paths: Vec::new(),
        parent_seq: 0,
        manifest,
        totals: SnapshotTotals::default(),
        change: PageTotals::of_pages(pages, repository::hash),
        counted_liveness,
        report: None,
    };
    let commit = async |request: &CommitRequest| code(client.commit(run, request).await.map(drop));
    assert_eq!(commit(&request(&sent[..2], true)).await, "commit_pages");
    assert_eq!(
        commit(&request(&[added(&all[..4]), worn(all[0].hash)], true)).await,
        "commit_pages"
    );
    assert_eq!(commit(&request(&sent, false)).await, "counted_liveness");
    assert_eq!(count(&stack, "commit_pages").await, 3);
    assert_eq!(count(&stack, "commit_requests").await, 0);

    // Nobody else's, and not when the run is over.
    let other = stack.site("other", Schedule::manual()).await;
    let strangers = other.client();
    assert_eq!(code(strangers.commit_page(run, 3, &sent[0]).await), "not_found");
    assert_eq!(code(strangers.commit_pages(run).await.map(drop)), "not_found");
    let reason = AbortRequest {
        reason: "enough".into(),
        may_pass: false,
    };
    client.abort(run, &reason).await.unwrap();
    assert_eq!(count(&stack, "commit_pages").await, 0, "they go with their run");
    assert_eq!(send(0, &sent[0]).await, "run_over");
}

/// The request of a page, without its body.
async fn announce(
    stack: &Stack,
    site: &Site,
    run: RunId,
    bytes: usize,
    credential: Option<&str>,
) -> TcpStream {
    let address = stack.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let state = State::open(&site.state).unwrap();
    let credential = credential.unwrap_or(state.config().credential.reveal());
    let head = format!(
        "PUT /api/agent/v1/runs/{run}/commit/pages/0 HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {credential}\r\n\
         content-type: application/json\r\ncontent-length: {bytes}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn status(stream: &mut TcpStream) -> Option<String> {
    let mut line = vec![0; 12];
    let read = tokio::time::timeout(Duration::from_secs(2), stream.read_exact(&mut line)).await;
    read.ok()?.unwrap();
    Some(String::from_utf8(line).unwrap().split_off("HTTP/1.1 ".len()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_not_taken_is_refused_before_its_body_is_read() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let other = stack.site("other", Schedule::manual()).await;
    let open = site.client().start_run(site.source.id).await.unwrap().run_id;
    let announced = async |site: &Site, run, credential: Option<&str>| {
        status(&mut announce(&stack, site, run, 400_000, credential).await).await
    };
    assert_eq!(announced(&site, open, None).await, None, "the body is waited for");
    assert_eq!(
        announced(&site, open, Some("wrong")).await.as_deref(),
        Some("401")
    );
    assert_eq!(announced(&other, open, None).await.as_deref(), Some("404"));
    let newer = site.client().start_run(site.source.id).await.unwrap().run_id;
    assert_eq!(announced(&site, open, None).await.as_deref(), Some("409"));
    assert_eq!(announced(&site, newer, None).await, None);
    // Longer than a page can be.
    let mut stream = announce(&stack, &site, newer, PAGE_LIMIT_BYTES + 1, None).await;
    stream.write_all(&vec![b' '; PAGE_LIMIT_BYTES + 1]).await.ok();
    assert_eq!(status(&mut stream).await.as_deref(), Some("422"));
    // Spaces are no page either: it is their number that is refused.
    let mut rest = Vec::new();
    let said = async {
        while stream.read_buf(&mut rest).await.is_ok_and(|read| read > 0) {
            if String::from_utf8_lossy(&rest).contains("more than the call takes") {
                return true;
            }
        }
        false
    };
    let said = tokio::time::timeout(Duration::from_secs(10), said).await;
    assert_eq!(said, Ok(true));
}

/// The server that took the first page is gone; another on the same database takes the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_outlive_the_server_that_took_them() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let mut all: Vec<ObjectRef> = (1..=4).map(|number| object(ObjectKind::Pack, number)).collect();
    let work = signed(&site, &mut all).await;
    let pages = [
        CommitPage::Added(all[..2].to_vec()),
        CommitPage::Added(all[2..].to_vec()),
    ];
    site.client()
        .commit_page(work.run_id, 0, &pages[0])
        .await
        .unwrap();

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = State::open(&site.state).unwrap().config().clone();
    config.server = format!("http://{}", listener.local_addr().unwrap());
    let settings = Settings {
        database_url: stack.database_url.clone(),
        data: stack.data.clone(),
        public_url: config.server.clone(),
        site_root: stack.data.join("site"),
        operator_email: EMAIL.into(),
        operator_password: Some(PASSWORD.into()),
        storage_rule: stack.app.storage_rule.clone(),
        trusted_proxies: TrustedProxies::default(),
        deadlines: Deadlines::default(),
    };
    let app = serve::start(&settings, stack.clock.clone()).await.unwrap();
    tokio::spawn(async move { serve::serve(&app, &settings, listener, std::future::pending()).await });
    let client = Client::new(&config).unwrap();
    assert_eq!(client.commit_pages(work.run_id).await.unwrap().len(), 1);
    client.commit_page(work.run_id, 1, &pages[1]).await.unwrap();
    let request = CommitRequest {
        paths: Vec::new(),
        parent_seq: 0,
        manifest: object(ObjectKind::Manifest, 9),
        totals: SnapshotTotals::default(),
        change: PageTotals::of_pages(&pages, repository::hash),
        counted_liveness: false,
        report: None,
    };
    let status = client.commit(work.run_id, &request).await.unwrap();
    assert_ne!(status.state, RunState::Running);
    // Asked again, as an agent does that has missed the answer, it is the same commit.
    client.commit(work.run_id, &request).await.unwrap();
    // Nothing was sent to the bucket, so no snapshot comes of it, and nothing stays behind.
    let run = site.ended(&stack.operator, work.run_id).await;
    assert_eq!(run.state, RunState::Failed);
    for table in ["commit_pages", "commit_requests"] {
        assert_eq!(count(&stack, table).await, 0, "{table}");
    }
}

/// The worker of a commit is gone between the confirmation and the number; another has the same job.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_another_worker_takes_over_is_one_snapshot() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    for number in 0..5 {
        std::fs::write(site.data.join(number.to_string()), [number; 2_000]).unwrap();
    }
    stack.hold_rounds().await;
    // No snapshot can be added meanwhile: the job stops where it gives the number.
    let fence = stack.owner.begin().await.unwrap();
    fence
        .execute_unprepared("LOCK TABLE snapshots IN SHARE MODE")
        .await
        .unwrap();
    let release = async {
        let waiting = "pg_locks l JOIN pg_class c ON c.oid = l.relation
                       WHERE c.relname = 'snapshots' AND NOT l.granted
                         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        while count(&stack, waiting).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(count(&stack, "commit_pages").await > 0);
        assert_eq!(count(&stack, "commit_requests").await, 1);
        assert_eq!(
            count(
                &stack,
                "runs WHERE commit_request IS NOT NULL OR pg_column_size(runs.*) > 4000"
            )
            .await,
            0,
            "what is committed is never in `runs`"
        );
        // As when its worker has died.
        let lost = "UPDATE jobs SET lease_until = '-infinity' WHERE kind = 'commit'";
        stack.owner.execute_unprepared(lost).await.unwrap();
        while count(&stack, "jobs WHERE kind = 'commit' AND attempt >= 2").await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        fence.rollback().await.unwrap();
    };
    let (done, ()) = tokio::join!(site.backup(), release);
    assert_eq!(done.unwrap().seq, 1);
    assert_eq!(count(&stack, "snapshots WHERE state = 'complete'").await, 1);
    for table in ["commit_pages", "commit_requests"] {
        assert_eq!(count(&stack, table).await, 0, "{table}");
    }
    std::fs::write(site.data.join("new"), "new").unwrap();
    assert_eq!(site.backup().await.unwrap().seq, 2);
}

/// An end that somebody wrote into the database by hand leaves pages behind: the tidying round finds them, and no others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_ended_run_left_behind_is_tidied() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let other = stack.site("other", Schedule::manual()).await;
    let mut all = vec![object(ObjectKind::Pack, 1)];
    for site in [&site, &other] {
        let work = signed(site, &mut all).await;
        let page = CommitPage::Added(all.clone());
        site.client().commit_page(work.run_id, 0, &page).await.unwrap();
    }
    let end = format!(
        "UPDATE runs SET state = 'failed' WHERE tenant_id = '{}'",
        site.tenant.as_uuid()
    );
    stack.owner.execute_unprepared(&end).await.unwrap();
    assert_eq!(count(&stack, "commit_pages").await, 2);
    jobs::forget_ended_commits(&stack.app).await.unwrap();
    let rest = format!("commit_pages WHERE tenant_id = '{}'", other.tenant.as_uuid());
    assert_eq!(
        (count(&stack, "commit_pages").await, count(&stack, &rest).await),
        (1, 1)
    );
}

/// A run that an older server was committing, with all of its change in its row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_from_before_the_pages_fails_with_words() {
    let stack = Stack::start().await;
    let site = stack.site("acme", Schedule::manual()).await;
    let run = site.client().start_run(site.source.id).await.unwrap().run_id;
    let old = format!(
        r#"UPDATE runs SET state = 'committing', received_at = now(), to_confirm = 1,
                  commit_request = '{{"parent_seq": 0, "added": [], "dropped": []}}' WHERE id = '{run}';
           INSERT INTO jobs (id, tenant_id, kind, subject, source_id, state, run_at)
           VALUES (gen_random_uuid(), '{}', 'commit', '{run}', '{}', 'ready', now())"#,
        site.tenant.as_uuid(),
        site.source.id.as_uuid(),
        run = run.as_uuid(),
    );
    stack.owner.execute_unprepared(&old).await.unwrap();
    let ended = site.ended(&stack.operator, run).await;
    assert_eq!(ended.state, RunState::Failed);
    let error = ended.error.unwrap();
    assert!(error.contains("brought up to date"), "{error}");
    std::fs::write(site.data.join("file"), "content").unwrap();
    assert_eq!(site.backup().await.unwrap().seq, 1);
}
