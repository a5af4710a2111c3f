//! A random source that is the same at every run.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

/// A random source that is the same at every run.
pub struct Fixed(blake3::OutputReader);

impl Fixed {
    pub fn new(seed: &str) -> Self {
        Self(blake3::Hasher::new_derive_key(seed).finalize_xof())
    }
}

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}
