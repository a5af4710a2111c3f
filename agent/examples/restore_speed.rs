//! Measures a restore alone: backs a real tree up into memory, then restores it below a folder, and prints what that
//! took. No server, no network, no storage: what is left is the engine and the file system.
//!
//! ```text
//! cargo run --release -p agent --example restore_speed -- /usr /var/tmp/restored [--rounds 3] [--verify]
//! ```

use std::{
    collections::HashMap,
    io::Write,
    ops::Range,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use agent::{
    backup::{Job, Parent, prepare},
    cache::Cache,
    clock,
    progress::{RestoreCounters, RunCounters, Silent},
    restore::{Order, restore_from},
    snapshot::Snapshot,
    store::{ObjectSink, ObjectSource, ReadError, Stopped},
};
use repository::{
    chunk::SourceSecret,
    identity::AgentSigningKey,
    manifest,
    recovery::{RecoverySecret, RecoverySeed},
};
use shared::{
    api::agent::{SourceOptions, SourceSpec},
    ids::{AgentId, RunId, SourceId},
    object::{ObjectHash, ObjectRef},
};

/// A bucket in memory.
#[derive(Default)]
struct Memory {
    objects: Mutex<HashMap<ObjectHash, std::sync::Arc<Vec<u8>>>>,
    reads: AtomicU64,
    bytes: AtomicU64,
}

impl ObjectSink for Memory {
    fn put(&self, object: ObjectRef, bytes: bytes::Bytes) -> Result<(), Stopped> {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.insert(object.hash, std::sync::Arc::new(bytes.to_vec()));
        Ok(())
    }

    fn flush(&self) -> Result<(), Stopped> {
        Ok(())
    }
}

impl ObjectSource for Memory {
    fn read(&self, object: &ObjectRef, range: Option<Range<u64>>) -> Result<Vec<u8>, ReadError> {
        let objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let found = objects.get(&object.hash).cloned();
        drop(objects);
        let bytes = found.ok_or(ReadError::Storage {
            object: object.hash,
            status: 404,
            code: String::new(),
        })?;
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let part = range.map_or(&bytes[..], |range| &bytes[at(range.start)..at(range.end)]);
        self.reads.fetch_add(1, Relaxed);
        self.bytes.fetch_add(part.len() as u64, Relaxed);
        Ok(part.to_vec())
    }
}

fn back_up(paths: Vec<String>, kit: &RecoverySecret, bucket: &Memory) -> anyhow::Result<ObjectRef> {
    let temporary = tempfile::tempdir()?;
    let cache = Cache::open(&temporary.path().join("cache"))?;
    let run = cache.begin()?;
    let spec = SourceSpec {
        id: SourceId::from_uuid(uuid::Uuid::from_u128(2)),
        name: "bench".to_owned(),
        paths,
        excludes: Vec::new(),
        options: SourceOptions::default(),
    };
    let job = Job {
        agent_id: AgentId::from_uuid(uuid::Uuid::from_u128(1)),
        run_id: RunId::from_uuid(uuid::Uuid::from_u128(3)),
        source: &spec,
        parent: Parent::default(),
        do_not_reuse: &[],
        signing_key: &AgentSigningKey::from_seed([3; 32]),
        secret: &SourceSecret::from_bytes([4; 32]),
        recovery: kit.public(),
        state_folder: None,
        adopted: &[],
        settle: agent::backup::MTIME_TRUST_DELAY,
        counters: &RunCounters::new(),
        observer: &Silent,
        users: &agent::owners::Users::default(),
    };
    Ok(prepare(&job, &run, bucket)?.manifest)
}

/// Seconds of all cores that this process has used.
fn cpu_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

fn main() -> anyhow::Result<()> {
    let mut paths = Vec::new();
    let (mut rounds, mut verify) = (1, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = arguments.next().unwrap_or_default().parse()?,
            "--verify" => verify = true,
            _ => paths.push(argument),
        }
    }
    let target = PathBuf::from(paths.pop().unwrap_or_default());
    anyhow::ensure!(
        !paths.is_empty(),
        "name the folders to back up, and where to restore them"
    );
    let kit = RecoverySeed::from_bytes([9; 32]).secret();
    let bucket = Memory::default();
    let stored = back_up(paths, &kit, &bucket)?;
    for _ in 0..rounds {
        std::fs::remove_dir_all(&target).ok();
        bucket.reads.store(0, Relaxed);
        bucket.bytes.store(0, Relaxed);
        let (began, cpu) = (clock::monotonic(), cpu_seconds());
        let bytes = bucket.read(&stored, None)?;
        let header = manifest::open_header_of_any(&bytes)?;
        let snapshot = Snapshot::open(&bucket, &bytes, &header, &kit)?;
        let order = Order {
            target: target.clone(),
            verify,
            ..Order::default()
        };
        let counters = RestoreCounters::default();
        let outcome = restore_from(&bucket, &snapshot, &kit, &[], &order, &counters)?;
        let took = began.elapsed().as_secs_f64();
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(
            std::io::stdout(),
            "{took:6.2} s, cpu {:6.2} s, {:7.1} MiB/s of {:.0} MiB in {} files and folders; read {:.0} MiB in {} parts; {} lost",
            cpu_seconds() - cpu,
            mib(counters.report().bytes_done) / took,
            mib(counters.report().bytes_done),
            counters.report().files_done,
            mib(bucket.bytes.load(Relaxed)),
            bucket.reads.load(Relaxed),
            outcome.losses.len(),
        )?;
    }
    Ok(())
}
