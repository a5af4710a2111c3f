//! Lies about which snapshot it is, and who made it: nothing is written.

use std::{fs, sync::Arc};

use agent::{
    enroll::EnrollError,
    progress::Silent,
    restore::RestoreError,
    snapshot::{Expected, SnapshotError, Unexpected},
    state::State,
    store::ReadError,
    verify::{Depth, Verification},
};
use repository::{
    chunk::SourceSecret,
    commit::{CommitRecord, CommitSigningKey},
    identity::AgentSigningKey,
    manifest::{ManifestContent, ManifestError, NewManifest},
    object_list::ObjectList,
    recovery::RecoverySeed,
};
use shared::{
    api::agent::{RestoreWork, SnapshotTotals},
    ids::{AgentId, RunId, SourceId},
};

use super::steps::{back, lie, restore, two};
use crate::support::server::{TOKEN, lies::commit_key};

/// Whatever the server makes of an answer, short of signing it: nothing is written.
#[tokio::test(flavor = "multi_thread")]
async fn another_snapshots_genuine_manifest_is_refused() {
    let (world, [first, second]) = two().await;
    let (old, record_of_old, record) = {
        let inner = world.server.lock();
        (inner.snapshots[0].1, inner.needed_of[0].1, inner.needed_of[1].1)
    };
    let forged = {
        let mut inner = world.server.lock();
        let bytes = inner.records[&record.hash].1.clone();
        let mut forged = CommitRecord::read(&bytes).unwrap();
        (forged.manifest, forged.seq, forged.parent_manifest) = (old, 1, None);
        forged.run_id = CommitRecord::read(&inner.records[&record_of_old.hash].1)
            .unwrap()
            .run_id;
        inner.keep_record(&forged, &CommitSigningKey::from_seed([1; 32]))
    };
    type Lie = Box<dyn FnMut(&mut RestoreWork) + Send>;
    type Check = fn(&RestoreError) -> bool;
    let other_manifest = move |work: &mut RestoreWork| work.manifest = old;
    let (as_first, as_old) = (first.clone(), first.clone());
    let cases: Vec<(&str, Lie, Check)> = vec![
        ("manifest", Box::new(other_manifest), |error| {
            matches!(error, RestoreError::Snapshot(SnapshotError::OtherSnapshot))
        }),
        (
            "manifest and number",
            Box::new(move |work| {
                work.manifest = old;
                work.snapshot.seq = 1;
            }),
            |error| {
                matches!(
                    error,
                    RestoreError::Snapshot(SnapshotError::OtherRecord { .. })
                        | RestoreError::Snapshot(SnapshotError::Record(_))
                )
            },
        ),
        (
            "everything of the other",
            Box::new(move |work| {
                (work.manifest, work.snapshot, work.record) = (old, as_first.clone(), Some(record_of_old));
            }),
            |error| matches!(error, RestoreError::Snapshot(SnapshotError::OtherSnapshot)),
        ),
        (
            "everything of the other, but the id",
            Box::new(move |work| {
                let id = work.snapshot.id;
                (work.manifest, work.snapshot, work.record) = (old, as_old.clone(), Some(record_of_old));
                work.snapshot.id = id;
            }),
            |error| {
                matches!(
                    error,
                    RestoreError::Snapshot(SnapshotError::OtherRecord { seq: 1, .. })
                )
            },
        ),
        (
            "a record that a stranger signed",
            Box::new(move |work| {
                (work.manifest, work.snapshot.seq, work.record) = (old, 1, Some(forged));
            }),
            |error| {
                matches!(
                    error,
                    RestoreError::Snapshot(SnapshotError::OtherCommitKey { .. })
                )
            },
        ),
        ("no record", Box::new(|work| work.record = None), |error| {
            matches!(error, RestoreError::Snapshot(SnapshotError::NoRecord { .. }))
        }),
        (
            "a record that is something else",
            Box::new(move |work| work.record = Some(old)),
            |error| matches!(error, RestoreError::Snapshot(SnapshotError::NoRecord { .. })),
        ),
        (
            "another source",
            Box::new(|work| work.snapshot.source_id = SourceId::from_uuid(uuid::Uuid::from_u128(78))),
            |error| matches!(error, RestoreError::Snapshot(SnapshotError::OtherSnapshot)),
        ),
        (
            "another recovery key",
            Box::new(|work| {
                let key = RecoverySeed::from_bytes([1; 32]).secret();
                work.backup_set.recovery_key.sealing = key.public().sealing_hex();
            }),
            |error| {
                matches!(
                    error,
                    RestoreError::Snapshot(SnapshotError::Enroll(EnrollError::Fingerprint { .. }))
                )
            },
        ),
        (
            "a manifest that is far too large",
            Box::new(|work| work.manifest.size_bytes = 1 << 40),
            |error| {
                matches!(
                    error,
                    RestoreError::Snapshot(SnapshotError::Read(ReadError::Wrong { .. }))
                )
            },
        ),
    ];
    for (what, change, check) in cases {
        lie(&world, change);
        let (restored, _) = restore(&world, &second, "back", &Expected::default()).await;
        let error = restored.expect_err(what);
        assert!(check(&error), "{what}: {error}");
        assert!(!world.path("back").exists(), "{what}");
        let told = world.server.lock().finishes.last().unwrap().error.clone();
        assert!(told.is_some(), "{what}");
    }
    // Wrong totals and names change nothing: they are not asked.
    lie(&world, |work| {
        work.snapshot.totals.files = 1 << 40;
        work.snapshot.source_name = "another".into();
    });
    let (restored, shown) = restore(&world, &second, "back", &Expected::default()).await;
    assert_eq!(restored.unwrap().notes, Vec::<String>::new());
    assert_eq!(fs::read(back(&world, "back", "b")).unwrap(), b"second");
    let [origin] = &shown[..] else { panic!("{shown:?}") };
    assert_eq!((origin.seq, origin.source_id), (2, second.source_id));
    let named = origin.named.as_ref().unwrap();
    assert_eq!(named.source_name, "documents");
    assert_eq!(named.hostname, agent::enroll::hostname());
}

