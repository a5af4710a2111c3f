//! From a plan to files: folders first, then contents, then further names and symbolic links, then what the
//! folders looked like.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::Ordering::Relaxed,
};

use repository::chunk::ChunkKey;
use rustix::fs::{Advice, Mode};

use super::{
    contents::Contents,
    error::{RestoreError, TargetError},
    files::{self, Files},
    inspect::{self, Action, Inspection},
    order::{Order, Outcome, dry_run, notes, to_make},
};
use crate::{
    parallel,
    platform::{
        metadata::MetadataWriter,
        target::{self, Target},
    },
    progress::RestoreCounters,
    snapshot::{ChunkIndex, Failure, Loss, Reason, Tree, What},
};

/// Puts everything back that the plan names, below `order.target` and nowhere else.
///
/// # Errors
/// When going on is useless: the storage does not answer, the disk is full. What was written until then stays, and
/// another restore goes on from there.
pub fn write(
    index: &ChunkIndex<'_>,
    plan: &Tree,
    order: &Order,
    counters: &RestoreCounters,
) -> Result<Outcome, RestoreError> {
    let failed = |error| TargetError {
        path: order.target.clone(),
        error,
    };
    let metadata = MetadataWriter::new();
    let target = Target::open(&order.target, plan, !order.dry_run).map_err(failed)?;
    let inspection = Inspection::take(plan, target.as_ref(), order.overwrite, index.names(), &metadata);
    let mut outcome = Outcome {
        losses: plan.losses.iter().chain(&inspection.losses).cloned().collect(),
        ..Outcome::default()
    };
    if order.dry_run {
        let links = files::second_names(plan, &inspection.actions);
        let contents = Contents::of(index, plan, &inspection, to_make(&inspection.actions, &links));
        outcome.losses.extend(contents.losses());
        outcome.dry_run = Some(dry_run(plan, &inspection, &links, &contents));
        outcome.count_lost(plan, &inspection.actions);
        return Ok(outcome);
    }
    let Some(target) = target else {
        return Err(RestoreError::Thread);
    };
    let mut work = Writer {
        plan,
        target: &target,
        metadata: &metadata,
        inspection,
        counters,
        losses: Vec::new(),
    };
    work.folders()?;
    work.tidy();
    let links = files::second_names(plan, &work.inspection.actions);
    work.count(&links);
    let written = work.contents(index, &links)?;
    work.symlinks()?;
    work.looks()?;
    target.sync().map_err(failed)?;
    if order.verify {
        work.verify(index.names(), &written);
    }
    let actions = std::mem::take(&mut work.inspection.actions);
    outcome.losses.append(&mut work.losses);
    outcome.count_lost(plan, &actions);
    outcome.restored = counters.files_done.load(Relaxed);
    outcome.notes = notes(plan, &actions, metadata);
    Ok(outcome)
}

struct Writer<'a> {
    plan: &'a Tree,
    target: &'a Target<'a>,
    metadata: &'a MetadataWriter,
    inspection: Inspection,
    counters: &'a RestoreCounters,
    losses: Vec<Loss>,
}

