//! `cargo xtask bench engine`: first backup, unchanged second backup, 1 % changed, restore; our engine and those of others
//! take turns on the same files and the same S3 endpoint, so that a noisy machine is noisy for all.

mod data;
mod holdfast;
mod measure;
mod peers;
mod phase;
mod table;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build::{self, Built},
    clock, say,
    setup::{self, Need},
    stack::{Plan, Stack, endpoint::Endpoint, port, secrets::Secrets},
    story::bucket::Bucket,
    workspace::Workspace,
};
use data::DataSet;
use holdfast::Holdfast;
use peers::Peer;
use phase::{BenchPaths, Phase, Results};

/// Options of `cargo xtask bench engine`.
#[derive(clap::Args)]
pub struct Args {
    /// What to back up; may be repeated [default: system]
    #[arg(long = "data", value_enum)]
    data: Vec<DataSet>,
    /// The folder that `system` copies
    #[arg(long, default_value = "/usr")]
    system: PathBuf,
    /// How often each engine does everything
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// The S3 endpoint; may be repeated [default: lockbox, and Ceph's gateway where it is installed]
    #[arg(long = "s3", value_enum)]
    endpoints: Vec<Endpoint>,
    /// Where S3 keeps its data; a folder in memory leaves the disk out
    #[arg(long, default_value = "/dev/shm")]
    memory: PathBuf,
    /// Where the files lie
    #[arg(long, default_value = "/var/tmp")]
    disk: PathBuf,
    /// Where they are restored to [default: where they lie]
    #[arg(long)]
    target: Option<PathBuf>,
    /// A folder with `holdfast`, `holdfast-agent` and `lockbox`, to measure another build than this tree's
    #[arg(long)]
    programs: Option<PathBuf>,
    /// How many files the set `tiny` has
    #[arg(long, default_value_t = 1_000_000)]
    tiny_files: u64,
}

/// Our next backup reads files again that changed less than this before the last one, whatever their times say. Every engine
/// waits for it.
const MIN_FILE_AGE: Duration = Duration::from_secs(42);

/// `cargo xtask bench engine`.
pub async fn command(args: &Args) -> Result<bool> {
    setup::ensure(&[Need::Compiler, Need::Postgres]).await?;
    let built = match &args.programs {
        Some(folder) => Built::found_in(folder),
        None => build::programs(&Workspace::load()?, true).await?,
    };
    let peers = Peer::installed().await;
    say::doing(&format!("Comparing with {}", peers::names(&peers)));

    let on_disk = folder_in(&args.disk)?;
    let restored = folder_in(args.target.as_ref().unwrap_or(&args.disk))?;
    let sets = if args.data.is_empty() {
        vec![DataSet::System]
    } else {
        args.data.clone()
    };
    let endpoints = match &args.endpoints[..] {
        [] if setup::ceph::is_installed() => &[Endpoint::Lockbox, Endpoint::Ceph],
        [] => &[Endpoint::Lockbox][..],
        chosen => chosen,
    };
    let everything = sets
        .iter()
        .flat_map(|set| endpoints.iter().map(move |on| (*set, *on)));
    for (set, endpoint) in everything {
        let mut files = Files::make(set, args, on_disk.path().join("files")).await?;
        let title = format!("{set} on {}: {}", endpoint.name(), files.made);
        say::doing(&title);
        let mut results = Results::new();
        for round in 1..=args.rounds {
            println!("  round {round} of {}", args.rounds);
            let mut turns = vec![Turn::Holdfast];
            turns.extend(peers.iter().map(Turn::Peer));
            // Whoever comes first finds the coldest caches: that is somebody else each time.
            let shift = round as usize % turns.len();
            turns.rotate_left(shift);
            for turn in turns {
                let place = BenchPaths {
                    files: &files.root.clone(),
                    target: &restored.path().join("restored"),
                    scratch: &on_disk.path().join("scratch"),
                    name: format!("{set}-{round}"),
                };
                fs::create_dir_all(place.scratch)?;
                // Each turn has an empty bucket and an empty database: nobody's data is in the way of the next.
                let memory = folder_in(&args.memory)?;
                let mut stack = Box::pin(start(memory.path(), endpoint, &built)).await?;
                Box::pin(turn.take(&mut stack, &place, &mut files, &mut results)).await?;
                drop(stack);
                remove(place.target).await?;
                remove(place.scratch).await?;
            }
        }
        table::print(&title, &results);
        remove(&files.root).await?;
    }
    Ok(true)
}

