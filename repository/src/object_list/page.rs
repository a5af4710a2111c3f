//! A page: an object of kind [`ObjectKind::ListPage`] that holds a part of a layer.
//!
//! Pages are not encrypted. They hold hashes, kinds and sizes, which whoever stores the objects sees anyway, and so
//! a server or a rebuilt ledger reads a snapshot's list without any key. Nor are they signed: the manifest that
//! names them by their hashes is.

use minicbor::{Decode, Encode};
use shared::object::{ObjectKind, ObjectRef};

use super::{Delta, ListError, delta::WireDelta};
use crate::wire::{self, WireError};

/// Entries of a page, at most: some 2.7 MB. A reader holds one page in memory.
pub(super) const MAX_ENTRIES: usize = 64 * 1024;
/// No page is larger: a reader refuses one that is.
pub(crate) const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// A part of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The number of the snapshot that it was written for. So a page that was lost and is written again has
    /// another name: nobody takes the lost one for stored.
    pub seq: u64,
    /// What it says.
    pub delta: Delta,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WirePage {
    #[n(0)]
    seq: u64,
    #[n(1)]
    delta: WireDelta,
}

impl Page {
    /// The object.
    #[must_use]
    pub fn encode(&self) -> (ObjectRef, Vec<u8>) {
        let header = wire::encode(&WirePage {
            seq: self.seq,
            delta: WireDelta::from(&self.delta),
        });
        let bytes = wire::frame(ObjectKind::ListPage, &header);
        let object = ObjectRef {
            kind: ObjectKind::ListPage,
            hash: crate::hash(&bytes),
            size_bytes: bytes.len() as u64,
        };
        (object, bytes)
    }

    /// Reads one.
    ///
    /// # Errors
    /// When the bytes are not a page, or one that contradicts itself.
    pub fn decode(bytes: &[u8]) -> Result<Self, ListError> {
        let (header, rest, _) = wire::unframe(ObjectKind::ListPage, bytes, MAX_PAGE_BYTES)?;
        if !rest.is_empty() {
            return Err(WireError::TrailingBytes.into());
        }
        let page: WirePage = wire::decode(header, "page of an object list")?;
        let delta = Delta::try_from(page.delta)?;
        if delta.is_empty() {
            return Err(ListError::Malformed);
        }
        Ok(Self { seq: page.seq, delta })
    }
}

/// Cuts a layer into pages, all full but the last: what was added in order, then what was dropped in order.
pub(super) fn cut(layer: &Delta) -> Vec<Delta> {
    let (mut added, mut dropped) = (layer.added(), layer.dropped());
    let mut pages = Vec::with_capacity(layer.len().div_ceil(MAX_ENTRIES));
    while !(added.is_empty() && dropped.is_empty()) {
        let (came, rest) = added.split_at(added.len().min(MAX_ENTRIES));
        added = rest;
        let (went, rest) = dropped.split_at(dropped.len().min(MAX_ENTRIES - came.len()));
        dropped = rest;
        pages.push(Delta::of_sorted(came.to_vec(), went.to_vec()));
    }
    pages
}
