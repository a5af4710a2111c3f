//! A server that lies, and a storage that answers something else than it is asked: what was asked for is put back, or
//! nothing is, and no answer is taken for damage.

#[path = "support/enrolled.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod enrolled;
#[path = "support/server.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod server;

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use agent::{
    client::ClientError,
    enroll::EnrollError,
    progress::{Event, Observer, Silent},
    restore::{Outcome, RestoreError},
    snapshot::{Expected, Fault, Origin, Reason, SnapshotError, Unexpected},
    state::State,
    store::ReadError,
    verify::Verification,
    verify::{Defect, Depth},
};
use enrolled::{World, noise};
use repository::{
    chunk::SourceSecret,
    commit::{CommitRecord, CommitSigningKey},
    identity::AgentSigningKey,
    manifest::{ManifestContent, ManifestError, NewManifest},
    object_list::ObjectList,
    recovery::RecoverySeed,
};
use server::{
    TOKEN,
    lies::{Lie, On, commit_key},
};
use shared::{
    api::agent::{RestoreWork, SnapshotSummary, SnapshotTotals},
    ids::{AgentId, RunId, SourceId},
    object::{ObjectHash, ObjectKind, ObjectRef},
};

/// Two snapshots: `a` is of both, `b` of the second only.
async fn two() -> (World, [SnapshotSummary; 2]) {
    let world = World::new().await;
    world.enroll().await;
    world.write("a", b"first");
    let first = world.backup().await.unwrap();
    world.write("b", b"second");
    let second = world.backup().await.unwrap();
    (world, [first, second])
}

/// What was shown, and whether anything was in the target by then.
struct Shown {
    target: PathBuf,
    origins: Mutex<Vec<Origin>>,
}

impl Observer for Shown {
    fn event(&self, event: &Event) {
        if let Event::Origin(origin) = event {
            assert!(!self.target.exists(), "it was shown too late");
            self.origins.lock().unwrap().push(origin.clone());
        }
    }
}

/// Restores the snapshot into a folder of its own; gives what was shown, too.
async fn restore(
    world: &World,
    snapshot: &SnapshotSummary,
    to: &str,
    expected: &Expected,
) -> (Result<Outcome, RestoreError>, Vec<Origin>) {
    let shown = Arc::new(Shown {
        target: world.path(to),
        origins: Mutex::default(),
    });
    let mut request = world.request(snapshot.id, to);
    request.expected = expected.clone();
    let restored = agent::restore(&world.path("state"), &request, &world.path("kit"), shown.clone()).await;
    let origins = shown.origins.lock().unwrap().clone();
    (restored.map(|report| report.outcome), origins)
}

/// The file below the restored folder.
fn back(world: &World, to: &str, name: &str) -> PathBuf {
    let data = world.path("data");
    world.path(to).join(data.strip_prefix("/").unwrap()).join(name)
}

/// Answers restores with this instead.
fn lie(world: &World, change: impl FnMut(&mut RestoreWork) + Send + 'static) {
    world.server.lock().words.restore = Some(Box::new(change));
}

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
            content: ManifestContent {
                source_name: second.source_name.clone(),
                hostname: agent::enroll::hostname(),
                roots: Vec::new(),
                chunk_key: SourceSecret::from_bytes([4; 32]).chunk_key(),
                warnings: Vec::new(),
            },
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

