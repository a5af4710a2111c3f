//! Repositories as released versions wrote them, and whether today's code still reads them.
//!
//! Each folder of `testdata/` is one: `bucket/` is what stands below the prefix, `kit.json` opens it, `keys.txt` is
//! what server and agent know, `listing-<seq>.txt` what each snapshot holds, `restore/` one order with its grant. A
//! folder is never changed. Whoever changes the format makes another: `cargo nextest run -p repository
//! --run-ignored only make_a_golden_repository` writes it to the folder `golden` in cargo's folder for temporary files
//! (`target/tmp`); copy it to `testdata/` under a new name, and name it in [`GOLDEN`].

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use repository::{
    chunk::SourceSecret,
    commit::{CommitRecord, CommitVerifyingKey},
    identity::{AgentPublicKey, AgentRestoreKey, SignedRestoreKey},
    index,
    kit::Kit,
    layout, manifest, pack,
    restore::{Grant, Recipient, RestoreOrder},
};
use shared::{
    ids::{AgentId, SourceId},
    object::{ObjectKind, ObjectRef},
};

use crate::support::{
    sample::{self, Sample},
    tree::{Failure, describe},
};

/// Every folder of `testdata/`.
const GOLDEN: [&str; 2] = ["v1", "v2"];

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// A repository's files by their paths in its folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(here) = open.pop() {
        for entry in fs::read_dir(&here).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

fn text<'a>(files: &'a BTreeMap<String, Vec<u8>>, name: &str) -> &'a str {
    std::str::from_utf8(&files[name]).unwrap()
}

fn key<'a>(files: &'a BTreeMap<String, Vec<u8>>, name: &str) -> &'a str {
    let mut lines = text(files, "keys.txt")
        .lines()
        .filter_map(|line| line.split_once(' '));
    lines.find(|(key, _)| *key == name).unwrap().1
}

fn seed(text: &str) -> [u8; 32] {
    data_encoding::HEXLOWER
        .decode(text.as_bytes())
        .unwrap()
        .try_into()
        .unwrap()
}

#[test]
fn every_golden_repository_is_listed() {
    let mut found: Vec<String> = fs::read_dir(testdata())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort_unstable();
    assert_eq!(found, GOLDEN);
}

/// From the kit and the bucket alone, as a stranger with read access would.
#[test]
fn golden_repositories_are_read() {
    for name in GOLDEN {
        let files = files(&testdata().join(name));
        let kit = Kit::parse(text(&files, "kit.json")).unwrap().secret();
        let source: SourceId = key(&files, "source").parse().unwrap();
        let agent = AgentPublicKey::from_hex(key(&files, "agent_signing_key")).unwrap();
        let server = CommitVerifyingKey::from_hex(key(&files, "server_commit_key")).unwrap();
        let read = |object: &ObjectRef| -> Result<Vec<u8>, Failure> {
            let key = layout::object_key("", source, object.kind, &object.hash);
            let bytes = files
                .get(&format!("bucket/{key}"))
                .ok_or("an object is missing")?;
            assert_eq!(repository::hash(bytes), object.hash, "{key}");
            Ok(bytes.clone())
        };
        let mut parent = None;
        for seq in 1.. {
            let Some(record) = files.get(&format!("bucket/{}", layout::commit_key("", source, seq))) else {
                assert!(seq > 2, "{name}: two snapshots");
                break;
            };
            let record = CommitRecord::open(record, &server).unwrap();
            assert_eq!(
                (record.seq, record.source_id, record.parent_manifest),
                (seq, source, parent)
            );
            parent = Some(record.manifest.hash);

            let bytes = read(&record.manifest).unwrap();
            let header = manifest::open_header(&bytes, &agent).unwrap();
            record.leads_to(&header).unwrap();
            assert_eq!(header.certified(kit.public()).unwrap(), seq > 1);
            let listing = describe(&bytes, &header, &kit, &read).unwrap();
            let expected = text(&files, &format!("listing-{seq}.txt"));
            assert_eq!(listing, expected, "{name}: snapshot {seq}");

            // The agent's way to the same places.
            let index_key = SourceSecret::from_bytes(seed(key(&files, "source_secret"))).index_key();
            for object in header.objects(&read).unwrap() {
                if object.kind == ObjectKind::Index {
                    let bytes = read(&object).unwrap();
                    let layouts = index::open(&bytes, &index_key).unwrap();
                    assert_eq!(layouts, index::open_with_kit(&bytes, &kit).unwrap());
                }
            }
        }
    }
}

