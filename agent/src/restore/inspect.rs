//! What is in the target already, and what becomes of each item. Looks only; changes nothing.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    sync::Arc,
};

use repository::chunk::{ChunkKey, ChunkRef};
use rustix::fs::{FileType, Stat};
use serde::Serialize;

use crate::{
    parallel,
    platform::{
        metadata::{self, MetadataWriter},
        target::{FileId, Target, identity},
    },
    snapshot::{Loss, Reason, Tree, What},
};

/// What happens to files that stand where restored ones belong. Folders are never taken away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// They stay as they are, with all their metadata; so do folders.
    #[default]
    Never,
    /// They are replaced if they differ. A file of the same size and modification time counts as equal; one of the
    /// same size and another time is read and compared. One that is equal gets the backup's owner, permissions, access
    /// control lists, attributes and times, and keeps no others.
    IfDifferent,
    /// They are replaced, equal or not, by new ones with the backup's metadata and no other.
    Always,
}

/// What becomes of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is made.
    Make,
    /// It is made and takes the place of what stands there.
    Replace,
    /// It is there; its owner, permissions, attributes and times are set.
    Refresh,
    /// It is there as it should be.
    Same,
    /// Something is there and stays, by the overwrite policy.
    Keep,
    /// It cannot be put back.
    Lost,
}

/// What a look at the target showed.
pub(super) struct Inspection {
    /// One action for each item of the plan.
    pub(super) actions: Vec<Action>,
    /// Which chunks of a file an earlier restore has written already.
    pub(super) begun: HashMap<usize, Vec<bool>>,
    /// Which files and links were looked at that are refreshed: no others get their looks.
    pub(super) found: HashMap<usize, FileId>,
    /// What is in the way.
    pub(super) losses: Vec<Loss>,
}

/// A look at one name.
enum Look {
    Action(Action),
    /// The file must be read to know.
    Compare,
    Blocked(&'static str),
}

impl Inspection {
    /// Looks at the target; `None` is one that does not exist yet.
    pub(super) fn take(
        plan: &Tree,
        target: Option<&Target<'_>>,
        overwrite: Overwrite,
        names: &ChunkKey,
        metadata: &MetadataWriter,
    ) -> Self {
        let mut inspection = Self {
            actions: Vec::with_capacity(plan.items.len()),
            begun: HashMap::new(),
            found: HashMap::new(),
            losses: Vec::new(),
        };
        let mut compare = Vec::new();
        let mut begun = Vec::new();
        let mut open: Option<(Option<usize>, Arc<OwnedFd>)> = None;
        for (index, item) in plan.items.iter().enumerate() {
            let above = item.parent.map(|parent| inspection.actions[parent]);
            let target = match (above, target) {
                (Some(Action::Make), _) | (_, None) => {
                    inspection.actions.push(Action::Make);
                    continue;
                }
                // Its folder's loss says it all.
                (Some(Action::Lost), _) => {
                    inspection.actions.push(Action::Lost);
                    continue;
                }
                (_, Some(target)) => target,
            };
            let folder = match &open {
                Some((parent, folder)) if *parent == item.parent => Ok(folder.clone()),
                _ => target.parent(index),
            };
            let look = folder.and_then(|folder| {
                open = Some((item.parent, folder.clone()));
                look(
                    target,
                    &folder,
                    index,
                    plan,
                    overwrite,
                    metadata,
                    &mut inspection.found,
                )
            });
            let action = match look {
                Ok(Look::Action(action)) => action,
                Ok(Look::Compare) => {
                    compare.push(index);
                    Action::Replace
                }
                Ok(Look::Blocked(what)) => {
                    inspection.lose(plan, index, Reason::Blocked { what: what.into() })
                }
                Err(error) => {
                    let error = error.to_string();
                    inspection.lose(plan, index, Reason::Target { error })
                }
            };
            let is_large = matches!(&item.what, What::File { chunks, .. } if chunks.len() > 1);
            if is_large && matches!(action, Action::Make | Action::Replace) {
                begun.push(index);
            }
            inspection.actions.push(action);
        }
        if let Some(target) = target {
            inspection.compare(plan, target, &compare, names);
            inspection.find_begun(plan, target, &begun, names);
        }
        inspection
    }

    fn lose(&mut self, plan: &Tree, item: usize, reason: Reason) -> Action {
        let path = plan.path(item);
        self.losses.push(Loss { path, reason });
        Action::Lost
    }

    /// Files of the right size and another time: equal content means that only the looks are set.
    fn compare(&mut self, plan: &Tree, target: &Target<'_>, items: &[usize], names: &ChunkKey) {
        let equal = parallel::map(parallel::cores(), items, |item| {
            let What::File { chunks, .. } = &plan.items[*item].what else {
                return false;
            };
            let file = target
                .parent(*item)
                .and_then(|folder| target.open_file(&folder, *item));
            file.is_ok_and(|file| is_content(file, chunks, names).unwrap_or(false))
        });
        for (item, equal) in items.iter().zip(equal) {
            if equal {
                self.actions[*item] = Action::Refresh;
            }
        }
    }

