//! Structures that stand inside seals, spelled after docs/FORMAT.md and not after the crate's own types.

use minicbor::{Encode, Encoder};
use repository::{manifest::Root, object_list::Page, pack::PackKey, pack::PackLayout};
use shared::object::ObjectRef;

pub fn bytes_of(write: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut Encoder::new(&mut bytes));
    bytes
}

fn object(to: &mut Encoder<&mut Vec<u8>>, object: &ObjectRef) {
    to.array(3).unwrap().u8(object.kind.tag()).unwrap();
    to.bytes(object.hash.as_bytes())
        .unwrap()
        .u64(object.size_bytes)
        .unwrap();
}

fn array<T: Encode<()>>(to: &mut Encoder<&mut Vec<u8>>, items: &[T]) {
    to.encode(items).unwrap();
}

/// The footer of a pack.
pub fn pack_footer(layout: &PackLayout) -> Vec<u8> {
    bytes_of(|to| {
        to.map(1).unwrap().u8(0).unwrap();
        array(to, &layout.entries);
    })
}

/// The content of an index segment.
pub fn index_body(layouts: &[PackLayout]) -> Vec<u8> {
    bytes_of(|to| {
        to.map(1)
            .unwrap()
            .u8(0)
            .unwrap()
            .array(layouts.len() as u64)
            .unwrap();
        for layout in layouts {
            to.map(5)
                .unwrap()
                .u8(0)
                .unwrap()
                .bytes(layout.object.hash.as_bytes())
                .unwrap();
            to.u8(1).unwrap().u8(layout.object.kind.tag()).unwrap();
            to.u8(2).unwrap().u64(layout.object.size_bytes).unwrap();
            to.u8(3).unwrap().u32(layout.body_offset).unwrap().u8(4).unwrap();
            array(to, &layout.entries);
        }
    })
}

/// A list with these layers and an inline change that only adds.
pub fn object_list(layers: &[(&Page, ObjectRef)], inline: &[ObjectRef]) -> Vec<u8> {
    bytes_of(|to| {
        to.array(2).unwrap().u8(1).unwrap().array(2).unwrap();
        to.array(layers.len() as u64).unwrap();
        for (page, named) in layers {
            let mut fold = [0; 32];
            let hashes = page.delta.added().iter().map(|object| object.hash);
            for hash in hashes.chain(page.delta.dropped().iter().copied()) {
                fold.iter_mut()
                    .zip(hash.as_bytes())
                    .for_each(|(mine, other)| *mine ^= other);
            }
            to.array(4).unwrap().u64(page.delta.added().len() as u64).unwrap();
            to.u64(page.delta.dropped().len() as u64)
                .unwrap()
                .bytes(&fold)
                .unwrap();
            to.array(1).unwrap();
            object(to, named);
        }
        to.array(2).unwrap().array(inline.len() as u64).unwrap();
        inline.iter().for_each(|added| object(to, added));
        to.array(0).unwrap();
    })
}

/// What a grant says.
pub fn grant_content(chunk_key: &impl Encode<()>, roots: &[Root], packs: &[(ObjectRef, PackKey)]) -> Vec<u8> {
    bytes_of(|to| {
        to.map(3)
            .unwrap()
            .u8(0)
            .unwrap()
            .encode(chunk_key)
            .unwrap()
            .u8(1)
            .unwrap();
        array(to, roots);
        to.u8(2).unwrap().array(packs.len() as u64).unwrap();
        for (pack, key) in packs {
            to.array(2).unwrap();
            object(to, pack);
            to.encode(key).unwrap();
        }
    })
}
