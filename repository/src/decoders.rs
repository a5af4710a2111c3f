//! Every decoder behind one signature, for those who attack them: the fuzz targets in `fuzz/`, and the test
//! `tests/damage.rs`, which runs with all others.
//!
//! What is sealed or signed is entered here behind the seal: a fuzzer guesses no key, and a hostile agent or a thief
//! of a kit seals whatever he likes.

use crate::{
    commit::CommitRecord,
    compress::{self, Compression},
    identity::{Certificate, SignedRestoreKey},
    index,
    kit::Kit,
    manifest,
    object_list::{ObjectList, Page},
    pack,
    recovery::RecoveryPublicKey,
    restore, tree, wire,
};
use shared::object::ObjectKind;

/// A decoder. It must end for any bytes, without a panic, and take memory in proportion to their length.
#[derive(Debug, Clone, Copy)]
pub struct Decoder {
    /// What it reads.
    pub name: &'static str,
    /// Reads the bytes and gives what it understood, written again; `None` when it refuses them. Bytes that are
    /// accepted have one meaning and that meaning one spelling: what is given equals what was read.
    pub decode: fn(&[u8]) -> Option<Vec<u8>>,
}

/// All of them.
pub const ALL: [Decoder; 20] = [
    named("pack_header", pack_header),
    named("pack_footer", pack_footer),
    named("stored_chunk", stored_chunk),
    named("tree_page", tree_page),
    named("chunk_list", chunk_list),
    named("index_header", index_header),
    named("index_body", index_body),
    named("manifest_header", manifest_header),
    named("manifest_content", manifest_content),
    named("manifest_content_2", manifest_content_2),
    named("warning_page", warning_page),
    named("list_page", list_page),
    named("object_list", object_list),
    named("commit_record", commit_record),
    named("certificate", certificate),
    named("restore_key", restore_key),
    named("restore_order", restore_order),
    named("restore_grant", restore_grant),
    named("grant_content", grant_content),
    named("recovery_kit", recovery_kit),
];

const fn named(name: &'static str, decode: fn(&[u8]) -> Option<Vec<u8>>) -> Decoder {
    Decoder { name, decode }
}

/// The beginning of a pack: its header, and whatever follows.
pub fn pack_header(bytes: &[u8]) -> Option<Vec<u8>> {
    let header = pack::read_header(ObjectKind::Pack, bytes).ok()?;
    let begin = wire::frame(ObjectKind::Pack, &wire::encode(&header));
    Some([&begin, bytes.get(begin.len()..)?].concat())
}

/// A pack's list of its chunks.
pub fn pack_footer(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(wire::encode(&pack::decode_footer(bytes).ok()?))
}

/// A compressed chunk after four bytes with the length that is promised.
pub fn stored_chunk(bytes: &[u8]) -> Option<Vec<u8>> {
    let (promised, stored) = bytes.split_first_chunk::<4>()?;
    compress::decompress(Compression::Zstd, stored, u32::from_be_bytes(*promised)).ok()?;
    Some(bytes.to_vec())
}

/// A page of a directory listing.
pub fn tree_page(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(tree::page(&tree::decode_page(bytes).ok()?))
}

/// A page of a large file's list of chunks.
pub fn chunk_list(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(tree::encode_chunk_list(&tree::decode_chunk_list(bytes).ok()?))
}

/// The beginning of an index segment.
pub fn index_header(bytes: &[u8]) -> Option<Vec<u8>> {
    let header = index::read_header(bytes).ok()?;
    let begin = wire::frame(ObjectKind::Index, &wire::encode(&header));
    Some([&begin, bytes.get(begin.len()..)?].concat())
}

/// What an index segment says.
pub fn index_body(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(index::encode_body(&index::decode_body(bytes).ok()?))
}

/// A whole manifest, but only its header is understood.
pub fn manifest_header(bytes: &[u8]) -> Option<Vec<u8>> {
    let header = manifest::read_header(bytes).ok()?;
    let version = header.version;
    let header = wire::encode(&manifest::WireHeader::from(&header));
    let begin = wire::frame_of(ObjectKind::Manifest, version, &header);
    Some([&begin, bytes.get(begin.len()..)?].concat())
}

/// What only the kit reads of a manifest of version 1.
pub fn manifest_content(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(manifest::decode_content(bytes, 1).ok()?.encode())
}

/// What only the kit reads of a manifest of version 2.
pub fn manifest_content_2(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(manifest::decode_content(bytes, 2).ok()?.encode())
}

/// A page of what was not backed up whole.
pub fn warning_page(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(manifest::encode_warning_page(
        manifest::decode_warning_page(bytes).ok()?,
    ))
}

/// A page of an object list.
pub fn list_page(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(Page::decode(bytes).ok()?.encode().1)
}

/// An object list as a manifest or an agent's cache holds it.
pub fn object_list(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(ObjectList::from_bytes(bytes).ok()?.to_bytes())
}

/// A commit record with any signature.
pub fn commit_record(bytes: &[u8]) -> Option<Vec<u8>> {
    let begin = CommitRecord::read(bytes).ok()?.frame();
    Some([&begin, bytes.get(begin.len()..)?].concat())
}

/// A kit's word for an agent's key.
pub fn certificate(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(Certificate::from_bytes(bytes).ok()?.to_bytes())
}

/// An agent's restore key with any signature.
pub fn restore_key(bytes: &[u8]) -> Option<Vec<u8>> {
    let begin = SignedRestoreKey::read(bytes).ok()?.frame();
    Some([&begin, bytes.get(begin.len()..)?].concat())
}

/// A restore order with any signature.
pub fn restore_order(bytes: &[u8]) -> Option<Vec<u8>> {
    let (kit, order) = restore::RestoreOrder::read(bytes).ok()?;
    let begin = order.frame(kit);
    Some([&begin, bytes.get(begin.len()..)?].concat())
}

/// A restore grant, sealed.
pub fn restore_grant(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(restore::frame(
        wire::version_of(bytes),
        restore::sealed(bytes).ok()?,
    ))
}

/// What a restore grant says.
pub fn grant_content(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(restore::Grant::decode(bytes).ok()?.encode().to_vec())
}

/// A recovery kit's file, or a public key's text. Both are typed and edited by people, so their spelling is free:
/// what is given is what was read, once what was understood has proved to mean the same.
pub fn recovery_kit(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let means_the_same = match Kit::parse(text) {
        Ok(kit) => Kit::parse(&kit.to_text()).ok()?.secret().public() == kit.secret().public(),
        Err(_) => {
            let key = RecoveryPublicKey::parse(text).ok()?;
            RecoveryPublicKey::parse(&key.to_string()).ok()? == key
        }
    };
    means_the_same.then(|| bytes.to_vec())
}