    fn find_begun(&mut self, plan: &Tree, target: &Target<'_>, items: &[usize], names: &ChunkKey) {
        let found = parallel::map(parallel::cores(), items, |item| {
            let What::File { chunks, .. } = &plan.items[*item].what else {
                return None;
            };
            let folder = target.parent(*item).ok()?;
            let file = target.leftover(&folder, *item)?;
            let good = good_chunks(file, chunks, names).ok()?;
            good.contains(&true).then_some(good)
        });
        for (item, good) in items.iter().zip(found) {
            if let (Some(good), Action::Make | Action::Replace) = (good, self.actions[*item]) {
                self.begun.insert(*item, good);
            }
        }
    }
}

fn look(
    target: &Target<'_>,
    folder: &OwnedFd,
    index: usize,
    plan: &Tree,
    overwrite: Overwrite,
    metadata: &MetadataWriter,
    files: &mut HashMap<usize, FileId>,
) -> io::Result<Look> {
    let item = &plan.items[index];
    let Some(stat) = target.look(folder, &item.name)? else {
        return Ok(Look::Action(Action::Make));
    };
    let found = FileType::from_raw_mode(stat.st_mode);
    if matches!(item.what, What::Folder) {
        return Ok(match (found, &item.looks) {
            (FileType::Directory, None) => Look::Action(Action::Keep),
            (FileType::Directory, Some(_)) if overwrite == Overwrite::Never => Look::Action(Action::Keep),
            (FileType::Directory, Some(_)) => Look::Action(Action::Refresh),
            _ => Look::Blocked("something that is no folder stands where a folder belongs"),
        });
    }
    if overwrite == Overwrite::Never {
        return Ok(Look::Action(Action::Keep));
    }
    if found == FileType::Directory {
        return Ok(Look::Blocked(
            "a folder stands in its place, and a restore never takes a folder away",
        ));
    }
    if overwrite == Overwrite::Always {
        return Ok(Look::Action(Action::Replace));
    }
    let Some(looks) = &item.looks else {
        return Ok(Look::Action(Action::Replace));
    };
    let same = || {
        if metadata.fits(folder, &item.name, &stat, looks) {
            Look::Action(Action::Same)
        } else {
            Look::Action(Action::Refresh)
        }
    };
    let look = match &item.what {
        // One that has another name elsewhere may be another's.
        What::Symlink { target } if found == FileType::Symlink && stat.st_nlink == 1 => {
            let points = rustix::fs::readlinkat(folder, item.name.as_slice(), Vec::new())?;
            if points.as_bytes() == target.as_slice() {
                same()
            } else {
                Look::Action(Action::Replace)
            }
        }
        What::File { size_bytes, .. } if found == FileType::RegularFile && has_size(&stat, *size_bytes) => {
            if metadata::same_time(&stat, looks) {
                same()
            } else {
                Look::Compare
            }
        }
        _ => Look::Action(Action::Replace),
    };
    if matches!(look, Look::Compare | Look::Action(Action::Refresh)) {
        files.insert(index, identity(&stat));
    }
    Ok(look)
}

fn has_size(stat: &Stat, size_bytes: u64) -> bool {
    u64::try_from(stat.st_size) == Ok(size_bytes)
}

/// Whether a file holds exactly these chunks.
pub(super) fn is_content(file: File, chunks: &[ChunkRef], names: &ChunkKey) -> io::Result<bool> {
    let mut pieces = Pieces::new(file);
    for chunk in chunks {
        if !pieces.next_is(chunk, names)? {
            return Ok(false);
        }
    }
    pieces.at_end()
}

/// Which of a file's chunks are there.
fn good_chunks(file: File, chunks: &[ChunkRef], names: &ChunkKey) -> io::Result<Vec<bool>> {
    let mut pieces = Pieces::new(file);
    chunks.iter().map(|chunk| pieces.next_is(chunk, names)).collect()
}

/// A file, read in its chunks' lengths.
struct Pieces {
    file: File,
    buffer: Vec<u8>,
}

impl Pieces {
    fn new(file: File) -> Self {
        Self {
            file,
            buffer: Vec::new(),
        }
    }

    fn next_is(&mut self, chunk: &ChunkRef, names: &ChunkKey) -> io::Result<bool> {
        self.buffer.clear();
        let len = u64::from(chunk.raw_len);
        let read = (&mut self.file).take(len).read_to_end(&mut self.buffer)?;
        Ok(read as u64 == len && names.id(&self.buffer) == chunk.id)
    }

    fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.file.read(&mut [0])? == 0)
    }
}
