//! A sample of a file's content, for file systems whose inode numbers and change times say nothing.

use std::io;

use repository::chunk::{ChunkId, ChunkKey};

use crate::platform::OpenFile;

/// So many blocks are read: the first, the last, and those that share the way between into equal parts.
const BLOCKS: u8 = 8;
const BLOCK_BYTES: u16 = 4096;

/// What a sample of a file of `size_bytes` comes to. A file that is no longer than the sample is read whole. What changes between the
/// blocks is not seen.
///
/// # Errors
/// What the system says, also when the file is shorter.
pub(super) fn sample(file: &OpenFile, size_bytes: u64, names: &ChunkKey) -> io::Result<ChunkId> {
    let mut content = Vec::with_capacity(usize::from(BLOCKS) * usize::from(BLOCK_BYTES));
    for (offset, length) in blocks(size_bytes) {
        let begin = content.len();
        content.resize(begin + length, 0);
        file.read_at(&mut content[begin..], offset)?;
    }
    Ok(names.id(&content))
}

/// Offsets and lengths.
fn blocks(size_bytes: u64) -> Vec<(u64, usize)> {
    let whole = usize::try_from(size_bytes).ok();
    let most = usize::from(BLOCKS) * usize::from(BLOCK_BYTES);
    if let Some(whole) = whole.filter(|whole| *whole <= most) {
        return vec![(0, whole)];
    }
    let last = size_bytes - u64::from(BLOCK_BYTES);
    let step = last / u64::from(BLOCKS - 1);
    // The last one ends where the file does.
    let offset = |number: u8| {
        if number + 1 == BLOCKS {
            last
        } else {
            u64::from(number) * step
        }
    };
    (0..BLOCKS)
        .map(|number| (offset(number), usize::from(BLOCK_BYTES)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_is_its_sample_and_a_large_one_is_read_from_end_to_end() {
        for small in [0_u16, 1, 4096, 32_768] {
            assert_eq!(blocks(small.into()), [(0, usize::from(small))]);
        }
        for large in [32_769, 1 << 20, (1 << 40) + 12_345] {
            let blocks = blocks(large);
            assert_eq!(blocks.len(), 8);
            assert_eq!(blocks[0], (0, 4096));
            assert_eq!(blocks[7], (large - 4096, 4096));
            assert!(blocks.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }
}
