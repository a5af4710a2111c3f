//! Calls into file systems that are under way: a mount whose other side is gone keeps a call for ever, and no thread can be taken
//! out of one.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::clock;

/// Threads that may be watched at the same time: those of a walk. The one that counts beside it meets the same mounts.
const SLOTS: usize = 16;

/// Is told of each call before it is made, with the number of the source's path: a test blocks in it as a call would.
pub type Hook = Box<dyn Fn(usize) + Send + Sync>;

/// The calls under way, one a thread.
pub(crate) struct Readings {
    /// Milliseconds of [`clock::milliseconds`] and, in the lower 16 bits, the number of the source's path; 0 when there is none.
    slots: [AtomicU64; SLOTS],
    hook: OnceLock<Hook>,
}

/// One call, or several that follow each other closely. It ends when it is dropped.
pub(crate) struct Reading<'a>(&'a AtomicU64);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.store(0, Relaxed);
    }
}

/// A call that does not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hang {
    /// The source's path below which it is, counted from 0.
    pub(crate) path: usize,
    /// Since when.
    pub(crate) lasts: Duration,
}

impl Readings {
    pub(crate) const fn new() -> Self {
        Self {
            slots: [const { AtomicU64::new(0) }; SLOTS],
            hook: OnceLock::new(),
        }
    }

    pub(crate) fn set_hook(&self, hook: Hook) {
        let _ = self.hook.set(hook);
    }

    /// A call below a path of the source begins, on the thread that has this slot.
    pub(crate) fn begin(&self, slot: usize, path: usize) -> Reading<'_> {
        let slot = &self.slots[slot % SLOTS];
        slot.store(noted(clock::milliseconds(), path), Relaxed);
        if let Some(hook) = self.hook.get() {
            hook(path);
        }
        Reading(slot)
    }

    /// The call that lasts longest at this moment of [`clock::milliseconds`].
    pub(crate) fn longest(&self, now: u64) -> Option<Hang> {
        let slots = self.slots.iter().map(|slot| slot.load(Relaxed));
        let oldest = slots
            .filter(|noted| *noted != 0)
            .min_by_key(|noted| noted >> 16)?;
        Some(Hang {
            path: usize::from((oldest & 0xffff) as u16),
            lasts: Duration::from_millis(now.saturating_sub(oldest >> 16)),
        })
    }
}

fn noted(milliseconds: u64, path: usize) -> u64 {
    milliseconds << 16 | u64::from(u16::try_from(path).unwrap_or(u16::MAX))
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Readings({:?})", self.longest(clock::milliseconds()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_call_is_told_with_its_path_until_it_ends() {
        let readings = Readings::new();
        assert_eq!(readings.longest(5), None);
        let first = readings.begin(0, 3);
        readings.slots[0].store(noted(1_000, 3), Relaxed);
        let second = readings.begin(1, 4);
        readings.slots[1].store(noted(61_000, 4), Relaxed);
        let at = |path, lasts| {
            Some(Hang {
                path,
                lasts: Duration::from_secs(lasts),
            })
        };
        assert_eq!(readings.longest(601_000), at(3, 600));
        drop(first);
        assert_eq!(readings.longest(601_000), at(4, 540));
        drop(second);
        assert_eq!(readings.longest(601_000), None);
    }
}
