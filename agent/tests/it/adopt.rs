//! Packs of runs that broke off are taken over by the next one.

use std::{fs, path::PathBuf};

use shared::object::{ObjectKind, ObjectRef};

use crate::support::enrolled::{World, mode, noise};

/// Packs that the bucket holds.
fn packs(world: &World) -> Vec<ObjectRef> {
    let server = world.server.lock();
    let objects = server.bucket.values().map(|(object, _)| *object);
    objects.filter(|object| object.kind == ObjectKind::Pack).collect()
}

fn journal(world: &World) -> Option<PathBuf> {
    walkdir::WalkDir::new(world.path("state"))
        .into_iter()
        .map(Result::unwrap)
        .find(|entry| entry.file_name() == "journal")
        .map(walkdir::DirEntry::into_path)
}

/// A run that the server ends in its middle: what had arrived is taken over by the next one.
#[tokio::test(flavor = "multi_thread")]
async fn packs_of_a_run_that_broke_off_are_not_sent_again() {
    let world = World::new().await;
    world.enroll().await;
    world.write("large", &noise(70 << 20, 1));
    // Its third pack is there, and then no more is signed.
    break_off(&world, 3).await;
    let journal_path = journal(&world).unwrap();
    assert_eq!(mode(&journal_path), 0o600);
    let arrived = packs(&world);
    assert!(arrived.len() >= 3, "{}", arrived.len());

    // It breaks off again, and then goes through: one of the packs is not to be reused, one is being deleted.
    break_off(&world, 1).await;
    let (unwanted, deleting) = (arrived[0], arrived[1]);
    {
        let mut server = world.server.lock();
        server.do_not_reuse = vec![unwanted.hash];
        server.deleting.insert(deleting.hash);
    }
    let before = packs(&world);
    let snapshot = world.backup().await.unwrap();
    let needed = world.server.lock().needed.clone();
    assert!(!needed.contains(&unwanted) && !needed.contains(&deleting));
    let before_len = before.len();
    let taken_over: Vec<_> = before.into_iter().filter(|pack| needed.contains(pack)).collect();
    assert_eq!(taken_over.len(), before_len - 2);
    let spared: u64 = taken_over.iter().map(|pack| pack.size_bytes).sum();
    let all = snapshot.totals.bytes_sent + spared;
    assert!(
        (70 << 20..71 << 20).contains(&all),
        "{} sent, {spared} taken over",
        snapshot.totals.bytes_sent
    );
    assert_eq!(
        journal(&world),
        None,
        "nothing is left behind by a run that went through"
    );
    let back = world.restore(snapshot.id, "back", "kit").await.unwrap();
    assert!(fs::read(back.join("large")).unwrap() == noise(70 << 20, 1));

    // The next run finds all of it in its parent.
    world.server.lock().deleting.clear();
    let next = world.backup().await.unwrap();
    assert_eq!(next.totals.bytes_sent, 0);
}

/// A backup that the server ends when so many packs more are stored.
async fn break_off(world: &World, packs: usize) {
    world.server.lock().over_after = Some(packs);
    let error = world.backup().await.unwrap_err();
    assert!(
        error.to_string().contains("the run's deadline has passed"),
        "{error}"
    );
    world.server.lock().run_over = false;
}
