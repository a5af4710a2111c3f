//! Compression of chunks: zstd, or nothing where it does not help. Native code links the C library; the browser
//! only ever reads, with the decoder in Rust.

use minicbor::{Decode, Encode};

use crate::chunk;

/// How a chunk is stored. Never reuse a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Compression {
    /// As it was read.
    #[n(0)]
    None,
    /// One zstd frame.
    #[n(1)]
    Zstd,
}

/// A chunk that does not decompress to what its entry says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a chunk does not decompress to the {expected} bytes that its entry promises")]
pub struct DecompressError {
    expected: u32,
}

/// The zstd level that is written. Readers do not care. On a system tree it takes a quarter less time than level 3
/// and stores three percent more. What does not shrink needs no test beforehand: zstd passes it at 10 GB/s.
#[cfg(not(target_arch = "wasm32"))]
const LEVEL: i32 = 2;
/// Compresses chunk after chunk with one zstd context and one buffer.
#[cfg(not(target_arch = "wasm32"))]
pub struct Compressor {
    context: Option<zstd::bulk::Compressor<'static>>,
    buffer: Vec<u8>,
}

#[cfg(not(target_arch = "wasm32"))]
impl Compressor {
    /// A new context.
    #[must_use]
    pub fn new() -> Self {
        Self {
            // Fails only when memory is short; then chunks are stored as they are.
            context: zstd::bulk::Compressor::new(LEVEL).ok(),
            buffer: Vec::new(),
        }
    }

    /// Compresses `raw`, unless that would save less than one part in 32. The result lasts until the next call.
    pub fn compress<'a>(&'a mut self, raw: &'a [u8]) -> (Compression, &'a [u8]) {
        if raw.len() >= 64 && self.shrinks(raw) {
            return (Compression::Zstd, &self.buffer);
        }
        (Compression::None, raw)
    }

    fn shrinks(&mut self, raw: &[u8]) -> bool {
        self.buffer.clear();
        self.buffer.reserve(zstd::zstd_safe::compress_bound(raw.len()));
        self.context
            .as_mut()
            .is_some_and(|context| context.compress_to_buffer(raw, &mut self.buffer).is_ok())
            && self.buffer.len() < raw.len() - raw.len() / 32
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

/// The bytes as they were read. Never makes more than `raw_len` of them, and that is at most a chunk's limit.
///
/// # Errors
/// When the stored bytes are damaged or give another length.
pub fn decompress(compression: Compression, stored: &[u8], raw_len: u32) -> Result<Vec<u8>, DecompressError> {
    let failed = DecompressError { expected: raw_len };
    let capacity = usize::try_from(raw_len).unwrap_or(usize::MAX);
    if capacity > chunk::MAX_BYTES {
        return Err(failed);
    }
    let raw = match compression {
        Compression::None => stored.to_vec(),
        Compression::Zstd => inflate(stored, capacity).ok_or_else(|| failed.clone())?,
    };
    if raw.len() == capacity {
        Ok(raw)
    } else {
        Err(failed)
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn inflate(stored: &[u8], capacity: usize) -> Option<Vec<u8>> {
    thread_local! {
        // To make a context costs as much as to decompress a small chunk with it.
        static CONTEXT: std::cell::RefCell<zstd::bulk::Decompressor<'static>> = std::cell::RefCell::default();
    }
    CONTEXT.with_borrow_mut(|context| context.decompress(stored, capacity).ok())
}

#[cfg(target_arch = "wasm32")]
fn inflate(mut stored: &[u8], capacity: usize) -> Option<Vec<u8>> {
    use std::io::Read;
    let decoder = ruzstd::decoding::StreamingDecoder::new(&mut stored).ok()?;
    let mut raw = Vec::new();
    // One byte more than promised is enough to see that the promise is wrong.
    decoder.take(capacity as u64 + 1).read_to_end(&mut raw).ok()?;
    Some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunks_read_back(pattern in proptest::collection::vec(any::<u8>(), 1..50), times in 1usize..500) {
            let raw = pattern.repeat(times);
            let mut compressor = Compressor::new();
            let (compression, stored) = compressor.compress(&raw);
            let len = u32::try_from(raw.len()).unwrap();
            prop_assert_eq!(decompress(compression, stored, len), Ok(raw.clone()));
            prop_assert!(decompress(compression, stored, len - 1).is_err());
            prop_assert!(decompress(compression, stored, len + 1).is_err());
        }

        #[test]
        fn random_bytes_do_not_panic(bytes: Vec<u8>, len: u32) {
            let _ = decompress(Compression::Zstd, &bytes, len);
        }
    }

    #[test]
    fn incompressible_bytes_stay_as_they_are() {
        let mut noise = vec![0; 10_000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        let mut compressor = Compressor::new();
        for len in [63, 10_000] {
            let (compression, stored) = compressor.compress(&noise[..len]);
            assert_eq!((compression, stored), (Compression::None, &noise[..len]));
        }
    }
}
