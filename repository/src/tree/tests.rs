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
        owner: None,
        holes: None,
        windows: None,
        further: None,
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
        let bytes = page(&[file(name, &[])]);
        assert_eq!(decode_page(&bytes), Err(TreeError::BadName), "{name:?}");
    }
    for pair in [[b"b", b"a"], [b"a", b"a"]] {
        let bytes = page(&pair.map(|name| file(name, &[])));
        assert_eq!(decode_page(&bytes), Err(TreeError::Order));
    }
    for len in [0, 4_194_305] {
        let bytes = page(&[file(b"a", &[len])]);
        assert!(matches!(decode_page(&bytes), Err(TreeError::OutOfRange { .. })));
    }
    let mut lies = file(b"a", &[10]);
    let Node::File { size_bytes, .. } = &mut lies.node else {
        unreachable!()
    };
    *size_bytes = 11;
    assert!(decode_page(&page(&[lies])).is_err());
    let mut mode = file(b"a", &[]);
    mode.mode = 0o10_000;
    assert!(decode_page(&page(&[mode])).is_err());
    // A kind of node that a later version may bring: refused, not guessed.
    let bytes = page(&[entry(b"a", Node::Directory { pages: vec![] })]);
    let at = bytes.windows(4).position(|w| w == [0x82, 2, 0x81, 0x80]).unwrap();
    let mut reserved = bytes.clone();
    reserved[at + 1] = 4;
    assert!(decode_page(&bytes).is_ok());
    assert!(decode_page(&reserved).is_err());
}

/// An entry with everything that version 2 adds.
fn second_version() -> Entry {
    let streams = [&b"Zone.Identifier"[..], b"more"].map(|name| Stream {
        name: name.to_vec(),
        size_bytes: 7,
        content: Content::Direct(vec![ChunkRef {
            id: names().id(name),
            raw_len: 7,
        }]),
    });
    let hole = |offset, len| Hole { offset, len };
    Entry {
        owner: Some(Box::new(OwnerNames {
            user: b"anna".to_vec(),
            group: vec![],
        })),
        holes: Some(Box::new(Holes(vec![hole(0, 4096), hole(8192, 8192)]))),
        windows: Some(Box::new(Windows {
            attributes: Some(0x20),
            created: Some(UnixTime {
                seconds: 5,
                nanoseconds: 100,
            }),
            security: Some(vec![1, 0, 4, 0x80].into()),
            streams: Some(streams.to_vec()),
            reparse: Some(Reparse {
                tag: 0xa000_000c,
                data: vec![7; 16_384],
            }),
        })),
        further: Some(Box::new(Further::new(vec![(4711, vec![1, 2])]).unwrap())),
        ..file(b"b", &[16_384])
    }
}

#[test]
fn a_page_is_of_version_2_when_an_entry_is() {
    let entries = vec![file(b"a", &[5]), second_version()];
    let pages = encode_listing(&entries, &names()).unwrap();
    assert_eq!((pages.len(), pages[0][..2].to_vec()), (1, vec![0xa1, 1]));
    assert_eq!(decode_page(&pages[0]).unwrap(), entries);
    // A listing without is written as it always was: what is unchanged keeps its id.
    let first = encode_listing(&entries[..1], &names()).unwrap();
    assert_eq!(first[0][..2], [0xa1, 0]);
    // No page says it as the other version.
    for page in [&first[0], &pages[0]] {
        let mut other = page.clone();
        other[1] ^= 1;
        assert_eq!(decode_page(&other), Err(TreeError::OtherVersion));
    }
    // Neither as both.
    let both = wire::encode(&Page {
        version_1: Some(entries[..1].to_vec()),
        version_2: Some(entries[1..].to_vec()),
    });
    assert_eq!(decode_page(&both), Err(TreeError::OtherVersion));
}

fn windows(entry: &mut Entry) -> &mut Windows {
    entry.windows.as_mut().unwrap()
}

fn stream(entry: &mut Entry) -> &mut Stream {
    &mut windows(entry).streams.as_mut().unwrap()[0]
}

fn holes(entry: &mut Entry) -> &mut Vec<Hole> {
    &mut entry.holes.as_mut().unwrap().0
}

fn owner(entry: &mut Entry) -> &mut OwnerNames {
    entry.owner.as_mut().unwrap()
}

type Change = fn(&mut Entry);

const WRONG: [(&str, Change); 20] = [
    ("no name", |entry| owner(entry).user.clear()),
    ("a long name", |entry| owner(entry).group = vec![b'x'; 257]),
    ("a name with a zero", |entry| owner(entry).user = vec![0]),
    ("no holes", |entry| holes(entry).clear()),
    ("an empty hole", |entry| holes(entry)[0].len = 0),
    ("holes that touch", |entry| holes(entry)[1].offset = 4096),
    ("a hole beyond the end", |entry| holes(entry)[1].len = 8193),
    ("a hole that overflows", |entry| holes(entry)[1].len = u64::MAX),
    ("holes of a link", |entry| {
        entry.node = Node::Symlink {
            target: b"a".to_vec(),
        };
    }),
    ("nothing of Windows", |entry| *windows(entry) = Windows::default()),
    ("a time that is none", |entry| {
        windows(entry).created.as_mut().unwrap().nanoseconds = 1_000_000_000;
    }),
    ("a long descriptor", |entry| {
        windows(entry).security = Some(vec![0; 65_537].into());
    }),
    ("no streams", |entry| windows(entry).streams = Some(vec![])),
    ("streams out of order", |entry| {
        windows(entry).streams.as_mut().unwrap().reverse();
    }),
    ("many streams", |entry| {
        let one = stream(entry).clone();
        let many = (0..1025u32).map(|number| Stream {
            name: format!("{number:06}").into_bytes(),
            ..one.clone()
        });
        windows(entry).streams = Some(many.collect());
    }),
    ("a stream without a name", |entry| stream(entry).name.clear()),
    ("a stream's name that is a path", |entry| {
        stream(entry).name = b"a:b".to_vec();
    }),
    ("a long stream name", |entry| stream(entry).name = vec![b'a'; 766]),
    ("a stream that lies", |entry| stream(entry).size_bytes = 8),
    ("long reparse data", |entry| {
        windows(entry).reparse.as_mut().unwrap().data.push(0);
    }),
];

#[test]
fn what_version_2_adds_has_limits() {
    second_version().check().unwrap();
    for (why, change) in WRONG {
        let mut entry = second_version();
        change(&mut entry);
        assert!(entry.check().is_err(), "{why}");
        assert!(decode_page(&page(&[entry])).is_err(), "{why}");
    }
    // A field that no version has.
    let mut page = page(&[file(b"a", &[])]);
    page[3] += 1;
    page.extend_from_slice(&[13, 0x40]);
    assert!(matches!(decode_page(&page), Err(TreeError::Wire(_))));
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
