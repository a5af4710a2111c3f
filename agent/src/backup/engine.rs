//! The engine of a backup: from a source and a cache to sealed objects and a manifest. Knows neither server nor
//! network.

use std::{
    collections::{HashMap, HashSet},
    path::{Component, Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
};

use repository::{
    chunk::SourceSecret,
    identity::AgentSigningKey,
    index,
    manifest::{ManifestContent, ManifestParent, NewManifest},
    object_list,
    pack::PackLayout,
    recovery::RecoveryPublicKey,
};
use shared::{
    api::agent::{RunPhase, SnapshotTotals, SourceSpec},
    ids::{AgentId, RunId},
    object::{ObjectHash, ObjectRef},
};

use super::{
    BackupError,
    count::count,
    excludes::Excludes,
    pack::pack_all,
    scan::{Scanned, Scanner},
    segments::{Fresh, Moved, plan_segments, split_written},
};
use crate::{
    cache::{CacheRun, Head, PackInfo},
    clock, enroll,
    progress::{Observer, RunCounters},
    random,
    store::ObjectSink,
};

/// Fresh chunks on their way to the packer.
const CHUNKS_IN_FLIGHT: usize = 8;

/// What a run works with.
pub struct Job<'a> {
    /// This agent.
    pub agent_id: AgentId,
    /// The run.
    pub run_id: RunId,
    /// What to back up.
    pub source: &'a SourceSpec,
    /// What to build on.
    pub parent: Parent,
    /// Packs whose chunks count as absent.
    pub do_not_reuse: &'a [ObjectHash],
    /// Signs the manifest.
    pub signing_key: &'a AgentSigningKey,
    /// The source's secret.
    pub secret: &'a SourceSecret,
    /// What to seal to.
    pub recovery: &'a RecoveryPublicKey,
    /// Never backed up.
    pub state_folder: Option<&'a Path>,
    /// Figures.
    pub counters: &'a RunCounters,
    /// Who is told of warnings.
    pub observer: &'a dyn Observer,
}

/// The snapshot that a run builds on, as far as it is not in the cache.
#[derive(Debug, Clone, Default)]
pub struct Parent {
    /// Its number; 0 when there is none.
    pub seq: u64,
    /// Its manifest; `None` when there is none.
    pub manifest: Option<ObjectHash>,
    /// Objects that it needs and the cache does not know: they can only be dropped.
    pub unlisted: Vec<ObjectRef>,
}

/// Everything uploaded, ready to be committed.
pub struct Prepared {
    /// The manifest.
    pub manifest: ObjectRef,
    /// The parent's number.
    pub parent_seq: u64,
    /// Objects needed now and not by the parent.
    pub added: Vec<ObjectRef>,
    /// Objects needed by the parent and not now.
    pub dropped: Vec<ObjectHash>,
    /// Every object needed now.
    pub objects: Vec<ObjectRef>,
    /// Totals, as in the manifest.
    pub totals: SnapshotTotals,
    gone: Vec<u64>,
    moved: Moved,
    fresh: Fresh,
}

impl Prepared {
    /// Writes the cache, after the snapshot is complete.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remember(self, run: CacheRun, head: &Head) -> Result<(), BackupError> {
        run.remove_packs(&self.gone)?;
        for (segment, packs) in &self.moved {
            run.move_packs(packs, *segment)?;
        }
        for (segment, layouts) in &self.fresh {
            run.add_packs(layouts, *segment)?;
        }
        run.set_head(head)?;
        Ok(run.commit()?)
    }
}

/// Walks the source, hands every new object to `sink` in the order that the format demands, the manifest last, and
/// waits until all of them are stored.
///
/// # Errors
/// See [`BackupError`].
pub fn prepare(job: &Job<'_>, run: &CacheRun, sink: &dyn ObjectSink) -> Result<Prepared, BackupError> {
    let packs = run.packs()?;
    let unwanted: HashSet<&ObjectHash> = job.do_not_reuse.iter().collect();
    let blocked: HashSet<u64> = packs
        .iter()
        .filter(|(_, info)| unwanted.contains(&info.object.hash))
        .map(|(number, _)| *number)
        .collect();

    let (scanned, fresh) = scan(job, run, &packs, &blocked, sink)?;
    job.counters.enter(RunPhase::Finish);
    sink.flush()?;

    let plan = plan_segments(run, &packs, &scanned.used, fresh)?;
    let mut written = Vec::new();
    let mut sent: u64 = 0;
    for layouts in plan.write {
        let plain: Vec<PackLayout> = layouts.iter().map(|(_, layout)| layout.clone()).collect();
        let (segment, bytes) = index::seal(
            &plain,
            &job.secret.index_key(),
            job.recovery,
            &mut random::draw()?,
        )?;
        sent += segment.size_bytes;
        sink.put(segment, bytes)?;
        written.push((segment, layouts));
    }
    sink.flush()?;

    let mut objects: Vec<ObjectRef> = scanned.used.iter().map(|number| packs[number].object).collect();
    objects.extend(plan.keep);
    for (segment, layouts) in &written {
        objects.push(*segment);
        for (number, layout) in layouts {
            if number.is_none() {
                sent += layout.object.size_bytes;
                objects.push(layout.object);
            }
        }
    }
    objects.sort_unstable_by_key(object_list::sort_key);
    objects.dedup();

    let totals = SnapshotTotals {
        bytes_sent: sent,
        ..scanned.totals
    };
    let (manifest, bytes) = seal_manifest(job, &objects, totals, scanned.roots, scanned.warnings)?;
    sink.put(manifest, bytes)?;
    sink.flush()?;

    let before: HashSet<ObjectRef> = packs
        .values()
        .flat_map(|info| [info.object, info.segment])
        .chain(job.parent.unlisted.iter().copied())
        .collect();
    let now: HashSet<ObjectRef> = objects.iter().copied().collect();
    let mut dropped: Vec<ObjectHash> = before.difference(&now).map(|object| object.hash).collect();
    dropped.sort_unstable();
    let (moved, fresh) = split_written(written);
    Ok(Prepared {
        manifest,
        parent_seq: job.parent.seq,
        added: objects
            .iter()
            .filter(|object| !before.contains(object))
            .copied()
            .collect(),
        dropped,
        objects,
        totals,
        gone: packs
            .keys()
            .filter(|number| !scanned.used.contains(number))
            .copied()
            .collect(),
        moved,
        fresh,
    })
}

