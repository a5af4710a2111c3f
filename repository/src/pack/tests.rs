use proptest::prelude::*;
use rand_core::CryptoRng;

use super::*;
use crate::{
    chunk::{ChunkKey, SourceSecret},
    compress::Compressor,
    hedge::Hedge,
    recovery::{RecoverySecret, RecoverySeed},
    test_random::Repeated,
    wire,
};

fn repeated(seed: u8) -> Repeated {
    Repeated(seed)
}

fn kit() -> RecoverySecret {
    RecoverySeed::from_bytes([9; 32]).secret()
}

fn names() -> ChunkKey {
    SourceSecret::from_bytes([4; 32]).chunk_key()
}

fn pack(chunks: &[Vec<u8>], rng: &mut impl CryptoRng) -> SealedPack {
    let mut builder = PackBuilder::files();
    let mut compressor = Compressor::new();
    for raw in chunks {
        let (compression, stored) = compressor.compress(raw);
        builder
            .add(
                names().id(raw),
                u32::try_from(raw.len()).unwrap(),
                compression,
                stored,
            )
            .unwrap();
    }
    builder.seal(kit().public(), rng).unwrap()
}

fn open(bytes: &[u8]) -> Result<Vec<Vec<u8>>, PackError> {
    let key = PackKey::open(ObjectKind::Pack, bytes, &kit())?;
    let chunks = verify(ObjectKind::Pack, bytes, &key, &names())?;
    Ok(chunks.into_iter().map(|(_, raw)| raw).collect())
}

fn some_chunks() -> Vec<Vec<u8>> {
    vec![b"one".to_vec(), vec![b'x'; 500], vec![], (0..=255).collect()]
}

#[test]
fn chunks_read_back_whole_and_by_range() {
    let sealed = pack(&some_chunks(), &mut repeated(1));
    assert_eq!(open(&sealed.bytes).unwrap(), some_chunks());
    assert_eq!(sealed.layout.object.hash, crate::hash(&sealed.bytes));
    assert_eq!(sealed.layout.check(), Ok(()));

    let begin = &sealed.bytes[..sealed.layout.body_offset as usize];
    let key = PackKey::open(ObjectKind::Pack, begin, &kit()).unwrap();
    let opened = OpenPack::new(ObjectKind::Pack, begin, &key).unwrap();
    let slice = |range: std::ops::Range<u64>| {
        &sealed.bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
    };
    assert_eq!(
        opened.footer(slice(opened.footer_range())).unwrap(),
        sealed.layout.entries
    );
    for ((position, offset, entry), raw) in sealed.layout.places().zip(some_chunks()) {
        let mut chunk = slice(offset..offset + entry.sealed_len()).to_vec();
        assert_eq!(opened.chunk(position, entry, &mut chunk, &names()), Ok(raw));
    }
}

