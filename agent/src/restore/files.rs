//! Files that are being written: each under its temporary name until its last chunk is there.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::FileExt},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::AcqRel},
    },
};

use repository::chunk::ChunkRef;

use super::inspect::Action;
use crate::{
    platform::{
        metadata::MetadataWriter,
        target::{self, FileId, Target},
    },
    snapshot::{Tree, What},
};

/// Files that are kept open while their chunks come from several packs.
const OPEN_FILES: usize = 256;
/// A chunk of at least this many zeros becomes a hole.
const HOLE_BYTES: usize = 64 * 1024;

/// Writes files.
pub(super) struct Files<'a> {
    target: &'a Target<'a>,
    plan: &'a Tree,
    actions: &'a [Action],
    metadata: &'a MetadataWriter,
    /// Files of several chunks.
    begun: HashMap<usize, Begun>,
    /// Those that are open, oldest first.
    open: Mutex<VecDeque<usize>>,
    /// Files that get further names.
    linked: HashSet<usize>,
    /// Those of them that are finished.
    finished: Mutex<HashMap<usize, FileId>>,
}

/// A file of which something is still to be written.
struct Begun {
    /// Chunks that are to come.
    left: AtomicUsize,
    /// An earlier restore wrote a part of it.
    adopted: bool,
    file: Mutex<Handle>,
}

#[derive(Default)]
struct Handle {
    identity: Option<FileId>,
    open: Option<Arc<File>>,
    /// Given up: what is still written goes nowhere.
    lost: bool,
}

impl<'a> Files<'a> {
    pub(super) fn new(
        target: &'a Target<'a>,
        plan: &'a Tree,
        actions: &'a [Action],
        metadata: &'a MetadataWriter,
    ) -> Self {
        Self {
            target,
            plan,
            actions,
            metadata,
            begun: HashMap::new(),
            open: Mutex::default(),
            linked: HashSet::new(),
            finished: Mutex::default(),
        }
    }

    /// Announces a file of several chunks, so many of which are to be written.
    pub(super) fn announce(&mut self, item: usize, chunks: usize, adopted: bool) {
        let begun = Begun {
            left: AtomicUsize::new(chunks),
            adopted,
            file: Mutex::default(),
        };
        self.begun.insert(item, begun);
    }

    /// Says which files get further names.
    pub(super) fn expect_links(&mut self, items: impl Iterator<Item = usize>) {
        self.linked.extend(items);
    }

