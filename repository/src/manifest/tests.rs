use proptest::prelude::*;
use shared::object::ObjectHash;
use uuid::Uuid;

use super::*;
use crate::{
    chunk::{self, SourceSecret},
    further::Further,
    object_list::Delta,
    recovery::RecoverySeed,
    seal::SealError,
    test_random::Repeated,
    tree::{Entry, Node, UnixTime},
};

fn kit() -> RecoverySecret {
    RecoverySeed::from_bytes([9; 32]).secret()
}

fn key() -> AgentSigningKey {
    AgentSigningKey::from_seed([3; 32])
}

fn manifest(objects: u8) -> NewManifest {
    let time = UnixTime {
        seconds: 1,
        nanoseconds: 2,
    };
    let objects: Vec<ObjectRef> = (0..objects)
        .rev()
        .map(|i| ObjectRef {
            kind: [ObjectKind::Pack, ObjectKind::TreePack, ObjectKind::Index][usize::from(i % 3)],
            hash: ObjectHash::from_bytes([i; 32]),
            size_bytes: 1000 + u64::from(i),
        })
        .collect();
    let plan = object_list::plan(&ObjectList::default(), 7, Delta::default(), &objects, |_| None).unwrap();
    NewManifest {
        agent_id: AgentId::from_uuid(Uuid::from_u128(1)),
        source_id: SourceId::from_uuid(Uuid::from_u128(2)),
        run_id: RunId::from_uuid(Uuid::from_u128(3)),
        parent: Some(ManifestParent {
            seq: 6,
            manifest: ObjectHash::from_bytes([6; 32]),
        }),
        created_at: "2026-11-23T18:00:00.5Z".parse().unwrap(),
        totals: SnapshotTotals {
            files: 1,
            folders: 2,
            bytes: 3,
            bytes_sent: 4,
            warnings: 5,
            notes: 6,
        },
        objects,
        list: plan.list,
        certificate: None,
        content: ManifestContent {
            roots: vec![Root {
                path: b"/srv/secret-name".to_vec(),
                entry: Entry {
                    name: b"secret-name".to_vec(),
                    node: Node::Directory { pages: vec![] },
                    mode: 0o755,
                    uid: 0,
                    gid: 0,
                    mtime: time,
                    ctime: time,
                    xattrs: vec![],
                    hard_link: None,
                    owner: None,
                    holes: None,
                    windows: None,
                    further: None,
                },
                walked: None,
            }],
            warnings: WarningList::Pages(vec![SourceSecret::from_bytes([4; 32]).chunk_key().id(b"page")]),
            ..ManifestContent::new(
                "documents".into(),
                "host".into(),
                vec![],
                SourceSecret::from_bytes([4; 32]).chunk_key(),
            )
        },
    }
}

fn no_pages(_: &ObjectRef) -> Result<Vec<u8>, ListError> {
    unreachable!("the list is inline")
}

fn sealed(objects: u8) -> Vec<u8> {
    manifest(objects)
        .seal(kit().public(), &key(), &mut Repeated(1))
        .unwrap()
        .1
}

#[test]
fn a_manifest_reads_back_and_hides_names() {
    let (object, bytes) = manifest(5)
        .seal(kit().public(), &key(), &mut Repeated(1))
        .unwrap();
    assert_eq!(object.hash, crate::hash(&bytes));
    let header = open_header(&bytes, &key().public()).unwrap();
    let expected = manifest(5);
    assert_eq!(
        (
            header.agent_id,
            header.source_id,
            header.run_id,
            header.parent,
            header.created_at,
            header.totals
        ),
        (
            expected.agent_id,
            expected.source_id,
            expected.run_id,
            expected.parent,
            expected.created_at,
            expected.totals
        )
    );
    let mut objects = header.objects(no_pages).unwrap();
    assert!(objects.is_sorted_by_key(|object| object.hash));
    objects.reverse();
    assert_eq!(objects, expected.objects);
    assert_eq!(header.recovery, kit().public().fingerprint());
    assert_eq!(open_content(&bytes, &kit()).unwrap(), expected.content);
    for name in ["secret-name", "documents", "host"] {
        assert!(!bytes.windows(name.len()).any(|w| w == name.as_bytes()), "{name}");
    }
    assert_eq!(header.certified(kit().public()), Ok(false));
}