#[test]
fn every_changed_byte_and_every_cut_is_found() {
    let sealed = pack(&some_chunks(), &mut repeated(1));
    for at in 0..sealed.bytes.len() {
        let mut changed = sealed.bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(open(&changed).is_err(), "byte {at} of {}", sealed.bytes.len());
        assert!(open(&sealed.bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(open(&[sealed.bytes, vec![0]].concat()).is_err());
}

#[test]
fn a_swapped_chunk_a_wrong_key_and_a_wrong_kind_are_found() {
    let chunks = vec![vec![1; 40], vec![2; 40]];
    let sealed = pack(&chunks, &mut repeated(1));
    let key = PackKey::open(ObjectKind::Pack, &sealed.bytes, &kit()).unwrap();
    let opened = OpenPack::new(ObjectKind::Pack, &sealed.bytes, &key).unwrap();
    let [(_, first, a), (_, second, b)] = sealed.layout.places().collect::<Vec<_>>()[..] else {
        panic!("two chunks");
    };
    let take = |offset: u64, entry: &PackEntry| {
        let at = usize::try_from(offset).unwrap();
        sealed.bytes[at..at + usize::try_from(entry.sealed_len()).unwrap()].to_vec()
    };
    assert!(opened.chunk(0, a, &mut take(second, b), &names()).is_err());
    assert_eq!(
        opened.chunk(0, b, &mut take(first, a), &names()),
        Err(PackError::WrongChunk { position: 0 })
    );

    let other = RecoverySeed::from_bytes([8; 32]).secret();
    assert!(matches!(
        PackKey::open(ObjectKind::Pack, &sealed.bytes, &other),
        Err(PackError::Seal(SealError::OtherRecipient { .. }))
    ));
    assert!(matches!(
        PackKey::open(ObjectKind::TreePack, &sealed.bytes, &kit()),
        Err(PackError::Wire(WireError::WrongKind { .. }))
    ));
    // A header from another pack: its key does not open these chunks.
    let mut grafted = pack(&some_chunks(), &mut repeated(1)).bytes;
    let offset = sealed.layout.body_offset as usize;
    grafted[..offset].copy_from_slice(&sealed.bytes[..offset]);
    assert!(open(&grafted).is_err());
}

#[test]
fn a_repeated_random_source_repeats_no_key_for_other_content() {
    let begin = |sealed: &SealedPack| sealed.bytes[..sealed.layout.body_offset as usize].to_vec();
    let key = |sealed: &SealedPack| {
        PackKey::open(ObjectKind::Pack, &sealed.bytes, &kit())
            .unwrap()
            .key
    };
    let a = pack(&[vec![1; 100]], &mut repeated(1));
    let b = pack(&[vec![2; 100]], &mut repeated(1));
    assert_ne!(key(&a), key(&b));
    // The HPKE encapsulation has its own key and nonce: those must differ as well.
    assert_ne!(begin(&a)[..70], begin(&b)[..70]);
    let encapsulated = |sealed: &SealedPack| {
        let (header, _, _) = wire::unframe(ObjectKind::Pack, &sealed.bytes, MAX_HEADER_BYTES).unwrap();
        wire::decode::<Header>(header, "header").unwrap().recipients[0].encapsulated
    };
    assert_ne!(encapsulated(&a), encapsulated(&b));
    // Order matters, and so does how a chunk is stored: other bytes under one (key, nonce) would give both away.
    let ab = pack(&[vec![1; 100], vec![2; 100]], &mut repeated(1));
    let ba = pack(&[vec![2; 100], vec![1; 100]], &mut repeated(1));
    assert_ne!(key(&ab), key(&ba));
    let stored = |stored: &[u8]| {
        let mut builder = PackBuilder::files();
        builder
            .add(names().id(b"same"), 4, Compression::Zstd, stored)
            .unwrap();
        builder.seal(kit().public(), &mut repeated(1)).unwrap()
    };
    assert_ne!(key(&stored(b"abcd")), key(&stored(b"abce")));
    // Another recovery key, another pack key.
    let mut builder = PackBuilder::files();
    builder
        .add(names().id(b"same"), 4, Compression::Zstd, b"abcd")
        .unwrap();
    let other_kit = RecoverySeed::from_bytes([8; 32]).secret();
    let other = builder.seal(other_kit.public(), &mut repeated(1)).unwrap();
    let other_key = PackKey::open(ObjectKind::Pack, &other.bytes, &other_kit)
        .unwrap()
        .key;
    assert_ne!(key(&stored(b"abcd")), other_key);
    // Equal in everything: equal bytes, and nothing learnt. Another random state: another key.
    assert_eq!(a.bytes, pack(&[vec![1; 100]], &mut repeated(1)).bytes);
    assert_ne!(key(&a), key(&pack(&[vec![1; 100]], &mut repeated(2))));
}

#[test]
fn limits_hold() {
    let mut builder = PackBuilder::trees();
    let big = vec![0; chunk::MAX_BYTES];
    let id = names().id(&big);
    let len = u32::try_from(big.len()).unwrap();
    let mut added = 0;
    while builder.fits(big.len()) {
        builder.add(id, len, Compression::None, &big).unwrap();
        added += 1;
    }
    assert_eq!(added, 3, "16 MiB with tags hold three of 4 MiB");
    assert_eq!(
        builder.add(id, len, Compression::None, &big),
        Err(PackError::Full)
    );
    let too_big = vec![0; chunk::MAX_BYTES + 1];
    assert_eq!(
        PackBuilder::files().add(id, len, Compression::None, &too_big),
        Err(PackError::Full)
    );
    let sealed = builder.seal(kit().public(), &mut repeated(1)).unwrap();
    assert_eq!(sealed.bytes.len(), crate::padding::padme(sealed.bytes.len()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_chunks_read_back(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 1..20), seed: u8) {
        let sealed = pack(&chunks, &mut Hedge::new(&mut repeated(seed), "test", &[]));
        prop_assert_eq!(open(&sealed.bytes).unwrap(), chunks);
    }

    #[test]
    fn random_bytes_do_not_panic(bytes: Vec<u8>, key: [u8; 32], body_len: u32, footer_len: u32) {
        let key = PackKey { key, body_len, footer_len };
        let framed = wire::frame(ObjectKind::Pack, &bytes);
        for bytes in [bytes, framed] {
            prop_assert!(PackKey::open(ObjectKind::Pack, &bytes, &kit()).is_err());
            prop_assert!(verify(ObjectKind::Pack, &bytes, &key, &names()).is_err());
        }
    }
}