/// Addresses of something else, in any of the ways in which they can be wrong.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_something_else_are_refused() {
    let (world, [_, second]) = two().await;
    let pack = kept(&world, ObjectKind::Pack)[0];
    type Lies = fn(&mut shared::api::agent::SignedRead);
    let cases: [Lies; 6] = [
        |read| read.size_bytes += 1,
        |read| read.size_bytes = 1 << 45,
        |read| read.kind = ObjectKind::Index,
        |read| read.part.object = ObjectHash::from_bytes([1; 32]),
        |read| read.part.begin += 1,
        |read| read.part.end -= 1,
    ];
    for (at, case) in cases.into_iter().enumerate() {
        world.server.lock().words.restore_reads = Some(Box::new(move |reads| {
            reads
                .iter_mut()
                .filter(|read| read.kind == ObjectKind::Pack)
                .for_each(case);
        }));
        let to = format!("back{at}");
        let (restored, _) = restore(&world, &second, &to, &Expected::default()).await;
        let outcome = restored.unwrap();
        assert!(!outcome.is_complete());
        assert!(!back(&world, &to, "a").exists());
    }
    world.server.lock().words.restore_reads = None;
    // Another object, and the same one with a bit turned: of that only the hash tells.
    for (lie, told) in [(Lie::Other(pack.hash), 1), (Lie::Flip, 2)] {
        world.server.order(On::Kind(ObjectKind::Index), 1, lie);
        let to = format!("whole{told}");
        let (restored, _) = restore(&world, &second, &to, &Expected::default()).await;
        let outcome = restored.unwrap();
        assert!(outcome.is_complete());
        // It was asked for again: nothing had to take its place.
        assert_eq!(outcome.notes, Vec::<String>::new());
        assert_eq!(world.server.told(), told);
    }
}

/// Objects of a kind in the bucket, the largest first.
fn kept(world: &World, kind: ObjectKind) -> Vec<ObjectRef> {
    let inner = world.server.lock();
    let objects = inner.bucket.values().map(|(object, _)| *object);
    let mut objects: Vec<ObjectRef> = objects.filter(|object| object.kind == kind).collect();
    objects.sort_by_key(|object| std::cmp::Reverse(object.size_bytes));
    objects
}

/// Answers that are not what was asked for are asked for again, whichever object they are about.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_that_is_none_is_asked_for_again() {
    let world = World::new().await;
    world.enroll().await;
    world.write("a", &noise(3 << 20, 1));
    world.write("small", b"small");
    let snapshot = world.backup().await.unwrap();
    let lies = [
        Lie::Whole,
        Lie::OtherRange,
        Lie::Unnamed,
        Lie::Html,
        Lie::Empty,
        Lie::BreakOff(70),
        Lie::Cut(70),
        Lie::Longer(3 << 20),
        Lie::Announce(1 << 45),
        Lie::Status(503),
    ];
    // One restore for each lie, all at once: most of the time is pauses.
    for kind in [ObjectKind::Pack, ObjectKind::TreePack, ObjectKind::Index] {
        for lie in &lies {
            world.server.order(On::Kind(kind), 1, lie.clone());
            let to = format!("{kind:?}-{lie:?}").replace(['(', ')', ' '], "");
            let before = world.server.told();
            let (restored, _) = restore(&world, &snapshot, &to, &Expected::default()).await;
            let outcome = restored.unwrap_or_else(|error| panic!("{to}: {error}"));
            assert_eq!(outcome.losses, [], "{to}");
            assert_eq!(outcome.notes, Vec::<String>::new(), "{to}");
            assert_eq!(world.server.told(), before + 1, "{to}");
            assert!(
                fs::read(back(&world, &to, "a")).unwrap() == noise(3 << 20, 1),
                "{to}"
            );
        }
    }
}

