//! Where each object lies in the bucket. Keys hold letters, digits, `-`, `/` and what the prefix holds: some
//! stores mangle `+` and `%` in listings.

use shared::{
    ids::SourceId,
    object::{ObjectHash, ObjectKind},
};

use crate::{
    commit, object_list,
    wire::{self, SIGNATURE_LEN},
};

// The table of limits has whole objects, the decoders their headers.
const _: () = {
    assert!(ObjectKind::Commit.max_bytes() == wire::FRAME_LEN + commit::MAX_HEADER + SIGNATURE_LEN);
    assert!(ObjectKind::ListPage.max_bytes() == wire::FRAME_LEN + object_list::MAX_PAGE_BYTES);
};

/// No object of a kind is longer (FORMAT, section 2): a reader refuses one that is, before it reads it.
#[must_use]
pub const fn max_object_bytes(kind: ObjectKind) -> u64 {
    kind.max_bytes() as u64
}

/// What the keys of all objects of one source begin with; ends with a slash.
///
/// `prefix` is the backup set's, empty or ending with a slash.
#[must_use]
pub fn source_prefix(prefix: &str, source: SourceId) -> String {
    format!("{prefix}sources/{}/", source.as_uuid().simple())
}

/// The key of a content-named object. A commit record is named by its number: see [`commit_key`]; for
/// [`ObjectKind::Commit`] this gives a name in a folder that nothing else uses.
#[must_use]
pub fn object_key(prefix: &str, source: SourceId, kind: ObjectKind, hash: &ObjectHash) -> String {
    let folder = match kind {
        ObjectKind::Pack => "packs",
        ObjectKind::TreePack => "trees",
        ObjectKind::Index => "index",
        ObjectKind::Manifest => "manifests",
        ObjectKind::Commit => "commits-by-hash",
        ObjectKind::ListPage => "lists",
    };
    format!("{}{folder}/{hash}", source_prefix(prefix, source))
}

/// The key of the commit record number `seq`.
#[must_use]
pub fn commit_key(prefix: &str, source: SourceId, seq: u64) -> String {
    format!("{}commits/{seq:010}", source_prefix(prefix, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits are those of the table in the format's description.
    #[test]
    fn the_format_says_how_long_objects_are() {
        let format = include_str!("../../docs/FORMAT.md");
        for (row, kind, bytes) in [
            ("| pack | 1 |", ObjectKind::Pack, 32 << 20),
            ("| tree pack | 2 |", ObjectKind::TreePack, 32 << 20),
            ("| index segment | 3 |", ObjectKind::Index, 32 << 20),
            ("| manifest | 4 |", ObjectKind::Manifest, 64 << 20),
            ("| commit record | 5 |", ObjectKind::Commit, (64 << 10) + 12 + 64),
            ("| list page | 6 |", ObjectKind::ListPage, (4 << 20) + 12),
        ] {
            assert_eq!(max_object_bytes(kind), bytes);
            let line = format.lines().find(|line| line.starts_with(row)).unwrap();
            let stated = match kind {
                ObjectKind::Commit => "64 KiB header".to_owned(),
                ObjectKind::ListPage => "4 MiB header".to_owned(),
                _ => format!("{} MiB", bytes >> 20),
            };
            assert!(line.ends_with(&format!("| {stated} |")), "{line}");
        }
    }

    #[test]
    fn keys_are_plain() {
        let source: SourceId = "src_01930000000070008000000000000001".parse().unwrap();
        let hash = ObjectHash::from_bytes([0xab; 32]);
        assert_eq!(
            object_key("acme/", source, ObjectKind::TreePack, &hash),
            format!("acme/sources/01930000000070008000000000000001/trees/{hash}")
        );
        assert_eq!(
            commit_key("", source, 42),
            "sources/01930000000070008000000000000001/commits/0000000042"
        );
        // Ten digits sort like numbers; the eleventh is still a valid key.
        assert!(commit_key("", source, 99_999_999_999).ends_with("/99999999999"));
    }
}
