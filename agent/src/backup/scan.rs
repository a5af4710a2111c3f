//! The walk: looks at every file, reads those that changed, cuts them, and builds the listings.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::Path,
    sync::{
        atomic::Ordering::Relaxed,
        mpsc::{SendError, SyncSender},
    },
};

use repository::{
    chunk::{ChunkId, ChunkKey, Chunker, SourceSecret},
    manifest::{Root, Warning, WarningKind},
    tree::{self, Content, Entry, Node},
};
use shared::api::agent::SnapshotTotals;

use super::{BackupError, excludes::Excludes, read::FileRead};
use crate::{
    cache::{FileRecord, PackInfo, Tables},
    metadata::{self, Kind, Stat},
    progress::{Event, Observer, RunCounters},
};

/// More warnings than this are counted, not listed.
const LISTED_WARNINGS: usize = 10_000;
/// More extended attributes than this on one file are left out, with a warning.
const MAX_XATTR_BYTES: usize = 1024 * 1024;

/// A chunk that is not in the bucket yet.
pub(super) struct FreshChunk {
    pub(super) id: ChunkId,
    pub(super) raw: Vec<u8>,
    pub(super) is_tree: bool,
}

/// What a scan found.
pub(super) struct Scanned {
    pub(super) roots: Vec<Root>,
    pub(super) warnings: Vec<Warning>,
    pub(super) totals: SnapshotTotals,
    /// Packs of the cache that the snapshot needs.
    pub(super) used: HashSet<u64>,
}

/// The walk of one run.
pub(super) struct Scanner<'a, 't> {
    pub(super) secret: &'a SourceSecret,
    pub(super) names: ChunkKey,
    pub(super) chunker: Chunker,
    pub(super) tables: Tables<'t>,
    pub(super) packs: &'a HashMap<u64, PackInfo>,
    /// Packs whose chunks count as absent.
    pub(super) blocked: &'a HashSet<u64>,
    pub(super) out: SyncSender<FreshChunk>,
    pub(super) counters: &'a RunCounters,
    pub(super) observer: &'a dyn Observer,
    pub(super) found: Scanned,
    pub(super) fresh: HashSet<ChunkId>,
    pub(super) devices: Vec<u64>,
    pub(super) linked: HashMap<(u64, u64), FileRead>,
    pub(super) folders_seen: HashSet<blake3::Hash>,
    pub(super) buffer: Vec<u8>,
}

impl From<SendError<FreshChunk>> for BackupError {
    fn from(_: SendError<FreshChunk>) -> Self {
        Self::Stopped
    }
}

impl Scanner<'_, '_> {
    /// Walks one path of the source. `walked` is `path` with links resolved.
    pub(super) fn root(
        &mut self,
        path: &Path,
        walked: &Path,
        excludes: &Excludes,
    ) -> Result<(), BackupError> {
        let name = path.file_name().map_or_else(
            || b"root".to_vec(),
            |name| metadata::bytes(Path::new(name)).to_vec(),
        );
        let entry = match metadata::stat(walked) {
            Ok(stat) if excludes.is_state(&stat) || excludes.within_state(walked) => {
                return Err(BackupError::OwnState);
            }
            // `walked` has its links resolved: one that is left leads nowhere. A disk that is not mounted must not
            // become a snapshot of nothing, and neither must a folder that does not list.
            Ok(stat) if stat.kind == Kind::Symlink => {
                self.warn(path, WarningKind::PathMissing, &"a link that leads nowhere");
                None
            }
            Ok(stat) if stat.kind == Kind::Folder => match metadata::names(walked) {
                Ok(_) => Some(self.folder(walked, name, &stat, excludes)?),
                Err(error) => {
                    self.warn(path, unreadable(&error), &error);
                    None
                }
            },
            Ok(stat) => {
                let parent = walked.parent().unwrap_or(Path::new("/"));
                let mut key = metadata::bytes(parent).to_vec();
                // A single file's record must not replace those of its folder.
                key.push(0);
                key.extend_from_slice(&name);
                let before = self.tables.files(&key)?;
                let (entry, record) = self.leaf(walked, name, &stat, &before)?;
                self.note_folder(&key, record.into_iter().collect())?;
                entry
            }
            Err(error) => {
                self.warn(path, WarningKind::PathMissing, &error);
                None
            }
        };
        if let Some(entry) = entry {
            self.found.roots.push(Root {
                path: metadata::bytes(path).to_vec(),
                entry,
            });
        }
        Ok(())
    }

