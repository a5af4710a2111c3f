//! A sample of a file's content, for file systems whose inode numbers and change times say nothing.

use std::io;

use repository::chunk::{ChunkId, ChunkKey};

use crate::platform::OpenFile;

/// So many blocks are read: the first, the last, and those that share the way between into equal parts.
const BLOCKS: u64 = 8;
const BLOCK_BYTES: u64 = 4096;

/// What a sample of a file of `size_bytes` comes to. A file that is no longer than the sample is read whole. What changes between the
/// blocks is not seen.
///
/// # Errors
/// What the system says, also when the file is shorter.
pub(super) fn sample(file: &OpenFile, size_bytes: u64, names: &ChunkKey) -> io::Result<ChunkId> {
    let mut content = Vec::with_capacity((BLOCKS * BLOCK_BYTES) as usize);
    for (offset, length) in blocks(size_bytes) {
        let begin = content.len();
        content.resize(begin + length, 0);
        file.read_at(&mut content[begin..], offset)?;
    }
    Ok(names.id(&content))
}

/// Offsets and lengths.
fn blocks(size_bytes: u64) -> impl Iterator<Item = (u64, usize)> {
    let is_small = size_bytes <= BLOCKS * BLOCK_BYTES;
    let (count, length) = if is_small {
        (1, size_bytes)
    } else {
        (BLOCKS, BLOCK_BYTES)
    };
    let step = size_bytes.saturating_sub(length) / (BLOCKS - 1);
    // The last one ends where the file does.
    let offset = move |number| {
        if number + 1 == BLOCKS {
            size_bytes - length
        } else {
            number * step
        }
    };
    (0..count).map(move |number| (offset(number), length as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_is_its_sample_and_a_large_one_is_read_from_end_to_end() {
        let read = |size| blocks(size).collect::<Vec<_>>();
        for small in [0, 1, 4096, 32_768] {
            assert_eq!(read(small), [(0, small as usize)]);
        }
        for large in [32_769, 1 << 20, (1 << 40) + 12_345] {
            let blocks = read(large);
            assert_eq!(blocks.len(), 8);
            assert_eq!(blocks[0], (0, 4096));
            assert_eq!(blocks[7], (large - 4096, 4096));
            assert!(blocks.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }
}
