//! Reading a list: from its pages, in order, to the set.

use shared::object::{ObjectHash, ObjectRef};

use super::{Delta, Layer, ListError, ObjectList, Page, root, sort_key};

/// Takes the pages that a list names, one after the other, and gives the set. No I/O of its own: the caller reads
/// each of [`ObjectList::pages`], in their order.
#[derive(Debug)]
pub struct Replay<'a> {
    list: &'a ObjectList,
    /// Layers that are whole.
    done: usize,
    gathered: Gathered,
    /// Ascending by hash.
    set: Vec<ObjectRef>,
}

impl<'a> Replay<'a> {
    /// Begins.
    #[must_use]
    pub fn new(list: &'a ObjectList) -> Self {
        Self {
            list,
            done: 0,
            gathered: Gathered::default(),
            set: Vec::new(),
        }
    }

    /// Takes the next page.
    ///
    /// # Errors
    /// When it is another object, or contradicts itself or what came before.
    pub fn page(&mut self, bytes: &[u8]) -> Result<(), ListError> {
        let layer = self.list.layers.get(self.done).ok_or(ListError::OtherPages)?;
        let expected = layer
            .pages
            .get(self.gathered.pages)
            .ok_or(ListError::OtherPages)?;
        self.gathered.page(expected, bytes)?;
        if self.gathered.pages == layer.pages.len() {
            let delta = std::mem::take(&mut self.gathered).finish(layer, self.done)?;
            self.set = delta.apply(std::mem::take(&mut self.set))?;
            self.done += 1;
        }
        Ok(())
    }

    /// Everything that the snapshot needs apart from its manifest and commit record: what the list names, and its
    /// pages; ascending by hash.
    ///
    /// # Errors
    /// When pages are missing, or the set is not that of `root`.
    pub fn finish(self, root: &ObjectHash) -> Result<Vec<ObjectRef>, ListError> {
        if self.done != self.list.layers.len() {
            return Err(ListError::OtherPages);
        }
        let mut set = self.list.inline.apply(self.set)?;
        set.extend(self.list.pages());
        set.sort_by_key(sort_key);
        if root::root(&set) == *root {
            Ok(set)
        } else {
            Err(ListError::WrongRoot)
        }
    }
}

/// The pages of one layer, as far as they are read.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    added: Vec<ObjectRef>,
    dropped: Vec<ObjectHash>,
    pages: usize,
}

impl Gathered {
    pub(super) fn page(&mut self, expected: &ObjectRef, bytes: &[u8]) -> Result<(), ListError> {
        if bytes.len() as u64 != expected.size_bytes || crate::hash(bytes) != expected.hash {
            return Err(ListError::OtherPage { page: expected.hash });
        }
        let (mut added, mut dropped) = Page::decode(bytes)?.delta.into_parts();
        self.added.append(&mut added);
        self.dropped.append(&mut dropped);
        self.pages += 1;
        Ok(())
    }

    /// The layer, if it is what the manifest says of it.
    pub(super) fn finish(self, layer: &Layer, number: usize) -> Result<Delta, ListError> {
        let delta = Delta::ordered(self.added, self.dropped)?;
        let counts = (delta.added().len() as u64, delta.dropped().len() as u64);
        if counts == (layer.added, layer.dropped) && delta.fold() == layer.fold {
            Ok(delta)
        } else {
            Err(ListError::OtherLayer { layer: number })
        }
    }
}
