//! What a set of objects comes to, kept so that a change of it costs what is changed and not what is there.
//!
//! The trie of [`super::root`] is cut three nibbles below its root into 4,096 buckets. A [`SetSum`] holds of each bucket how many
//! objects are in it and the hash of its subtree: some 300 KB, whatever the size of the set. After a change the buckets that it
//! touches are counted anew, and the root follows from all of them.

use shared::object::{ObjectHash, ObjectKind, ObjectRef};

use super::{
    ListError, ObjectList, RootBuilder, Tally,
    delta::Fold,
    root::{FAN, LEAF_MAX, Node, is_listed, leaf, nibble},
};

/// Nibbles that the objects of a bucket share.
const DEPTH: usize = LEN as usize;
const LEN: u8 = 3;
/// How many buckets there are.
pub const BUCKETS: u16 = 1 << (4 * DEPTH);
/// Bytes of a bucket in the stored form.
const STORED: usize = 4 + 4 + 32 + 32;

/// A part of the trie: the objects whose hashes begin with these nibbles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// The nibbles, the last one in the lowest bits.
    nibbles: u16,
    /// How many, 3 at most.
    len: u8,
}

impl Prefix {
    /// Everything.
    pub const ALL: Self = Self { nibbles: 0, len: 0 };

    /// The bucket of a hash.
    #[must_use]
    pub fn of(hash: &ObjectHash) -> Self {
        let nibbles = (0..DEPTH).fold(0, |all, at| all << 4 | u16::from(nibble(hash, at)));
        Self { nibbles, len: LEN }
    }

    /// The hash below which none of its objects is.
    #[must_use]
    pub fn first(self) -> ObjectHash {
        self.bound(0x00)
    }

    /// The hash above which none of its objects is.
    #[must_use]
    pub fn last(self) -> ObjectHash {
        self.bound(0xff)
    }

    fn bound(self, fill: u8) -> ObjectHash {
        let mut bytes = [fill; 32];
        for at in 0..usize::from(self.len) {
            let digit = (self.nibbles >> (4 * (usize::from(self.len) - 1 - at)) & 0x0f) as u8;
            let byte = &mut bytes[at / 2];
            *byte = if at.is_multiple_of(2) {
                digit << 4 | (*byte & 0x0f)
            } else {
                (*byte & 0xf0) | digit
            };
        }
        ObjectHash::from_bytes(bytes)
    }

    fn child(self, digit: u8) -> Self {
        Self {
            nibbles: self.nibbles << 4 | u16::from(digit),
            len: self.len + 1,
        }
    }

    /// The buckets in it.
    fn buckets(self) -> std::ops::Range<usize> {
        let below = 4 * (DEPTH - usize::from(self.len));
        let first = usize::from(self.nibbles) << below;
        first..first + (1 << below)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Bucket {
    listed: u32,
    list_pages: u32,
    fold: Fold,
    root: [u8; 32],
}

impl Bucket {
    const fn len(&self) -> u64 {
        self.listed as u64 + self.list_pages as u64
    }
}

/// Counts the objects of some prefix that come one after the other.
#[derive(Debug)]
pub struct Count {
    listed: u32,
    list_pages: u32,
    fold: Fold,
    root: RootBuilder,
}

impl Default for Count {
    fn default() -> Self {
        Self {
            listed: 0,
            list_pages: 0,
            fold: Fold::default(),
            root: RootBuilder::below(DEPTH),
        }
    }
}

impl Count {
    fn push(&mut self, object: &ObjectRef) -> Result<(), ListError> {
        if is_listed(object.kind) {
            self.listed += 1;
            self.fold.toggle(&object.hash);
        } else if object.kind == ObjectKind::ListPage {
            self.list_pages += 1;
        } else {
            return Err(ListError::Malformed);
        }
        self.root.push(object)
    }

    fn finish(self) -> Bucket {
        Bucket {
            listed: self.listed,
            list_pages: self.list_pages,
            fold: self.fold,
            root: *self.root.finish().as_bytes(),
        }
    }
}

/// What a set of objects comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetSum {
    buckets: Vec<Bucket>,
}

impl Default for SetSum {
    /// Of nothing.
    fn default() -> Self {
        Self {
            buckets: vec![Count::default().finish(); usize::from(BUCKETS)],
        }
    }
}

impl SetSum {
    /// Begins to count a prefix anew: what it held is forgotten.
    pub fn recount(&mut self, prefix: Prefix) -> Recount<'_> {
        let empty = Count::default().finish();
        self.buckets[prefix.buckets()].fill(empty);
        Recount {
            sum: self,
            prefix,
            bucket: None,
            last: None,
        }
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len_of(Prefix::ALL)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len_of(&self, prefix: Prefix) -> u64 {
        self.buckets[prefix.buckets()].iter().map(Bucket::len).sum()
    }

