//! Reading the wanted part of a snapshot's tree, level by level, and laying it out as a plan.

use std::collections::{HashMap, HashSet};

use repository::{
    chunk::{ChunkId, ChunkRef},
    manifest::Root,
    tree::{self, Content, Entry, Node, TreeError},
};

use super::{
    chunk_index::ChunkIndex,
    damage::{Loss, Reason},
    error::SnapshotError,
    listings::Listings,
    select::{self, Names, Selection, Wanted},
    tree::{Item, Metadata, Tree, What},
};
use crate::escape::escaped;

/// Folders whose listings are in memory together.
const FOLDERS_AT_ONCE: usize = 8 * 1024;

impl Tree {
    /// Reads the listings. `paths` are absolute paths as they were on the endpoint; none means everything.
    ///
    /// # Errors
    /// When a path is not in the snapshot, or the storage cannot be asked. Damage is no error: it is in `losses`.
    pub fn read(index: &ChunkIndex<'_>, roots: &[Root], paths: &[Vec<u8>]) -> Result<Self, SnapshotError> {
        let selection = Selection::new(paths.iter().map(Vec::as_slice));
        Reader::new(index, selection).read(roots)
    }
}

/// Reads a tree.
pub(super) struct Reader<'l, 'a> {
    listings: Listings<'l, 'a>,
    selection: Selection,
    plan: Tree,
    /// Items that turned out to be of no use.
    lost: HashSet<usize>,
    /// Folders that lead to a path of the source.
    leading: HashMap<Names, usize>,
    folders: Vec<Folder>,
    lists: Vec<(usize, Vec<ChunkId>)>,
    /// Folders of which not all is known.
    gaps: Vec<(Vec<u8>, Reason)>,
}

/// A folder whose listing is still to be read.
struct Folder {
    item: Option<usize>,
    pages: Vec<ChunkId>,
    wanted: Wanted,
}

impl<'l, 'a> Reader<'l, 'a> {
    pub(super) fn new(index: &'l ChunkIndex<'a>, selection: Selection) -> Self {
        Self {
            listings: Listings::new(index, selection.is_all()),
            selection,
            plan: Tree::default(),
            lost: HashSet::new(),
            leading: HashMap::new(),
            folders: Vec::new(),
            lists: Vec::new(),
            gaps: Vec::new(),
        }
    }

    pub(super) fn read(mut self, roots: &[Root]) -> Result<Tree, SnapshotError> {
        let paths: Vec<Names> = roots.iter().map(|root| select::names(&root.path)).collect();
        for (at, (root, path)) in roots.iter().zip(&paths).enumerate() {
            let nested = |(other, above): (usize, &Names)| other != at && path.starts_with(above);
            if let Err(error) = self.root(root, path, paths.iter().enumerate().any(nested)) {
                self.lose(escaped(&root.path), refused(&error));
            }
        }
        while !(self.folders.is_empty() && self.lists.is_empty()) {
            let rest = self.folders.split_off(FOLDERS_AT_ONCE.min(self.folders.len()));
            let folders = std::mem::replace(&mut self.folders, rest);
            self.folders(folders)?;
            self.lists()?;
        }
        self.look_for_unmet()?;
        Ok(self.in_order())
    }

    fn root(&mut self, root: &Root, path: &Names, nested: bool) -> Result<(), TreeError> {
        if nested || !path.iter().all(|part| tree::is_plain_name(part)) {
            return Err(TreeError::BadName);
        }
        let mut wanted = self.selection.root();
        for part in path {
            wanted = self.selection.enter(&wanted, part);
        }
        if wanted.is_nothing() {
            return Ok(());
        }
        match path.split_last() {
            // The root folder: what is in it goes right below the target.
            None => match &root.entry.node {
                Node::Directory { pages } => {
                    let pages = pages.clone();
                    self.folders.push(Folder {
                        item: None,
                        pages,
                        wanted,
                    });
                }
                _ => return Err(TreeError::BadName),
            },
            Some((name, leading)) => {
                let parent = self.lead_to(leading);
                let mut entry = root.entry.clone();
                entry.name.clone_from(name);
                self.entry(entry, parent, wanted);
            }
        }
        Ok(())
    }

    fn lead_to(&mut self, path: &[Vec<u8>]) -> Option<usize> {
        let mut parent = None;
        for (depth, name) in (1..).zip(path) {
            let here = path[..depth].to_vec();
            let next = self.plan.items.len();
            let item = *self.leading.entry(here).or_insert(next);
            if item == next {
                self.plan.items.push(Item {
                    parent,
                    name: name.clone(),
                    what: What::Folder,
                    looks: None,
                });
            }
            parent = Some(item);
        }
        parent
    }