    /// Those of the files with further names that are finished.
    pub(super) fn finished(self) -> HashMap<usize, FileId> {
        self.finished.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a file of at most one chunk.
    pub(super) fn whole(&self, folder: &OwnedFd, item: usize, content: &[u8]) -> io::Result<()> {
        let file = self.target.create(folder, item)?;
        let written = if is_hole(content) {
            file.set_len(content.len() as u64)
        } else {
            file.write_all_at(content, 0)
        };
        let done = written.and_then(|()| self.finish(folder, &file, item));
        if done.is_err() {
            self.target.discard(item);
        }
        done
    }

    /// Writes one chunk of a larger file. The last one finishes it: then the answer is `true`.
    pub(super) fn part(&self, folder: &OwnedFd, item: usize, offset: u64, chunk: &[u8]) -> io::Result<bool> {
        let Some(begun) = self.begun.get(&item) else {
            return Err(io::Error::other("a part of a file that was not announced"));
        };
        let Some(file) = self.open(folder, item, begun)? else {
            return Ok(false);
        };
        // What an earlier restore left in the place of a hole is not known.
        if begun.adopted || !is_hole(chunk) {
            file.write_all_at(chunk, offset)?;
        }
        // Whoever writes the last chunk finishes the file, after all others have written theirs.
        if begun.left.fetch_sub(1, AcqRel) > 1 {
            return Ok(false);
        }
        file.set_len(self.plan.items[item].size_bytes())?;
        self.finish(folder, &file, item)?;
        lock(&begun.file).open = None;
        lock(&self.open).retain(|open| *open != item);
        Ok(true)
    }

    /// Finishes a file that an earlier restore has written whole.
    pub(super) fn adopt(&self, item: usize) -> io::Result<()> {
        let folder = self.target.parent(item)?;
        let Some(file) = self.target.leftover(&folder, item) else {
            return Err(io::Error::other("the unfinished file is gone"));
        };
        file.set_len(self.plan.items[item].size_bytes())?;
        self.finish(&folder, &file, item)
    }

    /// Gives a file up. Says whether this is news.
    pub(super) fn lose(&self, item: usize) -> bool {
        match self.begun.get(&item) {
            None => true,
            Some(begun) => {
                let mut handle = lock(&begun.file);
                let news = !std::mem::replace(&mut handle.lost, true);
                if news {
                    handle.open = None;
                    self.target.discard(item);
                }
                news
            }
        }
    }

    /// The open file; `None` when it was given up.
    fn open(&self, folder: &OwnedFd, item: usize, begun: &Begun) -> io::Result<Option<Arc<File>>> {
        let mut handle = lock(&begun.file);
        if handle.lost || handle.open.is_some() {
            return Ok(handle.open.clone());
        }
        let file = match handle.identity {
            Some(identity) => self.target.reopen(folder, item, identity)?,
            None if begun.adopted => self
                .target
                .leftover(folder, item)
                .ok_or_else(|| io::Error::other("the unfinished file is gone"))?,
            None => self.target.create(folder, item)?,
        };
        handle.identity = Some(target::identity(&rustix::fs::fstat(&file)?));
        let file = Arc::new(file);
        handle.open = Some(file.clone());
        drop(handle);
        let eldest = {
            let mut open = lock(&self.open);
            open.push_back(item);
            (open.len() > OPEN_FILES).then(|| open.pop_front()).flatten()
        };
        if let Some(begun) = eldest.and_then(|eldest| self.begun.get(&eldest)) {
            lock(&begun.file).open = None;
        }
        Ok(Some(file))
    }

    /// Gives a written file its looks and its name.
    fn finish(&self, folder: &OwnedFd, file: &File, item: usize) -> io::Result<()> {
        if let Some(looks) = &self.plan.items[item].looks {
            self.metadata.apply_new(file, looks, || self.plan.path(item))?;
        }
        let replace = self.actions[item] == Action::Replace;
        self.target.put_in_place(folder, item, replace)?;
        if self.linked.contains(&item) {
            let identity = target::identity(&rustix::fs::fstat(file)?);
            lock(&self.finished).insert(item, identity);
        }
        Ok(())
    }
}

/// Whether it is long and nothing but zeros. Asked anew for each place of a chunk: so by comparing memory with itself.
fn is_hole(chunk: &[u8]) -> bool {
    chunk.len() >= HOLE_BYTES && chunk[0] == 0 && chunk[1..] == chunk[..chunk.len() - 1]
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is behind it is whole after every statement that changes it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Files that are further names of one that is put back or there already: (this one, the first one). Two entries of
/// a group whose contents differ changed between their reading: they are put back as two files.
pub(super) fn second_names(plan: &Tree, actions: &[Action]) -> HashMap<usize, usize> {
    let grouped: Vec<(usize, u64, &[ChunkRef])> = (0..)
        .zip(&plan.items)
        .filter_map(|(index, item)| match &item.what {
            What::File {
                chunks,
                hard_link: Some(group),
                ..
            } => Some((index, *group, chunks.as_slice())),
            _ => None,
        })
        .collect();
    let mut first: HashMap<u64, (usize, &[ChunkRef])> = HashMap::new();
    // One that is there already is the best to link to. What stays by the policy is somebody else's.
    let there = |index: usize| matches!(actions[index], Action::Same | Action::Refresh);
    let to_make = |index: usize| matches!(actions[index], Action::Make | Action::Replace);
    for (index, group, chunks) in grouped.iter().filter(|(index, ..)| there(*index)) {
        first.entry(*group).or_insert((*index, chunks));
    }
    let mut links = HashMap::new();
    for (index, group, chunks) in grouped.into_iter().filter(|(index, ..)| to_make(*index)) {
        let (other, same) = *first.entry(group).or_insert((index, chunks));
        if other != index && same == chunks {
            links.insert(index, other);
        }
    }
    links
}