fn first_version(objects: u8) -> NewManifest {
    let mut new = manifest(objects);
    new.content.warnings = WarningList::Inline(vec![Warning {
        path: b"/srv/secret-name/x".to_vec(),
        kind: WarningKind::Vanished,
        detail: String::new(),
    }]);
    new
}

#[test]
fn both_versions_read_back_and_a_third_is_told_to_be_newer() {
    for (new, again, version) in [
        (first_version(5), first_version(5), 1),
        (manifest(5), manifest(5), 2),
    ] {
        let bytes = new.seal(kit().public(), &key(), &mut Repeated(1)).unwrap().1;
        assert_eq!(bytes[5], version);
        assert_eq!(open_header(&bytes, &key().public()).unwrap().version, version);
        assert_eq!(open_content(&bytes, &kit()).unwrap(), again.content);
        // The version is bound to everything else.
        let mut other = bytes.clone();
        other[5] = 3 - version;
        assert!(open_header(&other, &key().public()).is_err());
        assert!(open_content(&other, &kit()).is_err());
        other[5] = 3;
        assert_eq!(
            open_header(&other, &key().public()).unwrap_err(),
            ManifestError::Wire(WireError::UnknownVersion { found: 3, known: 2 })
        );
    }
}

/// A header with one more field.
fn with_field(version: u8, number: u8, value: &[u8]) -> Result<ManifestHeader, ManifestError> {
    let bytes = sealed(1);
    // The fields are few enough for a map whose length is in its first byte.
    let mut header = split(&bytes).unwrap().header.to_vec();
    header[0] += 1;
    header.push(number);
    header.extend_from_slice(value);
    let mut changed = wire::frame_of(ObjectKind::Manifest, version, &header);
    changed.extend_from_slice(&wire::length(0));
    let signature = key().sign(DOMAIN, &changed);
    changed.extend_from_slice(&signature);
    open_header_of_any(&changed)
}

