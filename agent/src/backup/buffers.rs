//! The memory of a run: packs are filled, sealed and sent in a few buffers that go round. While all of them are on
//! their way, reading waits.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;

use crate::store::Stopped;

/// Two packs that are being filled, and four that are sealed or on their way.
const LENT_MAX: usize = 6;
/// How often a waiting thread checks whether the run was stopped.
const RECHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The buffers of a run.
#[derive(Clone, Default)]
pub(super) struct Buffers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    returned: Condvar,
}

#[derive(Default)]
struct Inner {
    free: Vec<Vec<u8>>,
    lent: usize,
}

impl Buffers {
    /// A buffer, empty or with old content; waits until one is back.
    ///
    /// # Errors
    /// When the run stops meanwhile.
    pub(super) fn take(&self, stopped: impl Fn() -> bool) -> Result<Vec<u8>, Stopped> {
        let mut inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        while inner.lent >= LENT_MAX {
            if stopped() {
                return Err(Stopped);
            }
            (inner, _) = self
                .0
                .returned
                .wait_timeout(inner, RECHECK_INTERVAL)
                .unwrap_or_else(PoisonError::into_inner);
        }
        inner.lent += 1;
        Ok(inner.free.pop().unwrap_or_default())
    }

    /// The content of a buffer that was taken; when the last copy of it is dropped, the buffer is back.
    pub(super) fn lend(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent {
            bytes,
            home: self.0.clone(),
        })
    }
}

struct Lent {
    bytes: Vec<u8>,
    home: Arc<Shared>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut inner = self.home.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.lent -= 1;
        inner.free.push(std::mem::take(&mut self.bytes));
        self.home.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_go_round_and_one_that_waits_gets_the_first_back() {
        let buffers = Buffers::default();
        let mut out: Vec<Bytes> = (0..LENT_MAX)
            .map(|_| buffers.lend(buffers.take(|| false).unwrap()))
            .collect();
        assert!(buffers.take(|| true).is_err());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| buffers.take(|| false).unwrap());
            let mut copy = Bytes::new();
            copy.clone_from(&out[0]);
            out.remove(0);
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waits.is_finished(), "a copy is still held");
            drop(copy);
            waits.join().unwrap();
        });
    }
}
