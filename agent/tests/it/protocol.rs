//! The agent against a server and a bucket on a loopback port, faults included.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use agent::{
    backup::BackupError,
    client::ClientError,
    daemon::Settings,
    enroll::EnrollError,
    keygen::{KeygenError, read_kit},
    limit::Limits,
    progress::{Event, Observer, Silent},
    restore::RestoreError,
    snapshot::{Expected, SnapshotError},
    state::{State, StateError},
    verify::Verification,
    verify::{Defect, Depth},
};
use repository::recovery::RecoverySeed;
use shared::{ids::SnapshotId, object::ObjectKind};

use crate::support::enrolled::{World, mode, noise};
use crate::support::server::TOKEN;

#[tokio::test(flavor = "multi_thread")]
async fn a_kit_is_private_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kit");
    let key = agent::keygen(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(read_kit(&path).unwrap().secret().public(), &key);
    assert!(matches!(agent::keygen(&path), Err(KeygenError::Exists(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_recovery_key_is_refused_and_nothing_is_stored() {
    let world = World::new().await;
    let address = world.server.lock().address.clone();
    let other = RecoverySeed::from_bytes([1; 32]).secret().public().fingerprint();
    let error = agent::enroll(&world.path("state"), &address, TOKEN, other)
        .await
        .unwrap_err();
    assert!(matches!(error, EnrollError::Fingerprint { .. }), "{error}");
    assert!(!world.path("state").exists());
    assert!(
        world.server.lock().enrolled.is_empty(),
        "the token was not used up"
    );

    let error = agent::enroll(&world.path("state"), &address, "wrong", world.fingerprint)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("the token is unknown"), "{error}");

    world.enroll().await;
    assert_eq!(mode(&world.path("state")), 0o700);
    assert_eq!(mode(&world.path("state/agent.json")), 0o600);
    assert_eq!(mode(&world.path("state/signing-key")), 0o600);
    let error = agent::enroll(&world.path("state"), &address, TOKEN, world.fingerprint)
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        EnrollError::State(StateError::AlreadyEnrolled(_))
    ));

    // Later, too: the server may not swap the key of a run.
    world.server.lock().key = Some(RecoverySeed::from_bytes([1; 32]).secret().public().clone());
    let error = world.backup().await.unwrap_err();
    assert!(
        matches!(error, BackupError::Enroll(EnrollError::Fingerprint { .. })),
        "{error}"
    );
    assert!(world.server.lock().bucket.is_empty());
    assert_eq!(world.server.lock().aborts.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_and_restores_survive_faults() {
    let world = World::new().await;
    world.enroll().await;
    for i in 0..50u8 {
        world.write(&format!("d{}/f{i}", i % 5), &noise(20_000, i));
    }
    world.write("big", &noise(20 << 20, 200));
    {
        let mut server = world.server.lock();
        server.busy_calls = 2;
        server.busy_puts = 1;
        server.expired_puts = 1;
        server.lost_answers = 1;
        server.polls = 2;
    }
    let first = world.backup().await.unwrap();
    assert_eq!((first.seq, first.totals.files), (1, 51));
    let stored = world.server.lock().bucket.len();

    // Long enough for the files' times to be trusted.
    tokio::time::sleep(Duration::from_millis(60)).await;
    world.write("d1/new", b"new");
    let second = world.backup().await.unwrap();
    assert_eq!(second.seq, 2);
    assert!(second.totals.bytes_sent < 50_000, "{}", second.totals.bytes_sent);

    world.server.lock().expired_reads = 2;
    let back = world.restore(second.id, "back", "kit").await.unwrap();
    assert_eq!(fs::read(back.join("big")).unwrap(), noise(20 << 20, 200));
    assert_eq!(fs::read(back.join("d1/new")).unwrap(), b"new");
    let back = world.restore(first.id, "back1", "kit").await.unwrap();
    assert!(!back.join("d1/new").exists());
    assert_eq!(fs::read(back.join("d4/f49")).unwrap(), noise(20_000, 49));
    let finishes = world.server.lock().finishes.clone();
    assert!(finishes.iter().all(|finish| finish.error.is_none()));
    assert_eq!(finishes[0].progress.files_done, finishes[0].progress.files_total);

    // A lost cache: the index comes back from the bucket, nothing is sent twice.
    let cache = walkdir::WalkDir::new(world.path("state"))
        .into_iter()
        .map(Result::unwrap)
        .find(|entry| entry.file_name() == "cache")
        .unwrap();
    fs::remove_file(cache.path()).unwrap();
    let third = world.backup().await.unwrap();
    assert_eq!((third.seq, third.totals.bytes_sent), (3, 0));
    assert!(world.server.lock().bucket.len() > stored);

    // A cache of another snapshot (a restored machine): the same.
    {
        let mut server = world.server.lock();
        let parent = server.parent.as_mut().unwrap();
        parent.seq = 9;
    }
    let fourth = world.backup().await.unwrap();
    assert_eq!((fourth.seq, fourth.totals.bytes_sent), (10, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_run_is_aborted_without_names_and_the_next_one_completes() {
    let world = World::new().await;
    world.enroll().await;
    world.write("very-secret-name", &noise(100_000, 1));
    world.server.lock().run_over = true;
    let error = world.backup().await.unwrap_err();
    assert!(
        error.to_string().contains("the run's deadline has passed"),
        "{error}"
    );
    {
        let mut server = world.server.lock();
        assert_eq!(server.aborts.len(), 1);
        assert!(!server.aborts[0].contains("very-secret-name"));
        server.run_over = false;
    }
    assert_eq!(world.backup().await.unwrap().seq, 1);

    // Nothing there: no empty snapshot.
    fs::rename(world.path("data"), world.path("away")).unwrap();
    assert!(matches!(world.backup().await, Err(BackupError::NothingThere)));
    assert_eq!(world.server.lock().aborts.len(), 2);
    // Nor of a link that leads nowhere, as when a disk is not mounted.
    std::os::unix::fs::symlink(world.path("nowhere"), world.path("data")).unwrap();
    assert!(matches!(world.backup().await, Err(BackupError::NothingThere)));
    fs::remove_file(world.path("data")).unwrap();
    fs::rename(world.path("away"), world.path("data")).unwrap();
    assert_eq!(world.backup().await.unwrap().seq, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_kit_and_an_unauthorised_restore_are_refused() {
    let world = World::new().await;
    world.enroll().await;
    world.write("a", b"a");
    let snapshot = world.backup().await.unwrap();
    agent::keygen(&world.path("other-kit")).unwrap();
    let error = world.restore(snapshot.id, "back", "other-kit").await.unwrap_err();
    assert!(
        matches!(error, RestoreError::Snapshot(SnapshotError::WrongKit { .. })),
        "{error}"
    );
    assert!(!world.path("back").exists());
    let unknown = SnapshotId::from_uuid(uuid::Uuid::from_u128(1));
    let error = world.restore(unknown, "back", "kit").await.unwrap_err();
    assert!(
        matches!(
            error,
            RestoreError::Snapshot(SnapshotError::Client(ClientError::Refused { .. }))
        ),
        "{error}"
    );
    // What is in the way is told to the server without the name.
    let data = world
        .path("back")
        .join(world.path("data").strip_prefix("/").unwrap());
    fs::create_dir_all(data.parent().unwrap()).unwrap();
    fs::write(&data, b"mine").unwrap();
    let request = world.request(snapshot.id, "back");
    let report = agent::restore(
        &world.path("state"),
        &request,
        &world.path("kit"),
        Arc::new(Silent),
    )
    .await
    .unwrap();
    assert_eq!(report.outcome.losses.len(), 1);
    let error = world.server.lock().finishes[0].error.clone().unwrap();
    assert!(!error.contains('/'), "{error}");
}

/// With limits, from the state folder and from the command line, the same arrives: the bucket checks every length.
#[tokio::test(flavor = "multi_thread")]
async fn limits_of_bandwidth_change_nothing_else() {
    let world = World::new().await;
    world.enroll().await;
    world.write("a", &noise(3 << 20, 1));
    let config = world.path("state/agent.json");
    let text = fs::read_to_string(&config).unwrap();
    let limited = text.replace(
        "\"limits\": {}",
        r#""limits": {"upload": "30 MiB/s", "download": "40 MiB/s"}"#,
    );
    assert_ne!(limited, text);
    fs::write(&config, limited).unwrap();
    let limits = State::open(&world.path("state")).unwrap().config().limits;
    assert_eq!(
        limits.upload.map(|rate| rate.to_string()).as_deref(),
        Some("30 MiB/s")
    );
    world.backup().await.unwrap();

    world.write("b", &noise(2 << 20, 2));
    let flags = Limits {
        upload: "20 MiB/s".parse().ok(),
        download: "25 MiB/s".parse().ok(),
    };
    let never = std::future::pending();
    let snapshots = agent::backup_until(&world.path("state"), None, flags, Arc::new(Silent), never)
        .await
        .unwrap();
    // Another limit, lower than all of these, comes with the source.
    world
        .server
        .lock()
        .source
        .as_mut()
        .unwrap()
        .options
        .max_upload_bytes_per_second = Some(10 << 20);
    world.write("c", &noise(1 << 20, 3));
    let last = world.backup().await.unwrap();
    assert_eq!(snapshots[0].seq + 1, last.seq);

    let request = world.request(last.id, "back");
    let kit = world.path("kit");
    let report = agent::restore_within(&world.path("state"), &request, &kit, flags, Arc::new(Silent))
        .await
        .unwrap();
    assert_eq!(report.outcome.losses, []);
    let back = world
        .path("back")
        .join(world.path("data").strip_prefix("/").unwrap());
    for (name, size, seed) in [("a", 3 << 20, 1), ("b", 2 << 20, 2), ("c", 1 << 20, 3)] {
        assert!(fs::read(back.join(name)).unwrap() == noise(size, seed), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_backup_at_a_time() {
    let world = World::new().await;
    world.enroll().await;
    world.write("a", b"a");
    let state = State::open(&world.path("state")).unwrap();
    let lock = state.lock().unwrap();
    assert!(matches!(
        world.backup().await,
        Err(BackupError::State(StateError::Locked(_)))
    ));
    drop(lock);
    world.backup().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_does_what_it_is_given_and_stops() {
    struct Told(Mutex<Vec<Event>>);
    impl Observer for Told {
        fn event(&self, event: &Event) {
            self.0.lock().unwrap().push(event.clone());
        }
    }
    let world = World::new().await;
    world.enroll().await;
    world.write("a", &noise(1 << 20, 1));
    let told = Arc::new(Told(Mutex::default()));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let state = world.path("state");
    let daemon = tokio::spawn({
        let told = told.clone();
        async move {
            agent::daemon::daemon(&state, Settings::default(), told, async { drop(stopped.await) }).await
        }
    });
    world.server.lock().busy_calls = 1;
    world.server.lock().queued = true;
    for _ in 0..3_000 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if told
            .0
            .lock()
            .unwrap()
            .iter()
            .any(|event| matches!(event, Event::Snapshot(_)))
        {
            break;
        }
    }
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(60), daemon)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let last = told.0.lock().unwrap().last().cloned().unwrap();
    let Event::Snapshot(snapshot) = &last else {
        panic!("{last:?}")
    };
    assert_eq!(snapshot.seq, 1);
    let line = serde_json::to_value(&last).unwrap();
    assert_eq!(line["event"], "snapshot");
    assert!(line["snapshot_id"].as_str().unwrap().starts_with("snp_"));
    assert!(line["protected_until"].is_string() && line["bytes_sent"].is_u64() && line["files"] == 1);
}

fn verification(snapshot: SnapshotId, depth: Depth) -> Verification {
    Verification {
        snapshot,
        depth,
        expected: Expected::default(),
        commit_key: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_verified_through_the_server() {
    let world = World::new().await;
    world.enroll().await;
    world.write("sound", &noise(3 << 20, 1));
    world.write("rotten", &noise(2 << 20, 2));
    let snapshot = world.backup().await.unwrap();
    let (state, kit) = (world.path("state"), world.path("kit"));
    for (kit, depth) in [
        (Some(kit.as_path()), Depth::Structure),
        (Some(&kit), Depth::Everything),
        (None, Depth::Everything),
    ] {
        let what = verification(snapshot.id, depth);
        let report = agent::verify(&state, &what, kit, Arc::new(Silent)).await.unwrap();
        assert_eq!(report.findings, []);
        assert!(report.objects >= 4);
    }
    // The pack's last chunk is the end of the second file that the walk met.
    let pack = {
        let mut inner = world.server.lock();
        let packs = inner
            .bucket
            .values_mut()
            .filter(|(o, _)| o.kind == ObjectKind::Pack);
        let (object, bytes) = packs.max_by_key(|(object, _)| object.size_bytes).unwrap();
        bytes[5 << 20] ^= 1;
        *object
    };
    let what = verification(snapshot.id, Depth::Everything);
    let report = agent::verify(&state, &what, Some(&kit), Arc::new(Silent))
        .await
        .unwrap();
    let [finding] = &report.findings[..] else {
        panic!("{:?}", report.findings)
    };
    assert_eq!(
        (finding.hash(), &finding.defect),
        (Some(pack.hash), &Defect::Changed)
    );
    assert_eq!(finding.files, [world.path("data/sound").to_str().unwrap()]);
    let told = world
        .server
        .lock()
        .finishes
        .last()
        .unwrap()
        .error
        .clone()
        .unwrap();
    assert!(!told.contains('/'), "{told}");
}
