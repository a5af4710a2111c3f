//! The engine of a backup: from a source and a cache to sealed objects and a manifest. Knows neither server nor
//! network.

use std::{
    collections::{HashMap, HashSet},
    path::{Component, Path, PathBuf},
    sync::mpsc,
};

use jiff::SignedDuration;

use repository::{
    chunk::SourceSecret,
    identity::AgentSigningKey,
    index,
    manifest::{ManifestContent, ManifestParent, NewManifest, WarningList},
    object_list::{self, ListPlan, ObjectList},
    pack::PackLayout,
    recovery::RecoveryPublicKey,
};
use shared::{
    api::{
        agent::{PathTotals, RunPhase, SnapshotTotals, SourceSpec},
        commit::PackLiveness,
        report::RunReport,
    },
    ids::{AgentId, RunId},
    object::{ObjectHash, ObjectRef},
};

use super::{
    count::count,
    error::BackupError,
    filter::Filter,
    known::Known,
    list, liveness,
    pack::Packs,
    segments::{Listed, plan_segments},
    walk::{Means, Scanned, walk},
    walker::WalkedRoot,
};
use crate::{
    cache::{CacheRun, Head, PackInfo},
    clock, enroll,
    owners::Users,
    platform,
    progress::{Observer, RunCounters},
    random,
    store::ObjectSink,
};

/// A file that was changed so shortly before it was read is read again by the next run. Whoever has it mapped into
/// memory may go on writing into a page that is dirty without a new time; Linux writes such a page after 30 seconds, and
/// looks for them every 5. (On file systems without a disk it never does: there a mapping that lives on can hide changes.)
pub const MTIME_TRUST_DELAY: SignedDuration = SignedDuration::from_secs(40);

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
    /// Packs of runs that broke off, which the bucket holds: used as if this run had sent them.
    pub adopted: &'a [PackLayout],
    /// How long before it is read a file must have been changed for the last time: [`MTIME_TRUST_DELAY`], but for tests.
    pub settle: SignedDuration,
    /// Figures.
    pub counters: &'a RunCounters,
    /// Who is told of warnings.
    pub observer: &'a dyn Observer,
    /// Names owners and groups.
    pub users: &'a Users,
}

/// The snapshot that a run builds on, as far as it is not in the cache.
#[derive(Debug, Clone, Default)]
pub struct Parent {
    /// Its number; 0 when there is none.
    pub seq: u64,
    /// Its manifest; `None` when there is none.
    pub manifest: Option<ObjectHash>,
    /// Packs and index segments that it needs and the cache does not know: they can only be dropped.
    pub unlisted: Vec<ObjectRef>,
    /// Its object list.
    pub list: ObjectList,
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
    /// What lies below each path of the source, in the order of the source; empty when that cannot be told.
    pub paths: Vec<PathTotals>,
    /// Packs that are used in part, where they were counted.
    pub liveness: Option<Vec<PackLiveness>>,
    /// What is said of the source besides.
    pub report: RunReport,
    gone: Vec<u64>,
    listed: Vec<(ObjectRef, Vec<Listed>)>,
    unused: Vec<Listed>,
    list: ListPlan,
}

impl Prepared {
    /// Writes the cache, after the snapshot is complete.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remember(self, run: CacheRun, head: &Head) -> Result<(), BackupError> {
        run.remove_packs(&self.gone)?;
        for (number, layout) in &self.unused {
            run.chunks()?.remove(*number, &layout.entries)?;
        }
        for (segment, packs) in &self.listed {
            for (number, layout) in packs {
                run.list_pack(*number, layout, *segment)?;
            }
        }
        list::remember(&run, &self.list)?;
        run.set_totals(self.totals.files + self.totals.folders, self.totals.bytes)?;
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

    let Sent {
        scanned,
        packs: fresh,
        unused,
        mut bytes,
    } = send(job, run, &packs, &blocked, sink)?;
    job.counters.enter(RunPhase::Finish);
    sink.flush()?;

