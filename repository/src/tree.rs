//! Trees: directory listings. A listing is one page or, for a large directory, several; each page is a chunk in a
//! tree pack. Names are bytes: not every system's names are UTF-8.

mod extra;

use minicbor::{Decode, Encode};

pub use extra::{Hole, Holes, OwnerNames, Reparse, Stream, Windows};

use crate::{
    chunk::{self, ChunkId, ChunkKey, ChunkRef},
    further::Further,
    wire::{self, WireError},
};

/// A page of a large directory ends at a fitting name from this size on.
const PAGE_MIN: usize = 128 * 1024;
/// A page ends here at the latest, but for a single entry that is larger.
const PAGE_MAX: usize = 1024 * 1024;
/// One name in so many ends a page.
const PAGE_NAMES: u16 = 512;
/// A file of more chunks lists them in pages of their own.
const DIRECT_MAX: usize = 512;
/// A page of a chunk list has at most this many.
const LIST_MAX: usize = 4096;
/// One chunk in so many ends a page of a chunk list.
const LIST_CHUNKS: u16 = 1024;

/// A time as the file system keeps it: seconds since 1970 and nanoseconds upwards from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(array)]
pub struct UnixTime {
    /// Seconds, negative before 1970.
    #[n(0)]
    pub seconds: i64,
    /// 0 to 999,999,999.
    #[n(1)]
    pub nanoseconds: u32,
}

/// An extended attribute; ACLs are among them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Xattr {
    /// Its name, with the namespace.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub name: Vec<u8>,
    /// Its value.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub value: Vec<u8>,
}

/// What an entry is. Never reuse a number; 4 to 7 are reserved for devices, pipes and sockets.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Node {
    /// A regular file.
    #[n(1)]
    File {
        /// Its length: the sum of its chunks' lengths.
        #[n(0)]
        size_bytes: u64,
        /// Its chunks.
        #[n(1)]
        content: Content,
    },
    /// A directory: the chunks that are the pages of its listing; none when it is empty.
    #[n(2)]
    Directory {
        /// Pages in order.
        #[n(0)]
        pages: Vec<ChunkId>,
    },
    /// A symbolic link.
    #[n(3)]
    Symlink {
        /// Where it points, as it is stored.
        #[cbor(n(0), with = "minicbor::bytes")]
        target: Vec<u8>,
    },
}

/// A file's chunks. Never reuse a number.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Content {
    /// The chunks in order.
    #[n(0)]
    Direct(#[n(0)] Vec<ChunkRef>),
    /// The pages of the list of chunks, in order: see [`decode_chunk_list`].
    #[n(1)]
    Indirect(#[n(0)] Vec<ChunkId>),
}

/// One name in a directory. Fields 9 to 12 make it one of version 2.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Entry {
    /// The name: not empty, no slash, no zero byte, not `.` or `..`.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub name: Vec<u8>,
    /// What it is.
    #[n(1)]
    pub node: Node,
    /// Permission bits, with set-user-id, set-group-id and sticky: 12 bits.
    #[n(2)]
    pub mode: u32,
    /// The owner's number.
    #[n(3)]
    pub uid: u32,
    /// The group's number.
    #[n(4)]
    pub gid: u32,
    /// When the content changed.
    #[n(5)]
    pub mtime: UnixTime,
    /// When anything changed. For information: no restore can set it.
    #[n(6)]
    pub ctime: UnixTime,
    /// Extended attributes, sorted by name.
    #[n(7)]
    pub xattrs: Vec<Xattr>,
    /// Entries of a snapshot with the same number are one file under several names.
    #[n(8)]
    pub hard_link: Option<u64>,
    /// The names of owner and group, where the snapshot's own table does not have them.
    #[n(9)]
    pub owner: Option<Box<OwnerNames>>,
    /// Where a file has holes.
    #[n(10)]
    pub holes: Option<Box<Holes>>,
    /// What Windows keeps of it.
    #[n(11)]
    pub windows: Option<Box<Windows>>,
    /// What later writers add and readers may pass over.
    #[n(12)]
    pub further: Option<Box<Further>>,
}

