//! A store that accepts connections and answers none holds nobody up but its own tenant, shows on that tenant's pages, and is
//! used again as soon as it answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use shared::{
    api::{
        agent::{UploadRequest, UploadsRequest},
        request::{NewSource, SourceLimits},
        view::{BackupSetPage, Health, SourceView, TenantStorage, TenantSummary},
    },
    object::{ObjectKind, ObjectRef},
    schedule::Schedule,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use crate::support::{Site, Stack};

/// What takes a second on an idle machine must not take longer than this on a busy one. A request to the silent store lasts
/// at least five times as long before it is given up, with retries a minute and a half.
const AT_ONCE: Duration = Duration::from_secs(15);

/// A way to the store that can be made silent: connections are accepted, and nothing comes back.
struct Gate {
    url: String,
    silent: Arc<AtomicBool>,
}

impl Gate {
    async fn before(store: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let silent = Arc::new(AtomicBool::new(false));
        let store = store.trim_start_matches("http://").to_owned();
        let is_silent = silent.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, store.clone(), is_silent.clone()));
            }
        });
        Self { url, silent }
    }

    fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }
}

/// Passes bytes on in both directions. A connection on which something came while the gate was silent stays silent.
async fn pass(client: TcpStream, store: String, silent: Arc<AtomicBool>) {
    // The test is over when the store is gone.
    let Ok(store) = TcpStream::connect(store).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_store, mut to_store) = store.into_split();
    let there = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            if silent.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            if to_store.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    let back = async { tokio::io::copy(&mut from_store, &mut to_client).await };
    tokio::select! {
        () = there => {}
        _ = back => {}
    }
}

/// Eight sources of an agent that were never swept: all are due.
async fn eight_sources(stack: &Stack, site: &Site) {
    for number in 0..8 {
        let request = NewSource {
            agent_id: site.source.agent_id,
            name: format!("source {number}"),
            paths: vec![format!("/srv/data-{number}")],
            limits: SourceLimits::default(),
            excludes: Vec::new(),
            schedule: Schedule::manual(),
        };
        let path = format!("/tenants/{}/sources", site.tenant);
        stack.operator.post::<SourceView>(&path, &request).await.unwrap();
    }
}

/// Whether the page of the tenant's storage says that the store does not answer.
async fn is_said_to_be_silent(stack: &Stack, site: &Site) -> bool {
    let page: TenantStorage = stack.of_tenant(site, "/storage").await;
    page.storage_accounts[0].silence.is_some()
}

