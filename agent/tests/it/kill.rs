//! The agent is killed at random points of its runs (SIGKILL: nothing can be tidied up), again and again, while its files
//! change. What it has promised holds: the next run completes, every snapshot that was committed comes back as the files
//! were, and a pack that has arrived is not sent a second time.
//!
//! `HOLDFAST_KILL_SEED` chooses where, `cargo xtask test --long` runs more rounds.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    io::Write,
    os::unix::{fs::symlink, process::ExitStatusExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use agent::{
    progress::Silent,
    restore::{Order, Request},
};
use repository::{
    chunk::ChunkId,
    pack::{OpenPack, PackKey},
    recovery::RecoverySecret,
};
use shared::{
    api::agent::SnapshotSummary,
    object::{ObjectHash, ObjectKind, ObjectRef},
};

use crate::rounds::rounds;
use crate::support::server::{Call, Hook, Server, TOKEN};
use crate::support::tree::{describe, set_time};

const ROUNDS: u32 = 12;
/// So many hit every point.
const MANY: u32 = 100;
/// No answer, no kill: then something hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Repeatable randomness: SplitMix64.
struct Random(u64);

impl Random {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn noise(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        blake3::Hasher::new()
            .update(&self.roll().to_le_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    }
}

/// When the agent is killed.
#[derive(Debug, Clone, Copy)]
enum Point {
    /// So long after its start.
    After(Duration),
    /// So long after this call reached the server for the nth time, and before it has any effect when that is at once.
    At(Call, u64, Duration),
}

const CALLS: [Call; 9] = [
    Call::Start,
    Call::Uploads,
    Call::Put(ObjectKind::Pack),
    Call::Put(ObjectKind::TreePack),
    Call::Put(ObjectKind::Index),
    Call::Put(ObjectKind::Manifest),
    Call::Page,
    Call::Commit,
    Call::Status,
];

impl Point {
    fn random(random: &mut Random, usual: Duration) -> Self {
        if random.below(4) == 0 {
            return Self::After(usual.mul_f64(random.below(1200) as f64 / 1000.0));
        }
        let call = CALLS[usize::try_from(random.below(CALLS.len() as u64)).unwrap()];
        let nth = match call {
            Call::Uploads => 1 + random.below(6),
            Call::Put(ObjectKind::Pack) | Call::Page => 1 + random.below(2),
            _ => 1,
        };
        let pause =
            Duration::from_micros([0, 0, 300, 2000, 9000, 30_000][usize::try_from(random.below(6)).unwrap()]);
        Self::At(call, nth, pause)
    }
}

struct World {
    folder: tempfile::TempDir,
    server: Server,
    kit: RecoverySecret,
    random: Random,
    /// Of a run that nothing disturbs.
    usual: Duration,
    /// Packs that have arrived since the last commit.
    pending: HashSet<ObjectHash>,
    /// Those of them that had arrived when the last run began.
    earlier: HashSet<ObjectHash>,
    /// How much of what was stored has been looked at.
    looked_at: usize,
    /// What the files looked like when the nth run was under way.
    looks: BTreeMap<u32, BTreeMap<Vec<u8>, String>>,
    /// Snapshots that have been restored and compared.
    compared: usize,
    /// Packs of runs that were killed, which a later one has taken over.
    taken_over: usize,
}

impl World {
    async fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = agent::keygen(&folder.path().join("kit")).unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let server = Server::start(key.clone(), &[&data]).await;
        let address = server.lock().address.clone();
        agent::enroll(&folder.path().join("state"), &address, TOKEN, key.fingerprint())
            .await
            .unwrap();
        let kit = agent::keygen::read_kit(&folder.path().join("kit"))
            .unwrap()
            .secret();
        Self {
            folder,
            server,
            kit,
            random: Random(seed),
            usual: Duration::from_millis(300),
            pending: HashSet::new(),
            earlier: HashSet::new(),
            looked_at: 0,
            looks: BTreeMap::new(),
            compared: 0,
            taken_over: 0,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path("data").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        set_time(&path, 1_600_000_000 + i64::from(bytes[0]), 123_456_789);
    }

    /// A few files more, fewer, or others; now and then enough of them for several packs.
    fn edit(&mut self, much: bool) {
        if much {
            let bytes = self.random.noise(18 << 20);
            self.write("large", &bytes);
        }
        for _ in 0..self.random.below(6) {
            let name = format!("d{}/f{}", self.random.below(6), self.random.below(30));
            let path = self.path("data").join(&name);
            match self.random.below(8) {
                0 => drop(fs::remove_file(path)),
                1 => {
                    let other = path.with_extension("moved");
                    drop(fs::rename(&path, other));
                }
                2 => {
                    let _ = fs::remove_file(&path);
                    if path.parent().unwrap().is_dir() {
                        symlink(format!("to-{}", self.random.below(9)), &path).unwrap();
                    }
                }
                _ => {
                    let _ = fs::remove_file(&path);
                    let size = 1 + usize::try_from(self.random.below(300_000)).unwrap();
                    let bytes = self.random.noise(size);
                    self.write(&name, &bytes);
                }
            }
        }
    }

    fn agent(&self) -> Child {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        Command::new(env!("CARGO_BIN_EXE_holdfast-agent"))
            .args(["backup", "--json", "--state"])
            .arg(self.path("state"))
            .env("HOLDFAST_LOG", "warn")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Runs the agent, which is killed at `point` if it gets there. Whether it went through.
    fn run(&mut self, point: Option<Point>) -> bool {
        let before = self.chunks_that_are_there();
        self.earlier.clone_from(&self.pending);
        // A run of an agent that was killed may begin late; it goes no further.
        let look = describe(&self.path("data"));
        let first = self.server.lock().runs + 1;
        let due = Arc::new(Mutex::new(None));
        let server = self.server.clone();
        let began = agent::clock::monotonic();
        let mut child = {
            // With the lock, so that it gets no answer before the hook is there.
            let mut inner = server.lock();
            let child = self.agent();
            inner.hook =
                point.map(|point| killer(point, rustix::process::Pid::from_child(&child), due.clone()));
            child
        };
        if let Some(Point::After(pause)) = point {
            *due.lock().unwrap() = Some(began + pause);
        }
        let status = loop {
            {
                // With the lock, so that no hook has the number of one that was waited for.
                let mut inner = server.lock();
                if let Some(status) = child.try_wait().unwrap() {
                    inner.hook = None;
                    break status;
                }
            }
            let now = agent::clock::monotonic();
            assert!(now < began + ANSWER_TIMEOUT, "the agent hangs: {point:?}");
            if due.lock().unwrap().is_some_and(|due| due <= now) {
                child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        if point.is_none() {
            self.usual = began.elapsed();
        }
        if !status.success() {
            let log = fs::read_to_string(self.path("log")).unwrap();
            assert_eq!(status.signal(), Some(9), "{log}");
        }
        let last = server.lock().runs;
        self.looks.extend((first..=last).map(|run| (run, look.clone())));
        self.look_at_what_was_sent(&before);
        status.success()
    }

    /// The chunks of packs that the newest snapshot needs, or that have arrived since.
    fn chunks_that_are_there(&self) -> HashSet<ChunkId> {
        let inner = self.server.lock();
        let needed = inner.needed.iter().map(|object| object.hash);
        needed
            .chain(self.pending.iter().copied())
            .map(|hash| &inner.bucket[&hash])
            .flat_map(|(object, bytes)| chunks(object, bytes, &self.kit))
            .collect()
    }

    fn look_at_what_was_sent(&mut self, before: &HashSet<ChunkId>) {
        let inner = self.server.lock();
        let sent = &inner.stored[self.looked_at..];
        for object in sent {
            for chunk in chunks(object, &inner.bucket[&object.hash].1, &self.kit) {
                assert!(
                    !before.contains(&chunk),
                    "{chunk:?} was sent again, in {object:?}"
                );
            }
            if matches!(object.kind, ObjectKind::Pack | ObjectKind::TreePack) {
                self.pending.insert(object.hash);
            }
        }
        self.looked_at = inner.stored.len();
    }

    /// Restores every snapshot that is new and compares it with the files as its run found them.
    async fn compare(&mut self) {
        let snapshots: Vec<(SnapshotSummary, u32)> = {
            let inner = self.server.lock();
            let all = inner.snapshots.iter().zip(&inner.made_by);
            all.skip(self.compared)
                .map(|((summary, _), run)| (summary.clone(), *run))
                .collect()
        };
        if snapshots.is_empty() {
            return;
        }
        for (snapshot, run) in &snapshots {
            assert_eq!(self.restored(snapshot).await, self.looks[run], "{snapshot:?}");
        }
        self.compared += snapshots.len();
        // Other packs of runs that broke off are nobody's now: the agent need not know them any more.
        let mut inner = self.server.lock();
        let needed: HashSet<ObjectHash> = inner.needed.iter().map(|object| object.hash).collect();
        self.taken_over += self.earlier.intersection(&needed).count();
        self.pending.clear();
        let newest = inner.snapshots.last().unwrap().1.hash;
        inner
            .bucket
            .retain(|hash, _| needed.contains(hash) || newest == *hash);
        inner.stored.clear();
        self.looked_at = 0;
    }

    async fn restored(&self, snapshot: &SnapshotSummary) -> BTreeMap<Vec<u8>, String> {
        let target = tempfile::tempdir().unwrap();
        let request = Request {
            snapshot: snapshot.id,
            paths: Vec::new(),
            order: Order {
                target: target.path().to_owned(),
                ..Order::default()
            },
            expected: agent::snapshot::Expected::default(),
            commit_key: None,
        };
        let report = agent::restore(&self.path("state"), &request, &self.path("kit"), Arc::new(Silent))
            .await
            .unwrap();
        assert_eq!(report.outcome.losses, []);
        describe(&target.path().join(self.path("data").strip_prefix("/").unwrap()))
    }
}

/// Kills when the point is reached, or says when it is to be done.
fn killer(point: Point, pid: rustix::process::Pid, due: Arc<Mutex<Option<Instant>>>) -> Hook {
    let mut seen = 0;
    Box::new(move |found| {
        let Point::At(call, nth, pause) = point else {
            return;
        };
        if found != call {
            return;
        }
        seen += 1;
        if seen != nth {
            return;
        }
        if pause.is_zero() {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        } else {
            *due.lock().unwrap() = Some(agent::clock::monotonic() + pause);
        }
    })
}

fn chunks(object: &ObjectRef, bytes: &[u8], kit: &RecoverySecret) -> Vec<ChunkId> {
    if !matches!(object.kind, ObjectKind::Pack | ObjectKind::TreePack) {
        return Vec::new();
    }
    let key = PackKey::open(object.kind, bytes, kit).unwrap();
    let pack = OpenPack::new(object.kind, bytes, &key).unwrap();
    let range = pack.footer_range();
    let footer = &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
    pack.footer(footer)
        .unwrap()
        .iter()
        .map(|entry| entry.id)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_point_it_loses_nothing_and_sends_nothing_twice() {
    let rounds = rounds(ROUNDS);
    let seed = std::env::var("HOLDFAST_KILL_SEED").map_or(1, |text| text.parse().unwrap());
    let mut world = World::new(seed).await;
    for number in 0..60 {
        let bytes = world.random.noise(10_000 + 1000 * number);
        world.write(&format!("d{}/f{number}", number % 6), &bytes);
    }
    let mut kills: BTreeMap<Option<Call>, u32> = BTreeMap::new();
    let mut much = true;
    for round in 0..rounds {
        world.edit(much);
        let point = Point::random(&mut world.random, world.usual);
        let went_through = world.run(Some(point));
        let kind = match point {
            Point::After(_) => None,
            Point::At(call, ..) => Some(call),
        };
        *kills.entry(kind).or_default() += u32::from(!went_through);
        let known = world.compared;
        world.compare().await;
        assert!(!went_through || world.compared > known);
        much = world.compared > known;
        // Some are killed again before one goes through.
        if round + 1 == rounds || world.random.below(2) == 0 {
            world.edit(false);
            let known = world.compared;
            assert!(world.run(None));
            world.compare().await;
            assert!(world.compared > known);
            much = true;
        }
    }
    let killed: u32 = kills.values().sum();
    let told = format!(
        "seed {seed}: {rounds} rounds, {killed} killed, {} snapshots, {} packs taken over, {kills:?}",
        world.compared, world.taken_over
    );
    let _ = writeln!(std::io::stderr(), "{told}");
    if rounds >= MANY {
        assert!(killed > rounds / 2, "{told}");
        assert!(world.taken_over > 10, "{told}");
        let everywhere = CALLS.map(Some).into_iter().chain([None]);
        for call in everywhere {
            assert!(
                kills.get(&call).is_some_and(|count| *count > 0),
                "{call:?}: {told}"
            );
        }
    }
}

/// Between two pages of its change, after the last, and when the commit is durable: the agent that comes next brings the run to
/// its snapshot, and does not read the files of that run again.
#[tokio::test(flavor = "multi_thread")]
async fn killed_in_its_commit_the_run_still_becomes_its_snapshot() {
    let mut world = World::new(7).await;
    let mut bytes = 0;
    let mut expected = vec![1];
    world.write("stays", &[1; 50_000]);
    assert!(world.run(None));
    for (call, nth) in [(Call::Page, 1), (Call::Page, 2), (Call::Commit, 1)] {
        bytes += 1;
        // The listing changes too: one pack of it is added, and one dropped.
        world.write("changes", &[bytes; 70_000]);
        let before = world.server.lock().runs;
        assert!(!world.run(Some(Point::At(call, nth, Duration::ZERO))));
        {
            let server = world.server.lock();
            assert_eq!(server.runs, before + 1);
            assert!(call != Call::Page || server.pages.len() as u64 == nth, "{call:?}");
        }
        world.write("changes", &[bytes + 100; 70_000]);
        assert!(world.run(None));
        expected.extend([before + 1, before + 2]);
        let server = world.server.lock();
        assert_eq!(server.made_by, expected, "{call:?} {nth}");
        assert_eq!(server.pages_again, 0, "no page was sent twice");
    }
    world.compare().await;
    assert_eq!(world.compared, expected.len());
}
