//! Reads through signed addresses: each is of a range, and the ranges cost no calls of their own.

use std::{fs, sync::Arc};

use agent::{progress::Silent, snapshot::Expected, verify::Depth, verify::Verification};

use crate::support::enrolled::{World, noise};

/// Files that lie so far apart in their packs that each is a range of its own.
const FILES: u8 = 160;
const FILE_BYTES: usize = 200_000;

fn name(i: u8) -> String {
    format!("file-{i:03}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ranges_cost_no_calls_of_their_own() {
    let world = World::new().await;
    world.enroll().await;
    for i in 0..FILES {
        world.write(&name(i), &noise(FILE_BYTES, i));
    }
    let snapshot = world.backup().await.unwrap();
    let every_other = || (0..FILES).step_by(2);
    let mut request = world.request(snapshot.id, "back");
    request.paths = every_other()
        .map(|i| {
            world
                .path("data")
                .join(name(i))
                .into_os_string()
                .into_encoded_bytes()
        })
        .collect();
    let counted = || {
        let inner = world.server.lock();
        (inner.gets, inner.reads_calls)
    };
    let before = counted();
    let report = agent::restore(
        &world.path("state"),
        &request,
        &world.path("kit"),
        Arc::new(Silent),
    )
    .await
    .unwrap();
    assert_eq!(report.outcome.losses, []);
    let back = world
        .path("back")
        .join(world.path("data").strip_prefix("/").unwrap());
    for i in every_other() {
        assert!(
            fs::read(back.join(name(i))).unwrap() == noise(FILE_BYTES, i),
            "{i}"
        );
    }
    let after = counted();
    let (gets, calls) = (after.0 - before.0, after.1 - before.1);
    // Threads fill the packs in any order, so that some of the files lie beside each other and are read together.
    assert!(gets >= u32::from(FILES) / 4, "{gets} reads");
    // One for the manifest, the record, the segments, each level of the listings, and the contents; a reader that comes before
    // the answer to another one may add some.
    assert!(calls <= 12, "{calls} calls for {gets} reads");

    // A verification looks at the last byte of each pack, or reads everything: likewise.
    for depth in [Depth::Structure, Depth::Everything] {
        let before = counted();
        let what = Verification {
            snapshot: snapshot.id,
            depth,
            expected: Expected::default(),
            commit_key: None,
        };
        let (state, kit) = (world.path("state"), world.path("kit"));
        let report = agent::verify(&state, &what, Some(&kit), Arc::new(Silent)).await;
        assert_eq!(report.unwrap().findings, []);
        let calls = counted().1 - before.1;
        assert!(calls <= 12, "{calls} calls");
    }
}

/// Addresses that have run out are asked for anew, and those that came with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn addresses_that_ran_out_are_asked_for_again() {
    let world = World::new().await;
    world.enroll().await;
    for i in 0..40 {
        world.write(&name(i), &noise(FILE_BYTES, i));
    }
    let snapshot = world.backup().await.unwrap();
    world.server.lock().expired_reads = 2;
    let back = world.restore(snapshot.id, "back", "kit").await.unwrap();
    for i in 0..40 {
        assert!(
            fs::read(back.join(name(i))).unwrap() == noise(FILE_BYTES, i),
            "{i}"
        );
    }
    assert_eq!(world.server.lock().expired_reads, 0);
}
