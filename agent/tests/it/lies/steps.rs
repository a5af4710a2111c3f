//! What the tests of lies begin with.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use agent::{
    progress::{Event, Observer},
    restore::{Outcome, RestoreError},
    snapshot::{Expected, Origin},
};
use shared::{
    api::agent::{RestoreWork, SnapshotSummary},
    object::{ObjectKind, ObjectRef},
};

use crate::support::enrolled::World;

/// Two snapshots: `a` is of both, `b` of the second only.
pub(super) async fn two() -> (World, [SnapshotSummary; 2]) {
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
pub(super) async fn restore(
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
pub(super) fn back(world: &World, to: &str, name: &str) -> PathBuf {
    let data = world.path("data");
    world.path(to).join(data.strip_prefix("/").unwrap()).join(name)
}

/// Answers restores with this instead.
pub(super) fn lie(world: &World, change: impl FnMut(&mut RestoreWork) + Send + 'static) {
    world.server.lock().words.restore = Some(Box::new(change));
}

/// Objects of a kind in the bucket, the largest first.
pub(super) fn kept(world: &World, kind: ObjectKind) -> Vec<ObjectRef> {
    let inner = world.server.lock();
    let objects = inner.bucket.values().map(|(object, _)| *object);
    let mut objects: Vec<ObjectRef> = objects.filter(|object| object.kind == kind).collect();
    objects.sort_by_key(|object| std::cmp::Reverse(object.size_bytes));
    objects
}
