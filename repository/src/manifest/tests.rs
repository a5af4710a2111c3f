use proptest::prelude::*;
use shared::object::ObjectHash;
use uuid::Uuid;

use super::*;
use crate::{
    chunk::SourceSecret,
    object_list::Delta,
    recovery::RecoverySeed,
    seal::SealError,
    test_random::Repeated,
    tree::{Node, UnixTime},
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
            source_name: "documents".into(),
            hostname: "host".into(),
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
                },
            }],
            chunk_key: SourceSecret::from_bytes([4; 32]).chunk_key(),
            warnings: vec![Warning {
                path: b"/srv/secret-name/x".to_vec(),
                kind: WarningKind::Vanished,
                detail: String::new(),
            }],
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