fn scan(
    job: &Job<'_>,
    run: &CacheRun,
    packs: &HashMap<u64, PackInfo>,
    blocked: &HashSet<u64>,
    sink: &dyn ObjectSink,
) -> Result<(Scanned, Vec<PackLayout>), BackupError> {
    let roots = roots(job)?;
    let walks: Vec<(PathBuf, Excludes)> = roots
        .iter()
        .map(|(_, walked)| {
            let excludes = Excludes::new(walked, &job.source.excludes, job.state_folder)?;
            Ok((walked.clone(), excludes))
        })
        .collect::<Result<_, BackupError>>()?;
    let (out, chunks) = mpsc::sync_channel(CHUNKS_IN_FLIGHT);
    let mut scanner = Scanner {
        secret: job.secret,
        names: job.secret.chunk_key(),
        chunker: job.secret.chunker(),
        tables: run.tables()?,
        packs,
        blocked,
        out,
        counters: job.counters,
        observer: job.observer,
        found: Scanned {
            roots: Vec::new(),
            warnings: Vec::new(),
            totals: SnapshotTotals::default(),
            used: HashSet::new(),
        },
        fresh: HashSet::new(),
        devices: Vec::new(),
        linked: HashMap::new(),
        folders_seen: HashSet::new(),
        buffer: Vec::new(),
    };
    let walked = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let packer = scope.spawn(|| {
            // Owned here, so that a packer that gives up stops the walk.
            let chunks = chunks;
            pack_all(&chunks, job.recovery, sink)
        });
        scope.spawn(|| count(&walks, job.counters, &|| walked.load(Relaxed)));
        let walk = || -> Result<Scanned, BackupError> {
            for ((path, _), (walked, excludes)) in roots.iter().zip(&walks) {
                scanner.root(path, walked, excludes)?;
            }
            // Also closes the channel to the packer.
            scanner.finish()
        };
        let scanned = walk();
        walked.store(true, Relaxed);
        let packed = packer
            .join()
            .unwrap_or_else(|_| Err(BackupError::Thread("the packer panicked".to_owned())));
        match (scanned, packed) {
            (Ok(scanned), Ok(packed)) => {
                if scanned.roots.is_empty() {
                    return Err(BackupError::NothingThere);
                }
                Ok((scanned, packed))
            }
            // The walk stops because the packer did: its reason is the cause.
            (Err(BackupError::Stopped) | Ok(_), Err(error)) | (Err(error), _) => Err(error),
        }
    })
}

/// The source's paths in order, without those below another, each with the place where the walk begins: a path
/// that is a link is followed.
fn roots(job: &Job<'_>) -> Result<Vec<(PathBuf, PathBuf)>, BackupError> {
    let mut paths = Vec::new();
    for text in &job.source.paths {
        let path = Path::new(text);
        let plain = path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !path.is_absolute() || !plain {
            return Err(BackupError::Path(text.clone()));
        }
        // Without doubled or trailing slashes.
        paths.push(path.components().collect::<PathBuf>());
    }
    paths.sort_unstable();
    paths.dedup();
    let all = paths.clone();
    paths.retain(|path| !all.iter().any(|other| other != path && path.starts_with(other)));
    Ok(paths
        .into_iter()
        .map(|path| {
            let walked = path.canonicalize().unwrap_or_else(|_| path.clone());
            (path, walked)
        })
        .collect())
}

fn seal_manifest(
    job: &Job<'_>,
    objects: &[ObjectRef],
    totals: SnapshotTotals,
    roots: Vec<repository::manifest::Root>,
    warnings: Vec<repository::manifest::Warning>,
) -> Result<(ObjectRef, Vec<u8>), BackupError> {
    let manifest = NewManifest {
        agent_id: job.agent_id,
        source_id: job.source.id,
        run_id: job.run_id,
        parent: job.parent.manifest.map(|manifest| ManifestParent {
            seq: job.parent.seq,
            manifest,
        }),
        created_at: clock::now(),
        totals,
        objects: objects.to_vec(),
        certificate: None,
        content: ManifestContent {
            source_name: job.source.name.clone(),
            hostname: enroll::hostname(),
            roots,
            chunk_key: job.secret.chunk_key(),
            warnings,
        },
    };
    Ok(manifest.seal(job.recovery, job.signing_key, &mut random::draw()?)?)
}