/// What did not change keeps its name in the bucket, whichever release wrote it first.
#[test]
fn listings_of_version_1_stay_as_they_are() {
    let first = files(&testdata().join("v1"));
    let newest = files(&testdata().join(GOLDEN[GOLDEN.len() - 1]));
    let sample = Sample::new();
    for layout in &sample.packs[..2] {
        let (source, object) = (SourceId::from_uuid(sample::SOURCE), layout.object);
        let key = format!(
            "bucket/{}",
            layout::object_key("", source, object.kind, &object.hash)
        );
        assert!(first.contains_key(&key) && newest.contains_key(&key), "{key}");
    }
}

/// The other way into a snapshot: no kit, but an order and a grant.
#[test]
fn golden_orders_are_carried_out() {
    for name in GOLDEN {
        let files = files(&testdata().join(name));
        let kit = Kit::parse(text(&files, "kit.json")).unwrap().secret();
        let agent_id: AgentId = key(&files, "agent").parse().unwrap();
        let signing = AgentPublicKey::from_hex(key(&files, "agent_signing_key")).unwrap();
        let restore_key = AgentRestoreKey::from_seed(seed(key(&files, "agent_restore_seed")));
        let announced = SignedRestoreKey::open(&files["restore/key"], agent_id, &signing).unwrap();
        assert_eq!(&announced.key, restore_key.public());
        let recipient = Recipient {
            agent_id,
            restore_key: restore_key.public(),
            recovery: kit.public(),
            now: sample::at(60),
        };
        let order = RestoreOrder::open(&files["restore/order"], recipient).unwrap();
        let grant = Grant::open(&files["restore/grant"], &order.grant, &restore_key).unwrap();
        assert_eq!(order.paths, [b"/srv/data/greeting"]);
        assert!(!grant.packs().is_empty());
        for granted in grant.packs() {
            let key = layout::object_key("", order.source_id, granted.object.kind, &granted.object.hash);
            let bytes = &files[&format!("bucket/{key}")];
            pack::verify(granted.object.kind, bytes, &granted.key, &grant.chunk_key).unwrap();
        }
    }
}

/// A writer that changes its bytes changes the format, or at least what is stored twice: it should not by accident.
#[test]
fn todays_writers_make_the_newest_golden_repository() {
    let golden = files(&testdata().join(GOLDEN[GOLDEN.len() - 1]));
    for (name, bytes) in made() {
        assert!(
            golden.get(&name) == Some(&bytes),
            "{name} differs: see the top of this file"
        );
    }
}

fn made() -> BTreeMap<String, Vec<u8>> {
    let sample = Sample::new();
    let kit = sample.kit.secret();
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let keys = format!(
        "agent {}\nagent_signing_key {}\nagent_restore_seed {}\nserver_commit_key {}\nsource {}\nsource_secret {}\n",
        AgentId::from_uuid(sample::AGENT),
        sample.agent.public().to_hex(),
        hex(&[0x33; 32]),
        sample.server.verifying_key(),
        SourceId::from_uuid(sample::SOURCE),
        hex(&[0x44; 32]),
    );
    files.insert("keys.txt".into(), keys.into_bytes());
    files.insert("kit.json".into(), sample.kit.to_text().as_bytes().to_vec());
    let read = |object: &ObjectRef| -> Result<Vec<u8>, Failure> { Ok(sample.object(object).to_vec()) };
    for (seq, (_, bytes)) in (1..).zip(&sample.manifests) {
        let header = manifest::open_header_of_any(bytes).unwrap();
        let listing = describe(bytes, &header, &kit, &read).unwrap();
        files.insert(format!("listing-{seq}.txt"), listing.into_bytes());
    }
    files.insert("restore/grant".into(), sample.grant.clone());
    files.insert("restore/key".into(), sample.announced.clone());
    files.insert("restore/order".into(), sample.order.clone());
    files.extend(
        sample
            .bucket
            .iter()
            .map(|(key, bytes)| (format!("bucket/{key}"), bytes.clone())),
    );
    files
}

#[test]
#[ignore = "makes a new golden repository: see the top of this file"]
fn make_a_golden_repository() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden");
    assert!(!folder.exists(), "{} is in the way", folder.display());
    for (name, bytes) in made() {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}