#[test]
fn what_may_be_passed_over_is_kept_and_what_is_critical_is_refused() {
    // {99: h'0102'}
    let passed_over = [0xa1, 0x18, 99, 0x42, 1, 2];
    let header = with_field(2, 11, &passed_over).unwrap();
    assert_eq!(header.further.unwrap().get(99), Some(&[1, 2][..]));
    let endless = [0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    for (version, number, value, why) in [
        (1, 11, &passed_over[..], "version 1 has no such field"),
        (2, 12, &passed_over[..], "another field is a new version"),
        (2, 11, &[0xa0][..], "nothing is told by absence"),
        (2, 11, &[0xa1, 0x18, 99, 1][..], "values are byte strings"),
        (2, 11, &[0xa2, 2, 0x40, 1, 0x40][..], "out of order"),
        (2, 11, &[0xa2, 1, 0x40, 1, 0x40][..], "twice"),
        (2, 11, &[0xbf, 1, 0x40, 0xff][..], "of indefinite length"),
        (2, 11, &endless[..], "a count without fields"),
    ] {
        assert!(with_field(version, number, value).is_err(), "{why}");
    }
    let many = (0..65).map(|number| (number, vec![])).collect();
    assert!(Further::new(many).is_err());
    assert!(Further::new(vec![(1, vec![0; 64 * 1024 + 1])]).is_err());
}

#[test]
fn names_of_owners_and_the_place_of_an_index_read_back_within_their_limits() {
    let read = |content: &ManifestContent| decode_content(&content.encode(), 2);
    let mut content = manifest(0).content;
    content.owners.users.insert(1000, b"anna".to_vec());
    content.owners.groups.insert(0, b"root".to_vec());
    content.owners.groups.insert(u32::MAX, vec![0xff; 256]);
    content.roots[0].walked = Some(b"/mnt/real".to_vec().into());
    content.name_index = Some(NameIndex {
        form: 1,
        pages: vec![content.chunk_key.id(b"index")],
    });
    assert_eq!(read(&content).unwrap(), content);
    assert_eq!(content.owners.clone().bounded(), content.owners);
    type Change = fn(&mut ManifestContent);
    let wrong: [Change; 7] = [
        |content| drop(content.owners.users.insert(1, vec![])),
        |content| drop(content.owners.users.insert(1, vec![b'a'; 257])),
        |content| drop(content.owners.groups.insert(1, b"a\0".to_vec())),
        |content| content.name_index.as_mut().unwrap().form = 0,
        |content| content.name_index.as_mut().unwrap().pages.clear(),
        |content| content.roots[0].walked = Some(b"relative".to_vec().into()),
        |content| content.roots[0].walked = Some(content.roots[0].path.clone().into()),
    ];
    for (number, change) in wrong.iter().enumerate() {
        let mut content = content.clone();
        change(&mut content);
        assert!(read(&content).is_err(), "{number}");
    }
}

#[test]
fn a_hundred_thousand_warnings_leave_the_manifest_small() {
    let warning = |number: usize, kind| Warning {
        path: format!("/srv/data/folder {}/file {number}", number % 1000).into_bytes(),
        kind,
        detail: "Permission denied (os error 13)".into(),
    };
    let names = SourceSecret::from_bytes([4; 32]).chunk_key();
    let listed = |warnings: &[Warning]| -> Vec<ListedWarning> {
        let pages = encode_warnings(warnings, &names);
        pages
            .iter()
            .flat_map(|page| decode_warning_page(page).unwrap())
            .collect()
    };
    let mut warnings: Vec<Warning> = (0..MAX_WARNINGS)
        .map(|number| warning(number, WarningKind::Unreadable))
        .collect();
    let all = listed(&warnings);
    assert_eq!(all.len(), MAX_WARNINGS);
    assert!(all.is_sorted_by(|a, b| a.path <= b.path));
    let pages = encode_warnings(&warnings, &names);
    assert!(pages.iter().all(|page| page.len() <= chunk::MAX_BYTES) && pages.len() <= MAX_WARNING_PAGES);
    let mut new = manifest(1);
    new.content.warnings = WarningList::Pages(pages.iter().map(|page| names.id(page)).collect());
    let sealed = new.seal(kit().public(), &key(), &mut Repeated(1)).unwrap().0;
    assert!(sealed.size_bytes < 16 * 1024, "{}", sealed.size_bytes);

    // One more changes few pages, and notes give way to warnings.
    warnings.truncate(50_000);
    let before = encode_warnings(&warnings, &names);
    warnings.push(warning(77_777, WarningKind::Vanished));
    let after = encode_warnings(&warnings, &names);
    assert!(after.iter().filter(|page| !before.contains(page)).count() <= 2);
    warnings.extend((100_000..200_000).map(|number| warning(number, WarningKind::UnsupportedType)));
    let all = listed(&warnings);
    assert_eq!(all.len(), MAX_WARNINGS);
    assert_eq!(all.iter().filter(|warning| !warning.is_note).count(), 50_001);
}

#[test]
fn warnings_of_later_writers_are_listed_without_their_kind() {
    let later = ListedWarning {
        path: b"/srv/x".to_vec(),
        kind: 4711,
        is_note: true,
        detail: "something new".into(),
    };
    let page = encode_warning_page(vec![later.clone()]);
    let read = decode_warning_page(&page).unwrap().remove(0);
    assert_eq!((read.known_kind(), &read), (None, &later));
    let known = ListedWarning::from(&Warning {
        path: vec![],
        kind: WarningKind::MountLeftOut,
        detail: "\u{20ac}".repeat(400),
    });
    assert_eq!(known.known_kind(), Some(WarningKind::MountLeftOut));
    assert_eq!((known.kind, known.is_note, known.detail.len()), (8, true, 1023));
    let mut long = later;
    long.detail = "x".repeat(MAX_DETAIL_BYTES + 1);
    assert!(decode_warning_page(&encode_warning_page(vec![long])).is_err());
    assert!(decode_warning_page(&encode_warning_page(vec![])).is_err());
}

#[test]
fn a_certificate_is_verified_when_present() {
    let certificate = Certificate::issue(manifest(0).agent_id, &key().public(), &kit());
    let seal = |certificate| {
        let new = NewManifest {
            certificate: Some(certificate),
            ..manifest(1)
        };
        let bytes = new.seal(kit().public(), &key(), &mut Repeated(1)).unwrap().1;
        open_header(&bytes, &key().public()).unwrap()
    };
    assert_eq!(seal(certificate.clone()).certified(kit().public()), Ok(true));
    let other = RecoverySeed::from_bytes([8; 32]).secret();
    assert!(seal(certificate).certified(other.public()).is_err());
}

#[test]
fn every_changed_byte_and_every_cut_is_found() {
    let bytes = sealed(3);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(open_header(&changed, &key().public()).is_err(), "byte {at}");
        assert!(open_header(&bytes[..at], &key().public()).is_err(), "cut at {at}");
        let _ = open_content(&changed, &kit());
    }
    assert!(open_header(&[bytes, vec![0]].concat(), &key().public()).is_err());
}

