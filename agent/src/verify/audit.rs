//! The verification of some snapshots of one source: every object that they need, and what is in it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Mutex,
};

use jiff::Timestamp;
use repository::{
    chunk::ChunkKey,
    index,
    manifest::{ManifestContent, ManifestHeader},
    object_list::Page,
    pack::{OpenPack, PackKey, PackLayout},
    recovery::RecoverySecret,
};
use shared::{
    api::agent::Part,
    object::{ObjectHash, ObjectKind, ObjectRef},
};

use super::{
    depth::Depth,
    lookup::{self, Lock, ObjectLookup},
    report::Report,
};
use crate::{
    parallel,
    snapshot::{ChunkIndex, Defect, Finding, Snapshot, SnapshotError, Subject},
    store::{ObjectSource, ReadError},
};

/// Objects read at the same time.
const READERS: usize = 6;

/// A snapshot that is verified.
pub(super) struct CheckedSnapshot {
    /// Its manifest.
    pub(super) manifest: ObjectRef,
    /// What everybody may read of it.
    pub(super) header: ManifestHeader,
    /// The promise.
    pub(super) promised: Option<Timestamp>,
    /// What the kit opens.
    pub(super) content: Option<ManifestContent>,
}

impl CheckedSnapshot {
    pub(super) fn seq(&self) -> u64 {
        self.header.seq()
    }
}

/// Which chunks of a pack cannot be had.
pub(super) enum LostChunks {
    /// All of them.
    All,
    /// Those at these positions.
    At(BTreeSet<usize>),
}

impl LostChunks {
    pub(super) fn holds(&self, position: usize) -> bool {
        match self {
            Self::All => true,
            Self::At(positions) => positions.contains(&position),
        }
    }
}

/// A verification under way.
pub(super) struct Audit<'a> {
    pub(super) lookup: &'a dyn ObjectLookup,
    pub(super) secret: Option<&'a RecoverySecret>,
    pub(super) depth: Depth,
    pub(super) locks: bool,
    pub(super) report: Report,
    /// What snapshots need, with their numbers.
    pub(super) needed: BTreeMap<ObjectRef, BTreeSet<u64>>,
    /// Which of those no list names: a snapshot that has lost a page of its list may need whatever is there.
    unsure: HashSet<ObjectRef>,
    /// What is lost of packs.
    pub(super) bad: HashMap<ObjectHash, LostChunks>,
    /// Packs that no verified snapshot needs, and that were looked at for what is lost: whether they are whole.
    pub(super) others: Mutex<HashMap<ObjectHash, bool>>,
}

/// Snapshots whose chunks are named by one key, and where those lie.
pub(super) struct KeyGroup<'a> {
    pub(super) snapshots: Vec<&'a CheckedSnapshot>,
    pub(super) index: ChunkIndex<'a>,
}

/// What looking at one object showed.
struct ObjectCheck {
    defect: Option<Defect>,
    bad: Option<LostChunks>,
    bytes: u64,
}

impl<'a> Audit<'a> {
    pub(super) fn new(
        lookup: &'a dyn ObjectLookup,
        secret: Option<&'a RecoverySecret>,
        depth: Depth,
        locks: bool,
    ) -> Self {
        Self {
            lookup,
            secret,
            depth,
            locks,
            report: Report::default(),
            needed: BTreeMap::new(),
            unsure: HashSet::new(),
            bad: HashMap::new(),
            others: Mutex::default(),
        }
    }

