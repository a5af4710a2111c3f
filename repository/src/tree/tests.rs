use proptest::prelude::*;

use super::*;
use crate::chunk::SourceSecret;

fn names() -> ChunkKey {
    SourceSecret::from_bytes([4; 32]).chunk_key()
}

fn entry(name: &[u8], node: Node) -> Entry {
    let time = UnixTime {
        seconds: -5,
        nanoseconds: 999_999_999,
    };
    Entry {
        name: name.to_vec(),
        node,
        mode: 0o4755,
        uid: 0,
        gid: 100,
        mtime: time,
        ctime: time,
        xattrs: vec![],
        hard_link: None,
    }
}

fn file(name: &[u8], lens: &[u32]) -> Entry {
    let chunks = lens
        .iter()
        .map(|raw_len| ChunkRef {
            id: names().id(&raw_len.to_be_bytes()),
            raw_len: *raw_len,
        })
        .collect();
    entry(
        name,
        Node::File {
            size_bytes: lens.iter().map(|len| u64::from(*len)).sum(),
            content: Content::Direct(chunks),
        },
    )
}

#[test]
fn a_listing_reads_back() {
    let mut linked = file(b"\xff not UTF-8", &[1, 4_194_304]);
    linked.hard_link = Some(u64::MAX);
    linked.xattrs = vec![Xattr {
        name: b"user.note".to_vec(),
        value: vec![0, 255],
    }];
    let entries = vec![
        file(b"a", &[]),
        entry(
            b"dir",
            Node::Directory {
                pages: vec![names().id(b"page")],
            },
        ),
        entry(b"empty", Node::Directory { pages: vec![] }),
        entry(
            b"link",
            Node::Symlink {
                target: b"../../etc".to_vec(),
            },
        ),
        linked,
    ];
    let pages = encode_listing(&entries, &names()).unwrap();
    assert_eq!(pages.len(), 1);
    assert_eq!(decode_page(&pages[0]).unwrap(), entries);
    assert!(encode_listing(&[], &names()).unwrap().is_empty());
}

#[test]
fn hostile_listings_are_refused() {
    for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b"] {
        let bytes = wire::encode(&Page {
            entries: vec![file(name, &[])],
        });
        assert_eq!(decode_page(&bytes), Err(TreeError::BadName), "{name:?}");
    }
    for pair in [[b"b", b"a"], [b"a", b"a"]] {
        let bytes = wire::encode(&Page {
            entries: pair.map(|name| file(name, &[])).to_vec(),
        });
        assert_eq!(decode_page(&bytes), Err(TreeError::Order));
    }
    for len in [0, 4_194_305] {
        let bytes = wire::encode(&Page {
            entries: vec![file(b"a", &[len])],
        });
        assert!(matches!(decode_page(&bytes), Err(TreeError::OutOfRange { .. })));
    }
    let mut lies = file(b"a", &[10]);
    let Node::File { size_bytes, .. } = &mut lies.node else {
        unreachable!()
    };
    *size_bytes = 11;
    assert!(decode_page(&wire::encode(&Page { entries: vec![lies] })).is_err());
    let mut mode = file(b"a", &[]);
    mode.mode = 0o10_000;
    assert!(decode_page(&wire::encode(&Page { entries: vec![mode] })).is_err());
    // A kind of node that a later version may bring: refused, not guessed.
    let bytes = wire::encode(&Page {
        entries: vec![entry(b"a", Node::Directory { pages: vec![] })],
    });
    let at = bytes.windows(4).position(|w| w == [0x82, 2, 0x81, 0x80]).unwrap();
    let mut reserved = bytes.clone();
    reserved[at + 1] = 4;
    assert!(decode_page(&bytes).is_ok());
    assert!(decode_page(&reserved).is_err());
}

#[test]
fn a_new_name_in_a_large_directory_changes_one_page() {
    let mut entries: Vec<_> = (0..20_000)
        .map(|i| file(format!("{i:06}").as_bytes(), &[100]))
        .collect();
    let before = encode_listing(&entries, &names()).unwrap();
    assert!(before.len() > 5, "{}", before.len());
    assert!(before.iter().all(|page| page.len() <= PAGE_MAX + 64));
    let all: Vec<_> = before
        .iter()
        .flat_map(|page| decode_page(page).unwrap())
        .collect();
    assert_eq!(all, entries);
    entries.insert(0, file(b"000000 new", &[5]));
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let after = encode_listing(&entries, &names()).unwrap();
    assert!(after.iter().filter(|page| !before.contains(page)).count() <= 2);
}

#[test]
fn a_large_file_lists_its_chunks_in_pages() {
    let chunks: Vec<_> = (0..10_000u32)
        .map(|i| ChunkRef {
            id: names().id(&i.to_be_bytes()),
            raw_len: i + 1,
        })
        .collect();
    let (content, pages) = encode_content(chunks.clone(), &names());
    assert_eq!(
        content,
        Content::Indirect(pages.iter().map(|page| names().id(page)).collect())
    );
    let all: Vec<_> = pages
        .iter()
        .flat_map(|page| decode_chunk_list(page).unwrap())
        .collect();
    assert_eq!(all, chunks);
    assert!(pages.iter().all(|page| page.len() < chunk::MAX_BYTES));
    let (content, pages) = encode_content(chunks[..512].to_vec(), &names());
    assert!(matches!(content, Content::Direct(_)) && pages.is_empty());
}

proptest! {
    #[test]
    fn random_bytes_do_not_panic(bytes: Vec<u8>) {
        let _ = decode_page(&bytes);
        let _ = decode_chunk_list(&bytes);
    }

    #[test]
    fn a_changed_page_is_refused_or_another_listing(at in any::<prop::sample::Index>(), bit in 0u32..8) {
        let entries = vec![file(b"a", &[1, 2, 3]), entry(b"l", Node::Symlink { target: b"t".to_vec() })];
        let mut page = encode_listing(&entries, &names()).unwrap().remove(0);
        let at = at.index(page.len());
        page[at] ^= 1 << bit;
        if let Ok(other) = decode_page(&page) {
            prop_assert_ne!(other, entries);
        }
    }
}
