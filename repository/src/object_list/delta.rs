//! A change of a set of objects.

use minicbor::{Decode, Encode, bytes::ByteArray};
use shared::object::{ObjectHash, ObjectRef};

use super::{
    error::ListError,
    root::{is_listed, sort_key},
};
use crate::wire::{WireError, WireObject};

/// What was added to a set and what was dropped from it; ascending by hash, nothing twice, nothing in both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    added: Vec<ObjectRef>,
    dropped: Vec<ObjectHash>,
}

impl Delta {
    /// A change of packs, tree packs and index segments, given in any order.
    ///
    /// # Errors
    /// When an object is named twice, both ways, or is of another kind.
    pub fn new(mut added: Vec<ObjectRef>, mut dropped: Vec<ObjectHash>) -> Result<Self, ListError> {
        added.sort_unstable_by_key(sort_key);
        dropped.sort_unstable();
        Self::ordered(added, dropped)
    }

    pub(super) fn ordered(added: Vec<ObjectRef>, dropped: Vec<ObjectHash>) -> Result<Self, ListError> {
        let in_order = added.is_sorted_by(|a, b| a.hash < b.hash) && dropped.is_sorted_by(|a, b| a < b);
        let kinds = added.iter().all(|object| is_listed(object.kind));
        let apart = added
            .iter()
            .all(|object| dropped.binary_search(&object.hash).is_err());
        if in_order && kinds && apart {
            Ok(Self { added, dropped })
        } else {
            Err(ListError::Malformed)
        }
    }

    /// Parts of a sound change are one.
    pub(super) const fn of_sorted(added: Vec<ObjectRef>, dropped: Vec<ObjectHash>) -> Self {
        Self { added, dropped }
    }

    pub(super) fn into_parts(self) -> (Vec<ObjectRef>, Vec<ObjectHash>) {
        (self.added, self.dropped)
    }

    /// What was added.
    #[must_use]
    pub fn added(&self) -> &[ObjectRef] {
        &self.added
    }

    /// What was dropped.
    #[must_use]
    pub fn dropped(&self) -> &[ObjectHash] {
        &self.dropped
    }

    /// Entries.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.added.len() + self.dropped.len()
    }

    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// This change and then `later` as one. What comes and goes again leaves no trace.
    pub(super) fn then(mut self, mut later: Self) -> Result<Self, ListError> {
        let came = |objects: &[ObjectRef], hash: &ObjectHash| {
            objects.binary_search_by_key(hash, |object| object.hash).is_ok()
        };
        let twice = later.added.iter().find(|object| came(&self.added, &object.hash));
        if let Some(object) = twice {
            return Err(ListError::AddOfPresent { hash: object.hash });
        }
        let twice = later
            .dropped
            .iter()
            .find(|hash| self.dropped.binary_search(hash).is_ok());
        if let Some(hash) = twice {
            return Err(ListError::DropOfAbsent { hash: *hash });
        }
        let (came_first, went_first) = (self.added.clone(), self.dropped.clone());
        self.added
            .retain(|object| later.dropped.binary_search(&object.hash).is_err());
        self.dropped.retain(|hash| !came(&later.added, hash));
        later
            .added
            .retain(|object| went_first.binary_search(&object.hash).is_err());
        later.dropped.retain(|hash| !came(&came_first, hash));
        self.added.append(&mut later.added);
        self.dropped.append(&mut later.dropped);
        Self::new(self.added, self.dropped)
    }

    /// The set after this change; `set` is ascending by hash, and so is the result.
    pub(super) fn apply(&self, mut set: Vec<ObjectRef>) -> Result<Vec<ObjectRef>, ListError> {
        let absent = self
            .dropped
            .iter()
            .find(|hash| set.binary_search_by_key(*hash, |object| object.hash).is_err());
        if let Some(hash) = absent {
            return Err(ListError::DropOfAbsent { hash: *hash });
        }
        set.retain(|object| self.dropped.binary_search(&object.hash).is_err());
        set.extend_from_slice(&self.added);
        // Two ascending parts: the stable sort merges them.
        set.sort_by_key(sort_key);
        match set.windows(2).find(|pair| pair[0].hash == pair[1].hash) {
            Some(pair) => Err(ListError::AddOfPresent { hash: pair[0].hash }),
            None => Ok(set),
        }
    }

    pub(super) fn fold(&self) -> Fold {
        let mut fold = Fold::default();
        self.added.iter().for_each(|object| fold.toggle(&object.hash));
        self.dropped.iter().for_each(|hash| fold.toggle(hash));
        fold
    }
}

/// The hashes of a change joined by exclusive or. Whatever comes an even number of times vanishes, so the folds of
/// all changes join to the fold of the set, whether or not anybody has read the pages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub(super) struct Fold(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]);

impl Fold {
    pub(super) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn toggle(&mut self, hash: &ObjectHash) {
        for (mine, other) in self.0.iter_mut().zip(hash.as_bytes()) {
            *mine ^= other;
        }
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.toggle(&ObjectHash::from_bytes(other.0));
    }
}

/// [`Delta`] as manifests and pages write it.
#[derive(Encode, Decode)]
#[cbor(array)]
pub(crate) struct WireDelta {
    #[n(0)]
    added: Vec<WireObject>,
    #[n(1)]
    dropped: Vec<ByteArray<32>>,
}

impl From<&Delta> for WireDelta {
    fn from(delta: &Delta) -> Self {
        Self {
            added: delta.added.iter().copied().map(WireObject::from).collect(),
            dropped: delta
                .dropped
                .iter()
                .map(|hash| ByteArray::from(*hash.as_bytes()))
                .collect(),
        }
    }
}

impl TryFrom<WireDelta> for Delta {
    type Error = ListError;

    fn try_from(wire: WireDelta) -> Result<Self, ListError> {
        let added = wire
            .added
            .iter()
            .map(ObjectRef::try_from)
            .collect::<Result<_, WireError>>()?;
        let dropped = wire
            .dropped
            .into_iter()
            .map(|hash| ObjectHash::from_bytes(*hash))
            .collect();
        Self::ordered(added, dropped)
    }
}