    /// Ends the walk.
    pub(super) fn finish(mut self) -> Result<Scanned, BackupError> {
        let seen = std::mem::take(&mut self.folders_seen);
        self.tables
            .retain_folders(|folder| seen.contains(&blake3::hash(folder)))?;
        self.found.totals.warnings = self.counters.warnings.load(Relaxed);
        Ok(self.found)
    }

    fn folder(
        &mut self,
        path: &Path,
        name: Vec<u8>,
        stat: &Stat,
        excludes: &Excludes,
    ) -> Result<Entry, BackupError> {
        self.found.totals.folders += 1;
        self.counters.files_done.fetch_add(1, Relaxed);
        let names = metadata::names(path).unwrap_or_else(|error| {
            self.warn(path, unreadable(&error), &error);
            Vec::new()
        });
        let before = self.tables.files(metadata::bytes(path))?;
        let mut entries = Vec::with_capacity(names.len());
        let mut records = Vec::new();
        for name in names {
            if self.counters.stopped() {
                return Err(BackupError::Interrupted);
            }
            let path = path.join(metadata::os(&name));
            let stat = match metadata::stat(&path) {
                Ok(stat) => stat,
                Err(error) => {
                    self.warn(&path, unreadable(&error), &error);
                    continue;
                }
            };
            if excludes.skips(&path, &stat) {
                continue;
            }
            if stat.kind == Kind::Folder {
                entries.push(self.folder(&path, name, &stat, excludes)?);
            } else {
                let (entry, record) = self.leaf(&path, name, &stat, &before)?;
                entries.extend(entry);
                records.extend(record);
            }
        }
        self.note_folder(metadata::bytes(path), records)?;
        let mut pages = Vec::new();
        for page in tree::encode_listing(&entries, &self.names)? {
            pages.push(self.store(page, true)?);
        }
        let xattrs = self.xattrs(path);
        Ok(entry(name, Node::Directory { pages }, stat, xattrs))
    }

    /// Anything but a folder.
    fn leaf(
        &mut self,
        path: &Path,
        name: Vec<u8>,
        stat: &Stat,
        before: &[FileRecord],
    ) -> Result<(Option<Entry>, Option<FileRecord>), BackupError> {
        self.counters.files_done.fetch_add(1, Relaxed);
        match stat.kind {
            Kind::File => self.file(path, name, stat, before),
            Kind::Symlink => match metadata::read_link(path) {
                Ok(target) => {
                    let xattrs = self.xattrs(path);
                    Ok((Some(entry(name, Node::Symlink { target }, stat, xattrs)), None))
                }
                Err(error) => {
                    self.warn(path, unreadable(&error), &error);
                    Ok((None, None))
                }
            },
            Kind::Folder | Kind::Other => {
                self.warn(path, WarningKind::UnsupportedType, &"a device, pipe or socket");
                Ok((None, None))
            }
        }
    }

