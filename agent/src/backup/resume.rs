//! What a run has sent or was about to send: a file that grows by a record for each pack, written before the pack is
//! sent, so that a run that breaks off leaves nothing in the bucket that the next one would not know of. The next run of
//! the source asks the server which of these packs the bucket holds (`adopt.rs`), and sends none of those again. When a
//! snapshot is complete, the file goes: its index segments say the same.
//!
//! A record says where a pack's chunks lie, and with what checksum it is sent. It opens nothing: the pack's key is
//! forgotten when the pack is sealed.
//!
//! ```text
//! "\nHFPACK\n" | length of the record, u32 big-endian | record, CBOR | tag (32)
//! ```
//!
//! The tag is a hash under the source's chunk key. A record that a disk has damaged, or that another source wrote, is
//! passed over: its pack is sent again.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use minicbor::{Decode, Encode};
use repository::{
    chunk::ChunkKey,
    pack::{MAX_CHUNKS, PackEntry, PackLayout},
};
use shared::object::{ObjectHash, ObjectKind, ObjectRef};

use crate::clock;

const MARK: &[u8; 8] = b"\nHFPACK\n";
const TAG_LEN: usize = 32;
/// No record is longer: an entry takes less than 64 bytes.
const MAX_RECORD: usize = 64 * MAX_CHUNKS + 1024;
/// What a failure of power may cost is what was sent in this time.
const SYNC_EVERY: Duration = Duration::from_secs(5);

#[derive(Encode, Decode)]
struct Record {
    #[cbor(n(0), with = "minicbor::bytes")]
    hash: [u8; 32],
    #[n(1)]
    kind: u8,
    #[n(2)]
    size_bytes: u64,
    #[n(3)]
    body_offset: u32,
    #[n(4)]
    entries: Vec<PackEntry>,
    #[cbor(n(5), with = "minicbor::bytes")]
    content_md5: [u8; 16],
}

/// A pack that was sent, or was about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// What is in it.
    pub layout: PackLayout,
    /// MD5 of the pack, which an upload names.
    pub content_md5: [u8; 16],
}

/// What earlier runs left behind.
#[derive(Debug, Default)]
pub struct Leftover {
    /// Packs that may be in the bucket, no commit having named them.
    pub packs: Vec<Noted>,
    /// Whether something in the file did not read.
    pub is_damaged: bool,
}

/// The packs of a run and of those before it that broke off.
pub struct Resume {
    path: PathBuf,
    key: ChunkKey,
    journal: Mutex<Journal>,
}

struct Journal {
    /// `None` when it cannot be written: that costs a run that breaks off what it has sent.
    file: Option<File>,
    synced: Instant,
}

impl Resume {
    /// What earlier runs left behind; nothing when there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn leftover(path: &Path, key: &ChunkKey) -> io::Result<Leftover> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Leftover::default()),
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::new(file);
        let mut found = Leftover::default();
        let mut seen = HashSet::new();
        while find_mark(&mut reader, &mut found.is_damaged)? {
            let begin = reader.stream_position()?;
            match read_record(&mut reader, key)? {
                Some(noted) if seen.insert(noted.layout.object.hash) => found.packs.push(noted),
                Some(_) => {}
                None => {
                    // The next mark may stand in what the damaged length took for the record.
                    found.is_damaged = true;
                    reader.seek(SeekFrom::Start(begin))?;
                }
            }
        }
        Ok(found)
    }

    /// Begins a run's file with the packs that it has adopted. Where it cannot be written, the run goes on without it.
    #[must_use]
    pub fn begin(path: &Path, key: ChunkKey, adopted: &[Noted]) -> Self {
        let file = begin(path, &key, adopted).inspect_err(|error| cannot_note(path, error));
        Self {
            path: path.to_owned(),
            key,
            journal: Mutex::new(Journal {
                file: file.ok(),
                synced: clock::monotonic(),
            }),
        }
    }

    /// Notes a pack, before it is sent.
    pub fn note(&self, layout: &PackLayout, content_md5: [u8; 16]) {
        let record = record(layout, content_md5, &self.key);
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let Journal { file, synced } = &mut *journal;
        let Some(open) = file else { return };
        let written = open.write_all(&record).and_then(|()| {
            if synced.elapsed() < SYNC_EVERY {
                return Ok(());
            }
            *synced = clock::monotonic();
            open.sync_data()
        });
        if let Err(error) = written {
            cannot_note(&self.path, &error);
            *file = None;
        }
    }

    /// A snapshot is complete: nothing is left behind.
    pub fn end(self) {
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            // The next run asks for these packs, and finds that it needs none of them.
            tracing::debug!(path = %self.path.display(), %error, "the journal of the run stays");
        }
    }
}

fn begin(path: &Path, key: &ChunkKey, adopted: &[Noted]) -> io::Result<File> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&fresh)?;
    for noted in adopted {
        file.write_all(&record(&noted.layout, noted.content_md5, key))?;
    }
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    Ok(file)
}

fn cannot_note(path: &Path, error: &io::Error) {
    tracing::warn!(path = %path.display(), %error, "what is sent cannot be noted: a run that breaks off is sent again");
}

fn record(layout: &PackLayout, content_md5: [u8; 16], key: &ChunkKey) -> Vec<u8> {
    // Into memory: cannot fail.
    let record = minicbor::to_vec(Record {
        hash: *layout.object.hash.as_bytes(),
        kind: layout.object.kind.tag(),
        size_bytes: layout.object.size_bytes,
        body_offset: layout.body_offset,
        entries: layout.entries.clone(),
        content_md5,
    })
    .unwrap_or_default();
    // A pack's entries bound it.
    let len = u32::try_from(record.len()).unwrap_or(u32::MAX);
    [&MARK[..], &len.to_be_bytes(), &record, &tag(&record, key)].concat()
}