impl Writer<'_> {
    /// Notes that one item could not be put back, or that nothing can.
    fn lose(
        &mut self,
        item: usize,
        trouble: impl Into<Failure<Reason, RestoreError>>,
    ) -> Result<(), RestoreError> {
        match trouble.into() {
            Failure::All(error) => Err(error),
            Failure::One(reason) => {
                self.inspection.actions[item] = Action::Lost;
                let path = self.plan.path(item);
                self.losses.push(Loss { path, reason });
                Ok(())
            }
        }
    }

    fn is_folder(&self, item: usize) -> bool {
        matches!(self.plan.items[item].what, What::Folder)
    }

    /// Makes the folders, from the top.
    fn folders(&mut self) -> Result<(), RestoreError> {
        for item in 0..self.plan.items.len() {
            let above = self.plan.items[item].parent;
            if above.is_some_and(|above| self.inspection.actions[above] == Action::Lost) {
                self.inspection.actions[item] = Action::Lost;
                continue;
            }
            if !self.is_folder(item) {
                continue;
            }
            let done = match self.inspection.actions[item] {
                Action::Make => self.target.make_folder(item),
                Action::Refresh if !self.metadata.as_root() => self.unlock(item),
                _ => Ok(()),
            };
            if let Err(error) = done {
                self.lose(item, error)?;
            }
        }
        Ok(())
    }

    /// A folder of our own that an earlier restore has finished may be closed to writing: it gets its looks again.
    fn unlock(&self, item: usize) -> std::io::Result<()> {
        let folder = self.target.folder(item)?;
        let stat = rustix::fs::fstat(&folder)?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        let is_own = stat.st_uid == rustix::process::geteuid().as_raw();
        if is_own && !mode.contains(Mode::RWXU) {
            rustix::fs::fchmod(&folder, mode | Mode::RWXU)?;
        }
        Ok(())
    }

    /// Removes what an earlier restore left of files that need nothing any more.
    fn tidy(&self) {
        for (item, action) in self.inspection.actions.iter().enumerate() {
            let is_left_alone = matches!(action, Action::Keep | Action::Same | Action::Refresh);
            if let (true, false, Ok(folder)) = (is_left_alone, self.is_folder(item), self.target.parent(item))
            {
                self.target.tidy(&folder, item);
            }
        }
    }

    fn count(&self, links: &HashMap<usize, usize>) {
        let actions = &self.inspection.actions;
        let changes = |action: &&Action| matches!(action, Action::Make | Action::Replace | Action::Refresh);
        let items = actions.iter().filter(changes).count();
        let size = |item: usize| self.plan.items[item].size_bytes();
        let bytes: u64 = to_make(actions, links).map(size).sum();
        self.counters.files_total.store(items as u64, Relaxed);
        self.counters.bytes_total.store(bytes, Relaxed);
    }

    /// Fetches the contents, then gives files their further names. Gives the files that were written.
    fn contents(
        &mut self,
        index: &ChunkIndex<'_>,
        links: &HashMap<usize, usize>,
    ) -> Result<Vec<usize>, RestoreError> {
        let items: Vec<usize> = to_make(&self.inspection.actions, links)
            .filter(|item| matches!(self.plan.items[*item].what, What::File { .. }))
            .collect();
        let contents = Contents::of(index, self.plan, &self.inspection, items.iter().copied());
        let mut files = Files::new(self.target, self.plan, &self.inspection.actions, self.metadata);
        files.expect_links(links.values().copied());
        contents.write(&mut files, self.target, self.counters, &mut self.losses)?;
        let finished = files.finished();
        let mut ordered: Vec<(&usize, &usize)> = links.iter().collect();
        ordered.sort_unstable();
        for (item, first) in ordered {
            if let Err(trouble) = self.link(*item, *first, &finished) {
                self.lose(*item, trouble)?;
                continue;
            }
            self.counters.files_done.fetch_add(1, Relaxed);
        }
        Ok(items)
    }

    fn link(
        &self,
        item: usize,
        first: usize,
        finished: &HashMap<usize, (u64, u64)>,
    ) -> Result<(), Failure<Reason, RestoreError>> {
        let meant = match self.inspection.actions[first] {
            // It was there before; what stands there now is compared with what is linked.
            Action::Same | Action::Refresh => {
                let folder = self.target.parent(first)?;
                let stat = self.target.look(&folder, self.target.name(first))?;
                stat.as_ref().map(target::identity)
            }
            _ => finished.get(&first).copied(),
        };
        let Some(meant) = meant else {
            let what = format!("it is another name of {}, which is lost", self.plan.path(first));
            return Err(Failure::One(Reason::Blocked { what }));
        };
        let replace = self.inspection.actions[item] == Action::Replace;
        Ok(self.target.link(first, meant, item, replace)?)
    }

    fn symlinks(&mut self) -> Result<(), RestoreError> {
        for (index, item) in self.plan.items.iter().enumerate() {
            let What::Symlink { target: to } = &item.what else {
                continue;
            };
            let action = self.inspection.actions[index];
            let done = match action {
                Action::Make | Action::Replace => self.symlink(index, to, action == Action::Replace),
                _ => continue,
            };
            match done {
                Ok(()) => drop(self.counters.files_done.fetch_add(1, Relaxed)),
                Err(error) => {
                    self.target.discard(index);
                    self.lose(index, error)?;
                }
            }
        }
        Ok(())
    }

    fn symlink(&self, item: usize, to: &[u8], replace: bool) -> std::io::Result<()> {
        let folder = self.target.parent(item)?;
        let link = self.target.make_symlink(&folder, item, to)?;
        if let Some(looks) = &self.plan.items[item].looks {
            let path = || self.plan.path(item);
            self.metadata.apply_to_link(&link, looks, path)?;
        }
        self.target.put_symlink_in_place(&folder, item, &link, replace)
    }

    /// What was there gets its looks; then the folders, from the deepest up: what is made in one changes its times.
    fn looks(&mut self) -> Result<(), RestoreError> {
        for item in (0..self.plan.items.len()).rev() {
            let Some(looks) = &self.plan.items[item].looks else {
                if self.is_folder(item) && self.inspection.actions[item] == Action::Make {
                    self.counters.files_done.fetch_add(1, Relaxed);
                }
                continue;
            };
            let path = || self.plan.path(item);
            let done = match (&self.plan.items[item].what, self.inspection.actions[item]) {
                (What::Folder, Action::Make | Action::Refresh) => self
                    .target
                    .own_folder(item)
                    .and_then(|folder| self.metadata.apply(&folder, looks, path)),
                (What::File { .. }, Action::Refresh) => self
                    .target
                    .open_found(item, self.inspection.found.get(&item).copied())
                    .and_then(|file| self.metadata.apply(&file, looks, path)),
                (What::Symlink { target: to }, Action::Refresh) => self
                    .target
                    .open_symlink(item, to, self.inspection.found.get(&item).copied())
                    .and_then(|link| self.metadata.apply_to_link(&link, looks, path)),
                _ => continue,
            };
            match done {
                Ok(()) => drop(self.counters.files_done.fetch_add(1, Relaxed)),
                Err(error) => self.lose(item, error)?,
            }
        }
        Ok(())
    }

    /// Reads every written file again: from the disk, where the system lets us past what it keeps in memory.
    fn verify(&mut self, names: &ChunkKey, written: &[usize]) {
        let read = parallel::map(parallel::cores(), written, |item| {
            let What::File { chunks, .. } = &self.plan.items[*item].what else {
                return Ok(true);
            };
            let folder = self.target.parent(*item)?;
            let file = self.target.open_file(&folder, *item)?;
            let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
            inspect::is_content(file, chunks, names)
        });
        let known: HashSet<String> = self.losses.iter().map(|loss| loss.path.clone()).collect();
        for (item, read) in written.iter().zip(read) {
            let reason = match read {
                Ok(true) => continue,
                Ok(false) => Reason::Differs,
                Err(error) => Reason::Unread {
                    error: error.to_string(),
                },
            };
            let path = self.plan.path(*item);
            if !known.contains(&path) {
                self.losses.push(Loss { path, reason });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use repository::chunk::{ChunkRef, SourceSecret};

    use super::*;
    use crate::snapshot::Item;

    /// A disk that gives back something else than was written.
    #[test]
    fn reading_again_finds_what_the_disk_changed() {
        let folder = tempfile::tempdir().unwrap();
        let names = SourceSecret::from_bytes([1; 32]).chunk_key();
        let mut plan = Tree::default();
        for name in ["good", "changed", "longer", "gone"] {
            let chunk = ChunkRef {
                id: names.id(b"content"),
                raw_len: 7,
            };
            plan.items.push(Item {
                parent: None,
                name: name.into(),
                what: What::File {
                    size_bytes: 7,
                    chunks: vec![chunk],
                    hard_link: None,
                },
                looks: None,
            });
        }
        for (name, content) in [
            ("good", "content"),
            ("changed", "confent"),
            ("longer", "contents"),
        ] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let target = Target::open(folder.path(), &plan, false).unwrap().unwrap();
        let mut work = Writer {
            plan: &plan,
            target: &target,
            metadata: &MetadataWriter::new(),
            inspection: Inspection {
                actions: vec![Action::Make; 4],
                begun: HashMap::new(),
                found: HashMap::new(),
                losses: Vec::new(),
            },
            counters: &RestoreCounters::default(),
            losses: Vec::new(),
        };
        work.verify(&names, &[0, 1, 2, 3]);
        let found: Vec<_> = work
            .losses
            .iter()
            .map(|loss| (loss.path.as_str(), &loss.reason))
            .collect();
        assert_eq!(
            found[..2],
            [("/changed", &Reason::Differs), ("/longer", &Reason::Differs)]
        );
        assert!(matches!(found[2], ("/gone", Reason::Unread { .. })));
        assert_eq!(found.len(), 3);
    }
}
