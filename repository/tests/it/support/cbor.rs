//! Structures that stand inside seals, spelled after docs/FORMAT.md and not after the crate's own types.

use minicbor::{Encode, Encoder};
use repository::{
    manifest::{ManifestContent, Root, Warning, WarningList},
    object_list::Page,
    owners::OwnerTable,
    pack::{PackKey, PackLayout},
};
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
pub fn grant_content(
    chunk_key: &impl Encode<()>,
    roots: &[Root],
    packs: &[(ObjectRef, PackKey)],
    names: &OwnerTable,
) -> Vec<u8> {
    bytes_of(|to| {
        to.map(4)
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
        to.u8(3).unwrap();
        owners(to, names);
    })
}

fn owners(to: &mut Encoder<&mut Vec<u8>>, names: &OwnerTable) {
    to.map(2).unwrap();
    for (field, names) in [(0, &names.users), (1, &names.groups)] {
        to.u8(field).unwrap().array(names.len() as u64).unwrap();
        for (id, name) in names {
            to.array(2).unwrap().u32(*id).unwrap().bytes(name).unwrap();
        }
    }
}

fn content_of(to: &mut Encoder<&mut Vec<u8>>, content: &ManifestContent) {
    to.u8(0).unwrap().str(&content.source_name).unwrap();
    to.u8(1).unwrap().str(&content.hostname).unwrap();
    to.u8(2).unwrap();
    array(to, &content.roots);
    to.u8(3).unwrap().encode(&content.chunk_key).unwrap();
}

/// The sealed part of a manifest of version 1.
pub fn manifest_content(content: &ManifestContent, warnings: &[Warning]) -> Vec<u8> {
    bytes_of(|to| {
        to.map(5).unwrap();
        content_of(to, content);
        to.u8(4).unwrap();
        array(to, warnings);
    })
}

/// The sealed part of a manifest of version 2 with all its fields, or without those that are optional.
pub fn manifest_content_2(content: &ManifestContent) -> Vec<u8> {
    let WarningList::Pages(pages) = &content.warnings else {
        panic!("version 2");
    };
    bytes_of(|to| {
        to.map(if content.further.is_some() { 8 } else { 5 }).unwrap();
        content_of(to, content);
        to.u8(5).unwrap();
        array(to, pages);
        let (Some(index), Some(further)) = (&content.name_index, &content.further) else {
            return;
        };
        to.u8(6).unwrap();
        owners(to, &content.owners);
        to.u8(7).unwrap().array(2).unwrap().u32(index.form).unwrap();
        array(to, &index.pages);
        let later = further.get(4711).unwrap();
        to.u8(8)
            .unwrap()
            .map(1)
            .unwrap()
            .u32(4711)
            .unwrap()
            .bytes(later)
            .unwrap();
    })
}
