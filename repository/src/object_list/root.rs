//! One hash for a *set* of objects: a trie over the nibbles of the objects' hashes.
//!
//! The root depends on the set alone, not on the order or history in which it came about, so that a server that
//! knows a parent's set and a commit's added and dropped objects computes the root that the manifest must have.
//! It says nothing of how the list is stored: see the layers of [`super::ObjectList`].

use shared::object::{ObjectHash, ObjectRef};

/// A leaf holds at most this many objects.
pub const LEAF_MAX: usize = 64;
/// Nibbles of a hash.
const DEPTH_MAX: usize = 64;

const LEAF: &str = "holdfast v1 object list leaf";
const NODE: &str = "holdfast v1 object list node";

/// The root of a set of objects. An object that is given twice counts once.
#[must_use]
pub fn root<'a>(objects: impl IntoIterator<Item = &'a ObjectRef>) -> ObjectHash {
    let mut objects: Vec<ObjectRef> = objects.into_iter().copied().collect();
    objects.sort_unstable_by_key(sort_key);
    objects.dedup();
    ObjectHash::from_bytes(subtree(&objects, 0))
}

/// The order of objects in a leaf and in a manifest: by hash.
#[must_use]
pub fn sort_key(object: &ObjectRef) -> (ObjectHash, u8, u64) {
    (object.hash, object.kind.tag(), object.size_bytes)
}

/// `objects` are sorted and share their first `depth` nibbles.
fn subtree(objects: &[ObjectRef], depth: usize) -> [u8; 32] {
    if objects.len() <= LEAF_MAX || depth == DEPTH_MAX {
        let mut hasher = blake3::Hasher::new_derive_key(LEAF);
        for object in objects {
            hasher.update(object.hash.as_bytes());
            hasher.update(&[object.kind.tag()]);
            hasher.update(&object.size_bytes.to_be_bytes());
        }
        return *hasher.finalize().as_bytes();
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

fn nibble(hash: &ObjectHash, index: usize) -> u8 {
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
