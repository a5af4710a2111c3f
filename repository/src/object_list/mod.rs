//! The list of the objects that a snapshot needs: what to write for it, and how it is read.
//!
//! A source of 10 TiB needs some 650,000 objects, and each snapshot nearly those of the one before. So the list is
//! a log: a manifest names **layers**, oldest first, and has one small change of its own, inline. A layer is a
//! change too ([`Delta`]: what was added, what was dropped), kept in pages, which are objects that following
//! snapshots share. [`plan`] says when layers are merged: each one stays at least twice as large as all younger
//! ones together, so that there are few of them and what a run writes grows with what it changes.
//!
//! What the list says must come to the set that the manifest's [`root`] stands for: [`Replay`] checks it.

mod delta;
mod error;
mod page;
mod plan;
mod replay;
mod root;
mod sum;

pub use delta::Delta;
pub use error::{ListError, MAX_PAGES};
pub(crate) use page::MAX_PAGE_BYTES;
pub use page::Page;
pub use plan::{INLINE_MAX, ListPlan, plan, plan_afresh};
pub use replay::Replay;
pub use root::{LEAF_MAX, RootBuilder, root, sort_key};
pub use sum::{BUCKETS, Prefix, Recount, SetSum};

use minicbor::{Decode, Encode};
use shared::object::{ObjectKind, ObjectRef};

use crate::wire::{self, WireObject};
use delta::{Fold, WireDelta};
use root::is_listed;

/// What the objects that a list names come to, without its pages.
#[derive(Debug, Default)]
struct Tally {
    count: i128,
    fold: Fold,
}

impl Tally {
    fn join(&mut self, count: u32, fold: &Fold) {
        self.count += i128::from(count);
        self.fold.join(fold);
    }
}

/// A list as a manifest has it: layers by their pages, and the newest change itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectList {
    layers: Vec<Layer>,
    inline: Delta,
}

/// A change that is kept in pages.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Layer {
    added: u64,
    dropped: u64,
    fold: Fold,
    /// Ascending: what the first page holds comes before what the second holds.
    pages: Vec<ObjectRef>,
}

impl Layer {
    /// Entries: what it costs to write.
    const fn len(&self) -> u64 {
        self.added.saturating_add(self.dropped)
    }
}

impl ObjectList {
    /// The pages, in the order in which a [`Replay`] takes them. They are needed by the snapshot like its packs.
    pub fn pages(&self) -> impl Iterator<Item = &ObjectRef> {
        self.layers.iter().flat_map(|layer| &layer.pages)
    }

    /// The newest change, which is in no page.
    #[must_use]
    pub const fn inline(&self) -> &Delta {
        &self.inline
    }

    /// How many layers there are.
    #[must_use]
    pub const fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Whether the list, by what it says of its layers, comes to these objects. That is a check for a writer that
    /// knows the set and has not read the pages; it is no proof against one who lies about layers.
    #[must_use]
    pub fn accounts_for<'a>(&self, objects: impl IntoIterator<Item = &'a ObjectRef>) -> bool {
        let mut tally = Tally::default();
        for object in objects.into_iter().filter(|object| is_listed(object.kind)) {
            tally.fold.toggle(&object.hash);
            tally.count += 1;
        }
        self.comes_to(&tally)
    }

    fn comes_to(&self, tally: &Tally) -> bool {
        let mut counted = self.inline.added().len() as i128 - self.inline.dropped().len() as i128;
        let mut folded = self.inline.fold();
        for layer in &self.layers {
            folded.join(&layer.fold);
            counted += i128::from(layer.added) - i128::from(layer.dropped);
        }
        (counted, folded) == (tally.count, tally.fold.clone())
    }

    /// The stored form, for an agent to keep.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(&WireList::from(self))
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When the bytes are not a list.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ListError> {
        wire::decode::<WireList>(bytes, "object list")?.try_into()
    }
}

/// Never reuse a number; 0, a list of all objects, was given up before the first release.
#[derive(Encode, Decode)]
pub(crate) enum WireList {
    #[n(1)]
    Layers(#[n(0)] Vec<WireLayer>, #[n(1)] WireDelta),
}

#[derive(Encode, Decode)]
#[cbor(array)]
pub(crate) struct WireLayer {
    #[n(0)]
    added: u64,
    #[n(1)]
    dropped: u64,
    #[n(2)]
    fold: Fold,
    #[n(3)]
    pages: Vec<WireObject>,
}

impl From<&ObjectList> for WireList {
    fn from(list: &ObjectList) -> Self {
        let layers = list.layers.iter().map(|layer| WireLayer {
            added: layer.added,
            dropped: layer.dropped,
            fold: layer.fold.clone(),
            pages: layer.pages.iter().copied().map(WireObject::from).collect(),
        });
        Self::Layers(layers.collect(), WireDelta::from(&list.inline))
    }
}

impl TryFrom<WireList> for ObjectList {
    type Error = ListError;

    fn try_from(wire: WireList) -> Result<Self, ListError> {
        let WireList::Layers(layers, inline) = wire;
        let pages = layers.iter().map(|layer| layer.pages.len()).sum();
        if pages > MAX_PAGES {
            return Err(ListError::TooLong { pages });
        }
        let layers = layers
            .into_iter()
            .map(|layer| {
                let pages = layer
                    .pages
                    .iter()
                    .map(ObjectRef::try_from)
                    .collect::<Result<Vec<_>, _>>()?;
                let are_pages = pages.iter().all(|page| page.kind == ObjectKind::ListPage);
                if pages.is_empty() || !are_pages {
                    return Err(ListError::Malformed);
                }
                Ok(Layer {
                    added: layer.added,
                    dropped: layer.dropped,
                    fold: layer.fold,
                    pages,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            layers,
            inline: inline.try_into()?,
        })
    }
}

#[cfg(test)]
mod tests;