/// A storage that goes on so does not give the object; whether the object is sound, nobody knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wrong_answers_for_ever_are_no_damage() {
    let world = World::new().await;
    world.enroll().await;
    world.write("a", &noise(1 << 20, 1));
    let snapshot = world.backup().await.unwrap();
    let pack = kept(&world, ObjectKind::Pack)[0];

    let garbled = |fault: &Fault| matches!(fault, Fault::Garbled { .. });
    let withheld = |fault: &Fault| matches!(fault, Fault::Withheld { status: 302, .. });
    type Check<'a> = &'a dyn Fn(&Fault) -> bool;
    // Of the whole, nothing is cut out: an address gives the bytes that it was signed for, or is no use.
    let cases: [(Lie, Check<'_>); 4] = [
        (Lie::OtherRange, &garbled),
        (Lie::Whole, &garbled),
        (Lie::Unnamed, &garbled),
        (Lie::Redirect, &withheld),
    ];
    for (at, (lie, check)) in cases.into_iter().enumerate() {
        world.server.lock().orders.clear();
        world.server.order(On::Object(pack.hash), u32::MAX, lie);
        let (restored, _) = restore(&world, &snapshot, &format!("{at}"), &Expected::default()).await;
        let outcome = restored.unwrap();
        let [loss] = &outcome.losses[..] else {
            panic!("{:?}", outcome.losses)
        };
        let Reason::Data { fault, .. } = &loss.reason else {
            panic!("{loss}")
        };
        assert!(check(fault), "{loss}");
        assert!(!loss.to_string().contains("damage"), "{loss}");
    }
    let what = Verification {
        snapshot: snapshot.id,
        depth: Depth::Structure,
        expected: Expected::default(),
        commit_key: None,
    };
    world.server.lock().orders.clear();
    world
        .server
        .order(On::Object(pack.hash), u32::MAX, Lie::OtherRange);
    let report = agent::verify(
        &world.path("state"),
        &what,
        Some(&world.path("kit")),
        Arc::new(Silent),
    )
    .await
    .unwrap();
    let finding = report
        .findings
        .iter()
        .find(|finding| finding.hash() == Some(pack.hash));
    assert!(
        matches!(finding.unwrap().defect, Defect::Unreadable { .. }),
        "{:?}",
        report.findings
    );

    // An object that is really another one is still said to be damaged.
    world.server.lock().orders.clear();
    world.server.order(On::Object(pack.hash), u32::MAX, Lie::Flip);
    let what = Verification {
        depth: Depth::Everything,
        ..what
    };
    let report = agent::verify(
        &world.path("state"),
        &what,
        Some(&world.path("kit")),
        Arc::new(Silent),
    )
    .await
    .unwrap();
    let finding = report
        .findings
        .iter()
        .find(|finding| finding.hash() == Some(pack.hash));
    assert_eq!(finding.unwrap().defect, Defect::Changed);
}

/// Answers of the agent API are bounded, and say what they are.
#[tokio::test(flavor = "multi_thread")]
async fn answers_of_the_server_are_bounded() {
    let (world, [_, second]) = two().await;
    for lie in [Lie::Html, Lie::Empty, Lie::Longer(80 << 20)] {
        world.server.order(On::Api("/restores"), 1, lie.clone());
        let (restored, _) = restore(&world, &second, "back", &Expected::default()).await;
        let error = restored.unwrap_err();
        assert!(
            matches!(
                error,
                RestoreError::Snapshot(SnapshotError::Client(ClientError::Answer { .. }))
            ),
            "{lie:?}: {error}"
        );
        // What is longer would not parse either: it must not have been read to its end.
        let is_cut_off = error.to_string().contains("it is longer than");
        assert_eq!(is_cut_off, matches!(lie, Lie::Longer(_)), "{lie:?}: {error}");
    }
    world.server.order(On::Api("/restores"), u32::MAX, Lie::Redirect);
    let (restored, _) = restore(&world, &second, "back", &Expected::default()).await;
    let error = restored.unwrap_err();
    assert!(
        matches!(
            error,
            RestoreError::Snapshot(SnapshotError::Client(ClientError::Refused { status: 302, .. }))
        ),
        "{error}"
    );
    assert!(!world.path("back").exists());
}

/// One snapshot loses its packs; the next run sends what they held again; the old snapshot is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_later_run_sent_again_makes_an_older_snapshot_whole() {
    sent_again(&[ObjectKind::Pack], true).await;
    // A listing that changed since is another one: what only the lost pack held is lost.
    sent_again(&[ObjectKind::Pack, ObjectKind::TreePack], false).await;
}

