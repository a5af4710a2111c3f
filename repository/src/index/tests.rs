use proptest::prelude::*;
use shared::object::ObjectHash;

use super::*;
use crate::{
    chunk::SourceSecret, compress::Compression, pack::PackEntry, recovery::RecoverySeed,
    test_random::Repeated,
};

fn layouts(count: u8) -> Vec<PackLayout> {
    let names = SourceSecret::from_bytes([4; 32]).chunk_key();
    (0..count)
        .map(|i| PackLayout {
            object: ObjectRef {
                kind: if i % 2 == 0 {
                    ObjectKind::Pack
                } else {
                    ObjectKind::TreePack
                },
                hash: ObjectHash::from_bytes([i; 32]),
                size_bytes: 10_000,
            },
            body_offset: 150,
            entries: (0..i)
                .map(|j| PackEntry {
                    id: names.id(&[i, j]),
                    stored_len: u32::from(j),
                    raw_len: u32::from(j) * 2,
                    compression: Compression::Zstd,
                })
                .collect(),
        })
        .collect()
}

fn agent() -> IndexKey {
    SourceSecret::from_bytes([4; 32]).index_key()
}

fn kit() -> RecoverySecret {
    RecoverySeed::from_bytes([9; 32]).secret()
}

#[test]
fn a_segment_opens_for_agent_and_kit_and_nobody_else() {
    let (object, bytes) = seal(&layouts(5), &agent(), kit().public(), &mut Repeated(1)).unwrap();
    assert_eq!(object.hash, crate::hash(&bytes));
    assert_eq!(open(&bytes, &agent()).unwrap(), layouts(5));
    assert_eq!(open_with_kit(&bytes, &kit()).unwrap(), layouts(5));
    assert!(open(&bytes, &SourceSecret::from_bytes([5; 32]).index_key()).is_err());
    assert!(open_with_kit(&bytes, &RecoverySeed::from_bytes([5; 32]).secret()).is_err());
}

#[test]
fn every_changed_byte_and_every_cut_is_found() {
    let (_, bytes) = seal(&layouts(3), &agent(), kit().public(), &mut Repeated(1)).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(open(&changed, &agent()).is_err(), "byte {at}");
        assert!(open_with_kit(&changed, &kit()).is_err(), "byte {at}");
        assert!(open(&bytes[..at], &agent()).is_err(), "cut at {at}");
    }
    assert!(open(&[bytes, vec![0]].concat(), &agent()).is_err());
}

#[test]
fn impossible_layouts_are_refused() {
    let mut beyond = layouts(3);
    beyond[2].object.size_bytes = 151;
    let mut kind = layouts(3);
    kind[2].object.kind = ObjectKind::Manifest;
    let mut chunk = layouts(3);
    chunk[2].entries[0].raw_len = u32::MAX;
    for wrong in [beyond, kind, chunk] {
        let (_, bytes) = seal(&wrong, &agent(), kit().public(), &mut Repeated(1)).unwrap();
        assert!(matches!(open(&bytes, &agent()), Err(IndexError::Pack(_))));
    }
}

proptest! {
    #[test]
    fn random_bytes_do_not_panic(bytes: Vec<u8>) {
        let framed = wire::frame(ObjectKind::Index, &bytes);
        for bytes in [bytes, framed] {
            prop_assert!(open(&bytes, &agent()).is_err());
            prop_assert!(open_with_kit(&bytes, &kit()).is_err());
        }
    }
}
