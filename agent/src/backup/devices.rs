//! Numbers for devices, of which hard-link groups are made. The system's own numbers may be others after the next start,
//! and then every listing with a hard link in it would be new.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// The devices that a walk has met.
#[derive(Default)]
pub(super) struct Devices(Mutex<HashMap<u64, u64>>);

impl Devices {
    /// The devices of a source's paths are numbered in the paths' order.
    pub(super) fn add_root(&self, device: u64) -> u64 {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = known.len() as u64;
        *known.entry(device).or_insert(next)
    }

    /// A device that is met below has a number that follows from the path where it is met: threads meet them in any
    /// order.
    pub(super) fn met(&self, device: u64, path: &[u8]) -> u64 {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known
            .entry(device)
            .or_insert_with(|| super::known::short_hash(path))
    }
}
