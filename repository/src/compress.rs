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

/// The zstd level that is written. Readers do not care.
#[cfg(not(target_arch = "wasm32"))]
const LEVEL: i32 = 3;

/// Compresses chunk after chunk with one zstd context.
#[cfg(not(target_arch = "wasm32"))]
pub struct Compressor(Option<zstd::bulk::Compressor<'static>>);

#[cfg(not(target_arch = "wasm32"))]
impl Compressor {
    /// A new context.
    #[must_use]
    pub fn new() -> Self {
        // Fails only when memory is short; then chunks are stored as they are.
        Self(zstd::bulk::Compressor::new(LEVEL).ok())
    }

    /// Compresses `raw`, unless that would save less than one part in 32.
    pub fn compress<'a>(&mut self, raw: &'a [u8]) -> (Compression, std::borrow::Cow<'a, [u8]>) {
        if let Some(context) = &mut self.0
            && raw.len() >= 64
            && let Ok(compressed) = context.compress(raw)
            && compressed.len() < raw.len() - raw.len() / 32
        {
            return (Compression::Zstd, compressed.into());
        }
        (Compression::None, raw.into())
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
    zstd::bulk::decompress(stored, capacity).ok()
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
            let (compression, stored) = Compressor::new().compress(&raw);
            let len = u32::try_from(raw.len()).unwrap();
            prop_assert_eq!(decompress(compression, &stored, len), Ok(raw.clone()));
            prop_assert!(decompress(compression, &stored, len - 1).is_err());
            prop_assert!(decompress(compression, &stored, len + 1).is_err());
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
        assert_eq!(Compressor::new().compress(&noise).0, Compression::None);
    }
}
