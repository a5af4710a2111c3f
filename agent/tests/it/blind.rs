//! An agent's state folder holds no key that opens a pack that it wrote: whoever takes the machine over cannot read
//! yesterday's backups. Tried with all that is there: every 32 bytes of every file, every text that may be a key, and
//! everything that follows from these.

use std::{collections::HashSet, fs, path::Path};

use agent::keygen::read_kit;
use data_encoding::{BASE32_NOPAD, BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use hpke::{Deserializable, Kem, Serializable, kem::X25519HkdfSha256};
use repository::{
    pack::{OpenPack, PackKey},
    recovery::{RecoverySecret, RecoverySeed},
};
use shared::object::ObjectKind;

use crate::support::enrolled::{World, noise};

/// What FORMAT.md derives the kit's key with.
const SEALING: &str = "holdfast v1 recovery seed to X25519 sealing key";
/// What it derives other keys with.
const CONTEXTS: [&str; 8] = [
    "holdfast v1 agent restore seed to X25519 key",
    "holdfast v1 index key and salt to wrapping key",
    "holdfast v1 index randomness",
    "holdfast v1 pack randomness",
    "holdfast v1 source secret to chunk id key",
    "holdfast v1 source secret to gear table",
    "holdfast v1 source secret to hard link groups",
    "holdfast v1 source secret to index key",
];

/// A pack, its true lengths, and its footer: more than a thief would know.
struct Pack {
    kind: ObjectKind,
    header: Vec<u8>,
    footer: Vec<u8>,
    /// The encoded lengths behind the key.
    lengths: Vec<u8>,
}

impl Pack {
    fn new(kind: ObjectKind, bytes: &[u8], kit: &RecoverySecret) -> Self {
        let key = PackKey::open(kind, bytes, kit).unwrap();
        let open = OpenPack::new(kind, bytes, &key).unwrap();
        let at = |at: u64| usize::try_from(at).unwrap();
        let range = open.footer_range();
        let encoded = minicbor::to_vec(&key).unwrap();
        // An array of three, the first of them 32 bytes.
        assert_eq!(encoded[..3], [0x83, 0x58, 32]);
        Self {
            kind,
            header: bytes[..at(open.body_offset().into())].to_vec(),
            footer: bytes[at(range.start)..at(range.end)].to_vec(),
            lengths: encoded[35..].to_vec(),
        }
    }

    fn key(&self, bytes: &[u8; 32]) -> PackKey {
        let encoded = [&[0x83, 0x58, 32], &bytes[..], &self.lengths].concat();
        minicbor::decode(&encoded).unwrap()
    }

    fn opens_with(&self, bytes: &[u8; 32]) -> bool {
        let open = OpenPack::new(self.kind, &self.header, &self.key(bytes)).unwrap();
        open.footer(&self.footer).is_ok()
    }
}

/// Every 32 bytes that follow one another, and every text that decodes to as many.
fn candidates(folder: &Path) -> HashSet<[u8; 32]> {
    let mut found = HashSet::new();
    let mut keep = |bytes: &[u8]| {
        // Empty room and text are no keys: of 32 random bytes, 20 are different in all but one of ten million.
        let windows = bytes
            .windows(32)
            .filter(|window| window.iter().collect::<HashSet<_>>().len() >= 20);
        found.extend(windows.map(|window| <[u8; 32]>::try_from(window).unwrap()));
    };
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.unwrap();
        if !entry.file_type().is_file() {
            continue;
        }
        let bytes = fs::read(entry.path()).unwrap();
        keep(&bytes);
        let is_text = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
        for text in bytes.split(|byte| !is_text(byte)).filter(|text| text.len() >= 43) {
            for encoding in [
                HEXLOWER_PERMISSIVE,
                BASE64,
                BASE64_NOPAD,
                BASE64URL_NOPAD,
                BASE32_NOPAD,
            ] {
                keep(&encoding.decode(text).unwrap_or_default());
            }
        }
    }
    found
}

/// Whether one of them, or what follows from it, opens a pack, or is the secret that all packs are sealed to.
fn open_something(candidates: &HashSet<[u8; 32]>, packs: &[Pack], kit: &RecoverySecret) -> bool {
    let sealing = kit.public().sealing_hex();
    let sealing = HEXLOWER_PERMISSIVE.decode(sealing.as_bytes()).unwrap();
    candidates.iter().any(|candidate| {
        let derived = CONTEXTS.map(|context| blake3::derive_key(context, candidate));
        let mut keys = [candidate].into_iter().chain(&derived);
        let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(candidate).unwrap();
        let (_, of_seed) = X25519HkdfSha256::derive_keypair(&blake3::derive_key(SEALING, candidate));
        keys.any(|key| packs.iter().any(|pack| pack.opens_with(key)))
            || X25519HkdfSha256::sk_to_pk(&secret).to_bytes()[..] == sealing
            || of_seed.to_bytes()[..] == sealing
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_folder_holds_no_key_that_opens_a_pack() {
    let world = World::new().await;
    world.enroll().await;
    world.write("a", &noise(30_000, 1));
    world.backup().await.unwrap();
    world.write("b/c", &noise(20_000, 2));
    world.backup().await.unwrap();
    // And what a run that broke off leaves behind.
    world.write("d", &noise(10_000, 3));
    world.server.lock().over_after = Some(1);
    world.backup().await.unwrap_err();

    let kit = read_kit(&world.path("kit")).unwrap().secret();
    let mut packs: Vec<Pack> = {
        let server = world.server.lock();
        let sent = server
            .stored
            .iter()
            .filter(|object| matches!(object.kind, ObjectKind::Pack | ObjectKind::TreePack));
        sent.map(|object| Pack::new(object.kind, &server.bucket[&object.hash].1, &kit))
            .collect()
    };
    assert!(packs.len() >= 5, "{}", packs.len());
    // Of the first run, and of the last.
    packs.drain(2..packs.len() - 1);
    let state = world.path("state");
    let found = candidates(&state);
    assert!(found.len() > 1000, "{}", found.len());
    assert!(!open_something(&found, &packs, &kit));

    // It would have been found, had it been there: a pack's key, the kit's secret, and its seed.
    let key = {
        let server = world.server.lock();
        let bytes = &server.bucket[&server.stored[0].hash].1;
        minicbor::to_vec(PackKey::open(server.stored[0].kind, bytes, &kit).unwrap()).unwrap()
    };
    let seed = *blake3::hash(b"of a kit that was lost").as_bytes();
    let other = RecoverySeed::from_bytes(seed).secret();
    let (secret, _) = X25519HkdfSha256::derive_keypair(&blake3::derive_key(SEALING, &seed));
    for (planted, kit) in [
        (key[3..35].to_vec(), &kit),
        (HEXLOWER_PERMISSIVE.encode(&key[3..35]).into_bytes(), &kit),
        (BASE64.encode(&key[3..35]).into_bytes(), &kit),
        (seed.to_vec(), &other),
        (secret.to_bytes().to_vec(), &other),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("planted"),
            [b"[\"", &planted[..], b"\"]"].concat(),
        )
        .unwrap();
        assert!(open_something(&candidates(folder.path()), &packs, kit));
    }
}
