use jiff::SignedDuration;
use shared::{
    ids::{BackupSetId, RestoreId, SourceId},
    object::{ObjectHash, ObjectKind},
};
use uuid::Uuid;

use super::*;
use crate::{
    chunk::SourceSecret,
    compress::Compression,
    identity::AgentRestoreKey,
    manifest::Root,
    pack::{PackBuilder, PackError, PackKey, SealedPack, verify},
    recovery::{RecoverySecret, RecoverySeed},
    test_random::Repeated,
    tree::{Entry, Node, UnixTime},
};

fn kit() -> RecoverySecret {
    RecoverySeed::from_bytes([9; 32]).secret()
}

fn key() -> AgentRestoreKey {
    AgentRestoreKey::from_seed([5; 32])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn names() -> crate::chunk::ChunkKey {
    SourceSecret::from_bytes([4; 32]).chunk_key()
}

fn pack(content: &[u8]) -> SealedPack {
    let mut builder = PackBuilder::files();
    let len = u32::try_from(content.len()).unwrap();
    builder
        .add(names().id(content), len, Compression::None, content)
        .unwrap();
    builder.seal(kit().public(), &mut Repeated(1)).unwrap()
}

fn granted(pack: &SealedPack) -> GrantedPack {
    GrantedPack {
        object: pack.layout.object,
        key: PackKey::open(ObjectKind::Pack, &pack.bytes, &kit()).unwrap(),
    }
}

fn grant(packs: &[&SealedPack]) -> Grant {
    let time = UnixTime {
        seconds: 1,
        nanoseconds: 2,
    };
    let root = Root {
        path: b"/srv/\xff".to_vec(),
        entry: Entry {
            name: b"\xff".to_vec(),
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
    };
    Grant::new(
        names(),
        vec![root],
        packs.iter().map(|pack| granted(pack)).collect(),
    )
    .unwrap()
}

fn order(grant: &[u8]) -> RestoreOrder {
    RestoreOrder {
        restore_id: RestoreId::from_uuid(Uuid::from_u128(1)),
        backup_set_id: BackupSetId::from_uuid(Uuid::from_u128(2)),
        source_id: SourceId::from_uuid(Uuid::from_u128(3)),
        manifest: ObjectHash::from_bytes([4; 32]),
        paths: vec![b"/srv/\xff".to_vec()],
        destination: Destination::Below(b"/restored".to_vec()),
        overwrite: Overwrite::Never,
        agent_id: AgentId::from_uuid(Uuid::from_u128(5)),
        restore_key: key().public().clone(),
        grant: crate::hash(grant),
        issued_at: at(0),
        expires_at: at(3600),
    }
}

fn open_at(bytes: &[u8], now: Timestamp) -> Result<RestoreOrder, OrderError> {
    RestoreOrder::open(
        bytes,
        Recipient {
            agent_id: AgentId::from_uuid(Uuid::from_u128(5)),
            restore_key: key().public(),
            recovery: kit().public(),
            now,
        },
    )
}

/// The whole way: the kit gives out one pack of two; the agent opens that one, and nothing it has opens the other.
#[test]
fn a_grant_opens_what_it_names_and_nothing_else() {
    let (wanted, other) = (pack(b"wanted"), pack(b"other"));
    let sealed = grant(&[&wanted]).seal(key().public(), &mut Repeated(1)).unwrap();
    let signed = order(&sealed).sign(&kit()).unwrap();

    let order = open_at(&signed, at(10)).unwrap();
    let grant = Grant::open(&sealed, &order.grant, &key()).unwrap();
    let pack_key = grant.key(&wanted.layout.object.hash).unwrap();
    let chunks = verify(ObjectKind::Pack, &wanted.bytes, pack_key, &grant.chunk_key).unwrap();
    assert_eq!(chunks[0].1, b"wanted");
    assert_eq!(grant.key(&other.layout.object.hash), None);
    assert!(matches!(
        verify(ObjectKind::Pack, &other.bytes, pack_key, &grant.chunk_key),
        Err(PackError::Seal(SealError::DoesNotOpen { .. }))
    ));
    // The server sees neither a key nor a name.
    let secrets: [&[u8]; 2] = [&pack_key_bytes(pack_key), b"/srv/"];
    for secret in secrets {
        assert!(!sealed.windows(secret.len()).any(|window| window == secret));
    }
}

fn pack_key_bytes(key: &PackKey) -> Vec<u8> {
    crate::wire::encode(key)[3..35].to_vec()
}

#[test]
fn each_wrong_order_has_its_own_error() {
    let sealed = grant(&[&pack(b"wanted")])
        .seal(key().public(), &mut Repeated(1))
        .unwrap();
    let sign = |order: &RestoreOrder| order.sign(&kit()).unwrap();
    let right = order(&sealed);
    assert_eq!(open_at(&sign(&right), at(0)), Ok(right.clone()));

    // Forged: by somebody with a kit of their own who claims to be ours; and by another kit outright.
    let theirs = RecoverySeed::from_bytes([8; 32]).secret();
    let by_another = right.sign(&theirs).unwrap();
    assert_eq!(
        open_at(&by_another, at(0)),
        Err(OrderError::OtherKit {
            found: theirs.public().fingerprint(),
            expected: kit().public().fingerprint()
        })
    );
    let mut claims = by_another;
    let ours = kit().public().fingerprint();
    let place = claims
        .windows(20)
        .position(|window| window == theirs.public().fingerprint().as_bytes())
        .unwrap();
    claims[place..place + 20].copy_from_slice(ours.as_bytes());
    assert_eq!(open_at(&claims, at(0)), Err(OrderError::Forged));

    // Altered: whatever is changed, and wherever it is cut.
    let bytes = sign(&right);
    for at_byte in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at_byte] ^= 1 << (at_byte % 8);
        assert!(open_at(&changed, at(0)).is_err(), "byte {at_byte}");
        assert!(open_at(&bytes[..at_byte], at(0)).is_err(), "cut at {at_byte}");
    }
    let mut widened = bytes.clone();
    let path = widened.windows(4).position(|window| window == b"/srv").unwrap();
    widened[path..path + 4].copy_from_slice(b"/etc");
    assert_eq!(open_at(&widened, at(0)), Err(OrderError::Forged));

    let other_agent = AgentId::from_uuid(Uuid::from_u128(6));
    let for_another = sign(&RestoreOrder {
        agent_id: other_agent,
        ..right.clone()
    });
    assert_eq!(
        open_at(&for_another, at(0)),
        Err(OrderError::OtherAgent(other_agent))
    );
    // Replayed after the agent has made a new key.
    let old_key = AgentRestoreKey::from_seed([6; 32]).public().clone();
    let replayed = sign(&RestoreOrder {
        restore_key: old_key,
        ..right.clone()
    });
    assert_eq!(open_at(&replayed, at(0)), Err(OrderError::OtherRestoreKey));
    assert_eq!(open_at(&bytes, at(3600)), Err(OrderError::Expired(at(3600))));
    assert_eq!(
        open_at(&bytes, at(3600) - SignedDuration::from_nanos(1)),
        Ok(right.clone())
    );
    assert_eq!(
        open_at(&bytes, at(-86_400)),
        Err(OrderError::FromTheFuture(at(0)))
    );

    for path in [b"".to_vec(), b"/a\0b".to_vec()] {
        let odd = RestoreOrder {
            paths: vec![path],
            ..right.clone()
        };
        assert!(matches!(
            odd.sign(&kit()),
            Err(OrderError::Wire(WireError::Malformed { .. }))
        ));
    }
}