/// Why a listing is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Not a page of a listing.
    #[error("tree: {0}")]
    Wire(#[from] WireError),
    /// A name that could lead out of its directory or that no file system has.
    #[error("tree: an entry's name is not a plain file name")]
    BadName,
    /// Two equal names or names out of order.
    #[error("tree: names are not in ascending order")]
    Order,
    /// A time, a mode or a length that cannot be.
    #[error("tree: an entry's {what} is out of range")]
    OutOfRange {
        /// Which field.
        what: &'static str,
    },
    /// A page or entry that says the right thing as another version than the lowest that can.
    #[error("tree: a listing is not written as the version that its entries need")]
    OtherVersion,
    /// An entry too large for a chunk.
    #[error("tree: an entry is too large to be stored")]
    TooLarge,
}

/// Whether a name may stand in a listing.
#[must_use]
pub fn is_plain_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
}

impl Entry {
    /// Whether it has nothing that version 1 does not have.
    #[must_use]
    pub fn is_version_1(&self) -> bool {
        self.owner.is_none() && self.holes.is_none() && self.windows.is_none() && self.further.is_none()
    }

    fn check_extra(&self) -> Result<(), TreeError> {
        if let Some(owner) = &self.owner {
            owner.check()?;
        }
        if let Some(holes) = &self.holes {
            match &self.node {
                Node::File { size_bytes, .. } => holes.check(*size_bytes)?,
                _ => return Err(TreeError::OutOfRange { what: "holes" }),
            }
        }
        if let Some(windows) = &self.windows {
            windows.check()?;
        }
        match &self.further {
            Some(further) if further.check().is_err() => Err(TreeError::OutOfRange {
                what: "further fields",
            }),
            _ => Ok(()),
        }
    }

    pub(crate) fn check(&self) -> Result<(), TreeError> {
        self.check_extra()?;
        if !is_plain_name(&self.name) {
            return Err(TreeError::BadName);
        }
        if self.mode > 0o7777 {
            return Err(TreeError::OutOfRange { what: "mode" });
        }
        if [self.mtime, self.ctime]
            .iter()
            .any(|time| time.nanoseconds > 999_999_999)
        {
            return Err(TreeError::OutOfRange { what: "time" });
        }
        match &self.node {
            Node::File {
                size_bytes,
                content: Content::Direct(chunks),
            } => check_chunks(chunks).and_then(|total| {
                if total == *size_bytes {
                    Ok(())
                } else {
                    Err(TreeError::OutOfRange { what: "size" })
                }
            }),
            Node::Symlink { target } if target.is_empty() || target.contains(&0) => {
                Err(TreeError::OutOfRange {
                    what: "symlink target",
                })
            }
            _ => Ok(()),
        }
    }
}

fn check_chunks(chunks: &[ChunkRef]) -> Result<u64, TreeError> {
    let mut total = 0;
    for chunk in chunks {
        if !usize::try_from(chunk.raw_len).is_ok_and(|len| (1..=chunk::MAX_BYTES).contains(&len)) {
            return Err(TreeError::OutOfRange { what: "chunk length" });
        }
        total += u64::from(chunk.raw_len);
    }
    Ok(total)
}

/// A page: one of both.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Page {
    /// None of the entries has a field of version 2.
    #[n(0)]
    version_1: Option<Vec<Entry>>,
    /// At least one has.
    #[n(1)]
    version_2: Option<Vec<Entry>>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct ChunkList {
    #[n(0)]
    chunks: Vec<ChunkRef>,
}

/// Encodes a listing. `entries` are in ascending order of their names.
///
/// Pages of a large directory end where a keyed hash of a name says so: a new name changes one page, not all that
/// follow it.
///
/// # Errors
/// When a name is not plain, the order is wrong, or an entry is larger than a chunk.
pub fn encode_listing<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    names: &ChunkKey,
) -> Result<Vec<Vec<u8>>, TreeError> {
    let mut pages = Vec::new();
    let mut before: Option<&Entry> = None;
    // The entries of the page that is being filled, one after the other, their number, and whether all are of version 1.
    let (mut body, mut count, mut is_first) = (Vec::new(), 0, true);
    for entry in entries {
        entry.check()?;
        if before.is_some_and(|before| before.name >= entry.name) {
            return Err(TreeError::Order);
        }
        before = Some(entry);
        let begin = body.len();
        wire::encode_onto(entry, &mut body);
        let len = body.len() - begin;
        if len > chunk::MAX_BYTES - 64 {
            return Err(TreeError::TooLarge);
        }
        if begin > 0 && begin + len > PAGE_MAX {
            pages.push(page_of(&body[..begin], count, is_first));
            body.drain(..begin);
            (count, is_first) = (0, true);
        }
        count += 1;
        is_first &= entry.is_version_1();
        if body.len() >= PAGE_MIN && ends_page(names.id(&entry.name), PAGE_NAMES) {
            pages.push(page_of(&body, count, is_first));
            body.clear();
            (count, is_first) = (0, true);
        }
    }
    if count > 0 {
        pages.push(page_of(&body, count, is_first));
    }
    Ok(pages)
}