    /// Verifies the snapshots.
    pub(super) fn run(mut self, snapshots: &'a [CheckedSnapshot]) -> Result<Report, SnapshotError> {
        self.report.snapshots = snapshots.len() as u64;
        let mut gaps = BTreeSet::new();
        for snapshot in snapshots {
            if !self.list(snapshot)? {
                gaps.insert(snapshot.seq());
            }
        }
        if !gaps.is_empty() {
            self.need_whatever_is_there(&gaps);
        }
        let groups = self.groups(snapshots)?;
        self.objects(&groups)?;
        if self.locks {
            self.locks(snapshots)?;
        }
        for group in &groups {
            self.listings(group)?;
            self.name_files(group)?;
        }
        let needed: HashMap<ObjectHash, &BTreeSet<u64>> = self
            .needed
            .iter()
            .map(|(object, seqs)| (object.hash, seqs))
            .collect();
        for finding in &mut self.report.findings {
            if let (Subject::Object { hash, .. }, true) = (&finding.subject, finding.snapshots.is_empty()) {
                let seqs = needed.get(hash).into_iter().copied().flatten();
                finding.snapshots = seqs.copied().collect();
            }
        }
        self.report.objects = self.needed.len() as u64;
        Ok(self.report)
    }

    fn need(&mut self, object: ObjectRef, seq: u64) {
        self.needed.entry(object).or_default().insert(seq);
    }

    fn need_whatever_is_there(&mut self, seqs: &BTreeSet<u64>) {
        let named: HashSet<ObjectHash> = self.needed.keys().map(|object| object.hash).collect();
        let of_source = self.lookup.source().everything();
        self.unsure = of_source
            .into_iter()
            .filter(|object| !named.contains(&object.hash))
            .collect();
        self.needed
            .extend(self.unsure.iter().map(|object| (*object, seqs.clone())));
    }

    /// What a snapshot needs. When a page of its list is lost, that is what the others know; says whether none is.
    fn list(&mut self, snapshot: &CheckedSnapshot) -> Result<bool, SnapshotError> {
        let seq = snapshot.seq();
        self.need(snapshot.manifest, seq);
        let source = self.lookup.source();
        let pages: Vec<ObjectRef> = snapshot.header.list.pages().copied().collect();
        source.expect(&pages.iter().map(Part::whole).collect::<Vec<_>>());
        let read = parallel::map(READERS, &pages, |page| read(source, page));
        let mut bytes = HashMap::new();
        for (page, read) in pages.iter().zip(read) {
            self.need(*page, seq);
            if let Ok(read) = read? {
                bytes.insert(page.hash, read);
            }
        }
        if bytes.len() < pages.len() {
            let known = bytes.values().filter_map(|bytes| Page::decode(bytes).ok());
            let mut known: Vec<ObjectRef> = known.flat_map(|page| page.delta.added().to_vec()).collect();
            known.extend(snapshot.header.list.inline().added());
            for object in known {
                self.need(object, seq);
            }
            return Ok(false);
        }
        let objects = snapshot
            .header
            .objects(|page| Ok::<_, SnapshotError>(bytes[&page.hash].clone()));
        match objects {
            Ok(objects) => objects.into_iter().for_each(|object| self.need(object, seq)),
            Err(error) => {
                let error = error.to_string();
                let malformed = Finding::object(&snapshot.manifest, Defect::Malformed { error });
                self.report.findings.push(malformed);
            }
        }
        Ok(true)
    }