    let plan = plan_segments(run, &packs, &scanned.used, &unwanted, fresh)?;
    let written = write_segments(job, plan.write, sink)?;
    bytes += written.iter().map(|(segment, _)| segment.size_bytes).sum::<u64>();
    sink.flush()?;

    let used = scanned.used.iter().filter_map(|number| packs.get(number));
    let mut objects = needed(used, plan.keep, &written);
    let mut before: HashSet<ObjectRef> = packs
        .values()
        .flat_map(|info| [info.object, info.segment])
        .chain(job.parent.unlisted.iter().copied())
        .collect();
    let parent = (&job.parent.list, job.parent.seq);
    let list = list::plan_list(run, parent, &before, &objects, &unwanted)?;
    for (page, content) in &list.write {
        bytes += page.size_bytes;
        sink.put(*page, content.clone().into())?;
    }
    sink.flush()?;

    let is_counted = liveness::is_due(job.parent.seq + 1);
    let liveness = is_counted.then(|| liveness::count(run, &packs, &scanned.used, scanned.loose));
    // Where one path lies inside another, as older servers let them, the source is told of as a whole.
    let told = |text: &String| {
        let plain: PathBuf = Path::new(text).components().collect();
        let mut paths = scanned.paths.iter();
        paths.find_map(|(path, totals)| (*path == plain).then_some(*totals))
    };
    let paths = job.source.paths.iter().map(told).collect::<Option<_>>();
    let totals = SnapshotTotals {
        bytes_sent: bytes,
        ..scanned.totals
    };
    let content = ManifestContent {
        warnings: WarningList::Pages(scanned.warnings),
        owners: scanned.owners.names(job.users),
        ..ManifestContent::new(
            job.source.name.clone(),
            enroll::hostname(),
            scanned.roots,
            job.secret.chunk_key(),
        )
    };
    let (manifest, sealed) = seal_manifest(job, &objects, &list.list, totals, content)?;
    sink.put(manifest, sealed.into())?;
    sink.flush()?;

    // The pages are needed like everything else.
    before.extend(job.parent.list.pages());
    objects.extend(list.list.pages());
    let (added, dropped) = change(&before, &objects);
    Ok(Prepared {
        manifest,
        parent_seq: job.parent.seq,
        added,
        dropped,
        objects,
        totals,
        paths: paths.unwrap_or_default(),
        liveness: liveness.transpose()?,
        report: scanned.report,
        gone: packs
            .keys()
            .filter(|number| !scanned.used.contains(number))
            .copied()
            .collect(),
        listed: written,
        unused,
        list,
    })
}

/// Seals index segments and sends them.
fn write_segments(
    job: &Job<'_>,
    segments: Vec<Vec<Listed>>,
    sink: &dyn ObjectSink,
) -> Result<Vec<(ObjectRef, Vec<Listed>)>, BackupError> {
    let mut written = Vec::with_capacity(segments.len());
    for layouts in segments {
        let plain: Vec<PackLayout> = layouts.iter().map(|(_, layout)| layout.clone()).collect();
        let (segment, sealed) = index::seal(
            &plain,
            &job.secret.index_key(),
            job.recovery,
            &mut random::draw()?,
        )?;
        sink.put(segment, sealed.into())?;
        written.push((segment, layouts));
    }
    Ok(written)
}

/// What the snapshot needs, apart from pages of its list and its manifest, in the order of lists: packs in use, segments that stay,
/// and new segments with their packs.
fn needed<'a>(
    used: impl Iterator<Item = &'a PackInfo>,
    kept_segments: Vec<ObjectRef>,
    written: &[(ObjectRef, Vec<Listed>)],
) -> Vec<ObjectRef> {
    let mut objects: Vec<ObjectRef> = used.map(|info| info.object).collect();
    objects.extend(kept_segments);
    for (segment, layouts) in written {
        objects.push(*segment);
        objects.extend(layouts.iter().map(|(_, layout)| layout.object));
    }
    objects.sort_unstable_by_key(object_list::sort_key);
    objects.dedup();
    objects
}