fn folder_in(place: &Path) -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("holdfast-bench-")
        .tempdir_in(place)
        .with_context(|| place.display().to_string())?;
    // Postgres' own user passes through.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
    Ok(folder)
}

async fn start(memory: &Path, endpoint: Endpoint, built: &Built) -> Result<Stack> {
    let plan = Plan {
        folder: memory.canonicalize()?,
        secrets: Secrets::make()?,
        server_port: port::any()?,
        endpoint,
        s3_port: port::any()?,
        database_url: None,
        durable: false,
    };
    let stack = Box::pin(Stack::start(plan, built.clone())).await?;
    Bucket::open(&stack, peers::BUCKET).create_plain().await?;
    Ok(stack)
}

/// The files that are backed up, and when they were last changed.
struct Files {
    root: PathBuf,
    made: String,
    changed: Instant,
    changes: u64,
}

impl Files {
    async fn make(set: DataSet, args: &Args, root: PathBuf) -> Result<Self> {
        let made = set.make(&args.system, args.tiny_files, &root).await?;
        // Whoever comes first must not wait for the disk that is still busy with the copy.
        rustix::fs::sync();
        Ok(Self {
            root,
            made,
            changed: clock::start(),
            changes: 0,
        })
    }

    fn change(&mut self) -> Result<()> {
        self.changes += 1;
        data::change(&self.root, self.changes)?;
        self.changed = clock::start();
        Ok(())
    }

    async fn settle(&self) {
        tokio::time::sleep(MIN_FILE_AGE.saturating_sub(self.changed.elapsed())).await;
    }
}

/// Whose turn it is.
enum Turn<'a> {
    Holdfast,
    Peer(&'a Peer),
}

/// An engine with an empty repository.
enum Engine<'a> {
    Holdfast(Holdfast),
    Peer(&'a Peer),
}

impl Turn<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Holdfast => holdfast::NAME,
            Self::Peer(peer) => peer.name(),
        }
    }

    /// All phases, one after the other; a restore is compared with the files.
    async fn take(
        &self,
        stack: &mut Stack,
        place: &BenchPaths<'_>,
        files: &mut Files,
        results: &mut Results,
    ) -> Result<()> {
        let engine = match self {
            Self::Holdfast => Engine::Holdfast(Box::pin(Holdfast::set_up(stack, place)).await?),
            Self::Peer(peer) => {
                peer.begin(stack, place).await?;
                Engine::Peer(peer)
            }
        };
        files.settle().await;
        for (phase, name) in Phase::ALL {
            if phase == Phase::Changed {
                files.change()?;
            }
            let command = match &engine {
                Engine::Peer(peer) => peer.command(stack, place, phase),
                Engine::Holdfast(holdfast) => holdfast.command(stack, place, phase).await?,
            };
            let figures = measure::run(stack, command)
                .await
                .with_context(|| format!("{}, {name}", self.name()))?;
            println!("    {:<9} {:<13} {}", self.name(), name, figures);
            let of_phase = results.entry(self.name()).or_default().entry(phase).or_default();
            of_phase.push(figures);
        }
        if !data::same(place.files, &place.restored()?)? {
            bail!("{} restored something else than the files", self.name());
        }
        Ok(())
    }
}

async fn remove(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let mut command = tokio::process::Command::new("rm");
    command.arg("-rf").arg(folder);
    crate::sh::output(&mut command).await.map(|_| ())
}
