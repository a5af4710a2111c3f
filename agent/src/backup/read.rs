//! Reading one file: in pieces, cut into chunks, with an eye on whether it holds still.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::atomic::Ordering::Relaxed,
};

use jiff::{SignedDuration, Timestamp};
use repository::{
    chunk::{self, ChunkRef},
    manifest::WarningKind,
    tree::{Content, UnixTime},
};

use super::{BackupError, scan::Scanner};
use crate::{
    clock,
    metadata::{self, Kind, Stat},
};

/// A file is read in pieces of this size: always enough for the next chunk.
const READ_BYTES: usize = 2 * chunk::MAX_BYTES;

/// A file that was read.
#[derive(Clone)]
pub(super) struct FileRead {
    pub(super) content: Content,
    pub(super) chunks: Option<Vec<ChunkRef>>,
    pub(super) size_bytes: u64,
    pub(super) stat: Stat,
    /// Whether the next run may trust that equal times mean equal content.
    pub(super) stable: bool,
}

impl Scanner<'_, '_> {
    /// Reads a file. A file that changes meanwhile is read once more; if it changes again, that is a warning.
    pub(super) fn read(
        &mut self,
        path: &Path,
        seen: &Stat,
    ) -> Result<Result<FileRead, io::Error>, BackupError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let began = clock::now();
            let mut file = match metadata::open(path) {
                Ok(file) => file,
                Err(error) => return Ok(Err(error)),
            };
            let before = match metadata::stat_open(&file) {
                Ok(stat) if stat.kind == Kind::File => stat,
                Ok(_) => return Ok(Err(io::Error::other("it is no longer a regular file"))),
                Err(error) => return Ok(Err(error)),
            };
            let done = self.counters.bytes_done.load(Relaxed);
            let chunks = match self.chunks(&mut file) {
                Ok(chunks) => chunks,
                Err(ReadFault::Io(error)) => {
                    self.counters.bytes_done.store(done, Relaxed);
                    return Ok(Err(error));
                }
                Err(ReadFault::Backup(error)) => return Err(error),
            };
            let size_bytes = chunks.iter().map(|chunk| u64::from(chunk.raw_len)).sum();
            let still = metadata::stat_open(&file).is_ok_and(|after| before.same_content(&after))
                && size_bytes == before.size_bytes;
            if !still && attempt == 1 {
                self.counters.bytes_done.store(done, Relaxed);
                continue;
            }
            if !still {
                self.warn(
                    path,
                    WarningKind::ChangedWhileRead,
                    &"it changed each time it was read",
                );
            }
            let (content, all) = self.content(chunks)?;
            return Ok(Ok(FileRead {
                content,
                chunks: all,
                size_bytes,
                stat: Stat {
                    device: seen.device,
                    ..before
                },
                stable: still && settled(&before, began),
            }));
        }
    }

    fn chunks(&mut self, file: &mut File) -> Result<Vec<ChunkRef>, ReadFault> {
        let mut chunks = Vec::new();
        let mut buffer = std::mem::take(&mut self.buffer);
        let (mut begin, mut end) = (0, 0);
        let mut at_end = false;
        let result = loop {
            if !at_end && end - begin < chunk::MAX_BYTES {
                buffer.copy_within(begin..end, 0);
                (begin, end) = (0, end - begin);
                if buffer.len() < READ_BYTES {
                    buffer.resize(READ_BYTES, 0);
                }
                match fill(file, &mut buffer[end..]) {
                    Ok(0) => at_end = true,
                    Ok(more) => {
                        end += more;
                        at_end = end < buffer.len();
                    }
                    Err(error) => break Err(ReadFault::Io(error)),
                }
            }
            if begin == end {
                break Ok(chunks);
            }
            if self.counters.stopped() {
                break Err(BackupError::Interrupted.into());
            }
            let length = self
                .chunker
                .cut(&buffer[begin..end.min(begin + chunk::MAX_BYTES)]);
            let raw = &buffer[begin..begin + length];
            begin += length;
            match self.store_slice(raw, false) {
                // A chunk is at most 4 MiB.
                Ok(id) => chunks.push(ChunkRef {
                    id,
                    raw_len: u32::try_from(length).unwrap_or(u32::MAX),
                }),
                Err(error) => break Err(error.into()),
            }
            self.counters.bytes_done.fetch_add(length as u64, Relaxed);
            self.counters.bytes_read.fetch_add(length as u64, Relaxed);
        };
        self.buffer = buffer;
        result
    }
}

enum ReadFault {
    Io(io::Error),
    Backup(BackupError),
}

impl From<BackupError> for ReadFault {
    fn from(error: BackupError) -> Self {
        Self::Backup(error)
    }
}

fn fill(file: &mut File, mut buffer: &mut [u8]) -> io::Result<usize> {
    let mut total = 0;
    while !buffer.is_empty() {
        match file.read(buffer) {
            Ok(0) => break,
            Ok(more) => {
                total += more;
                buffer = &mut buffer[more..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

/// A file that was touched just before it was read may be changed again without a new time: clocks of file
/// systems tick, some once in two seconds.
fn settled(stat: &Stat, began: Timestamp) -> bool {
    let margin = |time: UnixTime| {
        if time.nanoseconds == 0 {
            SignedDuration::from_secs(2)
        } else {
            SignedDuration::from_millis(50)
        }
    };
    let at = |time: UnixTime| {
        Timestamp::new(time.seconds, i32::try_from(time.nanoseconds).unwrap_or_default())
            .unwrap_or(Timestamp::MAX)
    };
    began
        .checked_sub(margin(stat.ctime))
        .is_ok_and(|latest| at(stat.ctime) < latest)
}