async fn sent_again(kinds: &[ObjectKind], changes: bool) {
    let world = World::new().await;
    world.enroll().await;
    for i in 0..6u8 {
        world.write(&format!("d{}/f{i}", i % 2), &noise(700_000, i));
    }
    let first = world.backup().await.unwrap();
    let lost: Vec<ObjectHash> = kinds
        .iter()
        .flat_map(|kind| kept(&world, *kind))
        .map(|object| object.hash)
        .collect();
    for hash in &lost {
        world.server.lock().bucket.remove(hash);
    }
    let (restored, _) = restore(&world, &first, "lost", &Expected::default()).await;
    assert!(!restored.unwrap().is_complete(), "there is no later snapshot yet");

    world.server.lock().do_not_reuse = lost.clone();
    if changes {
        world.write("new", b"new");
    }
    let second = world.backup().await.unwrap();
    assert!(
        second.totals.bytes_sent > 4_000_000,
        "{}",
        second.totals.bytes_sent
    );
    let (restored, _) = restore(&world, &first, "back", &Expected::default()).await;
    let outcome = restored.unwrap();
    assert_eq!(outcome.losses, []);
    for i in 0..6u8 {
        let name = format!("d{}/f{i}", i % 2);
        assert!(
            fs::read(back(&world, "back", &name)).unwrap() == noise(700_000, i),
            "{name}"
        );
    }
    assert!(!back(&world, "back", "new").exists());
    let notes = outcome.notes.join("\n");
    assert!(
        notes.contains("is gone") && notes.contains("other snapshots"),
        "{notes}"
    );
    assert!(world.server.lock().lost.is_some());

    // A verification names what is gone, and no file that it costs.
    let what = Verification {
        snapshot: first.id,
        depth: Depth::Structure,
        expected: Expected::default(),
        commit_key: None,
    };
    let (state, kit) = (world.path("state"), world.path("kit"));
    let report = agent::verify(&state, &what, Some(&kit), Arc::new(Silent))
        .await
        .unwrap();
    for hash in &lost {
        let finding = report
            .findings
            .iter()
            .find(|finding| finding.hash() == Some(*hash));
        let finding = finding.unwrap_or_else(|| panic!("{hash} is not named: {:?}", report.findings));
        assert_eq!((&finding.defect, &finding.files[..]), (&Defect::Missing, &[][..]));
    }
    // When the later pack is gone too, the files are lost again, and named.
    let later: Vec<ObjectRef> = kept(&world, ObjectKind::Pack);
    for object in &later {
        world.server.lock().bucket.remove(&object.hash);
    }
    let report = agent::verify(&state, &what, Some(&kit), Arc::new(Silent))
        .await
        .unwrap();
    let files: usize = report.findings.iter().map(|finding| finding.files.len()).sum();
    assert_eq!(files, 6, "{:?}", report.findings);
    let (restored, _) = restore(&world, &first, "again", &Expected::default()).await;
    assert_eq!(restored.unwrap().losses.len(), 6);
}

/// A later snapshot that the server makes up is not believed, and costs nothing but what is lost anyway.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_false_later_snapshot_does_no_harm() {
    let world = World::new().await;
    world.enroll().await;
    world.write("a", &noise(600_000, 1));
    let first = world.backup().await.unwrap();
    let lost = kept(&world, ObjectKind::Pack)[0];
    world.write("b", &noise(600_000, 2));
    world.backup().await.unwrap();
    world.server.lock().bucket.remove(&lost.hash);
    let index = kept(&world, ObjectKind::Index)[0];
    for object in [index, lost] {
        world.server.lock().words.later = Some(Box::new(move |later| later.manifest = object));
        let (restored, _) = restore(&world, &first, &object.hash.to_string(), &Expected::default()).await;
        assert_eq!(restored.unwrap().losses.len(), 1);
    }
}
