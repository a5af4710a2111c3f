//! Reading one file: in pieces, cut into chunks, with an eye on whether it holds still.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use jiff::{SignedDuration, Timestamp};
use repository::{
    chunk::{self, ChunkRef},
    manifest::WarningKind,
    tree::{self, UnixTime, Xattr},
};
use shared::object::ObjectKind;

use super::{
    error::BackupError,
    file_read::{FileContent, FileRead},
    node::Node,
    piece::{Piece, Pieces},
    sample::sample,
    walker::{Walk, Worker},
};
use crate::{
    clock,
    platform::{Folder, Kind, OpenFile, Stat},
};

/// A file is read through a window of this size.
const WINDOW_BYTES: usize = chunk::MAX_BYTES;
/// With so much in the window most chunks end before the window does.
const REFILL_BYTES: usize = 2 * chunk::AVERAGE_BYTES;
/// The chunks of larger files are handed to threads that have nothing else to do.
const SHARED_FILE_MIN_BYTES: u64 = 8 * 1024 * 1024;
/// File systems tick: a file may change again without a new time so soon after a change.
const MTIME_TICK: SignedDuration = SignedDuration::from_millis(50);
/// Some tick once in two seconds.
const COARSE_MTIME_TICK: SignedDuration = SignedDuration::from_secs(2);

/// Why a file was not read.
pub(super) enum ReadFault {
    /// The file: others go on.
    Io(io::Error),
    /// The run.
    Backup(BackupError),
}

impl From<io::Error> for ReadFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<E: Into<BackupError>> From<E> for ReadFault {
    fn from(error: E) -> Self {
        Self::Backup(error.into())
    }
}