#[test]
fn another_signer_and_another_kit_are_found() {
    let bytes = sealed(3);
    let other = AgentSigningKey::from_seed([5; 32]);
    assert!(matches!(
        open_header(&bytes, &other.public()),
        Err(ManifestError::OtherSigner { .. })
    ));
    let other_kit = RecoverySeed::from_bytes([8; 32]).secret();
    assert!(matches!(
        open_content(&bytes, &other_kit),
        Err(ManifestError::Seal(SealError::OtherRecipient { .. }))
    ));
    // The sealed part of one manifest under the header of another.
    let (a, b) = (sealed(3), sealed(4));
    let (pa, pb) = (split(&a).unwrap(), split(&b).unwrap());
    let mut grafted = pb.frame.to_vec();
    grafted.extend_from_slice(&wire::length(pa.sealed.len()));
    grafted.extend_from_slice(pa.sealed);
    let signature = key().sign(DOMAIN, &grafted);
    grafted.extend_from_slice(&signature);
    assert!(
        open_header(&grafted, &key().public()).is_ok(),
        "the agent did sign it"
    );
    assert!(
        open_content(&grafted, &kit()).is_err(),
        "but the parts do not belong together"
    );
}

#[test]
fn a_list_that_is_not_the_objects_is_refused() {
    let mut other = manifest(3);
    other.objects.pop();
    assert_eq!(
        other.seal(kit().public(), &key(), &mut Repeated(1)).unwrap_err(),
        ManifestError::List(ListError::WrongRoot)
    );
    // A signer that lies about the root.
    let bytes = sealed(3);
    let parts = split(&bytes).unwrap();
    let mut header: WireHeader = wire::decode(parts.header, "header").unwrap();
    header.objects_root[0] ^= 1;
    let mut lie = wire::frame(ObjectKind::Manifest, &wire::encode(&header));
    lie.extend_from_slice(&wire::length(parts.sealed.len()));
    lie.extend_from_slice(parts.sealed);
    let signature = key().sign(DOMAIN, &lie);
    lie.extend_from_slice(&signature);
    assert_eq!(
        open_header_of_any(&bytes)
            .unwrap()
            .objects(no_pages)
            .unwrap()
            .len(),
        3
    );
    assert_eq!(
        open_header_of_any(&lie).unwrap().objects(no_pages),
        Err(ListError::WrongRoot)
    );
}

proptest! {
    #[test]
    fn random_bytes_do_not_panic(bytes: Vec<u8>) {
        let framed = wire::frame(ObjectKind::Manifest, &bytes);
        for bytes in [bytes.clone(), framed.clone(), [framed, wire::length(3).to_vec(), bytes].concat()] {
            prop_assert!(open_header_of_any(&bytes).is_err());
            prop_assert!(open_content(&bytes, &kit()).is_err());
        }
    }
}
