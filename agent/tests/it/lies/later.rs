//! What a later run sent again, and later snapshots that the server makes up.

use std::{fs, sync::Arc};

use agent::{
    progress::Silent,
    snapshot::Expected,
    verify::{Defect, Depth, Verification},
};
use shared::object::{ObjectHash, ObjectKind, ObjectRef};

use super::steps::{back, kept, restore};
use crate::support::enrolled::{World, noise};

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