/// Waits for something that is looked for in the database or on a page.
async fn wait_for<F: Future<Output = bool>>(
    what: &str,
    longest: Duration,
    holds: impl Fn() -> F,
) -> Duration {
    let began = Instant::now();
    while began.elapsed() < longest {
        if holds().await {
            return began.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("after {longest:?}: {what}");
}

async fn running_of(stack: &Stack, site: &Site) -> usize {
    let sql = format!(
        "SELECT 1 AS one FROM jobs WHERE state = 'running' AND tenant_id = '{}'",
        site.tenant.as_uuid()
    );
    stack.query(&sql).await.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::print_stdout, reason = "the figures are shown with --nocapture")]
async fn a_store_that_never_answers_holds_up_only_its_own_tenant() {
    let stack = Stack::start().await;
    let gate = Gate::before(stack.lockbox.endpoint()).await;
    let healthy = stack.site("healthy", Schedule::manual()).await;
    let hung = stack.site_behind("hung", &gate.url).await;
    for site in [&healthy, &hung] {
        std::fs::write(site.data.join("file"), "content").unwrap();
    }
    let began = Instant::now();
    healthy.backup().await.unwrap();
    // On a machine that is busy with other things.
    let at_once = AT_ONCE.max(began.elapsed() * 5);
    stack.settle().await;

    gate.set_silent(true);
    eight_sources(&stack, &hung).await;
    holdfast_server::jobs::round(&stack.app).await.unwrap();
    wait_for("no job met the silent store", AT_ONCE, || async {
        running_of(&stack, &hung).await > 0
    })
    .await;

    // A refresh that is due, and a backup.
    let sweeps = format!(
        "SELECT 1 AS one FROM sweeps WHERE source_id = '{}'",
        healthy.source.id.as_uuid()
    );
    let due = format!(
        "UPDATE sources SET next_sweep_at = NULL WHERE id = '{}'",
        healthy.source.id.as_uuid()
    );
    sea_orm::ConnectionTrait::execute_unprepared(&stack.owner, &due)
        .await
        .unwrap();
    let asked = stack.clock.now();
    holdfast_server::jobs::round(&stack.app).await.unwrap();
    let swept = format!("{sweeps} AND began_at >= '{asked}'");
    let refreshed = wait_for("a due refresh waits for the silent store", AT_ONCE, || async {
        assert!(running_of(&stack, &hung).await <= 2);
        !stack.query(&swept).await.is_empty()
    })
    .await;
    std::fs::write(healthy.data.join("file"), "more content").unwrap();
    let began = Instant::now();
    tokio::time::timeout(at_once, healthy.backup())
        .await
        .expect("a backup waits for the silent store")
        .unwrap();
    println!("refresh: {refreshed:?}, backup: {:?}", began.elapsed());

    // The breaker opens, and the tenant's pages say so; nobody else's do.
    let noticed = wait_for(
        "the pages do not show the silence",
        Duration::from_secs(90),
        || is_said_to_be_silent(&stack, &hung),
    )
    .await;
    println!("noticed: {noticed:?}");
    let set: BackupSetPage = stack
        .of_tenant(&hung, &format!("/backup-sets/{}", hung.set.id))
        .await;
    assert!(set.silence.is_some());
    let shown: TenantSummary = stack.of_tenant(&hung, "").await;
    assert_eq!(shown.health, Health::Failing);
    assert!(
        shown
            .reasons
            .iter()
            .any(|reason| reason.contains("has not answered since")),
        "{:?}",
        shown.reasons
    );
    let html = stack
        .operator
        .html(&format!("/tenants/{}/backup-sets/{}", hung.tenant, hung.set.id))
        .await;
    assert!(html.contains("The storage does not answer"), "{html}");
    assert!(!is_said_to_be_silent(&stack, &healthy).await);

    // Agents of the silent store are answered too, whatever the answer is.
    let client = hung.client();
    let work = client.start_run(hung.source.id).await.unwrap();
    let content = b"a pack";
    let upload = UploadRequest {
        object: ObjectRef {
            kind: ObjectKind::Pack,
            hash: repository::hash(content),
            size_bytes: content.len() as u64,
        },
        content_md5: base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            holdfast_server::s3::content_md5(content),
        ),
    };
    let uploads = UploadsRequest {
        objects: vec![upload],
    };
    let began = Instant::now();
    tokio::time::timeout(AT_ONCE, client.uploads(work.run_id, &uploads))
        .await
        .expect("signing waits for the silent store")
        .ok();
    println!("signed: {:?}", began.elapsed());

    // It answers again: every sweep that waited is done, without anybody's help.
    gate.set_silent(false);
    let since = stack.clock.now();
    let done = format!(
        "SELECT 1 AS one FROM sources s WHERE s.tenant_id = '{}' AND EXISTS (SELECT FROM sweeps w
            WHERE w.source_id = s.id AND w.ended_at >= '{since}' AND COALESCE(jsonb_array_length(w.report -> 'refused'), 0) = 0)",
        hung.tenant.as_uuid()
    );
    let recovered = wait_for("sweeps do not go on", Duration::from_secs(400), || async {
        stack.query(&done).await.len() >= 8
    })
    .await;
    println!("recovered: {recovered:?}");
    assert!(!is_said_to_be_silent(&stack, &hung).await);
}
