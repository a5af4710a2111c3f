//! What version 2 adds to an entry: every field is optional. Today's writers write none of them; readers check them, keep
//! them, and restore from them only what their system has a place for.

use minicbor::{Decode, Encode, bytes::ByteVec};

use super::{Content, TreeError, UnixTime, check_chunks};
use crate::owners::is_name;

/// No file lists more holes.
pub const MAX_HOLES: usize = 65_536;
/// No security descriptor is longer.
pub const MAX_SECURITY_BYTES: usize = 64 * 1024;
/// No file has more named streams.
pub const MAX_STREAMS: usize = 1024;
/// A stream's name has up to 255 UTF-16 units; each takes up to three bytes in WTF-8.
pub const MAX_STREAM_NAME_BYTES: usize = 765;
/// Windows' own limit of reparse data.
pub const MAX_REPARSE_BYTES: usize = 16 * 1024;

/// The names of an entry's owner and group, where the snapshot's table does not have them: one number may stand for
/// several names, or for none. An empty name is not known.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct OwnerNames {
    /// The owner.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub user: Vec<u8>,
    /// The group.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub group: Vec<u8>,
}

/// The holes of a file, ascending and apart from each other. Their zeros are stored all the same.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Holes(#[n(0)] pub Vec<Hole>);

/// Bytes of a file for which nothing was allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Hole {
    /// Where it begins.
    #[n(0)]
    pub offset: u64,
    /// Its length: not zero.
    #[n(1)]
    pub len: u64,
}

/// What Windows keeps of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Windows {
    /// `FILE_ATTRIBUTE_*`.
    #[n(0)]
    pub attributes: Option<u32>,
    /// When it was created.
    #[n(1)]
    pub created: Option<UnixTime>,
    /// A self-relative security descriptor.
    #[n(2)]
    pub security: Option<ByteVec>,
    /// Named streams, ascending by name.
    #[n(3)]
    pub streams: Option<Vec<Stream>>,
    /// Reparse data.
    #[n(4)]
    pub reparse: Option<Reparse>,
}

/// A named stream of a file.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Stream {
    /// Its name in WTF-8, without colons.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub name: Vec<u8>,
    /// Its length.
    #[n(1)]
    pub size_bytes: u64,
    /// Its chunks.
    #[n(2)]
    pub content: Content,
}

/// What makes a file a junction, a link, or a placeholder.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Reparse {
    /// `IO_REPARSE_TAG_*`.
    #[n(0)]
    pub tag: u32,
    /// The data after the header.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub data: Vec<u8>,
}

fn bounded(is_sound: bool, what: &'static str) -> Result<(), TreeError> {
    if is_sound {
        Ok(())
    } else {
        Err(TreeError::OutOfRange { what })
    }
}

impl OwnerNames {
    pub(super) fn check(&self) -> Result<(), TreeError> {
        let names = [&self.user, &self.group];
        let known = names.iter().filter(|name| !name.is_empty());
        let is_sound = known.clone().all(|name| is_name(name)) && known.count() > 0;
        bounded(is_sound, "owner names")
    }
}

impl Holes {
    /// `size_bytes` is the file's.
    pub(super) fn check(&self, size_bytes: u64) -> Result<(), TreeError> {
        let mut end = 0;
        let are_apart = self.0.iter().all(|hole| {
            let is_next = hole.len > 0 && (hole.offset > end || (hole.offset, end) == (0, 0));
            end = hole.offset.saturating_add(hole.len);
            is_next && end <= size_bytes
        });
        bounded((1..=MAX_HOLES).contains(&self.0.len()) && are_apart, "holes")
    }
}

impl Windows {
    pub(super) fn check(&self) -> Result<(), TreeError> {
        bounded(*self != Self::default(), "Windows fields")?;
        bounded(
            self.created.is_none_or(|time| time.nanoseconds <= 999_999_999),
            "time",
        )?;
        let len = |bytes: &Option<ByteVec>| bytes.as_ref().map_or(0, |bytes| bytes.len());
        bounded(len(&self.security) <= MAX_SECURITY_BYTES, "security descriptor")?;
        let reparse = self.reparse.as_ref().map_or(0, |reparse| reparse.data.len());
        bounded(reparse <= MAX_REPARSE_BYTES, "reparse data")?;
        let Some(streams) = &self.streams else {
            return Ok(());
        };
        let is_sorted = streams.is_sorted_by(|a, b| a.name < b.name);
        bounded(
            is_sorted && (1..=MAX_STREAMS).contains(&streams.len()),
            "named streams",
        )?;
        streams.iter().try_for_each(Stream::check)
    }
}

impl Stream {
    fn check(&self) -> Result<(), TreeError> {
        let is_name = (1..=MAX_STREAM_NAME_BYTES).contains(&self.name.len())
            && !self
                .name
                .iter()
                .any(|byte| matches!(byte, 0 | b':' | b'/' | b'\\'));
        bounded(is_name, "stream name")?;
        match &self.content {
            Content::Direct(chunks) => bounded(check_chunks(chunks)? == self.size_bytes, "stream size"),
            Content::Indirect(_) => Ok(()),
        }
    }
}
