//! The table of requests and answers: a run succeeds whatever came once, twice or three times in the place of one true answer.

use std::{sync::Arc, time::Duration};

use agent::{
    backup::{BackupError, backup_source},
    client::{Client, Patience},
    limit::Limits,
    progress::{RunCounters, Silent},
    state::State,
};
use shared::{api::agent::SnapshotSummary, object::ObjectKind};

use crate::support::{
    enrolled::{World, noise},
    server::lies::{Lie, On},
};

/// Pauses of milliseconds.
const HURRIED: Patience = Patience {
    away: Duration::from_secs(60),
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(4),
    stall: Duration::from_millis(400),
    hang: Duration::from_secs(60),
};

const ANSWERS: [Lie; 16] = [
    Lie::Html,
    Lie::Empty,
    Lie::Refusal(307, "TemporaryRedirect"),
    Lie::Refusal(400, "RequestTimeout"),
    Lie::Refusal(403, "AccessDenied"),
    Lie::Status(403),
    Lie::Status(404),
    Lie::Status(408),
    Lie::Refusal(409, "OperationAborted"),
    Lie::Refusal(429, "SlowDown"),
    Lie::Status(500),
    Lie::HtmlStatus(502),
    Lie::Refusal(503, "SlowDown"),
    Lie::BreakOff(20),
    Lie::Cut(20),
    Lie::Stall(20),
];

/// What a run asks for. The reads are those of an agent that has lost its cache.
const REQUESTS: [On; 12] = [
    On::Put(ObjectKind::Pack),
    On::Put(ObjectKind::TreePack),
    On::Put(ObjectKind::Index),
    On::Put(ObjectKind::Manifest),
    On::Kind(ObjectKind::Manifest),
    On::Kind(ObjectKind::Index),
    On::Api("/runs"),
    On::Api("/uploads"),
    On::Api("/reads"),
    On::Api("/commit/pages/0"),
    On::Api("/commit"),
    On::Status,
];

/// Made once for all runs of a world: it reads the root certificates.
fn client(world: &World) -> Client {
    let state = State::open(&world.path("state")).unwrap();
    Client::patient(&state, Limits::default(), HURRIED).unwrap()
}

async fn back_up(world: &World, client: &Client) -> Result<SnapshotSummary, BackupError> {
    let state = State::open(&world.path("state"))?;
    let source = world.server.lock().source.clone().unwrap().id;
    backup_source(
        &state,
        client,
        source,
        Arc::new(Silent),
        Arc::new(RunCounters::new()),
    )
    .await
}

/// Tells each answer to one request, once to three times. Gives the number of runs.
async fn tell_all(request: On) -> u32 {
    let world = World::new().await;
    world.enroll().await;
    world.write("first", &noise(10_000, 1));
    let client = client(&world);
    back_up(&world, &client).await.unwrap();
    let reads = matches!(request, On::Kind(_) | On::Api("/reads"));
    let mut runs = 0;
    for answer in ANSWERS {
        for times in 1..=3 {
            runs += 1;
            world.write("changing", &noise(10_000 + runs as usize, 2));
            if reads {
                lose_cache(&world);
            }
            let told = world.server.told();
            world.server.order(request.clone(), times, answer.clone());
            let case = format!("{request:?}, {times} times {answer:?}");
            let made = back_up(&world, &client).await;
            let snapshot = made.unwrap_or_else(|error| panic!("{case}: {error}"));
            // What took effect before its answer was lost is not asked for again.
            let heard = world.server.told() - told;
            assert!((1..=times).contains(&heard), "{case}: heard {heard} times");
            assert_eq!(snapshot.totals.files, 2, "{case}");
            world.server.lock().orders.clear();
        }
    }
    runs
}

fn lose_cache(world: &World) {
    let files = walkdir::WalkDir::new(world.path("state"));
    for entry in files.into_iter().map(Result::unwrap) {
        if entry.file_name() == "cache" {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(
    clippy::print_stdout,
    reason = "the size of the table is shown with --nocapture"
)]
async fn a_run_succeeds_whatever_comes_in_the_place_of_an_answer() {
    let rows: Vec<_> = REQUESTS.map(|request| tokio::spawn(tell_all(request))).into();
    let mut runs = 0;
    for row in rows {
        runs += row.await.unwrap();
    }
    let (requests, answers) = (REQUESTS.len(), ANSWERS.len());
    println!("{requests} requests x {answers} answers x 1 to 3 times: {runs} runs, all of them succeeded");
    assert_eq!(runs as usize, requests * answers * 3);
}

/// What time does not cure ends the run at the first answer, with the storage's own code and what to do.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_must_mend_ends_a_run_at_once() {
    let world = World::new().await;
    world.enroll().await;
    world.write("first", &noise(10_000, 1));
    let client = client(&world);
    for (status, code, what_to_do) in [
        (403, "InvalidAccessKeyId", "Enable the key again"),
        (403, "SignatureDoesNotMatch", "whether the key was replaced"),
        (404, "NoSuchBucket", "deleted or renamed"),
        (403, "QuotaExceeded", "Raise it at the provider"),
        (403, "AccountProblem", "Settle it with the provider"),
    ] {
        let told = world.server.told();
        world
            .server
            .order(On::Put(ObjectKind::Pack), u32::MAX, Lie::Refusal(status, code));
        let error = back_up(&world, &client).await.unwrap_err();
        world.server.lock().orders.clear();
        assert_eq!(world.server.told() - told, 1, "{code}");
        let sentence = error.to_string();
        assert!(
            sentence.contains(code) && sentence.contains(what_to_do),
            "{sentence}"
        );
        let abort = world.server.lock().aborts.pop().unwrap();
        assert!(abort.contains(code), "{abort}");
        assert_eq!(world.server.lock().may_pass.pop(), Some(false), "{code}");
    }
    // What may pass is said to the server, which queues the run again.
    world
        .server
        .order(On::Put(ObjectKind::Pack), u32::MAX, Lie::HtmlStatus(409));
    back_up(&world, &client).await.unwrap_err();
    assert_eq!(world.server.lock().may_pass.pop(), Some(true));
}