    fn groups(&self, snapshots: &'a [CheckedSnapshot]) -> Result<Vec<KeyGroup<'a>>, SnapshotError> {
        let Some(secret) = self.secret else {
            return Ok(Vec::new());
        };
        let mut by_key: Vec<(&ChunkKey, Vec<&'a CheckedSnapshot>)> = Vec::new();
        // The newest first: what it costs is told of the newest snapshot that has lost something.
        for snapshot in snapshots.iter().rev() {
            let Some(content) = &snapshot.content else {
                continue;
            };
            match by_key.iter_mut().find(|(key, _)| **key == content.chunk_key) {
                Some((_, group)) => group.push(snapshot),
                None => by_key.push((&content.chunk_key, vec![snapshot])),
            }
        }
        let group = |(_, snapshots): (&ChunkKey, Vec<&'a CheckedSnapshot>)| {
            let is_of_group = |seqs: &BTreeSet<u64>| snapshots.iter().any(|one| seqs.contains(&one.seq()));
            let objects = self.needed.iter().filter(|(_, seqs)| is_of_group(seqs));
            let all = Snapshot {
                content: snapshots[0].content.clone().ok_or(SnapshotError::OtherSnapshot)?,
                objects: objects.map(|(object, _)| *object).collect(),
                warnings: 0,
                lost_pages: Vec::new(),
            };
            Ok(KeyGroup {
                index: ChunkIndex::open(self.lookup.source(), &all, secret)?,
                snapshots,
            })
        };
        by_key.into_iter().map(group).collect()
    }

    fn objects(&mut self, groups: &[KeyGroup<'_>]) -> Result<(), SnapshotError> {
        let objects: Vec<ObjectRef> = self.needed.keys().copied().collect();
        let parts: Vec<Part> = objects.iter().map(|object| self.looks_at(object)).collect();
        self.lookup.source().expect(&parts);
        let looked = parallel::map(READERS, &objects, |object| self.look(object, groups));
        for (object, looked) in objects.iter().zip(looked) {
            let ObjectCheck { defect, bad, bytes } = looked?;
            self.report.bytes_read += bytes;
            if let Some(bad) = bad {
                self.bad.insert(object.hash, bad);
            }
            if let Some(defect) = defect {
                self.report.findings.push(Finding::object(object, defect));
            }
        }
        // When a segment is lost, its packs are unlisted because of that.
        for group in groups
            .iter()
            .filter(|group| group.index.lost_segments().next().is_none())
        {
            for pack in group.index.unlisted() {
                // A run that broke off leaves packs in no segment.
                if !self.unsure.contains(pack) && !self.bad.contains_key(&pack.hash) {
                    self.report.findings.push(Finding::object(pack, Defect::Unlisted));
                }
            }
        }
        Ok(())
    }

    /// Whether it is enough that an object is there.
    fn is_passed_over(&self, object: &ObjectRef) -> bool {
        let is_pack = matches!(object.kind, ObjectKind::Pack | ObjectKind::TreePack);
        is_pack && !self.depth.reads(&object.hash) && !self.lookup.is_ambiguous(object)
    }

    /// What [`Self::look`] reads first of an object.
    fn looks_at(&self, object: &ObjectRef) -> Part {
        if self.is_passed_over(object) {
            Part::of(object.hash, &lookup::last_byte(object))
        } else {
            Part::whole(object)
        }
    }

    fn look(&self, object: &ObjectRef, groups: &[KeyGroup<'_>]) -> Result<ObjectCheck, SnapshotError> {
        let is_pack = matches!(object.kind, ObjectKind::Pack | ObjectKind::TreePack);
        if self.is_passed_over(object) {
            let defect = self.lookup.is_there(object)?;
            let bad = match defect {
                None => None,
                Some(_) => self.remains(object, groups),
            };
            return Ok(ObjectCheck {
                defect,
                bad,
                bytes: 0,
            });
        }
        match read(self.lookup.source(), object)? {
            Ok(bytes) => {
                let (defect, bad) = self.content(object, &bytes, groups);
                let bytes = bytes.len() as u64;
                Ok(ObjectCheck { defect, bad, bytes })
            }
            Err(defect) => {
                let defect = match defect {
                    Defect::Changed | Defect::Missing => self.lookup.diagnose(object)?,
                    other => other,
                };
                let bad = is_pack.then(|| self.remains(object, groups)).flatten();
                Ok(ObjectCheck {
                    defect: Some(defect),
                    bad,
                    bytes: 0,
                })
            }
        }
    }

    /// What is in an object that is what its name says.
    fn content(
        &self,
        object: &ObjectRef,
        bytes: &[u8],
        groups: &[KeyGroup<'_>],
    ) -> (Option<Defect>, Option<LostChunks>) {
        let Some(secret) = self.secret else {
            return (None, None);
        };
        let malformed = |error: String| (Some(Defect::Malformed { error }), None);
        match object.kind {
            ObjectKind::Index => match index::open_with_kit(bytes, secret) {
                Ok(_) => (None, None),
                Err(error) => malformed(error.to_string()),
            },
            ObjectKind::Pack | ObjectKind::TreePack => match self.chunks(object, bytes, groups) {
                Err(error) => (Some(Defect::Malformed { error }), Some(LostChunks::All)),
                Ok((bad, _)) if bad.is_empty() => (None, None),
                Ok((bad, error)) => {
                    let chunks = bad.len() as u64;
                    (Some(Defect::Chunks { chunks, error }), Some(LostChunks::At(bad)))
                }
            },
            // The catalog has read manifests, and the lists' pages were read.
            _ => (None, None),
        }
    }

    /// What of a damaged pack still opens.
    fn remains(&self, object: &ObjectRef, groups: &[KeyGroup<'_>]) -> Option<LostChunks> {
        self.secret?;
        let opened = self
            .lookup
            .remains(object)
            .ok_or(String::new())
            .and_then(|bytes| self.chunks(object, &bytes, groups));
        Some(match opened {
            Ok((bad, _)) => LostChunks::At(bad),
            Err(_) => LostChunks::All,
        })
    }

    /// The positions of chunks that do not open, and why the first one does not.
    fn chunks(
        &self,
        object: &ObjectRef,
        bytes: &[u8],
        groups: &[KeyGroup<'_>],
    ) -> Result<(BTreeSet<usize>, String), String> {
        let text = |error: repository::pack::PackError| error.to_string();
        let secret = self.secret.ok_or("there is no kit")?;
        let group = groups.iter().find(|group| group.index.layout(object).is_some());
        let group = group.ok_or("nobody knows what is in it")?;
        let layout: &PackLayout = group.index.layout(object).ok_or("nobody knows what is in it")?;
        let key = PackKey::open(object.kind, bytes, secret).map_err(text)?;
        let opened = OpenPack::new(object.kind, bytes, &key).map_err(text)?;
        let mut bytes = bytes.to_vec();
        let (mut bad, mut first) = (BTreeSet::new(), String::new());
        for (position, begin, entry) in layout.places() {
            let from = usize::try_from(begin).unwrap_or(usize::MAX);
            let to = from.saturating_add(usize::try_from(entry.sealed_len()).unwrap_or(usize::MAX));
            let chunk = match bytes.get_mut(from..to) {
                Some(sealed) => opened
                    .chunk(position, entry, sealed, group.index.names())
                    .map(drop)
                    .map_err(text),
                None => Err("it is cut off".to_owned()),
            };
            if let Err(error) = chunk {
                if bad.is_empty() {
                    first = error;
                }
                bad.insert(usize::try_from(position).unwrap_or(usize::MAX));
            }
        }
        Ok((bad, first))
    }

    fn locks(&mut self, snapshots: &[CheckedSnapshot]) -> Result<(), SnapshotError> {
        let promises: HashMap<u64, Timestamp> = snapshots
            .iter()
            .filter_map(|snapshot| Some((snapshot.seq(), snapshot.promised?)))
            .collect();
        let objects: Vec<(ObjectRef, Timestamp)> = self
            .needed
            .iter()
            // What nobody needs any more may have lost its lock by right.
            .filter(|(object, _)| !self.unsure.contains(object))
            .filter_map(|(object, seqs)| {
                let promised = seqs.iter().filter_map(|seq| promises.get(seq)).max()?;
                Some((*object, *promised))
            })
            .collect();
        let asked = parallel::map(READERS, &objects, |(object, _)| self.lookup.lock(object));
        for ((object, promised), lock) in objects.into_iter().zip(asked) {
            let defect = match lock? {
                Some(Lock::None) => Defect::Unlocked { promised },
                Some(Lock::Until(locked_until)) if locked_until < promised => Defect::ShortLock {
                    locked_until,
                    promised,
                },
                _ => continue,
            };
            self.report.findings.push(Finding::object(&object, defect));
        }
        Ok(())
    }
}

/// Reads an object whole: its defect, when it is the object's own.
fn read(source: &dyn ObjectSource, object: &ObjectRef) -> Result<Result<Vec<u8>, Defect>, ReadError> {
    match source.read(object, None) {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(error) => lookup::defect_of(error).map(Err),
    }
}
