//! Looking at everything that a source takes and leaves out, without reading contents: by the same rules as the walk, on one thread.

use std::{io, path::Path, sync::Arc};

use super::{
    error::BackupError,
    filter::{AtMount, Filter, LeftOut},
    folder::look_at_root,
    node::below,
    walker::WalkedRoot,
};
use crate::platform::{self, Folder, Kind, Mounts, Stat};

/// What a traversal comes by.
pub(super) enum Met<'a> {
    /// It would be taken.
    Taken(&'a Stat),
    /// It would not, with everything in it.
    LeftOut(&'a Stat, By),
    /// The folder would be taken, empty.
    Mount(&'a Stat, &'a AtMount),
    /// It could not be looked at, or is a path of the source of which there is nothing to take.
    Unreadable(&'a str),
}

/// What leaves something out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Patterns.
    Pattern(LeftOut),
    /// It is larger than the source takes.
    Size,
    /// It is a device, pipe or socket.
    Kind,
    /// It is the agent's own state.
    State,
}

/// A folder that waits for its turn.
struct Waiting {
    /// The folder that it is in; `None` for a path of the source.
    within: Option<Arc<Folder>>,
    /// Its path, links resolved.
    path: Vec<u8>,
    /// The device of what it is in.
    above: u64,
    /// Whether an include pattern took what it is in.
    is_included: bool,
}

/// What a traversal goes by.
pub(super) struct Traversal<'a> {
    pub(super) filter: &'a Filter,
    pub(super) mounts: Mounts,
    /// Whether exclude lines that match are noted.
    pub(super) noted: bool,
    /// Asked at each name.
    pub(super) may_go_on: &'a dyn Fn() -> bool,
}

impl Traversal<'_> {
    /// Goes through the paths in order, and in each from folder to folder in the order of names; `met` is told of each name with its
    /// path. Gives whether it came to the end.
    ///
    /// # Errors
    /// When a path of the source is the agent's own state.
    pub(super) fn run(
        &self,
        roots: &[WalkedRoot],
        met: &mut dyn FnMut(&[u8], Met<'_>),
    ) -> Result<bool, BackupError> {
        for root in roots {
            let path = platform::bytes(&root.walked);
            let stat = match look_at_root(&root.walked, self.filter, &self.mounts)? {
                Ok(stat) => stat,
                Err(why) => {
                    met(path, Met::Unreadable(&why));
                    continue;
                }
            };
            if stat.kind != Kind::Folder {
                self.file(path, &stat, met);
                continue;
            }
            let mut waiting = vec![Waiting {
                within: None,
                path: path.to_vec(),
                above: stat.device,
                is_included: self.filter.includes_all(),
            }];
            while let Some(folder) = waiting.pop() {
                if !self.folder(&root.walked, folder, &mut waiting, met) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// One folder and the names in it; gives whether to go on.
    fn folder(
        &self,
        root: &Path,
        here: Waiting,
        waiting: &mut Vec<Waiting>,
        met: &mut dyn FnMut(&[u8], Met<'_>),
    ) -> bool {
        let (folder, stat) = match self.opened(root, &here, met) {
            Ok(Some(opened)) => opened,
            Ok(None) => return true,
            Err(error) => {
                met(&here.path, Met::Unreadable(&error.to_string()));
                return true;
            }
        };
        let is_included = here.is_included
            || self
                .filter
                .includes(below(&here.path, root), true, here.is_included);
        let names = match folder.names() {
            Ok(names) => names,
            Err(error) => {
                met(&here.path, Met::Unreadable(&error.to_string()));
                return true;
            }
        };
        if is_included {
            met(&here.path, Met::Taken(&stat));
        }
        let first = waiting.len();
        for name in names {
            if !(self.may_go_on)() {
                return false;
            }
            let mut path = here.path.clone();
            if path != b"/" {
                path.push(b'/');
            }
            path.extend_from_slice(&name.bytes);
            let looked = if name.is_folder {
                folder.remembered_stat_of(&name.bytes)
            } else {
                folder.stat_of(&name.bytes)
            };
            let stat = match looked {
                Ok(stat) => stat,
                Err(error) => {
                    met(&path, Met::Unreadable(&error.to_string()));
                    continue;
                }
            };
            let is_folder = stat.kind == Kind::Folder;
            let left_out = self
                .filter
                .leaves_out(below(&path, root), is_folder, is_included, self.noted);
            if let Some(left_out) = left_out {
                met(&path, Met::LeftOut(&stat, By::Pattern(left_out)));
            } else if is_folder {
                waiting.push(Waiting {
                    within: Some(folder.clone()),
                    path,
                    above: 0,
                    is_included,
                });
            } else {
                self.file(&path, &stat, met);
            }
        }
        for next in &mut waiting[first..] {
            next.above = stat.device;
        }
        // The last is done first.
        waiting[first..].reverse();
        true
    }

    /// Opens a folder that is entered.
    fn opened(
        &self,
        root: &Path,
        here: &Waiting,
        met: &mut dyn FnMut(&[u8], Met<'_>),
    ) -> io::Result<Option<(Arc<Folder>, Stat)>> {
        let Some(within) = &here.within else {
            let folder = Folder::open(root)?;
            let stat = folder.stat()?;
            return Ok(Some((Arc::new(folder), stat)));
        };
        let name = here.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let before = self.filter.before_opening(&self.mounts, &here.path, here.above);
        if before != AtMount::Enter {
            met(&here.path, Met::Mount(&within.remembered_stat_of(name)?, &before));
            return Ok(None);
        }
        let folder = within.folder(name)?;
        let stat = folder.stat()?;
        if self.filter.is_state(&stat) {
            met(&here.path, Met::LeftOut(&stat, By::State));
            return Ok(None);
        }
        let at_mount = self.filter.at_mount(&self.mounts, stat.device, here.above);
        if at_mount != AtMount::Enter {
            met(&here.path, Met::Mount(&stat, &at_mount));
            return Ok(None);
        }
        Ok(Some((Arc::new(folder), stat)))
    }

    fn file(&self, path: &[u8], stat: &Stat, met: &mut dyn FnMut(&[u8], Met<'_>)) {
        if stat.kind == Kind::Other {
            met(path, Met::LeftOut(stat, By::Kind));
        } else if self.filter.is_too_large(stat) {
            met(path, Met::LeftOut(stat, By::Size));
        } else {
            met(path, Met::Taken(stat));
        }
    }
}