    /// What the list of a manifest that names this set must say of itself, pages apart; and how many pages there are.
    #[must_use]
    pub fn is_of(&self, list: &ObjectList) -> bool {
        let mut tally = Tally::default();
        let mut list_pages = 0;
        for bucket in &self.buckets {
            tally.join(bucket.listed, &bucket.fold);
            list_pages += u64::from(bucket.list_pages);
        }
        list.comes_to(&tally) && list.pages().count() as u64 == list_pages
    }

    /// The parts of the trie above the buckets that are leaves: [`Self::root`] needs their objects, [`LEAF_MAX`] of each at most.
    #[must_use]
    pub fn leaves(&self) -> Vec<Prefix> {
        let mut leaves = Vec::new();
        self.leaves_of(Prefix::ALL, &mut leaves);
        leaves
    }

    fn leaves_of(&self, prefix: Prefix, leaves: &mut Vec<Prefix>) {
        if usize::from(prefix.len) == DEPTH {
            return;
        }
        match self.len_of(prefix) {
            0 => {}
            few if few <= LEAF_MAX as u64 => leaves.push(prefix),
            _ => (0..FAN).for_each(|digit| self.leaves_of(prefix.child(digit), leaves)),
        }
    }

    /// The root, given the objects of each of [`Self::leaves`], ascending.
    #[must_use]
    pub fn root(&self, leaves: &[(Prefix, Vec<ObjectRef>)]) -> ObjectHash {
        ObjectHash::from_bytes(self.root_of(Prefix::ALL, leaves))
    }

    fn root_of(&self, prefix: Prefix, leaves: &[(Prefix, Vec<ObjectRef>)]) -> [u8; 32] {
        if usize::from(prefix.len) == DEPTH {
            return self.buckets[usize::from(prefix.nibbles)].root;
        }
        if self.len_of(prefix) <= LEAF_MAX as u64 {
            let given = leaves.iter().find(|(leaf, _)| *leaf == prefix);
            return leaf(given.map_or(&[], |(_, objects)| objects));
        }
        (0..FAN)
            .fold(Node::default(), |node, digit| {
                node.child(digit, &self.root_of(prefix.child(digit), leaves))
            })
            .finish()
    }

    /// The stored form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.buckets.len() * STORED);
        for bucket in &self.buckets {
            bytes.extend_from_slice(&bucket.listed.to_be_bytes());
            bytes.extend_from_slice(&bucket.list_pages.to_be_bytes());
            bytes.extend_from_slice(bucket.fold.as_bytes());
            bytes.extend_from_slice(&bucket.root);
        }
        bytes
    }

    /// Reads the stored form; `None` when it is none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != usize::from(BUCKETS) * STORED {
            return None;
        }
        let buckets = bytes.chunks_exact(STORED).map(|stored| {
            let (listed, rest) = stored.split_first_chunk::<4>()?;
            let (list_pages, rest) = rest.split_first_chunk::<4>()?;
            let (fold, root) = rest.split_first_chunk::<32>()?;
            Some(Bucket {
                listed: u32::from_be_bytes(*listed),
                list_pages: u32::from_be_bytes(*list_pages),
                fold: Fold::from_bytes(*fold),
                root: root.try_into().ok()?,
            })
        });
        Some(Self {
            buckets: buckets.collect::<Option<_>>()?,
        })
    }
}

/// Takes the objects of a prefix, ascending. What it has counted stands when it is finished.
#[derive(Debug)]
pub struct Recount<'a> {
    sum: &'a mut SetSum,
    prefix: Prefix,
    bucket: Option<(usize, Count)>,
    last: Option<ObjectHash>,
}

