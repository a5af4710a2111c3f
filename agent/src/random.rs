//! The operating system's randomness: the one place that draws it.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use zeroize::Zeroizing;

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes: {0}")]
pub struct RandomError(getrandom::Error);

/// Fresh random bytes.
///
/// # Errors
/// When the operating system has none to give.
pub fn bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(RandomError)?;
    Ok(bytes)
}

/// A random source for one sealing: drawn from the operating system where failure can be reported, since the
/// source itself may not fail.
pub struct Drawn(blake3::OutputReader);

/// Draws a source.
///
/// # Errors
/// When the operating system has no random bytes to give.
pub fn draw() -> Result<Drawn, RandomError> {
    let seed = Zeroizing::new(bytes::<32>()?);
    let mut hasher = blake3::Hasher::new_derive_key("holdfast agent random source");
    hasher.update(seed.as_ref());
    Ok(Drawn(hasher.finalize_xof()))
}

/// A number in 0..1 to spread retries; not for keys. Falls back to the middle.
#[must_use]
pub fn jitter() -> f64 {
    bytes::<2>().map_or(0.5, |b| f64::from(u16::from_le_bytes(b)) / 65_536.0)
}

impl TryRng for Drawn {
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

impl TryCryptoRng for Drawn {}
