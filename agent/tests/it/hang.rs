//! Reads that do not come back, as those below a mount whose other side is gone: nobody else waits for them.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use agent::{
    backup::BackupError,
    client::Patience,
    clock,
    daemon::{Settings, daemon},
    progress::{Event, Observer, RunCounters},
};
use shared::ids::SourceId;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::support::enrolled::{World, noise};

const HURRIED: Patience = Patience {
    hang: Duration::from_millis(700),
    ..Patience::SHORT
};

/// A gate at which calls into the file system wait.
#[derive(Default)]
struct Gate {
    opened: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn wait(&self) {
        let mut opened = self.opened.lock().unwrap();
        while !*opened {
            opened = self.changed.wait(opened).unwrap();
        }
    }

    fn open(&self) {
        *self.opened.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

#[derive(Default)]
struct Told(Mutex<Vec<Event>>);

impl Observer for Told {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Told {
    fn snapshots(&self) -> Vec<SourceId> {
        let events = self.0.lock().unwrap();
        let snapshots = events.iter().filter_map(|event| match event {
            Event::Snapshot(snapshot) => Some(snapshot.source_id),
            _ => None,
        });
        snapshots.collect()
    }
}

struct Daemon {
    told: Arc<Told>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), BackupError>>,
}

impl Daemon {
    /// Calls of its `nth` run go through `hook`.
    fn start(world: &World, hook: impl Fn(u32) + Clone + Send + Sync + 'static) -> Self {
        let (told, (stop, stopped)) = (Arc::new(Told::default()), oneshot::channel::<()>());
        let runs = AtomicU32::new(0);
        let settings = Settings {
            patience: HURRIED,
            counters: Box::new(move || {
                let (nth, hook) = (runs.fetch_add(1, SeqCst), hook.clone());
                RunCounters::new().with_hook(Box::new(move |_| hook(nth)))
            }),
            ..Settings::default()
        };
        let (state, observer) = (world.path("state"), told.clone());
        let task =
            tokio::spawn(
                async move { daemon(&state, settings, observer, async { drop(stopped.await) }).await },
            );
        Self { told, stop, task }
    }

    async fn end(self) -> Duration {
        let begin = clock::monotonic();
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
        begin.elapsed()
    }
}

async fn until(what: &str, done: impl Fn() -> bool) -> Duration {
    let begin: Instant = clock::monotonic();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begin.elapsed()
}

async fn world() -> World {
    let world = World::new().await;
    world.enroll().await;
    for nth in 0..60 {
        world.write(&format!("f{nth}"), &noise(1_000, nth));
    }
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_that_does_not_come_back_costs_its_own_run_only() {
    let world = world().await;
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("file"), "other").unwrap();
    let gate = Arc::new(Gate::default());
    let blocked = gate.clone();
    let daemon = Daemon::start(&world, move |nth| {
        if nth == 0 {
            blocked.wait();
        }
    });
    let server = &world.server;
    server.lock().queued = true;
    until("it is not given up", || !server.lock().aborts.is_empty()).await;
    let reason = server.lock().aborts[0].clone();
    let path = world.path("data").to_str().unwrap().to_owned();
    assert!(
        reason.contains(&format!("reading below {path} has not come back")),
        "{reason}"
    );
    assert!(!reason.contains(&format!("{path}/")), "{reason}");
    assert_eq!(server.lock().may_pass, [true]);
    // The next source begins, and ends, at once.
    let first = {
        let mut inner = server.lock();
        let first = inner.source.clone().unwrap();
        let source = inner.source.as_mut().unwrap();
        source.id = SourceId::from_uuid(uuid::Uuid::from_u128(78));
        source.paths = vec![other.path().to_str().unwrap().to_owned()];
        inner.queued = true;
        first
    };
    let took = until("the other source", || daemon.told.snapshots().len() == 1).await;
    assert!(
        took < Duration::from_secs(30),
        "the next source was backed up after {took:?}"
    );
    // The same source fails at once while its read hangs, and goes on when that has come back.
    {
        let mut inner = server.lock();
        (inner.parent, inner.needed) = (None, Default::default());
        inner.source = Some(first.clone());
        inner.queued = true;
    }
    until("the same source", || server.lock().aborts.len() == 2).await;
    let reason = server.lock().aborts[1].clone();
    assert!(reason.contains("still waits for a read"), "{reason}");
    gate.open();
    let begin = clock::monotonic();
    while daemon.told.snapshots().len() < 2 {
        assert!(begin.elapsed() < Duration::from_secs(30));
        server.lock().queued = true;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(daemon.told.snapshots()[1], first.id);
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_daemon_ends_within_ten_seconds_whatever_hangs() {
    let world = world().await;
    let reached = Arc::new(AtomicU32::new(0));
    let begun = reached.clone();
    let daemon = Daemon::start(&world, move |_| {
        begun.fetch_add(1, SeqCst);
        // For as long as the process lives.
        loop {
            std::thread::park();
        }
    });
    world.server.lock().queued = true;
    until("it does not begin", || reached.load(SeqCst) > 0).await;
    let took = daemon.end().await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(world.server.lock().aborts.len(), 1, "the server is told");
    assert_eq!(world.server.lock().may_pass, [true], "the run is given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cancelled_run_ends_within_seconds() {
    let world = world().await;
    let slow = |_| std::thread::sleep(Duration::from_millis(200));
    let daemon = Daemon::start(&world, slow);
    world.server.lock().queued = true;
    until("it does not begin", || {
        let events = daemon.told.0.lock().unwrap();
        events.iter().any(|event| matches!(event, Event::Progress { .. }))
    })
    .await;
    world.server.lock().run_over = true;
    // The agent asks for work again when the run has ended.
    let took = until("it goes on", || {
        let mut inner = world.server.lock();
        inner.queued = true;
        inner.runs == 2
    })
    .await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(daemon.told.snapshots(), []);
    world.server.lock().queued = false;
    daemon.end().await;
}
