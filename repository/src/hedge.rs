//! Hedged randomness: what is drawn depends on the random source *and* on what is about to be sealed.
//!
//! A virtual machine that is restored from a saved state repeats its random numbers. With plain randomness it
//! would seal two different packs under one key and one nonce, which gives both away. Here two draws are equal
//! only when the random source repeats and everything that is sealed is equal too: then the results are equal
//! byte for byte and nothing is learnt.

use std::convert::Infallible;

use rand_core::{CryptoRng, TryCryptoRng, TryRng};
use zeroize::Zeroizing;

/// A stream of bytes from 32 bytes of the random source and a binding of the content.
pub(crate) struct Hedge(blake3::OutputReader);

impl Hedge {
    /// Draws from `rng` once; `purpose` is a constant of the program, unlike any other purpose; `binding` is
    /// everything that the drawn values will be used on, each part length-prefixed.
    pub(crate) fn new(rng: &mut impl CryptoRng, purpose: &str, binding: &[&[u8]]) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        let mut hasher = blake3::Hasher::new_derive_key(purpose);
        hasher.update(seed.as_ref());
        for part in binding {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize_xof())
    }

    /// The next 32 bytes.
    pub(crate) fn key(&mut self) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        self.0.fill(key.as_mut());
        key
    }
}

impl TryRng for Hedge {
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

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(dst);
        Ok(())
    }
}

impl TryCryptoRng for Hedge {}

#[cfg(test)]
mod tests;
