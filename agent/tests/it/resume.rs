//! Restores that break off, and those that only say what they would do.

use std::{
    fs,
    ops::Range,
    os::unix::fs::symlink,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use agent::{
    client::ClientError,
    progress::RestoreCounters,
    restore::{Action, Order, Overwrite, RestoreError, restore_from},
    snapshot::{Snapshot, SnapshotError},
    store::{ObjectSource, ReadError},
};
use repository::manifest;
use shared::object::{ObjectKind, ObjectRef};

use crate::support::bucket::Bucket;
use crate::support::tree::{describe, noise};
use crate::support::world::{World, temporary, write};

/// Gives out only so many answers: then the network is gone.
struct Flaky<'a> {
    bucket: &'a Bucket,
    left: AtomicUsize,
}

impl ObjectSource for Flaky<'_> {
    fn read(&self, object: &ObjectRef, range: Option<Range<u64>>) -> Result<Vec<u8>, ReadError> {
        if self
            .left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
            .is_err()
        {
            return Err(ClientError::Network {
                host: "the storage".into(),
                error: "gone".into(),
            }
            .into());
        }
        self.bucket.read(object, range)
    }
}

#[test]
fn a_restore_that_broke_off_goes_on_where_it_was() {
    let world = World::new(|root| {
        write(&root.join("a-large"), &noise(70 << 20, 0));
        for i in 0..50u8 {
            write(&root.join(format!("files/{i}")), &noise(300_000, i * 3 + 3));
        }
        fs::hard_link(root.join("files/7"), root.join("files/another-7")).unwrap();
    });
    let bytes = world.endpoint.bucket.objects.lock().unwrap()[&world.manifest.hash]
        .1
        .clone();
    let header = manifest::open_header(&bytes, &world.endpoint.key.public()).unwrap();
    let target = tempfile::tempdir().unwrap();
    let order = Order {
        target: target.path().to_owned(),
        overwrite: Overwrite::IfDifferent,
        ..Order::default()
    };
    let total: u64 = world
        .objects
        .iter()
        .filter(|object| object.kind == ObjectKind::Pack)
        .map(|object| object.size_bytes)
        .sum();

    // Enough to open everything, and to fetch two packs of six.
    let flaky = Flaky {
        bucket: &world.endpoint.bucket,
        left: AtomicUsize::new(4),
    };
    let kit = &world.endpoint.kit;
    let snapshot = Snapshot::open(&flaky, &bytes, &header, kit).unwrap();
    let counters = RestoreCounters::default();
    let error = restore_from(&flaky, &snapshot, kit, &[], &order, &counters).unwrap_err();
    assert!(
        matches!(error, RestoreError::Snapshot(SnapshotError::Read(_))),
        "{error}"
    );
    let large = world.below(target.path(), "a-large");
    assert!(!large.exists() && temporary(&large).exists());

    world.endpoint.bucket.bytes_read.store(0, Relaxed);
    let outcome = world.restore(target.path(), Overwrite::IfDifferent);
    assert_eq!(outcome.losses, []);
    assert!(world.same(target.path()));
    assert!(!temporary(&large).exists());
    let read = world.endpoint.bucket.bytes_read.load(Relaxed) as u64;
    assert!(
        read < total - (24 << 20),
        "{read} of {total} bytes were fetched again"
    );

    // A third time there is nothing to do.
    world.endpoint.bucket.bytes_read.store(0, Relaxed);
    let outcome = world.restore(target.path(), Overwrite::IfDifferent);
    assert_eq!(outcome.losses, []);
    assert!(world.same(target.path()));
    assert!(world.endpoint.bucket.bytes_read.load(Relaxed) < 1 << 20);
}

#[test]
fn a_dry_run_says_what_a_restore_then_does_and_changes_nothing() {
    let world = World::new(|root| {
        write(&root.join("there"), b"there");
        write(&root.join("new/file"), &noise(3 << 20, 0));
        symlink("x", root.join("new/link")).unwrap();
    });
    let target = tempfile::tempdir().unwrap();
    write(&world.below(target.path(), "there"), b"not quite what was there");
    let before = describe(target.path());
    let mut order = Order {
        target: target.path().to_owned(),
        overwrite: Overwrite::IfDifferent,
        dry_run: true,
        verify: false,
        ..Order::default()
    };
    let outcome = world
        .endpoint
        .restore_as(&world.manifest.hash, &order, &[])
        .unwrap();
    assert_eq!(describe(target.path()), before);
    let dry_run = outcome.dry_run.unwrap();
    let would: Vec<_> = dry_run
        .steps
        .iter()
        .map(|step| (step.action, step.path.clone(), step.size_bytes))
        .collect();
    let path = |name: &str| world.root.join(name).to_str().unwrap().to_owned();
    let root = world.root.to_str().unwrap().to_owned();
    assert_eq!(
        would,
        [
            (Action::Refresh, root, 0),
            (Action::Make, path("new"), 0),
            (Action::Make, path("new/file"), 3 << 20),
            (Action::Make, path("new/link"), 0),
            (Action::Replace, path("there"), 5),
        ]
    );
    assert_eq!(dry_run.bytes_to_write, (3 << 20) + 5);
    let packs: u64 = world
        .objects
        .iter()
        .filter(|object| object.kind == ObjectKind::Pack)
        .map(|object| object.size_bytes)
        .sum();
    assert!(
        (3 << 20..=packs).contains(&dry_run.bytes_to_fetch),
        "{}",
        dry_run.bytes_to_fetch
    );
    assert_eq!(dry_run.packs_to_read, 1);

    order.dry_run = false;
    order.verify = true;
    assert_eq!(
        world
            .endpoint
            .restore_as(&world.manifest.hash, &order, &[])
            .unwrap()
            .losses,
        []
    );
    assert!(world.same(target.path()));
}