#[test]
fn each_wrong_grant_has_its_own_error() {
    let (a, b) = (pack(b"a"), pack(b"b"));
    let sealed = grant(&[&a]).seal(key().public(), &mut Repeated(1)).unwrap();
    let named = crate::hash(&sealed);
    // A server that delivers a true grant with another true order.
    let larger = grant(&[&a, &b]).seal(key().public(), &mut Repeated(1)).unwrap();
    assert_eq!(Grant::open(&larger, &named, &key()), Err(OrderError::OtherGrant));
    // The next restore's key.
    let later = AgentRestoreKey::from_seed([6; 32]);
    assert_eq!(
        Grant::open(&sealed, &named, &later),
        Err(OrderError::OtherRestoreKey)
    );
    // Anybody can seal to an agent; what they seal must be sound all the same.
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(
            Grant::open(&changed, &crate::hash(&changed), &key()).is_err(),
            "byte {at}"
        );
        assert!(
            Grant::open(&sealed[..at], &crate::hash(&sealed[..at]), &key()).is_err(),
            "cut at {at}"
        );
    }
    let mut index = granted(&a);
    index.object.kind = ObjectKind::Index;
    assert!(Grant::new(names(), vec![], vec![index]).is_err());
    // Twice the same pack is one key.
    assert_eq!(grant(&[&a, &a, &b]), grant(&[&b, &a]));
}
