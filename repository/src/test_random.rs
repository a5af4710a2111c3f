//! A random source that repeats itself, as a restored machine's does.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

/// Gives this byte for ever.
pub(crate) struct Repeated(pub(crate) u8);

impl TryRng for Repeated {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from(self.0))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.0))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        dst.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Repeated {}
