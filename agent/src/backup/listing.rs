//! The listing of a folder, once everything in it is done.

use std::{
    path::Path,
    sync::{
        Arc, PoisonError,
        atomic::Ordering::{AcqRel, Relaxed},
    },
};

use repository::{
    manifest::WarningKind,
    tree::{self, Entry, Node as TreeNode, Xattr},
};
use shared::object::ObjectKind;

use super::{
    error::BackupError,
    known::short_hash,
    node::{Above, Child, Node},
    walker::{Walk, Worker},
};
use crate::{
    cache::{Trust, encode_files},
    platform::{self, Stat},
};

impl Walk<'_, '_> {
    /// A part of a folder is done; if it was the last, the folder is, and perhaps those above.
    pub(super) fn part_done(&self, worker: &mut Worker, mut node: Arc<Node>) -> Result<(), BackupError> {
        while node.waiting.fetch_sub(1, AcqRel) == 1 {
            let children = std::mem::take(&mut *node.children.lock().unwrap_or_else(PoisonError::into_inner));
            let children: Vec<Child> = children.into_iter().flatten().collect();
            self.remember(worker, &node, &children)?;
            let (above, slot) = match &node.above {
                Above::Nothing => {
                    let entry = self.listed(worker, &node, children)?;
                    self.found_root(node.root, Some(entry));
                    return Ok(());
                }
                Above::OneFile => {
                    let child = children.into_iter().next();
                    let entry = child.map(|child| Entry {
                        name: self.root_name(node.root),
                        ..child.entry
                    });
                    self.found_root(node.root, entry);
                    return Ok(());
                }
                Above::Folder(above, slot) => (above.clone(), *slot),
            };
            // A folder that nothing included is only there for what is in it.
            if node.is_included || !children.is_empty() {
                let entry = self.listed(worker, &node, children)?;
                above.children.lock().unwrap_or_else(PoisonError::into_inner)[slot] =
                    Some(Child { entry, trust: None });
            }
            node = above;
        }
        Ok(())
    }

    /// Keeps what the next run may believe.
    fn remember(&self, worker: &mut Worker, node: &Node, children: &[Child]) -> Result<(), BackupError> {
        let trusted: Vec<(&Entry, &Trust)> = children
            .iter()
            .filter_map(|child| Some((&child.entry, child.trust.as_ref()?)))
            .collect();
        if trusted.is_empty() {
            return Ok(());
        }
        worker.seen.insert(short_hash(&node.key));
        if node.is_renewed.load(Relaxed) {
            self.known.set_folder(&node.key, &encode_files(&trusted))?;
        }
        Ok(())
    }

    /// Stores a folder's listing; gives the folder's entry.
    fn listed(
        &self,
        worker: &mut Worker,
        node: &Node,
        mut children: Vec<Child>,
    ) -> Result<Entry, BackupError> {
        worker.totals.folders += 1;
        self.counters.files_done.fetch_add(1, Relaxed);
        let encode =
            |children: &[Child]| tree::encode_listing(children.iter().map(|child| &child.entry), &self.names);
        let pages = match encode(&children) {
            Ok(pages) => pages,
            // One entry that cannot be stored must not cost the others.
            Err(_) => {
                children.retain(|child| {
                    let error = tree::encode_listing([&child.entry], &self.names).err();
                    if let Some(error) = &error {
                        let path = node.path_of(&child.entry.name);
                        self.warn(path, WarningKind::MetadataIncomplete, error);
                    }
                    error.is_none()
                });
                encode(&children)?
            }
        };
        children.iter().for_each(|child| worker.owners.add(&child.entry));
        let mut ids = Vec::with_capacity(pages.len());
        for page in pages {
            ids.push(self.store(worker, &page, ObjectKind::TreePack)?.id);
        }
        let name = match node.above {
            Above::Folder(..) => node.name.clone(),
            Above::Nothing | Above::OneFile => self.root_name(node.root),
        };
        let xattrs = node.xattrs.clone();
        Ok(entry(
            name,
            TreeNode::Directory { pages: ids },
            &node.stat,
            xattrs,
        ))
    }

    /// The name of a path of the source, in its entry.
    fn root_name(&self, root: usize) -> Vec<u8> {
        let path = &self.roots[root].path;
        path.file_name().map_or_else(
            || b"root".to_vec(),
            |name| platform::bytes(Path::new(name)).to_vec(),
        )
    }

    /// Something is left out of the folder above.
    pub(super) fn left_out(&self, worker: &mut Worker, above: Above) -> Result<(), BackupError> {
        match above {
            Above::Folder(above, _) => self.part_done(worker, above),
            Above::Nothing | Above::OneFile => Ok(()),
        }
    }
}

/// An entry of a listing.
pub(super) fn entry(name: Vec<u8>, node: TreeNode, stat: &Stat, xattrs: Vec<Xattr>) -> Entry {
    Entry {
        name,
        node,
        mode: stat.mode,
        uid: stat.uid,
        gid: stat.gid,
        mtime: stat.mtime,
        ctime: stat.ctime,
        xattrs,
        hard_link: None,
        owner: None,
        holes: None,
        windows: None,
        further: None,
    }
}