/// The recovery key's public half is no secret. Whoever has it can seal what looks like a snapshot of this source, and a server
/// that helps him signs a true record of it: without the word of this agent's key or of the kit it is nobody's.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_a_stranger_signed_is_refused() {
    let (world, [_, second]) = two().await;
    let own = State::open(&world.path("state")).unwrap().config().agent_id;
    let kit = agent::keygen::read_kit(&world.path("kit")).unwrap().secret();
    let stranger = AgentSigningKey::from_seed([5; 32]);
    let other = AgentId::from_uuid(uuid::Uuid::from_u128(99));
    for (agent_id, to) in [(own, "own"), (other, "other")] {
        let sealed = NewManifest {
            agent_id,
            source_id: second.source_id,
            run_id: RunId::from_uuid(uuid::Uuid::from_u128(98)),
            parent: None,
            created_at: second.received_at,
            totals: SnapshotTotals::default(),
            objects: Vec::new(),
            list: ObjectList::default(),
            certificate: None,
            content: ManifestContent::new(
                second.source_name.clone(),
                agent::enroll::hostname(),
                Vec::new(),
                SourceSecret::from_bytes([4; 32]).chunk_key(),
            ),
        };
        let mut rng = agent::random::draw().unwrap();
        let (manifest, bytes) = sealed.seal(kit.public(), &stranger, &mut rng).unwrap();
        let record = {
            let mut inner = world.server.lock();
            inner.bucket.insert(manifest.hash, (manifest, bytes));
            let of_first = inner.needed_of[0].1;
            let mut record = CommitRecord::read(&inner.records[&of_first.hash].1).unwrap();
            record.snapshot_id = second.id;
            record.manifest = manifest;
            record.run_id = RunId::from_uuid(uuid::Uuid::from_u128(98));
            inner.keep_record(&record, &commit_key())
        };
        lie(&world, move |work| {
            (work.manifest, work.snapshot.seq, work.record) = (manifest, 1, Some(record));
        });
        let (restored, shown) = restore(&world, &second, to, &Expected::default()).await;
        let error = restored.expect_err(to);
        let is_refused = match &error {
            RestoreError::Snapshot(SnapshotError::UnknownSigner(signer)) => {
                *signer == other && agent_id == other
            }
            RestoreError::Snapshot(SnapshotError::Manifest(ManifestError::OtherSigner { .. })) => {
                agent_id == own
            }
            _ => false,
        };
        assert!(is_refused, "{to}: {error}");
        assert_eq!(shown, [], "a stranger's names are not shown");
        assert!(!world.path(to).exists());
    }
}

/// The server that has the key itself may say of an id what it likes. The agent's own word is shown, and compared.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_signer_of_records_may_say_is_seen_and_compared() {
    let (world, [first, second]) = two().await;
    let old = world.server.lock().snapshots[0].1;
    let forged = {
        let mut inner = world.server.lock();
        let record = inner.needed_of[0].1;
        let mut forged = CommitRecord::read(&inner.records[&record.hash].1).unwrap();
        forged.snapshot_id = second.id;
        inner.keep_record(&forged, &commit_key())
    };
    let as_first = first.clone();
    lie(&world, move |work| {
        let id = work.snapshot.id;
        (work.manifest, work.snapshot, work.record) = (old, as_first.clone(), Some(forged));
        work.snapshot.id = id;
    });
    let made_at = first.received_at;
    let refused = [
        Expected {
            seq: Some(2),
            ..Expected::default()
        },
        Expected {
            source: Some("another".into()),
            ..Expected::default()
        },
        Expected {
            not_before: Some(made_at + jiff::SignedDuration::from_nanos(1)),
            ..Expected::default()
        },
    ];
    for expected in &refused {
        let (restored, shown) = restore(&world, &second, "back", expected).await;
        let error = restored.unwrap_err();
        assert!(
            matches!(error, RestoreError::Snapshot(SnapshotError::Unexpected(_))),
            "{error}"
        );
        assert!(
            error.to_string().contains("number 1 of source documents"),
            "{error}"
        );
        assert_eq!(shown[0].seq, 1);
        assert!(!world.path("back").exists());
        // A verification is as careful.
        let what = Verification {
            snapshot: second.id,
            depth: Depth::Structure,
            expected: expected.clone(),
            commit_key: None,
        };
        let (state, kit) = (world.path("state"), world.path("kit"));
        let error = agent::verify(&state, &what, Some(&kit), Arc::new(Silent))
            .await
            .unwrap_err();
        assert!(matches!(error, SnapshotError::Unexpected(_)), "{error}");
    }
    // With nothing expected, it is what was shown that comes back.
    let (restored, shown) = restore(&world, &second, "back", &Expected::default()).await;
    restored.unwrap();
    assert_eq!((shown[0].seq, shown[0].made_at), (1, made_at));
    assert!(!back(&world, "back", "b").exists());

    world.server.lock().words.restore = None;
    let right = Expected {
        seq: Some(2),
        source: Some(second.source_id.to_string()),
        not_before: Some(second.received_at),
    };
    let (restored, _) = restore(&world, &second, "right", &right).await;
    restored.unwrap();
    assert_eq!(fs::read(back(&world, "right", "b")).unwrap(), b"second");
    let by_name = Expected {
        source: Some("documents".into()),
        ..Expected::default()
    };
    restore(&world, &first, "by-name", &by_name).await.0.unwrap();
}