impl Walk<'_, '_> {
    /// Reads a file. One that changes meanwhile is read once more; if it changes again, that is a warning.
    pub(super) fn read(
        &self,
        worker: &mut Worker,
        node: &Node,
        folder: &Folder,
        name: &[u8],
    ) -> Result<FileRead, ReadFault> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let began = clock::now();
            let reading = self.reading(worker, node.root);
            let mut file = folder.file(name)?;
            let before = file.stat()?;
            if before.kind != Kind::File {
                return Err(io::Error::other("it is no longer a regular file").into());
            }
            let (xattrs, has_all) = self.xattrs_of(&file, node, name);
            drop(reading);
            let mut buffer = std::mem::take(&mut worker.buffer);
            buffer.resize(WINDOW_BYTES, 0);
            let mut done = 0;
            let chunks = self.cut(worker, (node.root, &mut file), &before, &mut buffer, &mut done);
            worker.buffer = buffer;
            let undone = |_: &ReadFault| {
                self.counters.bytes_done.fetch_sub(done, Relaxed);
            };
            let (chunks, packs) = chunks.inspect_err(undone)?;
            let size_bytes = chunks.iter().map(|chunk| u64::from(chunk.raw_len)).sum();
            let sample = self
                .filter
                .unstable_inodes()
                .then(|| sample(&file, size_bytes, &self.names));
            let sample = sample.and_then(Result::ok);
            let still =
                file.stat().is_ok_and(|after| before.same_content(&after)) && size_bytes == before.size_bytes;
            if !still && attempt == 1 {
                self.counters.bytes_done.fetch_sub(done, Relaxed);
                continue;
            }
            if !still {
                let detail = "it changed each time it was read";
                self.warn(node.path_of(name), WarningKind::ChangedWhileRead, &detail);
            }
            return Ok(FileRead {
                content: self.content(worker, chunks, packs)?,
                size_bytes,
                stat: before,
                xattrs,
                is_settled: still && has_all && self.is_settled(&before, began),
                sample,
            });
        }
    }

    /// Whether a file that looked like this when reading `began` will get a new time whenever it is changed from now on.
    /// Whoever maps it into memory may go on writing into a page that is dirty, without a new time, until the system has
    /// written that page: `settle` is longer than that takes.
    fn is_settled(&self, stat: &Stat, began: Timestamp) -> bool {
        let by = |changed| is_past_tick(changed, began) && changed_before(changed, began, self.settle);
        by(stat.ctime) || (self.filter.unstable_inodes() && by(stat.mtime))
    }

    /// A file's extended attributes, and whether those are all; if not, that is a warning.
    pub(super) fn xattrs_of(&self, file: &OpenFile, node: &Node, name: &[u8]) -> (Vec<Xattr>, bool) {
        match file.xattrs() {
            Ok(xattrs) => self.bounded(xattrs, &|| node.path_of(name)),
            Err(error) => {
                self.warn(node.path_of(name), WarningKind::MetadataIncomplete, &error);
                (Vec::new(), false)
            }
        }
    }

    /// Cuts a file into chunks and stores them; `done` counts the bytes. Gives the chunks in order, and their packs.
    fn cut(
        &self,
        worker: &mut Worker,
        (root, file): (usize, &mut OpenFile),
        stat: &Stat,
        buffer: &mut [u8],
        done: &mut u64,
    ) -> Result<(Vec<ChunkRef>, Vec<u64>), ReadFault> {
        let pieces = Arc::new(Pieces::default());
        // What is read but not cut yet, and where in the file it begins.
        let (mut begin, mut end, mut offset) = (0, 0, 0);
        let mut at_end = false;
        let mut index = 0;
        loop {
            self.must_go_on()?;
            if stat.is_sparse {
                let zeros = chunk::MAX_BYTES as u64;
                let reading = self.reading(worker, root);
                let count = file.hole_at(offset, stat.size_bytes) / zeros;
                drop(reading);
                if count > 0 {
                    let zero = self.zeros(worker)?;
                    for _ in 0..count {
                        pieces.set(index, zero);
                        index += 1;
                    }
                    (begin, end, at_end) = (0, 0, false);
                    offset += count * zeros;
                    *done += count * zeros;
                    self.counters.bytes_done.fetch_add(count * zeros, Relaxed);
                }
                file.go_to(offset + (end - begin) as u64)?;
            }
            let mut length = 0;
            // The second time, if need be, with all that a chunk can take.
            for wanted in [REFILL_BYTES, WINDOW_BYTES] {
                if !at_end && end - begin < wanted {
                    buffer.copy_within(begin..end, 0);
                    (begin, end) = (0, end - begin);
                    // The last read, which would say that there is no more, is spared: whether the file grew is
                    // asked anyway.
                    let left = stat.size_bytes.saturating_sub(offset + end as u64);
                    let reading = self.reading(worker, root);
                    end += file.fill(&mut buffer[end..], left)?;
                    drop(reading);
                    at_end = end < buffer.len() || offset + end as u64 == stat.size_bytes;
                }
                length = self.chunker.cut(&buffer[begin..end]);
                if at_end || length < end - begin {
                    break;
                }
            }
            if length == 0 {
                break;
            }
            let raw = &buffer[begin..begin + length];
            if stat.size_bytes > SHARED_FILE_MIN_BYTES && self.queue.is_hungry() {
                self.queue.offer(Piece::new(raw.to_vec(), &pieces, index));
            } else {
                let stored = self.store(worker, raw, ObjectKind::Pack)?;
                pieces.set(index, (stored, length));
            }
            index += 1;
            begin += length;
            offset += length as u64;
            *done += length as u64;
            self.counters.bytes_done.fetch_add(length as u64, Relaxed);
            self.counters.bytes_read.fetch_add(length as u64, Relaxed);
        }
        self.wait_for(worker, &pieces)?;
        Ok(pieces.collect(index))
    }

    /// A file's content as its entry has it: its chunks, or the pages that list them.
    pub(super) fn content(
        &self,
        worker: &mut Worker,
        chunks: Vec<ChunkRef>,
        mut packs: Vec<u64>,
    ) -> Result<FileContent, BackupError> {
        let (content, pages) = tree::encode_content(chunks.clone(), &self.names);
        for page in &pages {
            packs.push(self.store(worker, page, ObjectKind::TreePack)?.pack);
        }
        packs.sort_unstable();
        packs.dedup();
        Ok(FileContent {
            content,
            chunks: (!pages.is_empty()).then_some(chunks),
            packs,
        })
    }
}

/// Whether a change after `began` would get another time than the last one, at `changed`: the clock of a file system stands still
/// for a moment.
pub(super) fn is_past_tick(changed: UnixTime, began: Timestamp) -> bool {
    let is_coarse = changed.nanoseconds == 0;
    changed_before(
        changed,
        began,
        if is_coarse { COARSE_MTIME_TICK } else { MTIME_TICK },
    )
}

fn changed_before(changed: UnixTime, began: Timestamp, margin: SignedDuration) -> bool {
    let UnixTime { seconds, nanoseconds } = changed;
    let changed = Timestamp::new(seconds, i32::try_from(nanoseconds).unwrap_or_default());
    let latest = began.checked_sub(margin);
    matches!((changed, latest), (Ok(changed), Ok(latest)) if changed < latest)
}
