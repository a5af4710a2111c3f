//! Files: those that are as they were keep their content, the others are read.

use std::sync::{PoisonError, atomic::Ordering::Relaxed};

use repository::{
    manifest::WarningKind,
    tree::{Entry, Node as TreeNode},
};

use shared::api::report::{FilesRead, ReadAgain};

use super::{
    error::BackupError,
    file_read::{FileContent, FileRead},
    known::short_hash,
    listing::entry,
    liveness::chunks_of,
    node::{Above, Child, Node},
    read::{ReadFault, is_past_tick},
    sample::sample,
    task::{FilesTask, Record, Seen, Why},
    walker::{Walk, Worker, unreadable},
};
use crate::{
    cache::Trust,
    clock,
    platform::{Folder, Kind, Stat},
};

/// What a file that is seen again is.
pub(super) enum Before {
    /// As it was.
    Same(Child),
    /// Perhaps as it was, and to be looked into.
    Known(Record),
    /// Something else, or new.
    Other,
}

impl Walk<'_, '_> {
    /// Compares a file with what is known of its name.
    pub(super) fn as_before(
        &self,
        worker: &mut Worker,
        node: &Node,
        stat: &Stat,
        record: Option<(Entry, Trust)>,
    ) -> Before {
        let Some((entry, trust)) = record else {
            return Before::Other;
        };
        let looks = looks(&entry, &trust, stat);
        let is_there = trust.packs.iter().all(|pack| self.known.has(*pack, false));
        let why = match (looks, is_there) {
            (Looks::Same, true) => {
                self.counters.files_done.fetch_add(1, Relaxed);
                if stat.kind == Kind::File {
                    self.counters.bytes_done.fetch_add(stat.size_bytes, Relaxed);
                }
                return Before::Same(self.kept(worker, node, stat, entry, trust));
            }
            (Looks::Same, false) => Why::Unwanted,
            (Looks::Alike(why), true) => why,
            (Looks::Alike(_), false) | (Looks::Other, _) => return Before::Other,
        };
        Before::Known(Record { entry, trust, why })
    }

    fn kept(&self, worker: &mut Worker, node: &Node, stat: &Stat, mut entry: Entry, trust: Trust) -> Child {
        worker.used.extend(&trust.packs);
        if stat.kind == Kind::File {
            worker.count_file(node.root, stat.size_bytes);
        }
        let hard_link = self.hard_link(node, stat);
        if hard_link != entry.hard_link {
            node.is_renewed.store(true, Relaxed);
            entry.hard_link = hard_link;
        }
        Child {
            entry,
            trust: Some(trust),
        }
    }

    /// Reads a batch.
    pub(super) fn files(&self, worker: &mut Worker, task: FilesTask) -> Result<(), BackupError> {
        for seen in task.files {
            self.must_go_on()?;
            self.counters.looking_at(|| task.node.path_of(&seen.name));
            let slot = seen.slot;
            let child = match seen.stat.kind {
                Kind::File => self.file(worker, &task.node, &task.folder, seen)?,
                Kind::Symlink => {
                    let _reading = self.reading(worker, task.node.root);
                    self.symlink(&task.node, &task.folder, seen)
                }
                Kind::Folder | Kind::Other => {
                    let (path, detail) = (task.node.path_of(&seen.name), "a device, pipe or socket");
                    if matches!(task.node.above, Above::OneFile) {
                        // Somebody named it, and expects to get it back.
                        self.warn(path, WarningKind::Unreadable, &detail);
                    } else {
                        self.note(worker, path, WarningKind::UnsupportedType, detail);
                    }
                    None
                }
            };
            self.counters.files_done.fetch_add(1, Relaxed);
            task.node.children.lock().unwrap_or_else(PoisonError::into_inner)[slot] = child;
        }
        // Closed before what is above goes on.
        drop(task.folder);
        self.part_done(worker, task.node)
    }

    fn file(
        &self,
        worker: &mut Worker,
        node: &Node,
        folder: &Folder,
        seen: Seen,
    ) -> Result<Option<Child>, BackupError> {
        if let Some(child) = self.sampled(worker, node, folder, &seen) {
            return Ok(Some(child));
        }
        let inode = (seen.stat.device, seen.stat.inode);
        let linked = (seen.stat.links > 1)
            .then(|| {
                let linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
                linked
                    .get(&inode)
                    .filter(|read| read.stat.same_content(&seen.stat))
                    .cloned()
            })
            .flatten();
        let read = match linked {
            Some(read) => {
                self.counters.bytes_done.fetch_add(read.size_bytes, Relaxed);
                worker.used.extend(&read.content.packs);
                Ok(read)
            }
            None => {
                let read = self.read(worker, node, folder, &seen.name);
                if let (Ok(read), Some(record)) = (&read, &seen.record) {
                    worker.read_again.add(read_again(record.why, read.size_bytes));
                }
                read
            }
        };
        let read = match (read, seen.record) {
            (Ok(read), _) => read,
            (Err(ReadFault::Backup(error)), _) => return Err(error),
            // Chunks that should be sent again are better than no content at all.
            (
                Err(ReadFault::Io(_)),
                Some(Record {
                    entry,
                    trust,
                    why: Why::Unwanted,
                }),
            ) if trust.packs.iter().all(|pack| self.known.has(*pack, true)) => {
                return Ok(Some(self.kept(worker, node, &seen.stat, entry, trust)));
            }
            (Err(ReadFault::Io(error)), _) => {
                self.warn(node.path_of(&seen.name), unreadable(&error), &error);
                return Ok(None);
            }
        };
        if read.stat.links > 1 {
            let mut linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
            linked
                .entry((read.stat.device, read.stat.inode))
                .or_insert_with(|| read.clone());
        }
        Ok(Some(self.taken(worker, node, seen.name, read)))
    }

