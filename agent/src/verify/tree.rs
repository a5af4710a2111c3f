//! The part of a verification that needs the kit: every listing reads, every chunk has a place, and what damage costs
//! has names.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::PoisonError,
};

use repository::{
    chunk::ChunkId,
    manifest::WarningList,
    pack::PackLayout,
    tree::{self, Content, Entry, Node},
};
use shared::object::ObjectHash;

use super::audit::{Audit, CheckedSnapshot, KeyGroup, LostChunks};
use crate::snapshot::{ChunkIndex, Defect, Fault, Finding, Listings, Reason, SnapshotError, Tree, What};

/// Pages of listings in memory at a time.
const PAGES_AT_ONCE: usize = 8 * 1024;

/// Chunks that listings name, and what became of them.
#[derive(Default)]
struct Walk {
    seen: HashSet<ChunkId>,
    dangling: HashSet<ChunkId>,
    /// Pages that do not read, by the tree pack that has them.
    broken: BTreeMap<ObjectHash, (u64, String)>,
}

impl Audit<'_> {
    /// Reads every listing of the group's snapshots, each page once.
    pub(super) fn listings(&mut self, group: &KeyGroup<'_>) -> Result<(), SnapshotError> {
        let mut walk = Walk::default();
        for snapshot in &group.snapshots {
            let Some(content) = &snapshot.content else {
                continue;
            };
            let (mut folders, mut lists, mut chunks) = (Vec::new(), Vec::new(), Vec::new());
            for root in &content.roots {
                enter(&root.entry, &mut folders, &mut lists, &mut chunks);
            }
            // What is not part of the tree must have a place as well.
            if let WarningList::Pages(pages) = &content.warnings {
                chunks.extend(pages);
            }
            chunks.extend(content.name_index.iter().flat_map(|index| &index.pages));
            let mut listings = Listings::new(&group.index, true);
            loop {
                folders.retain(|page| walk.seen.insert(*page));
                lists.retain(|page| walk.seen.insert(*page));
                walk.place(&group.index, chunks.drain(..));
                if folders.is_empty() && lists.is_empty() {
                    break;
                }
                let rest = folders.split_off(folders.len().min(PAGES_AT_ONCE));
                let pages = std::mem::replace(&mut folders, rest);
                for page in listings.read(pages, tree::decode_page)?.into_values() {
                    match page {
                        Ok(entries) => entries
                            .iter()
                            .for_each(|entry| enter(entry, &mut folders, &mut lists, &mut chunks)),
                        Err(reason) => walk.broken(&reason),
                    }
                }
                for page in listings
                    .read(lists.drain(..), tree::decode_chunk_list)?
                    .into_values()
                {
                    match page {
                        Ok(list) => chunks.extend(list.iter().map(|chunk| chunk.id)),
                        Err(reason) => walk.broken(&reason),
                    }
                }
            }
            if !walk.dangling.is_empty() {
                let chunks = walk.dangling.drain().count() as u64;
                let dangling = Finding::object(&snapshot.manifest, Defect::Dangling { chunks });
                self.report.findings.push(Finding {
                    snapshots: vec![snapshot.seq()],
                    ..dangling
                });
            }
        }
        for (hash, (chunks, error)) in walk.broken {
            let object = self.needed.keys().find(|object| object.hash == hash).copied();
            let is_known = |finding: &Finding| finding.hash() == Some(hash) && finding.defect.is_damage();
            if let (Some(object), false) = (object, self.report.findings.iter().any(is_known)) {
                let defect = Defect::Chunks { chunks, error };
                self.report.findings.push(Finding::object(&object, defect));
                // Which ones is what the plan's losses tell.
                self.bad.insert(hash, LostChunks::At([].into()));
            }
        }
        Ok(())
    }

    /// Names the files that damaged packs cost, in the newest snapshot that needs each of them.
    pub(super) fn name_files(&mut self, group: &KeyGroup<'_>) -> Result<(), SnapshotError> {
        let mut affected: HashMap<u64, Vec<ObjectHash>> = HashMap::new();
        for (object, seqs) in &self.needed {
            let newest = group.snapshots.iter().find(|one| seqs.contains(&one.seq()));
            if let (true, Some(newest)) = (self.bad.contains_key(&object.hash), newest) {
                affected.entry(newest.seq()).or_default().push(object.hash);
            }
        }
        let damage: HashMap<ObjectHash, usize> = (0..)
            .zip(&self.report.findings)
            .filter(|(_, finding)| finding.defect.is_damage())
            .filter_map(|(at, finding)| Some((finding.hash()?, at)))
            .collect();
        for (object, _) in self
            .needed
            .iter()
            .filter(|(object, _)| self.bad.contains_key(&object.hash))
        {
            // What it held is looked for in other snapshots' packs, too.
            group.index.lose(object, &Fault::Missing);
        }
        for snapshot in &group.snapshots {
            let Some(packs) = affected.get(&snapshot.seq()) else {
                continue;
            };
            for (pack, file) in self.costs(group, snapshot)? {
                if let (true, Some(at)) = (packs.contains(&pack), damage.get(&pack)) {
                    self.report.findings[*at].costs(file, snapshot.seq());
                }
            }
        }
        Ok(())
    }

    /// Files of a snapshot that cannot be restored, each with the pack that is to blame.
    fn costs(
        &self,
        group: &KeyGroup<'_>,
        snapshot: &CheckedSnapshot,
    ) -> Result<Vec<(ObjectHash, String)>, SnapshotError> {
        let Some(content) = &snapshot.content else {
            return Ok(Vec::new());
        };
        let plan = Tree::read(&group.index, &content.roots, &[])?;
        let mut costs = Vec::new();
        for loss in &plan.losses {
            if let Reason::Listing { hash, .. } | Reason::Data { hash, .. } = &loss.reason {
                costs.push((*hash, loss.path.clone()));
            }
        }
        for (index, item) in plan.items.iter().enumerate() {
            let What::File { chunks, .. } = &item.what else {
                continue;
            };
            let lost = chunks
                .iter()
                .find_map(|chunk| self.blame(&group.index, &chunk.id));
            costs.extend(lost.map(|pack| (pack, plan.path(index))));
        }
        Ok(costs)
    }

    /// The pack because of which a chunk cannot be had; `None` when it can.
    fn blame(&self, index: &ChunkIndex<'_>, chunk: &ChunkId) -> Option<ObjectHash> {
        let mut first = None;
        for (layout, position) in index.places(chunk) {
            let object = &layout.object;
            let is_bad = match self.bad.get(&object.hash) {
                Some(bad) => bad.holds(position),
                // A pack of another snapshot, that was not looked at yet.
                None if !self.needed.contains_key(object) => !self.is_whole(layout),
                None => false,
            };
            if !is_bad {
                return None;
            }
            first = first.or(Some(object.hash));
        }
        first
    }

    /// Whether a pack that no verified snapshot needs is there, whole as far as this verification looks.
    fn is_whole(&self, layout: &PackLayout) -> bool {
        let object = &layout.object;
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = others.get(&object.hash) {
            return *known;
        }
        let source = self.lookup.source();
        let is_whole = if self.depth.reads(&object.hash) {
            // Its hash is checked, and what it holds is named by the segment that led to it.
            source.read(object, None).is_ok()
        } else {
            matches!(self.lookup.is_there(object), Ok(None))
        };
        others.insert(object.hash, is_whole);
        is_whole
    }
}