    fn file(
        &mut self,
        path: &Path,
        name: Vec<u8>,
        stat: &Stat,
        before: &[FileRecord],
    ) -> Result<(Option<Entry>, Option<FileRecord>), BackupError> {
        let hard_link = (stat.links > 1).then(|| self.link_group(stat));
        let known = before
            .binary_search_by(|record| record.entry.name.as_slice().cmp(&name))
            .ok()
            .map(|at| &before[at])
            .filter(|record| unchanged(record, stat));
        if let Some(record) = known
            && let Some(content) = self.reuse(record, false)?
        {
            let mut entry = entry(
                name,
                file_node(stat.size_bytes, content),
                stat,
                record.entry.xattrs.clone(),
            );
            entry.hard_link = hard_link;
            self.count_file(stat.size_bytes);
            self.counters.bytes_done.fetch_add(stat.size_bytes, Relaxed);
            let record = FileRecord {
                entry: entry.clone(),
                ..record.clone()
            };
            return Ok((Some(entry), Some(record)));
        }

        let read = match self.linked.get(&(stat.device, stat.inode)) {
            Some(read) if read.stat.same_content(stat) => Ok(read.clone()),
            _ => self.read(path, stat)?,
        };
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                // A pack that should not be reused is better than no content at all.
                if let Some(record) = known
                    && let Some(content) = self.reuse(record, true)?
                {
                    self.count_file(stat.size_bytes);
                    let mut entry = entry(
                        name,
                        file_node(stat.size_bytes, content),
                        stat,
                        record.entry.xattrs.clone(),
                    );
                    entry.hard_link = hard_link;
                    return Ok((Some(entry), Some(record.clone())));
                }
                self.warn(path, unreadable(&error), &error);
                return Ok((None, None));
            }
        };
        let xattrs = self.whole_xattrs(path);
        // What could not be read whole is read again by the next run, and warned of again.
        let whole = xattrs.is_some();
        self.count_file(read.size_bytes);
        let mut entry = entry(
            name,
            file_node(read.size_bytes, read.content.clone()),
            &read.stat,
            xattrs.unwrap_or_default(),
        );
        entry.hard_link = hard_link;
        if hard_link.is_some() {
            self.linked.insert((stat.device, stat.inode), read.clone());
        }
        let record = (read.stable && whole).then(|| FileRecord {
            entry: entry.clone(),
            inode: stat.inode,
            chunks: read.chunks,
        });
        Ok((Some(entry), record))
    }

    fn link_group(&mut self, stat: &Stat) -> u64 {
        let device = self
            .devices
            .iter()
            .position(|device| *device == stat.device)
            .unwrap_or_else(|| {
                self.devices.push(stat.device);
                self.devices.len() - 1
            });
        self.secret.hard_link_group(device as u64, stat.inode)
    }

    fn xattrs(&mut self, path: &Path) -> Vec<tree::Xattr> {
        self.whole_xattrs(path).unwrap_or_default()
    }

    /// `None`, with a warning, when there is more than what can be kept.
    fn whole_xattrs(&mut self, path: &Path) -> Option<Vec<tree::Xattr>> {
        let attributes = match metadata::xattrs(path) {
            Ok(attributes) => attributes,
            Err(error) => {
                self.warn(path, WarningKind::MetadataIncomplete, &error);
                return None;
            }
        };
        if attributes
            .iter()
            .map(|a| a.name.len() + a.value.len())
            .sum::<usize>()
            > MAX_XATTR_BYTES
        {
            self.warn(
                path,
                WarningKind::MetadataIncomplete,
                &"more than 1 MiB of extended attributes",
            );
            return None;
        }
        Some(attributes)
    }

    fn note_folder(&mut self, key: &[u8], records: Vec<FileRecord>) -> Result<(), BackupError> {
        if !records.is_empty() {
            self.folders_seen.insert(blake3::hash(key));
            self.tables.set_files(key, records)?;
        }
        Ok(())
    }

    fn count_file(&mut self, size_bytes: u64) {
        self.found.totals.files += 1;
        self.found.totals.bytes += size_bytes;
    }

    pub(super) fn warn(&mut self, path: &Path, kind: WarningKind, detail: &dyn std::fmt::Display) {
        self.counters.warnings.fetch_add(1, Relaxed);
        let detail = detail.to_string();
        self.observer.event(&Event::Warning {
            path: path.display().to_string(),
            message: detail.clone(),
        });
        if self.found.warnings.len() < LISTED_WARNINGS {
            self.found.warnings.push(Warning {
                path: metadata::bytes(path).to_vec(),
                kind,
                detail,
            });
        }
    }
}

const fn file_node(size_bytes: u64, content: Content) -> Node {
    Node::File { size_bytes, content }
}

fn entry(name: Vec<u8>, node: Node, stat: &Stat, xattrs: Vec<tree::Xattr>) -> Entry {
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
    }
}

fn unchanged(record: &FileRecord, stat: &Stat) -> bool {
    let Node::File { size_bytes, .. } = record.entry.node else {
        return false;
    };
    (size_bytes, record.entry.mtime, record.entry.ctime, record.inode)
        == (stat.size_bytes, stat.mtime, stat.ctime, stat.inode)
}

fn unreadable(error: &io::Error) -> WarningKind {
    if error.kind() == io::ErrorKind::NotFound {
        WarningKind::Vanished
    } else {
        WarningKind::Unreadable
    }
}