/// A lost record: the number, which the agent signed, names the snapshot as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_whose_commit_record_is_lost_is_restored_by_its_number() {
    let (world, [_, second]) = two().await;
    let record = world.server.lock().needed_of[1].1;
    world.server.lock().records.remove(&record.hash);
    let (restored, _) = restore(&world, &second, "back", &Expected::default()).await;
    let error = restored.unwrap_err();
    assert!(error.to_string().contains("--seq"), "{error}");
    let by_number = |seq| Expected {
        seq: Some(seq),
        ..Expected::default()
    };
    let (restored, _) = restore(&world, &second, "back", &by_number(1)).await;
    assert!(matches!(
        restored,
        Err(RestoreError::Snapshot(SnapshotError::Unexpected(
            Unexpected::Seq { expected: 1, .. }
        )))
    ));
    let (restored, _) = restore(&world, &second, "back", &by_number(2)).await;
    let notes = restored.unwrap().notes;
    assert!(notes[0].contains("commit record"), "{notes:?}");
    assert_eq!(fs::read(back(&world, "back", "b")).unwrap(), b"second");
}

/// The key is the one of the enrollment. Another one is refused, until a person names it.
#[tokio::test(flavor = "multi_thread")]
async fn the_servers_commit_key_is_pinned_at_enrollment() {
    let (world, [_, second]) = two().await;
    let pinned = State::open(&world.path("state")).unwrap().config().commit_key;
    assert_eq!(pinned, Some(commit_key().verifying_key()));

    // The server has another master key now, and all its records are signed anew.
    let newer = CommitSigningKey::from_seed([2; 32]);
    {
        let mut inner = world.server.lock();
        let record = inner.needed_of[1].1;
        let again = CommitRecord::read(&inner.records[&record.hash].1).unwrap();
        inner.needed_of[1].1 = inner.keep_record(&again, &newer);
        let named = inner.needed_of[1].1.hash;
        inner.needed_of[1].0.insert(named);
    }
    let (restored, _) = restore(&world, &second, "back", &Expected::default()).await;
    let error = restored.unwrap_err();
    assert!(
        matches!(
            error,
            RestoreError::Snapshot(SnapshotError::OtherCommitKey { .. })
        ),
        "{error}"
    );
    assert!(error.to_string().contains("--commit-key"), "{error}");
    // The number is no way around it.
    let by_number = Expected {
        seq: Some(2),
        ..Expected::default()
    };
    assert!(restore(&world, &second, "back", &by_number).await.0.is_err());
    assert!(!world.path("back").exists());
    let mut request = world.request(second.id, "back");
    request.commit_key = Some(newer.verifying_key());
    agent::restore(
        &world.path("state"),
        &request,
        &world.path("kit"),
        Arc::new(Silent),
    )
    .await
    .unwrap();

    // An agent of before has no key: it says so.
    let config = world.path("state/agent.json");
    let text = fs::read_to_string(&config).unwrap();
    let line = text.lines().find(|line| line.contains("commit_key")).unwrap();
    fs::write(&config, text.replace(&format!("{line}\n"), "")).unwrap();
    let (restored, _) = restore(&world, &second, "unpinned", &Expected::default()).await;
    let notes = restored.unwrap().notes;
    assert!(notes[0].contains("only the server says"), "{notes:?}");

    // A server that hands out no key enrolls nobody.
    world.server.lock().words.enrolled = Some(Box::new(|enrolled| enrolled.commit_key = "none".into()));
    let address = world.server.lock().address.clone();
    let refused = agent::enroll(&world.path("other"), &address, TOKEN, world.fingerprint).await;
    assert!(matches!(refused, Err(EnrollError::CommitKey(_))));
    assert!(State::open(&world.path("other")).is_err());
}
