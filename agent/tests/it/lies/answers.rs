//! Answers that are not what was asked for: they are asked for again, and are never taken for damage.

use std::{fs, sync::Arc};

use agent::{
    client::ClientError,
    progress::Silent,
    restore::RestoreError,
    snapshot::{Expected, Fault, Reason, SnapshotError},
    verify::{Defect, Depth, Verification},
};
use shared::object::{ObjectHash, ObjectKind};

use super::steps::{back, kept, restore, two};
use crate::support::{
    enrolled::{World, noise},
    server::lies::{Lie, On},
};

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
            RestoreError::Snapshot(SnapshotError::Client(ClientError::Foreign(302)))
        ),
        "{error}"
    );
    assert!(!world.path("back").exists());
}
