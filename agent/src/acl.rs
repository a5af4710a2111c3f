//! POSIX access control lists in the form of extended attributes: a version of four bytes, then entries of a tag, a
//! permission (two bytes each) and a number (four), all little-endian. See `include/uapi/linux/posix_acl_xattr.h`.

use repository::tree::Xattr;

/// Who may reach a file.
pub(crate) const ACCESS: &[u8] = b"system.posix_acl_access";
/// What a folder gives to what is made in it.
pub(crate) const DEFAULT: &[u8] = b"system.posix_acl_default";

const HEADER: [u8; 4] = [2, 0, 0, 0];
const ENTRY_BYTES: usize = 8;
/// A user, by number.
const USER: u16 = 0x02;
/// A group, by number.
const GROUP: u16 = 0x08;

/// Whether it is such a list.
pub(crate) fn is_acl(name: &[u8]) -> bool {
    name == ACCESS || name == DEFAULT
}

/// The entry's number, and whether it is a group's; `None` where the entry names nobody.
fn named(entry: &[u8]) -> Option<(bool, u32)> {
    let [tag0, tag1, _, _, a, b, c, d] = *entry.first_chunk::<ENTRY_BYTES>()?;
    let id = u32::from_le_bytes([a, b, c, d]);
    match u16::from_le_bytes([tag0, tag1]) {
        USER => Some((false, id)),
        GROUP => Some((true, id)),
        _ => None,
    }
}

/// The numbers that a list names: whether it is a group's, and the number. Nothing for other attributes.
pub(crate) fn ids(attribute: &Xattr) -> impl Iterator<Item = (bool, u32)> {
    let entries = match attribute.value.strip_prefix(&HEADER) {
        Some(entries) if is_acl(&attribute.name) => entries,
        _ => &[],
    };
    entries.chunks_exact(ENTRY_BYTES).filter_map(named)
}

/// Gives the numbers that a list names others.
pub(crate) fn map(attribute: &mut Xattr, mut to: impl FnMut(bool, u32) -> u32) {
    if !is_acl(&attribute.name) || !attribute.value.starts_with(&HEADER) {
        return;
    }
    for entry in attribute.value[HEADER.len()..].chunks_exact_mut(ENTRY_BYTES) {
        if let Some((is_group, id)) = named(entry) {
            entry[4..].copy_from_slice(&to(is_group, id).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_numbers_of_named_entries_are_mapped() {
        // user::rw-, user:991:r--, group::---, group:50:rw-, mask::rw-, other::---
        let tags: [(u16, u32); 6] = [
            (0x01, u32::MAX),
            (USER, 991),
            (0x04, u32::MAX),
            (GROUP, 50),
            (0x10, u32::MAX),
            (0x20, u32::MAX),
        ];
        let value = |user: u32, group: u32| {
            let entries = tags.iter().flat_map(|(tag, id)| {
                let id = match *tag {
                    USER => user,
                    GROUP => group,
                    _ => *id,
                };
                [&tag.to_le_bytes()[..], &6u16.to_le_bytes(), &id.to_le_bytes()].concat()
            });
            [HEADER.to_vec(), entries.collect()].concat()
        };
        let mut acl = Xattr {
            name: ACCESS.to_vec(),
            value: value(991, 50),
        };
        assert_eq!(ids(&acl).collect::<Vec<_>>(), [(false, 991), (true, 50)]);
        map(&mut acl, |is_group, id| id + if is_group { 1 } else { 10 });
        assert_eq!(acl.value, value(1001, 51));
        let mut other = Xattr {
            name: b"user.note".to_vec(),
            value: value(991, 50),
        };
        map(&mut other, |_, _| 0);
        assert_eq!((other.value.clone(), ids(&other).count()), (value(991, 50), 0));
        for bad in [&b""[..], &HEADER, &[1, 0, 0, 0, 2, 0], &[2, 0, 0, 0, 2, 0, 6]] {
            let mut bad = Xattr {
                name: DEFAULT.to_vec(),
                value: bad.to_vec(),
            };
            map(&mut bad, |_, _| 0);
            assert_eq!(ids(&bad).count(), 0);
        }
    }
}
