//! Chunks: where a file is cut, and what a piece is called. Both depend on the source's secret, so that nobody
//! else can tell from sizes or names whether a known file is among the data.

use std::fmt;

use minicbor::{Decode, Encode};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// No chunk is smaller, but the last of a file.
pub const MIN_BYTES: usize = 256 * 1024;
/// What chunks of large files tend to.
pub const AVERAGE_BYTES: usize = 1024 * 1024;
/// No chunk is larger.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

const CHUNK_KEY: &str = "holdfast v1 source secret to chunk id key";
const GEAR: &str = "holdfast v1 source secret to gear table";
const INDEX_KEY: &str = "holdfast v1 source secret to index key";
const GROUP_KEY: &str = "holdfast v1 source secret to hard link groups";

/// What a source's agent keeps: chunk ids, cut points and the index key follow from it. It opens no pack.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SourceSecret([u8; 32]);

impl SourceSecret {
    /// Wraps 32 bytes from the operating system's random source.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// What names chunks.
    #[must_use]
    pub fn chunk_key(&self) -> ChunkKey {
        ChunkKey(blake3::derive_key(CHUNK_KEY, &self.0))
    }

    /// What opens this source's index segments.
    #[must_use]
    pub fn index_key(&self) -> IndexKey {
        IndexKey(blake3::derive_key(INDEX_KEY, &self.0))
    }

    /// What cuts files.
    #[must_use]
    pub fn chunker(&self) -> Chunker {
        let mut table = [0u8; 2048];
        let mut hasher = blake3::Hasher::new_derive_key(GEAR);
        hasher.update(&self.0);
        hasher.finalize_xof().fill(&mut table);
        let gear: Vec<u64> = table
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bytes| u64::from_le_bytes(*bytes))
            .collect();
        table.zeroize();
        let shifted = gear.iter().map(|value| value << 1).collect();
        Chunker { gear, shifted }
    }

    /// A number for the hard links to one file: equal for equal (device, inode), and no hint to either.
    /// `device` counts the devices of a source in the order in which the walk meets them.
    #[must_use]
    pub fn hard_link_group(&self, device: u64, inode: u64) -> u64 {
        let key = blake3::derive_key(GROUP_KEY, &self.0);
        let mut input = [0; 16];
        input[..8].copy_from_slice(&device.to_be_bytes());
        input[8..].copy_from_slice(&inode.to_be_bytes());
        let mut group = [0; 8];
        group.copy_from_slice(&blake3::keyed_hash(&key, &input).as_bytes()[..8]);
        u64::from_be_bytes(group)
    }
}

impl fmt::Debug for SourceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceSecret(secret)")
    }
}

/// Names chunks. It also stands in the manifest's sealed part: a restore checks every chunk with it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Encode, Decode)]
#[cbor(transparent)]
pub struct ChunkKey(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]);

impl ChunkKey {
    /// The id of a piece of a file or a listing.
    #[must_use]
    pub fn id(&self, raw: &[u8]) -> ChunkId {
        ChunkId(*blake3::keyed_hash(&self.0, raw).as_bytes())
    }
}

impl fmt::Debug for ChunkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkKey(secret)")
    }
}

/// Opens a source's index segments, at the agent.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct IndexKey(pub(crate) [u8; 32]);

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexKey(secret)")
    }
}

/// Keyed BLAKE3 of a chunk's bytes as they were read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct ChunkId(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]);

impl ChunkId {
    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From the 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::seal::hex(&self.0))
    }
}

/// One chunk of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(array)]
pub struct ChunkRef {
    /// Which chunk.
    #[n(0)]
    pub id: ChunkId,
    /// Its length as read.
    #[n(1)]
    pub raw_len: u32,
}

/// Cuts by content: FastCDC with a gear table of the source's own.
pub struct Chunker {
    gear: Vec<u64>,
    shifted: Vec<u64>,
}

impl Chunker {
    /// The length of the first chunk of `bytes`, which must hold [`MAX_BYTES`] or all that is left of the file.
    /// A whole file of up to [`MIN_BYTES`] is one chunk.
    #[must_use]
    pub fn cut(&self, bytes: &[u8]) -> usize {
        // FastCDC's normalisation level 1: one bit harder before the average size, one bit easier after it.
        const BITS: usize = AVERAGE_BYTES.ilog2() as usize;
        let hard = fastcdc::v2020::MASKS[BITS + 1];
        let easy = fastcdc::v2020::MASKS[BITS - 1];
        let (_, length) = fastcdc::v2020::cut_gear(
            bytes,
            MIN_BYTES,
            AVERAGE_BYTES,
            MAX_BYTES,
            hard,
            easy,
            hard << 1,
            easy << 1,
            &self.gear,
            &self.shifted,
        );
        length
    }
}

impl fmt::Debug for Chunker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chunker(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize, seed: u8) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new_derive_key("test noise")
            .update(&[seed])
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    }

    fn cuts(chunker: &Chunker, mut bytes: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        while !bytes.is_empty() {
            let length = chunker.cut(&bytes[..bytes.len().min(MAX_BYTES)]);
            lengths.push(length);
            bytes = &bytes[length..];
        }
        lengths
    }

    #[test]
    fn lengths_stay_in_bounds_and_near_the_average() {
        let chunker = SourceSecret::from_bytes([1; 32]).chunker();
        let lengths = cuts(&chunker, &noise(40 << 20, 0));
        let (_, all_but_last) = lengths.split_last().unwrap();
        assert!(all_but_last.iter().all(|l| (MIN_BYTES..=MAX_BYTES).contains(l)));
        let average = (40 << 20) / lengths.len();
        assert!(
            (AVERAGE_BYTES / 2..AVERAGE_BYTES * 2).contains(&average),
            "{average}"
        );
    }

    #[test]
    fn an_insertion_changes_few_chunks() {
        let secret = SourceSecret::from_bytes([1; 32]);
        let (chunker, key) = (secret.chunker(), secret.chunk_key());
        let before = noise(20 << 20, 0);
        let mut after = before.clone();
        after.splice(5 << 20..5 << 20, noise(1000, 1));
        let ids = |bytes: &[u8]| {
            let mut rest = bytes;
            cuts(&chunker, bytes)
                .into_iter()
                .map(|length| {
                    let (chunk, after) = rest.split_at(length);
                    rest = after;
                    key.id(chunk)
                })
                .collect::<std::collections::HashSet<_>>()
        };
        assert!(ids(&after).difference(&ids(&before)).count() <= 3);
    }

    #[test]
    fn another_source_cuts_and_names_differently() {
        let [a, b] = [[1; 32], [2; 32]].map(SourceSecret::from_bytes);
        let bytes = noise(10 << 20, 0);
        assert_ne!(cuts(&a.chunker(), &bytes), cuts(&b.chunker(), &bytes));
        assert_ne!(a.chunk_key().id(b"x"), b.chunk_key().id(b"x"));
        assert_ne!(a.hard_link_group(0, 7), b.hard_link_group(0, 7));
        assert_ne!(a.hard_link_group(0, 7), a.hard_link_group(1, 7));
    }

    #[test]
    fn a_small_file_is_one_chunk() {
        let chunker = SourceSecret::from_bytes([1; 32]).chunker();
        assert_eq!(chunker.cut(&noise(MIN_BYTES, 0)), MIN_BYTES);
        assert_eq!(chunker.cut(b"x"), 1);
    }
}