/// A page as it is stored.
pub(crate) fn page(entries: &[Entry]) -> Vec<u8> {
    let mut body = Vec::new();
    entries
        .iter()
        .for_each(|entry| wire::encode_onto(entry, &mut body));
    page_of(&body, entries.len(), entries.iter().all(Entry::is_version_1))
}

/// What [`Page`] encodes to, from entries that are encoded already. A page of which every entry is of version 1 is one of
/// version 1: what did not change keeps its id, whichever agent writes it.
fn page_of(body: &[u8], count: usize, is_version_1: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 16);
    let mut encoder = minicbor::Encoder::new(&mut bytes);
    let header = encoder
        .map(1)
        .and_then(|e| e.u8(u8::from(!is_version_1)))
        .and_then(|e| e.array(count as u64));
    if let Err(never) = header {
        unreachable!("encoding into memory: {never}");
    }
    bytes.extend_from_slice(body);
    bytes
}

pub(crate) fn ends_page(id: ChunkId, one_in: u16) -> bool {
    let [high, low, ..] = *id.as_bytes();
    u16::from_be_bytes([high, low]).is_multiple_of(one_in)
}

/// Decodes a page of a listing.
///
/// # Errors
/// When it is not one, or holds a name that could lead out of its directory.
pub fn decode_page(bytes: &[u8]) -> Result<Vec<Entry>, TreeError> {
    let page: Page = wire::decode(bytes, "directory listing")?;
    let (entries, is_version_1) = match (page.version_1, page.version_2) {
        (Some(entries), None) => (entries, true),
        (None, Some(entries)) => (entries, false),
        _ => return Err(TreeError::OtherVersion),
    };
    if entries.iter().all(Entry::is_version_1) != is_version_1 {
        return Err(TreeError::OtherVersion);
    }
    entries.iter().try_for_each(Entry::check)?;
    if !entries.is_sorted_by(|a, b| a.name < b.name) {
        return Err(TreeError::Order);
    }
    Ok(entries)
}

/// A file's content as its entry has it, and the pages that must be stored for it.
#[must_use]
pub fn encode_content(chunks: Vec<ChunkRef>, names: &ChunkKey) -> (Content, Vec<Vec<u8>>) {
    if chunks.len() <= DIRECT_MAX {
        return (Content::Direct(chunks), Vec::new());
    }
    let mut pages = Vec::new();
    let mut begin = 0;
    for (at, chunk) in chunks.iter().enumerate() {
        if at + 1 - begin >= LIST_MAX || (at > begin && ends_page(chunk.id, LIST_CHUNKS)) {
            pages.push(&chunks[begin..=at]);
            begin = at + 1;
        }
    }
    if begin < chunks.len() {
        pages.push(&chunks[begin..]);
    }
    let pages: Vec<_> = pages.into_iter().map(encode_chunk_list).collect();
    (
        Content::Indirect(pages.iter().map(|page| names.id(page)).collect()),
        pages,
    )
}

pub(crate) fn encode_chunk_list(chunks: &[ChunkRef]) -> Vec<u8> {
    wire::encode(&ChunkList {
        chunks: chunks.to_vec(),
    })
}

/// Decodes a page of a file's list of chunks.
///
/// # Errors
/// When it is not one.
pub fn decode_chunk_list(bytes: &[u8]) -> Result<Vec<ChunkRef>, TreeError> {
    let list: ChunkList = wire::decode(bytes, "chunk list")?;
    check_chunks(&list.chunks)?;
    Ok(list.chunks)
}

#[cfg(test)]
mod tests;
