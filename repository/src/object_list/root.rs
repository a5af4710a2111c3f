//! One hash for a *set* of objects: a trie over the nibbles of the objects' hashes.
//!
//! The root depends on the set alone, not on the order or history in which it came about, so that a server that
//! knows a parent's set and a commit's added and dropped objects computes the root that the manifest must have.
//! It says nothing of how the list is stored: see the layers of [`super::ObjectList`].

use shared::object::{ObjectHash, ObjectKind, ObjectRef};

use super::error::ListError;

/// Whether a snapshot's list names objects of this kind. Pages of the list are needed too, but named as pages.
pub(super) fn is_listed(kind: ObjectKind) -> bool {
    matches!(kind, ObjectKind::Pack | ObjectKind::TreePack | ObjectKind::Index)
}

/// A leaf holds at most this many objects.
pub const LEAF_MAX: usize = 64;
/// Nibbles of a hash.
const DEPTH_MAX: usize = 64;
/// Children of a node: the values of a nibble.
pub(super) const FAN: u8 = 16;

const LEAF: &str = "holdfast v1 object list leaf";
const NODE: &str = "holdfast v1 object list node";

/// The root of a set of objects. An object that is given twice counts once.
#[must_use]
pub fn root<'a>(objects: impl IntoIterator<Item = &'a ObjectRef>) -> ObjectHash {
    let mut objects: Vec<ObjectRef> = objects.into_iter().copied().collect();
    objects.sort_unstable_by_key(sort_key);
    let mut builder = RootBuilder::default();
    objects.iter().for_each(|object| builder.take(object));
    builder.finish()
}

/// The order of objects in a leaf and in a manifest: by hash.
#[must_use]
pub fn sort_key(object: &ObjectRef) -> (ObjectHash, u8, u64) {
    (object.hash, object.kind.tag(), object.size_bytes)
}

/// Computes the root of a set that is given object by object in the order of [`sort_key`], and holds one leaf of it at a time.
#[derive(Debug, Default)]
pub struct RootBuilder {
    /// The subtree whose root is computed: all objects share so many nibbles.
    top: usize,
    /// Nodes that have begun and not ended, from the top down. Each contains the next.
    nodes: Vec<Node>,
    /// What is in the deepest subtree that has begun: a leaf, unless more come than it holds.
    leaf: Vec<ObjectRef>,
    last: Option<ObjectRef>,
}

impl RootBuilder {
    /// For the subtree of objects that share their first `depth` nibbles.
    pub(super) fn below(depth: usize) -> Self {
        Self {
            top: depth,
            ..Self::default()
        }
    }

    /// Takes the next object. One that is the same as the last counts once.
    ///
    /// # Errors
    /// When it comes before the last.
    pub fn push(&mut self, object: &ObjectRef) -> Result<(), ListError> {
        if self.last.is_some_and(|last| sort_key(&last) > sort_key(object)) {
            return Err(ListError::Malformed);
        }
        self.take(object);
        Ok(())
    }

    fn take(&mut self, object: &ObjectRef) {
        let Some(last) = self.last.replace(*object) else {
            self.leaf.push(*object);
            return;
        };
        if last == *object {
            return;
        }
        let common = common_nibbles(&last.hash, &object.hash);
        if common < self.depth() {
            let mut hash = leaf(&self.leaf);
            self.leaf.clear();
            while let Some(node) = self.nodes.pop() {
                let depth = self.depth();
                let node = node.child(nibble(&last.hash, depth), &hash);
                if depth <= common {
                    self.nodes.push(node);
                    break;
                }
                hash = node.finish();
            }
        }
        self.leaf.push(*object);
        while self.leaf.len() > LEAF_MAX && self.depth() < DEPTH_MAX {
            self.split();
        }
    }

    /// Nibbles that everything in the leaf shares.
    const fn depth(&self) -> usize {
        self.top + self.nodes.len()
    }

    /// The leaf is too large: it becomes a node. What is in its last child stays the leaf.
    fn split(&mut self) {
        let depth = self.depth();
        let mut node = Node::default();
        let mut rest = self.leaf.as_slice();
        let newest = self.leaf.last().map_or(0, |object| nibble(&object.hash, depth));
        while let Some(digit) = rest
            .first()
            .map(|object| nibble(&object.hash, depth))
            .filter(|digit| *digit != newest)
        {
            let (child, after) =
                rest.split_at(rest.partition_point(|object| nibble(&object.hash, depth) <= digit));
            node = node.child(digit, &leaf(child));
            rest = after;
        }
        self.leaf = rest.to_vec();
        self.nodes.push(node);
    }

    /// The root.
    #[must_use]
    pub fn finish(mut self) -> ObjectHash {
        let mut hash = leaf(&self.leaf);
        while let Some(node) = self.nodes.pop() {
            // A node begins with its first object.
            let digit = self.last.map_or(0, |last| nibble(&last.hash, self.depth()));
            hash = node.child(digit, &hash).finish();
        }
        ObjectHash::from_bytes(hash)
    }
}