impl Walk {
    fn place(&mut self, index: &ChunkIndex<'_>, chunks: impl Iterator<Item = ChunkId>) {
        for chunk in chunks {
            if self.seen.insert(chunk) && index.places(&chunk).next().is_none() {
                self.dangling.insert(chunk);
            }
        }
    }

    fn broken(&mut self, reason: &Reason) {
        if let Reason::Data { hash, fault, .. } = reason {
            let (count, _) = self.broken.entry(*hash).or_insert_with(|| (0, fault.to_string()));
            *count += 1;
        }
    }
}

fn enter(entry: &Entry, folders: &mut Vec<ChunkId>, lists: &mut Vec<ChunkId>, chunks: &mut Vec<ChunkId>) {
    let mut content = |content: &Content| match content {
        Content::Indirect(pages) => lists.extend(pages),
        Content::Direct(direct) => chunks.extend(direct.iter().map(|chunk| chunk.id)),
    };
    match &entry.node {
        Node::Directory { pages } => folders.extend(pages),
        Node::File { content: of_file, .. } => content(of_file),
        Node::Symlink { .. } => {}
    }
    let streams = entry
        .windows
        .iter()
        .flat_map(|windows| windows.streams.iter().flatten());
    streams.for_each(|stream| content(&stream.content));
}
