//! What a source would take and leave out, before anything is sent or locked. Contents are not read, and nothing leaves the endpoint.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use serde::Serialize;
use shared::api::agent::{SourceOptions, SourceSpec};

use super::{
    engine::roots,
    error::BackupError,
    filter::{AtMount, Filter, LeftOut},
    traverse::{By, Met, Traversal},
};
use crate::{
    escape::escaped,
    platform::{self, Kind, Mounts, Stat},
};

/// What is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct What {
    /// Absolute paths.
    pub paths: Vec<String>,
    /// Exclude lines.
    pub excludes: Vec<String>,
    /// What else limits it.
    pub options: SourceOptions,
}

impl From<SourceSpec> for What {
    fn from(source: SourceSpec) -> Self {
        Self {
            paths: source.paths,
            excludes: source.excludes,
            options: source.options,
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Previewed {
    /// It would be taken.
    Taken(Item),
    /// It would be left out; a folder with everything in it.
    LeftOut {
        /// What.
        #[serde(flatten)]
        item: Item,
        /// By what.
        #[serde(flatten)]
        by: LeftOutBy,
    },
    /// It could not be looked at: a run would warn of it.
    Unreadable {
        /// Where.
        path: String,
        /// What the system said.
        why: String,
    },
}

/// A name that a source comes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its absolute path, links above it resolved; bytes that are no text are escaped.
    pub path: String,
    /// What it is.
    pub kind: ItemKind,
    /// The length of a file.
    pub size_bytes: u64,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, pipe or socket.
    Other,
}

/// By what something is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum LeftOutBy {
    /// An exclude line.
    Line {
        /// Its number, from 1 on.
        line: u32,
        /// The line.
        pattern: String,
    },
    /// No include pattern takes it.
    NotIncluded,
    /// It is larger than the source takes.
    Size,
    /// What is mounted there; the folder itself is taken, empty.
    Mount {
        /// Why it is left out.
        why: String,
    },
    /// No backup holds devices, pipes and sockets.
    Kind,
    /// It is this agent's own state.
    State,
}

/// What was seen in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PreviewTotals {
    /// Whether it came to the end: it was not stopped.
    pub is_whole: bool,
    /// What would be taken.
    pub taken: Amount,
    /// What would be left out, without what is in folders that are.
    pub left_out: Amount,
    /// Names that could not be looked at, and paths of the source where nothing is to be taken.
    pub unreadable: u64,
    /// The exclude lines.
    pub lines: Vec<LineTotals>,
}

/// Names and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// Files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Links, devices, pipes and sockets.
    pub others: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// What one exclude line did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineTotals {
    /// Its number, from 1 on.
    pub line: u32,
    /// The line.
    pub pattern: String,
    /// What it left out, being the last line that matched.
    pub left_out: Amount,
    /// Whether it matched nothing at all. False for comments.
    pub is_unmatched: bool,
    /// Why it is no pattern, and leaves out nothing.
    pub unread: Option<String>,
}

impl Amount {
    fn add(&mut self, item: &Item) {
        match item.kind {
            ItemKind::File => {
                self.files += 1;
                self.bytes += item.size_bytes;
            }
            ItemKind::Folder => self.folders += 1,
            ItemKind::Link | ItemKind::Other => self.others += 1,
        }
    }
}

impl Item {
    fn new(path: &[u8], stat: &Stat) -> Self {
        let kind = match stat.kind {
            Kind::File => ItemKind::File,
            Kind::Folder => ItemKind::Folder,
            Kind::Symlink => ItemKind::Link,
            Kind::Other => ItemKind::Other,
        };
        Self {
            path: escaped(path),
            kind,
            size_bytes: if kind == ItemKind::File {
                stat.size_bytes
            } else {
                0
            },
        }
    }
}

/// Looks at everything that a source would take or leave out now, as a run would, and tells of each; until the end, or until `stop` is
/// set.
///
/// # Errors
/// When a path of the source is no absolute one, or is the agent's own state.
pub fn preview(
    what: &What,
    state_folder: Option<&Path>,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Previewed),
) -> Result<PreviewTotals, BackupError> {
    let filter = Filter::new(&what.excludes, &what.options, state_folder)?;
    let roots = roots(&what.paths)?;
    platform::lift_file_limit();
    let traversal = Traversal {
        filter: &filter,
        mounts: Mounts::read().unwrap_or_default(),
        noted: true,
        may_go_on: &|| !stop.load(Relaxed),
    };
    let mut totals = PreviewTotals {
        lines: lines(&filter, what.excludes.len()),
        ..PreviewTotals::default()
    };
    totals.is_whole = traversal.run(&roots, &mut |path, met| {
        let previewed = previewed(&filter, path, met);
        totals.count(&previewed);
        tell(previewed);
    })?;
    for number in filter.lines().unmatched() {
        totals.lines[number].is_unmatched = true;
    }
    Ok(totals)
}

fn lines(filter: &Filter, count: usize) -> Vec<LineTotals> {
    let unread = |number| {
        let mut unread = filter.lines().unread().iter();
        unread
            .find(|(line, _)| *line == number)
            .map(|(_, why)| why.clone())
    };
    (0..count)
        .map(|number| LineTotals {
            line: from_one(number),
            pattern: filter.lines().line(number).to_owned(),
            left_out: Amount::default(),
            is_unmatched: false,
            unread: unread(number),
        })
        .collect()
}

fn from_one(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1)
}

fn previewed(filter: &Filter, path: &[u8], met: Met<'_>) -> Previewed {
    let (stat, by) = match met {
        Met::Taken(stat) => return Previewed::Taken(Item::new(path, stat)),
        Met::Unreadable(why) => {
            return Previewed::Unreadable {
                path: escaped(path),
                why: why.to_owned(),
            };
        }
        Met::Mount(stat, at_mount) => {
            let why = match at_mount {
                AtMount::Tell(why) | AtMount::Pass(why) => why.clone(),
                AtMount::LeaveOut | AtMount::Enter => "another file system".to_owned(),
            };
            (stat, LeftOutBy::Mount { why })
        }
        Met::LeftOut(stat, by) => {
            let by = match by {
                By::Pattern(LeftOut::Line(number)) => LeftOutBy::Line {
                    line: from_one(number),
                    pattern: filter.lines().line(number).to_owned(),
                },
                By::Pattern(LeftOut::NotIncluded) => LeftOutBy::NotIncluded,
                By::Size => LeftOutBy::Size,
                By::Kind => LeftOutBy::Kind,
                By::State => LeftOutBy::State,
            };
            (stat, by)
        }
    };
    Previewed::LeftOut {
        item: Item::new(path, stat),
        by,
    }
}

impl PreviewTotals {
    fn count(&mut self, previewed: &Previewed) {
        match previewed {
            Previewed::Taken(item) => self.taken.add(item),
            Previewed::LeftOut { item, by } => {
                self.left_out.add(item);
                if let LeftOutBy::Line { line, .. } = by
                    && let Some(totals) = self.lines.get_mut(*line as usize - 1)
                {
                    totals.left_out.add(item);
                }
            }
            Previewed::Unreadable { .. } => self.unreadable += 1,
        }
    }
}