/// The hash of a leaf; its objects are in order.
pub(super) fn leaf(objects: &[ObjectRef]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(LEAF);
    for object in objects {
        hasher.update(object.hash.as_bytes());
        hasher.update(&[object.kind.tag()]);
        hasher.update(&object.size_bytes.to_be_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// A node whose children come one after the other; those that are passed over are empty leaves.
#[derive(Debug)]
pub(super) struct Node {
    hasher: blake3::Hasher,
    /// The first child that has not come.
    next: u8,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            hasher: blake3::Hasher::new_derive_key(NODE),
            next: 0,
        }
    }
}

impl Node {
    pub(super) fn child(mut self, digit: u8, hash: &[u8; 32]) -> Self {
        self.pass_over(digit);
        self.hasher.update(hash);
        self.next = digit + 1;
        self
    }

    fn pass_over(&mut self, until: u8) {
        if self.next < until {
            let empty = leaf(&[]);
            for _ in self.next..until {
                self.hasher.update(&empty);
            }
        }
    }

    pub(super) fn finish(mut self) -> [u8; 32] {
        self.pass_over(FAN);
        *self.hasher.finalize().as_bytes()
    }
}

fn common_nibbles(a: &ObjectHash, b: &ObjectHash) -> usize {
    let pairs = a.as_bytes().iter().zip(b.as_bytes());
    let same = pairs.take_while(|(a, b)| a == b).count();
    match (a.as_bytes().get(same), b.as_bytes().get(same)) {
        (Some(a), Some(b)) if a >> 4 == b >> 4 => 2 * same + 1,
        _ => 2 * same,
    }
}

pub(super) fn nibble(hash: &ObjectHash, index: usize) -> u8 {
    let byte = hash.as_bytes()[index / 2];
    if index.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 0x0f
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use shared::object::ObjectKind;

    fn objects(count: usize, salt: u8) -> Vec<ObjectRef> {
        (0..count)
            .map(|i| ObjectRef {
                kind: ObjectKind::Pack,
                hash: crate::hash(&[&i.to_be_bytes()[..], &[salt]].concat()),
                size_bytes: i as u64,
            })
            .collect()
    }

    /// The definition, with the whole set in hand. `objects` are sorted and share their first `depth` nibbles.
    fn subtree(objects: &[ObjectRef], depth: usize) -> [u8; 32] {
        if objects.len() <= LEAF_MAX || depth == DEPTH_MAX {
            return leaf(objects);
        }
        let mut hasher = blake3::Hasher::new_derive_key(NODE);
        let mut rest = objects;
        for digit in 0..16 {
            let here = rest.partition_point(|object| nibble(&object.hash, depth) <= digit);
            let (below, after) = rest.split_at(here);
            hasher.update(&subtree(below, depth + 1));
            rest = after;
        }
        *hasher.finalize().as_bytes()
    }

    /// Hashes that share long beginnings, as no honest content has them: subtrees are deep, and leaves full.
    fn crowded(seeds: &[(u8, u8)]) -> Vec<ObjectRef> {
        let mut objects: Vec<ObjectRef> = seeds
            .iter()
            .enumerate()
            .map(|(i, (same, kind))| {
                let mut bytes = *crate::hash(&i.to_be_bytes()).as_bytes();
                bytes[..usize::from(*same % 33)].fill(0x77);
                ObjectRef {
                    kind: if kind % 2 == 0 {
                        ObjectKind::Pack
                    } else {
                        ObjectKind::ListPage
                    },
                    hash: ObjectHash::from_bytes(bytes),
                    size_bytes: u64::from(*kind),
                }
            })
            .collect();
        objects.sort_unstable_by_key(sort_key);
        objects.dedup();
        objects
    }

    #[test]
    fn what_comes_out_of_order_is_refused() {
        let mut set = objects(3, 0);
        set.sort_unstable_by_key(sort_key);
        let mut builder = RootBuilder::default();
        builder.push(&set[1]).unwrap();
        builder.push(&set[1]).unwrap();
        assert_eq!(builder.push(&set[0]), Err(ListError::Malformed));
        builder.push(&set[2]).unwrap();
        assert_eq!(builder.finish(), root(&set[1..]));
    }

    /// These values must never change: they stand in signed manifests.
    #[test]
    fn roots_are_the_same_for_ever() {
        let golden = [0, 1, 64, 65, 3000].map(|count| root(&objects(count, 0)).to_string()[..16].to_owned());
        assert_eq!(golden, GOLDEN);
    }

    const GOLDEN: [&str; 5] = [
        "012044a105e98e76",
        "9d7784f206395160",
        "b61059a92662cd5c",
        "76c8de71110626b9",
        "93084d1d14710f0a",
    ];

    proptest! {
        #[test]
        fn object_by_object_comes_to_the_same_root(seeds in proptest::collection::vec((any::<u8>(), any::<u8>()), 0..600)) {
            let set = crowded(&seeds);
            prop_assert_eq!(root(&set), ObjectHash::from_bytes(subtree(&set, 0)));
        }

        #[test]
        fn the_root_depends_on_the_set_only(count in 0usize..400, seed in any::<u64>(), change in any::<prop::sample::Index>()) {
            let plain = objects(count, 1);
            let mut mixed = plain.clone();
            // A shuffle without a random source: order by a hash with the seed in it, with duplicates.
            mixed.extend_from_slice(&plain[..count / 3]);
            mixed.sort_by_key(|o| blake3::hash(&[&seed.to_be_bytes()[..], o.hash.as_bytes()].concat()).to_hex().to_string());
            prop_assert_eq!(root(&plain), root(&mixed));

            let mut more = plain.clone();
            more.extend(objects(1, 2));
            prop_assert_ne!(root(&plain), root(&more));
            if count > 0 {
                let at = change.index(count);
                let mut fewer = plain.clone();
                fewer.remove(at);
                prop_assert_ne!(root(&plain), root(&fewer));
                let mut other = plain.clone();
                other[at].size_bytes ^= 1 << 20;
                prop_assert_ne!(root(&plain), root(&other));
                let mut other = plain.clone();
                other[at].kind = ObjectKind::Index;
                prop_assert_ne!(root(&plain), root(&other));
            }
        }
    }
}