    fn folders(&mut self, folders: Vec<Folder>) -> Result<(), SnapshotError> {
        let ids = folders.iter().flat_map(|folder| folder.pages.iter().copied());
        let pages = self.listings.read(ids, tree::decode_page)?;
        for folder in folders {
            let mut last: Option<&[u8]> = None;
            for id in &folder.pages {
                let entries = match &pages[id] {
                    Ok(entries) => entries,
                    Err(reason) => {
                        self.gap(folder.item, reason.clone());
                        continue;
                    }
                };
                // Within a page the order is checked; across pages a name could come twice.
                let first = entries.first().map(|entry| entry.name.as_slice());
                if first.is_some() && last >= first {
                    self.gap(folder.item, refused(&TreeError::Order));
                    continue;
                }
                last = entries.last().map(|entry| entry.name.as_slice()).or(last);
                for entry in entries {
                    let below = self.selection.enter(&folder.wanted, &entry.name);
                    if !below.is_nothing() {
                        self.entry(entry.clone(), folder.item, below);
                    }
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: Entry, parent: Option<usize>, wanted: Wanted) {
        let is_folder = matches!(entry.node, Node::Directory { .. });
        if matches!(wanted, Wanted::Below(_)) && !is_folder {
            // Something is wanted below it, but it has no below.
            return;
        }
        let here = self.plan.items.len();
        self.plan.foreign += u64::from(entry.windows.is_some());
        let what = match entry.node {
            Node::Directory { pages } => {
                self.folders.push(Folder {
                    item: Some(here),
                    pages,
                    wanted,
                });
                What::Folder
            }
            Node::Symlink { target } => What::Symlink { target },
            Node::File { size_bytes, content } => What::File {
                size_bytes,
                chunks: match content {
                    Content::Direct(chunks) => chunks,
                    Content::Indirect(pages) => {
                        self.lists.push((here, pages));
                        Vec::new()
                    }
                },
                hard_link: entry.hard_link,
            },
        };
        self.plan.items.push(Item {
            parent,
            name: entry.name,
            what,
            looks: Some(Metadata {
                mode: entry.mode,
                uid: entry.uid,
                gid: entry.gid,
                mtime: entry.mtime,
                xattrs: entry.xattrs,
                owner: entry.owner,
            }),
        });
    }

    /// Chunks of large files, which stand in pages of their own.
    fn lists(&mut self) -> Result<(), SnapshotError> {
        let lists = std::mem::take(&mut self.lists);
        let ids = lists.iter().flat_map(|(_, ids)| ids.iter().copied());
        let pages = self.listings.read(ids, tree::decode_chunk_list)?;
        for (item, ids) in lists {
            let all = ids
                .iter()
                .map(|id| pages[id].as_ref().map_err(Reason::clone))
                .collect::<Result<Vec<&Vec<ChunkRef>>, Reason>>()
                .map(|pages| pages.into_iter().flatten().copied().collect::<Vec<_>>())
                .and_then(|all| {
                    let total: u64 = all.iter().map(|chunk| u64::from(chunk.raw_len)).sum();
                    let is_whole = total == self.plan.items[item].size_bytes();
                    let wrong = TreeError::OutOfRange { what: "size" };
                    is_whole.then_some(all).ok_or_else(|| refused(&wrong))
                });
            match (all, &mut self.plan.items[item].what) {
                (Ok(all), What::File { chunks, .. }) => *chunks = all,
                (Ok(_), _) => {}
                (Err(reason), _) => {
                    self.lost.insert(item);
                    self.lose(self.plan.path(item), reason);
                }
            }
        }
        Ok(())
    }

    fn lose(&mut self, path: String, reason: Reason) {
        self.plan.losses.push(Loss { path, reason });
    }

    fn gap(&mut self, folder: Option<usize>, reason: Reason) {
        let path = folder.map_or_else(|| b"/".to_vec(), |item| self.plan.path_bytes(item));
        let reason = reason.of_listing();
        self.gaps.push((path.clone(), reason.clone()));
        self.lose(escaped(&path), reason);
    }

    /// A path that was not met is not in the snapshot, or nobody can tell any more.
    fn look_for_unmet(&mut self) -> Result<(), SnapshotError> {
        let unmet: Vec<Names> = self.selection.unmet().cloned().collect();
        for names in unmet {
            let path: Vec<u8> = names
                .iter()
                .flat_map(|name| [b"/", name.as_slice()])
                .flatten()
                .copied()
                .collect();
            let hides = |(folder, _): &&(Vec<u8>, Reason)| {
                select::names(folder)
                    .iter()
                    .eq(names.iter().take(select::names(folder).len()))
            };
            match self.gaps.iter().find(hides) {
                Some((_, reason)) => self.lose(escaped(&path), reason.clone()),
                None => return Err(SnapshotError::NotInSnapshot(escaped(&path))),
            }
        }
        Ok(())
    }

    /// Folder by folder, as the backup walked: what lies together in packs comes together.
    fn in_order(self) -> Tree {
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); self.plan.items.len() + 1];
        for (index, item) in self.plan.items.iter().enumerate() {
            if !self.lost.contains(&index) {
                below[item.parent.map_or(0, |parent| parent + 1)].push(index);
            }
        }
        let mut old: Vec<Option<Item>> = self.plan.items.into_iter().map(Some).collect();
        let mut items: Vec<Item> = Vec::with_capacity(old.len());
        let mut todo: Vec<(usize, Option<usize>)> = Vec::new();
        let mut push = |todo: &mut Vec<(usize, Option<usize>)>, folder: usize, parent: Option<usize>| {
            let below = std::mem::take(&mut below[folder]);
            todo.extend(below.into_iter().rev().map(|child| (child, parent)));
        };
        push(&mut todo, 0, None);
        while let Some((index, parent)) = todo.pop() {
            if let Some(item) = old[index].take() {
                items.push(Item { parent, ..item });
                push(&mut todo, index + 1, Some(items.len() - 1));
            }
        }
        Tree {
            items,
            losses: self.plan.losses,
            foreign: self.plan.foreign,
        }
    }
}

fn refused(error: &TreeError) -> Reason {
    Reason::Refused {
        what: error.to_string(),
    }
}