    /// A file whose content a sample shows to be as it was, with what is new of it besides; `None` when it must be read.
    fn sampled(&self, worker: &mut Worker, node: &Node, folder: &Folder, seen: &Seen) -> Option<Child> {
        let record = seen
            .record
            .as_ref()
            .filter(|record| record.why != Why::Unwanted)?;
        let expected = record.trust.sample.filter(|_| self.filter.unstable_inodes())?;
        let _reading = self.reading(worker, node.root);
        let file = folder.file(&seen.name).ok()?;
        let size_bytes = seen.stat.size_bytes;
        if sample(&file, size_bytes, &self.names).ok()? != expected {
            return None;
        }
        let stat = file.stat().ok()?;
        if looks(&record.entry, &record.trust, &stat) == Looks::Other {
            return None;
        }
        let (xattrs, has_all) = self.xattrs_of(&file, node, &seen.name);
        self.counters.bytes_done.fetch_add(size_bytes, Relaxed);
        worker.used.extend(&record.trust.packs);
        worker.count_file(node.root, size_bytes);
        let content = record.entry.node.clone();
        if !has_all {
            worker
                .loose
                .extend(chunks_of(&content, record.trust.chunks.as_ref()));
        }
        let mut entry = entry(seen.name.clone(), content, &stat, xattrs);
        entry.hard_link = self.hard_link(node, &stat);
        Some(Child {
            entry,
            trust: has_all.then(|| Trust {
                inode: stat.inode,
                ..record.trust.clone()
            }),
        })
    }

    fn taken(&self, worker: &mut Worker, node: &Node, name: Vec<u8>, read: FileRead) -> Child {
        worker.count_file(node.root, read.size_bytes);
        let FileContent {
            content,
            chunks,
            packs,
        } = read.content;
        let file = TreeNode::File {
            size_bytes: read.size_bytes,
            content,
        };
        if !read.is_settled {
            worker.loose.extend(chunks_of(&file, chunks.as_ref()));
        }
        let mut entry = entry(name, file, &read.stat, read.xattrs);
        entry.hard_link = self.hard_link(node, &read.stat);
        Child {
            entry,
            trust: read.is_settled.then_some(Trust {
                inode: read.stat.inode,
                packs,
                chunks,
                sample: read.sample,
            }),
        }
    }

    fn symlink(&self, node: &Node, folder: &Folder, seen: Seen) -> Option<Child> {
        let path = || node.path_of(&seen.name);
        let is_settled = is_past_tick(seen.stat.ctime, clock::now());
        let target = match folder.read_link(&seen.name) {
            Ok(target) => target,
            Err(error) => {
                self.warn(path(), unreadable(&error), &error);
                return None;
            }
        };
        let (xattrs, has_all) = match folder.xattrs_of_link(&seen.name) {
            Ok(xattrs) => self.bounded(xattrs, &path),
            Err(error) => {
                self.warn(path(), WarningKind::MetadataIncomplete, &error);
                (Vec::new(), false)
            }
        };
        let entry = entry(seen.name, TreeNode::Symlink { target }, &seen.stat, xattrs);
        Some(Child {
            entry,
            trust: (is_settled && has_all).then_some(Trust {
                inode: seen.stat.inode,
                packs: Vec::new(),
                chunks: None,
                sample: None,
            }),
        })
    }

    fn hard_link(&self, node: &Node, stat: &Stat) -> Option<u64> {
        // Some file systems that lie on top of others name the device below.
        let device = || {
            if stat.device == node.stat.device {
                node.device
            } else {
                short_hash(&stat.device.to_be_bytes())
            }
        };
        (stat.links > 1 && stat.kind == Kind::File).then(|| self.secret.hard_link_group(device(), stat.inode))
    }
}

/// How a file that was read looks now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    /// As it did. Whatever is done to a file gives it a new change time.
    Same,
    /// It has its size and modification time, but not all that goes with them.
    Alike(Why),
    /// Otherwise.
    Other,
}

fn looks(entry: &Entry, trust: &Trust, stat: &Stat) -> Looks {
    let is_file = match &entry.node {
        TreeNode::File { size_bytes, .. } if stat.kind == Kind::File && *size_bytes == stat.size_bytes => {
            true
        }
        TreeNode::Symlink { .. } if stat.kind == Kind::Symlink => false,
        _ => return Looks::Other,
    };
    let is_same =
        (entry.ctime, entry.mode, entry.uid, entry.gid) == (stat.ctime, stat.mode, stat.uid, stat.gid);
    match (entry.mtime == stat.mtime, trust.inode == stat.inode) {
        (true, true) if is_same => Looks::Same,
        (true, false) if is_file => Looks::Alike(Why::Inode),
        (true, true) if is_file => Looks::Alike(Why::ChangeTime),
        _ => Looks::Other,
    }
}

fn read_again(why: Why, bytes: u64) -> ReadAgain {
    let read = FilesRead { files: 1, bytes };
    match why {
        Why::Unwanted => ReadAgain::default(),
        Why::Inode => ReadAgain {
            inode: read,
            ..ReadAgain::default()
        },
        Why::ChangeTime => ReadAgain {
            change_time: read,
            ..ReadAgain::default()
        },
    }
}