/// What is needed `now` and was not `before`, and the hashes of what was and is not any more, ascending.
fn change(before: &HashSet<ObjectRef>, now: &[ObjectRef]) -> (Vec<ObjectRef>, Vec<ObjectHash>) {
    let added = now.iter().filter(|object| !before.contains(object));
    let still: HashSet<ObjectRef> = now.iter().copied().collect();
    let mut dropped: Vec<ObjectHash> = before.difference(&still).map(|object| object.hash).collect();
    dropped.sort_unstable();
    (added.copied().collect(), dropped)
}

/// What the walk found and sent.
struct Sent {
    scanned: Scanned,
    /// New packs that the snapshot needs: sent by this run, or by one before it that broke off.
    packs: Vec<Listed>,
    /// Adopted packs that it does not need.
    unused: Vec<Listed>,
    /// What this run sent.
    bytes: u64,
}

fn send(
    job: &Job<'_>,
    run: &CacheRun,
    parents: &HashMap<u64, PackInfo>,
    blocked: &HashSet<u64>,
    sink: &dyn ObjectSink,
) -> Result<Sent, BackupError> {
    let filter = Filter::new(&job.source.excludes, &job.source.options, job.state_folder)?;
    let roots = roots(&job.source.paths)?;
    platform::lift_file_limit();
    let first_new = run.next_pack()?;
    let known = Known::new(run.chunks()?, run.folders()?, parents, blocked, first_new);
    let adopted: Vec<Listed> = (first_new..).zip(job.adopted.iter().cloned()).collect();
    for (number, layout) in &adopted {
        known.adopt(*number, &layout.entries)?;
    }
    let next = first_new + adopted.len() as u64;
    let packs = Packs::new(next, &known, job.recovery, sink, job.counters);
    let means = Means {
        secret: job.secret,
        filter: &filter,
        known: &known,
        packs: &packs,
        settle: job.settle,
        counters: job.counters,
        observer: job.observer,
    };
    let totals = run.totals()?;
    let scanned = std::thread::scope(|scope| {
        // Dropped when the walk is over, however it ends.
        let (_walking, over) = mpsc::channel();
        match totals {
            // What the last run found is near enough.
            Some((files, bytes)) => job.counters.found(files, bytes),
            None => {
                let (roots, filter) = (&roots, &filter);
                scope.spawn(move || count(roots, filter, job.counters, &over));
            }
        }
        walk(&means, &roots)
    })?;
    if scanned.roots.is_empty() {
        return Err(BackupError::NothingThere);
    }
    job.counters.all_found();
    let fresh = packs.finish()?;
    let bytes = fresh.iter().map(|(_, layout)| layout.object.size_bytes).sum();
    let (mut needed, unused): (Vec<Listed>, Vec<Listed>) = adopted
        .into_iter()
        .partition(|(number, _)| scanned.used.contains(number));
    needed.extend(fresh);
    Ok(Sent {
        scanned,
        packs: needed,
        unused,
        bytes,
    })
}

/// The source's paths in order, without those below another, each with the place where the walk begins: a path
/// that is a link is followed.
pub(super) fn roots(source_paths: &[String]) -> Result<Vec<WalkedRoot>, BackupError> {
    let mut paths = Vec::new();
    for text in source_paths {
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
            WalkedRoot { path, walked }
        })
        .collect())
}

fn seal_manifest(
    job: &Job<'_>,
    objects: &[ObjectRef],
    list: &ObjectList,
    totals: SnapshotTotals,
    content: ManifestContent,
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
        list: list.clone(),
        certificate: None,
        content,
    };
    Ok(manifest.seal(job.recovery, job.signing_key, &mut random::draw()?)?)
}