impl Recount<'_> {
    /// Takes the next object.
    ///
    /// # Errors
    /// When it is not of the prefix, comes before the last, or is of a kind that a list does not name.
    pub fn push(&mut self, object: &ObjectRef) -> Result<(), ListError> {
        let number = usize::from(Prefix::of(&object.hash).nibbles);
        let in_order = self
            .last
            .replace(object.hash)
            .is_none_or(|last| last < object.hash);
        if !in_order || !self.prefix.buckets().contains(&number) {
            return Err(ListError::Malformed);
        }
        if self.bucket.as_ref().is_none_or(|(open, _)| *open != number) {
            self.close();
            self.bucket = Some((number, Count::default()));
        }
        match &mut self.bucket {
            Some((_, count)) => count.push(object),
            None => Ok(()),
        }
    }

    fn close(&mut self) {
        if let Some((number, count)) = self.bucket.take() {
            self.sum.buckets[number] = count.finish();
        }
    }

    /// All have come.
    pub fn finish(mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::object_list::root;

    fn object(seed: u32, same: u8) -> ObjectRef {
        let mut bytes = *crate::hash(&seed.to_be_bytes()).as_bytes();
        bytes[..usize::from(same % 4)].fill(0x5a);
        ObjectRef {
            kind: if seed.is_multiple_of(9) {
                ObjectKind::ListPage
            } else {
                ObjectKind::Pack
            },
            hash: ObjectHash::from_bytes(bytes),
            size_bytes: u64::from(seed),
        }
    }

    type Set = BTreeMap<ObjectHash, ObjectRef>;

    fn within(set: &Set, prefix: Prefix) -> Vec<ObjectRef> {
        set.range(prefix.first()..=prefix.last())
            .map(|(_, object)| *object)
            .collect()
    }

    fn recount(sum: &mut SetSum, set: &Set, prefix: Prefix) {
        let mut count = sum.recount(prefix);
        within(set, prefix)
            .iter()
            .for_each(|object| count.push(object).unwrap());
        count.finish();
    }

    fn root_of(sum: &SetSum, set: &Set) -> ObjectHash {
        let leaves: Vec<_> = sum
            .leaves()
            .into_iter()
            .map(|prefix| (prefix, within(set, prefix)))
            .collect();
        assert!(leaves.iter().all(|(_, objects)| objects.len() <= LEAF_MAX));
        sum.root(&leaves)
    }

    #[test]
    fn prefixes_bound_their_hashes() {
        let hash = crate::hash(b"some object");
        let bucket = Prefix::of(&hash);
        assert!(bucket.first() <= hash && hash <= bucket.last());
        assert_eq!(bucket.first().as_bytes()[0], hash.as_bytes()[0]);
        assert_eq!(bucket.last().as_bytes()[1], hash.as_bytes()[1] | 0x0f);
        assert_eq!(Prefix::ALL.first().as_bytes(), &[0; 32]);
        assert_eq!(Prefix::ALL.last().as_bytes(), &[0xff; 32]);
        let mut sum = SetSum::default();
        let mut count = sum.recount(bucket);
        assert_eq!(count.push(&object(1, 3)), Err(ListError::Malformed));
    }

    #[test]
    fn the_stored_form_reads_back() {
        let set: Set = (0..5_000)
            .map(|seed| object(seed, 0))
            .map(|o| (o.hash, o))
            .collect();
        let mut sum = SetSum::default();
        recount(&mut sum, &set, Prefix::ALL);
        assert_eq!(sum.len(), 5_000);
        let bytes = sum.to_bytes();
        assert_eq!(SetSum::from_bytes(&bytes), Some(sum));
        assert_eq!(SetSum::from_bytes(&bytes[1..]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whatever comes and goes: counting the touched buckets anew comes to what counting everything comes to.
        #[test]
        fn a_change_counts_like_the_whole(
            rounds in proptest::collection::vec(proptest::collection::vec((0u32..6_000, any::<u8>()), 0..700), 1..6),
        ) {
            let mut set = Set::new();
            let mut sum = SetSum::default();
            for round in rounds {
                let mut touched = BTreeSet::new();
                for (seed, same) in round {
                    let object = object(seed, if same < 200 { 0 } else { same });
                    touched.insert(Prefix::of(&object.hash));
                    if set.remove(&object.hash).is_none() {
                        set.insert(object.hash, object);
                    }
                }
                for prefix in touched {
                    recount(&mut sum, &set, prefix);
                }
                let mut whole = SetSum::default();
                recount(&mut whole, &set, Prefix::ALL);
                prop_assert_eq!(&sum, &whole);
                prop_assert_eq!(root_of(&sum, &set), root(set.values()));
                prop_assert_eq!(sum.len(), set.len() as u64);
            }
        }
    }
}