fn tag(record: &[u8], key: &ChunkKey) -> [u8; TAG_LEN] {
    *key.id(&[&MARK[..], record].concat()).as_bytes()
}

/// Goes on behind the next mark; notes whether anything stood before it. `false` at the end.
fn find_mark(reader: &mut impl BufRead, skipped: &mut bool) -> io::Result<bool> {
    let mut window = [0; MARK.len()];
    let mut filled = 0;
    for byte in reader.bytes() {
        if filled == window.len() {
            window.rotate_left(1);
            filled -= 1;
            *skipped = true;
        }
        window[filled] = byte?;
        filled += 1;
        if window == *MARK {
            return Ok(true);
        }
    }
    *skipped |= filled > 0;
    Ok(false)
}

/// Reads the record behind a mark; `None` when it is not one.
fn read_record(reader: &mut impl Read, key: &ChunkKey) -> io::Result<Option<Noted>> {
    let mut fixed = |len: usize| {
        // It grows with what is there, not with what is announced.
        let mut bytes = Vec::new();
        reader.by_ref().take(len as u64).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>((bytes.len() == len).then_some(bytes))
    };
    let Some(len) = fixed(4)?
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_be_bytes)
    else {
        return Ok(None);
    };
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > MAX_RECORD {
        return Ok(None);
    }
    let (Some(bytes), Some(found)) = (fixed(len)?, fixed(TAG_LEN)?) else {
        return Ok(None);
    };
    if found != tag(&bytes, key) {
        return Ok(None);
    }
    Ok(minicbor::decode::<Record>(&bytes).ok().and_then(noted))
}

fn noted(record: Record) -> Option<Noted> {
    let layout = PackLayout {
        object: ObjectRef {
            kind: ObjectKind::from_tag(record.kind)?,
            hash: ObjectHash::from_bytes(record.hash),
            size_bytes: record.size_bytes,
        },
        body_offset: record.body_offset,
        entries: record.entries,
    };
    layout.check().ok()?;
    Some(Noted {
        layout,
        content_md5: record.content_md5,
    })
}

#[cfg(test)]
mod tests {
    use repository::{chunk::SourceSecret, compress::Compression};

    use super::*;

    fn key(number: u8) -> ChunkKey {
        SourceSecret::from_bytes([number; 32]).chunk_key()
    }

    fn noted(number: u8) -> Noted {
        let entry = |content: u8| PackEntry {
            id: key(1).id(&[number, content]),
            stored_len: 100,
            raw_len: 200,
            compression: Compression::Zstd,
        };
        Noted {
            layout: PackLayout {
                object: ObjectRef {
                    kind: ObjectKind::Pack,
                    hash: ObjectHash::from_bytes([number; 32]),
                    size_bytes: 4000,
                },
                body_offset: 300,
                entries: (0..3).map(entry).collect(),
            },
            content_md5: [number; 16],
        }
    }

    fn journal(folder: &Path, adopted: &[Noted], packs: &[Noted]) -> PathBuf {
        let path = folder.join("journal");
        let resume = Resume::begin(&path, key(1), adopted);
        for pack in packs {
            resume.note(&pack.layout, pack.content_md5);
        }
        path
    }

    #[test]
    fn what_a_run_notes_the_next_one_finds_until_a_run_goes_through() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        assert!(Resume::leftover(&path, &key(1)).unwrap().packs.is_empty());
        journal(folder.path(), &[], &[noted(1), noted(2)]);
        // The second run has taken over one of the two, and sends another.
        journal(folder.path(), &[noted(2)], &[noted(3)]);
        let found = Resume::leftover(&path, &key(1)).unwrap();
        assert_eq!((found.packs, found.is_damaged), (vec![noted(2), noted(3)], false));
        Resume::begin(&path, key(1), &[]).end();
        assert!(!path.exists());
    }

    #[test]
    fn a_record_that_is_damaged_costs_itself_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let all = [noted(1), noted(2), noted(3)];
        let path = journal(folder.path(), &[], &all);
        let right = fs::read(&path).unwrap();
        let one = right.len() / 3;
        for at in 0..right.len() {
            let mut wrong = right.clone();
            wrong[at] ^= 0x41;
            fs::write(&path, wrong).unwrap();
            let found = Resume::leftover(&path, &key(1)).unwrap();
            let rest: Vec<Noted> = (0..3)
                .filter(|number| at / one != *number)
                .map(|n| all[n].clone())
                .collect();
            assert!(found.is_damaged, "at {at}");
            assert_eq!(found.packs, rest, "at {at}");
        }
        for len in 0..right.len() {
            fs::write(&path, &right[..len]).unwrap();
            let found = Resume::leftover(&path, &key(1)).unwrap();
            assert_eq!(found.packs, all[..len / one], "of {len}");
            assert_eq!(found.is_damaged, len % one != 0, "of {len}");
        }
        fs::write(&path, [&right[..], &right].concat()).unwrap();
        let found = Resume::leftover(&path, &key(1)).unwrap();
        assert_eq!((found.packs.as_slice(), found.is_damaged), (&all[..], false));
        // Another source's says nothing.
        let found = Resume::leftover(&path, &key(2)).unwrap();
        assert_eq!((found.packs.len(), found.is_damaged), (0, true));
    }

    #[test]
    fn a_run_goes_on_where_nothing_can_be_noted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/journal");
        let resume = Resume::begin(&path, key(1), &[noted(1)]);
        resume.note(&noted(2).layout, [2; 16]);
        resume.end();
        assert!(!path.exists());
    }
}
