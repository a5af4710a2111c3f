//! Measures the engine alone: backs a real tree up into a sink that throws everything away, then again with
//! nothing changed, and prints what each run took. No server, no network, no storage: what is left is the engine.
//!
//! ```text
//! cargo run --release -p agent --example engine_speed -- /usr [--rounds 3] [--cache FOLDER]
//! ```

use std::{
    io::Write,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use agent::{
    backup::{Job, Parent, prepare},
    cache::{Cache, Head},
    clock,
    progress::{RunCounters, Silent},
    store::{ObjectSink, Stopped},
};
use bytes::Bytes;
use md5::{Digest, Md5};
use repository::{
    chunk::SourceSecret,
    identity::AgentSigningKey,
    recovery::{RecoverySecret, RecoverySeed},
};
use shared::{
    api::agent::{SourceOptions, SourceSpec},
    ids::{AgentId, RunId, SourceId},
    object::{ObjectHash, ObjectRef},
};

/// Counts and forgets. The MD5 is part of what every upload costs.
#[derive(Default)]
struct Nowhere {
    objects: AtomicU64,
    bytes: AtomicU64,
}

impl ObjectSink for Nowhere {
    fn put(&self, object: ObjectRef, bytes: Bytes) -> Result<(), Stopped> {
        std::hint::black_box(Md5::digest(&bytes));
        self.objects.fetch_add(1, Relaxed);
        self.bytes.fetch_add(object.size_bytes, Relaxed);
        Ok(())
    }

    fn flush(&self) -> Result<(), Stopped> {
        Ok(())
    }
}

struct Bench {
    kit: RecoverySecret,
    key: AgentSigningKey,
    secret: SourceSecret,
    spec: SourceSpec,
    cache: PathBuf,
    seq: u64,
    manifest: Option<ObjectHash>,
}

impl Bench {
    fn run(&mut self, what: &str) -> anyhow::Result<()> {
        let (began, cpu) = (clock::monotonic(), cpu_seconds());
        let cache = Cache::open(&self.cache)?;
        let run = cache.begin()?;
        let counters = RunCounters::new();
        let sink = Nowhere::default();
        let job = Job {
            agent_id: AgentId::from_uuid(uuid::Uuid::from_u128(1)),
            run_id: RunId::from_uuid(uuid::Uuid::from_u128(3)),
            source: &self.spec,
            parent: Parent {
                seq: self.seq,
                manifest: self.manifest,
                unlisted: Vec::new(),
                list: run.list()?.unwrap_or_default(),
            },
            do_not_reuse: &[],
            signing_key: &self.key,
            secret: &self.secret,
            recovery: self.kit.public(),
            state_folder: None,
            adopted: &[],
            settle: jiff::SignedDuration::ZERO,
            counters: &counters,
            observer: &Silent,
            users: &agent::owners::Users::default(),
        };
        let prepared = prepare(&job, &run, &sink)?;
        let ready = began.elapsed();
        let totals = prepared.totals;
        self.seq += 1;
        self.manifest = Some(prepared.manifest.hash);
        let head = Head {
            seq: self.seq,
            manifest: prepared.manifest.hash,
            instance_id: "bench".to_owned(),
        };
        prepared.remember(run, &head)?;
        let all = began.elapsed();
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(
            std::io::stdout(),
            "{what:9} {:7.2} s, cache {:5.2} s, cpu {:6.2} s, {:7.1} MiB/s of {:.0} MiB in {} files and {} folders; read {:.0} MiB, stored {:.0} MiB in {} objects; {} warnings; peak {} MiB",
            ready.as_secs_f64(),
            (all - ready).as_secs_f64(),
            cpu_seconds() - cpu,
            mib(totals.bytes) / ready.as_secs_f64(),
            mib(totals.bytes),
            totals.files,
            totals.folders,
            mib(counters.bytes_read.load(Relaxed)),
            mib(sink.bytes.load(Relaxed)),
            sink.objects.load(Relaxed),
            totals.warnings,
            peak_mib(),
        )?;
        Ok(())
    }
}

/// Seconds of all cores that this process has used.
fn cpu_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// The most memory that this process ever held at once.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or_default()
        / 1024
}

fn main() -> anyhow::Result<()> {
    let mut paths = Vec::new();
    let (mut rounds, mut folder) = (1, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = arguments.next().unwrap_or_default().parse()?,
            "--cache" => folder = arguments.next().map(PathBuf::from),
            _ => paths.push(argument),
        }
    }
    anyhow::ensure!(!paths.is_empty(), "name the folders to back up");
    for _ in 0..rounds {
        let temporary = tempfile::tempdir()?;
        let mut bench = Bench {
            kit: RecoverySeed::from_bytes([9; 32]).secret(),
            key: AgentSigningKey::from_seed([3; 32]),
            secret: SourceSecret::from_bytes([4; 32]),
            spec: SourceSpec {
                id: SourceId::from_uuid(uuid::Uuid::from_u128(2)),
                name: "bench".to_owned(),
                paths: paths.clone(),
                excludes: Vec::new(),
                options: SourceOptions::default(),
            },
            cache: folder.as_deref().unwrap_or(temporary.path()).join("cache"),
            seq: 0,
            manifest: None,
        };
        bench.run("first")?;
        bench.run("unchanged")?;
    }
    Ok(())
}
