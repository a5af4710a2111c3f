//! Recovery from a bucket alone: nothing is left of server, database and agent, and others were there before us.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
};

use agent::{
    progress::RestoreCounters,
    recover::{Reading, RecoverError, SourceStore, Vouched},
    restore::{Order, Outcome},
    store::ObjectSource,
    verify::{Depth, Options, verify_source},
};
use repository::{
    identity::{AgentPublicKey, AgentSigningKey},
    layout,
    manifest::{self, ManifestHeader, NewManifest},
    object_list::{self, ObjectList},
    recovery::RecoverySecret,
};
use shared::object::{ObjectHash, ObjectKind, ObjectRef};
use tempfile::TempDir;

use crate::support::endpoint::Endpoint;
use crate::support::tree::{describe, noise};
use crate::support::versions::{Versioned, commit_key};

const PREFIX: &str = "acme/";

/// Three snapshots of a folder, and what it looked like each time.
struct World {
    _folder: TempDir,
    root: PathBuf,
    bucket: Versioned,
    kit: RecoverySecret,
    snapshots: Vec<(ObjectRef, ManifestHeader, BTreeMap<Vec<u8>, String>)>,
    endpoint: Endpoint,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("data");
        fs::create_dir(&root).unwrap();
        let mut endpoint = Endpoint::new(&[&root], &[]);
        let bucket = Versioned::default();
        let mut snapshots = Vec::new();
        for round in 0..3u8 {
            fs::create_dir(root.join(format!("{round}"))).unwrap();
            for i in 0..5u8 {
                let size = 150_000 * usize::from(i * 2 + round);
                fs::write(root.join(format!("{round}/{i}")), noise(size, i * 3 + round * 30)).unwrap();
            }
            let (figures, header) = endpoint.backup();
            bucket.fill(PREFIX, endpoint.spec.id, &endpoint.bucket);
            bucket.commit(PREFIX, figures.manifest, &header);
            snapshots.push((figures.manifest, header, describe(&root)));
        }
        Self {
            _folder: folder,
            root,
            bucket,
            kit: repository::recovery::RecoverySeed::from_bytes([9; 32]).secret(),
            snapshots,
            endpoint,
        }
    }

    fn reading<'a>(&'a self, signers: &'a [AgentPublicKey]) -> Reading<'a> {
        Reading {
            bucket: &self.bucket,
            prefix: PREFIX,
            secret: Some(&self.kit),
            commit_key: None,
            signers,
        }
    }

    fn restore(&self, reading: &Reading<'_>, snapshot: &str, target: &Path) -> Outcome {
        let found = reading.choose(None, snapshot).unwrap();
        let order = Order {
            target: target.to_owned(),
            ..Order::default()
        };
        let outcome = reading
            .restore(&found, &[], &order, &RestoreCounters::default())
            .unwrap();
        assert_eq!(outcome.losses, []);
        outcome
    }

    fn check_all(&self, reading: &Reading<'_>) {
        for (number, (_, _, looks)) in (1..).zip(&self.snapshots) {
            let target = tempfile::tempdir().unwrap();
            self.restore(reading, &format!("{number}"), target.path());
            let restored = target.path().join(self.root.strip_prefix("/").unwrap());
            assert_eq!(describe(&restored), *looks);
        }
    }
}

#[test]
fn a_bucket_and_a_kit_are_enough() {
    let world = World::new();
    let reading = world.reading(&[]);
    let sources = reading.all().unwrap();
    assert_eq!(sources.len(), 1);
    assert_eq!(sources[0].problems, []);
    let listed: Vec<_> = sources[0]
        .snapshots
        .iter()
        .map(|snapshot| {
            (
                snapshot.seq(),
                snapshot.commit.is_some(),
                snapshot.vouched,
                snapshot.named.as_ref().unwrap().source_name.as_str(),
            )
        })
        .collect();
    let expected = |seq| (seq, true, Vouched::OneSigner, "test");
    assert_eq!(listed, [expected(1), expected(2), expected(3)]);
    world.check_all(&reading);
    assert_eq!(reading.choose(Some("test"), "latest").unwrap().seq(), 3);

    // One file of an old snapshot.
    let target = tempfile::tempdir().unwrap();
    let wanted = world.root.join("0/4");
    let order = Order {
        target: target.path().to_owned(),
        ..Order::default()
    };
    let found = reading.choose(None, "1").unwrap();
    let paths = [wanted.to_str().unwrap().as_bytes().to_vec()];
    let outcome = reading
        .restore(&found, &paths, &order, &RestoreCounters::default())
        .unwrap();
    assert!(outcome.is_complete());
    let restored = target.path().join(wanted.strip_prefix("/").unwrap());
    assert_eq!(fs::read(restored).unwrap(), fs::read(wanted).unwrap());

    let wrong = Reading {
        prefix: "other/",
        ..world.reading(&[])
    };
    assert!(matches!(wrong.all(), Err(RecoverError::Empty { .. })));
}

/// Over every object somebody writes: garbage of the same size, a shorter and a longer object, another one of ours; and
/// puts a delete marker on top. What was there first counts.
#[test]
fn what_an_attacker_puts_over_it_does_not_count() {
    let world = World::new();
    let keys: Vec<String> = world.bucket.keys().into_iter().collect();
    for (number, key) in keys.iter().enumerate() {
        let content = world.bucket.content(key);
        let mut flipped = content.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        // A different last word over each: garbage, one flipped bit, a marker.
        let overs: [&dyn Fn(); 5] = [
            &|| world.bucket.put(key, &vec![0; content.len()]),
            &|| world.bucket.put(key, &content[..content.len() / 2]),
            &|| world.bucket.put(key, &[content.as_slice(), b"more"].concat()),
            &|| world.bucket.put(key, &flipped),
            &|| world.bucket.mark_deleted(key),
        ];
        for over in overs.iter().cycle().skip(number).take(4) {
            over();
        }
    }
    for foreign in [
        "acme/sources/README",
        "acme/sources/not-a-uuid/packs/x",
        "acme/other",
        "elsewhere/x",
    ] {
        world.bucket.put(foreign, b"foreign");
    }
    let source = layout::source_prefix(PREFIX, world.endpoint.spec.id);
    world
        .bucket
        .put(&format!("{source}manifests/nonsense"), b"foreign");
    world
        .bucket
        .put(&format!("{source}packs/{}", "0".repeat(64)), b"foreign");
    let reading = world.reading(&[]);
    let sources = reading.all().unwrap();
    assert_eq!(sources.len(), 1);
    assert_eq!(sources[0].snapshots.len(), 3);
    assert!(
        sources[0]
            .problems
            .iter()
            .any(|problem| problem.to_string().contains("nonsense"))
    );
    world.check_all(&reading);
}

#[test]
fn a_forged_snapshot_is_not_taken_for_the_agents() {
    let mut world = World::new();
    let honest = world.endpoint.key.public();
    // Whoever can write to the bucket and knows the recovery public key can seal a manifest, with a key of their own.
    world.endpoint.key = AgentSigningKey::from_seed([66; 32]);
    fs::write(world.root.join("evil"), b"evil").unwrap();
    let (figures, header) = world.endpoint.backup();
    world
        .bucket
        .fill(PREFIX, world.endpoint.spec.id, &world.endpoint.bucket);
    world.bucket.commit(PREFIX, figures.manifest, &header);

    let reading = world.reading(&[]);
    let error = reading.choose(None, "latest").unwrap_err();
    assert!(
        matches!(&error, RecoverError::WhoSigned { signers } if signers.len() == 2),
        "{error}"
    );
    let signers = [honest];
    let reading = world.reading(&signers);
    assert_eq!(reading.choose(None, "latest").unwrap().seq(), 3);
    let error = reading.choose(None, "4").unwrap_err();
    assert!(matches!(error, RecoverError::WhoSigned { .. }), "{error}");
    world.check_all(&reading);

    // With the server's key, a record that somebody else signed counts for nothing.
    let reading = Reading {
        commit_key: Some(commit_key().verifying_key()),
        ..world.reading(&signers)
    };
    world.check_all(&reading);
}

#[test]
fn lost_and_swapped_commit_records_cost_no_snapshot() {
    let world = World::new();
    let key = |seq| layout::commit_key(PREFIX, world.endpoint.spec.id, seq);
    let (one, three) = (world.bucket.content(&key(1)), world.bucket.content(&key(3)));
    world
        .bucket
        .versions
        .lock()
        .unwrap()
        .retain(|(version, _)| version.key != key(1) && version.key != key(3));
    world.bucket.put(&key(3), &one);
    world.bucket.put(&key(1), &three);
    let reading = world.reading(&[]);
    let source = &reading.all().unwrap()[0];
    let committed: Vec<_> = source
        .snapshots
        .iter()
        .map(|snapshot| snapshot.commit.is_some())
        .collect();
    assert_eq!(committed, [false, true, false]);
    assert_eq!(source.problems.len(), 2, "{:?}", source.problems);
    world.check_all(&reading);
    // What no commit record makes count is not the latest, but can be named.
    assert_eq!(reading.choose(None, "latest").unwrap().seq(), 2);
}

#[test]
fn a_lost_manifest_is_named_by_its_commit_record() {
    let world = World::new();
    let manifest = world.snapshots[1].0;
    let key = layout::object_key(
        PREFIX,
        world.endpoint.spec.id,
        ObjectKind::Manifest,
        &manifest.hash,
    );
    world
        .bucket
        .versions
        .lock()
        .unwrap()
        .retain(|(version, _)| version.key != key);
    let source = &world.reading(&[]).all().unwrap()[0];
    assert_eq!(source.snapshots.len(), 2);
    assert!(
        matches!(&source.problems[..], [problem] if problem.hash() == Some(manifest.hash) && problem.snapshots == [2]),
        "{:?}",
        source.problems
    );
}

/// The list of objects lies in pages that snapshots share; without one of them the bucket's own listing has to do.
#[test]
fn lost_pages_of_the_list_cost_nothing() {
    let world = World::new();
    let (manifest, header, looks) = &world.snapshots[2];
    // The same snapshot as one whose list is too long for its manifest.
    let mut objects = world.endpoint.objects(header);
    objects.extend((0..300u16).map(|number| ObjectRef {
        kind: ObjectKind::Pack,
        hash: repository::hash(&number.to_be_bytes()),
        size_bytes: 1000,
    }));
    let plan = object_list::plan_afresh(&ObjectList::default(), 3, &objects).unwrap();
    let bytes = world.endpoint.bucket.objects.lock().unwrap()[&manifest.hash]
        .1
        .clone();
    let long = NewManifest {
        agent_id: header.agent_id,
        source_id: header.source_id,
        run_id: header.run_id,
        parent: header.parent,
        created_at: header.created_at,
        totals: header.totals,
        objects,
        list: plan.list,
        certificate: None,
        content: manifest::open_content(&bytes, &world.kit).unwrap(),
    };
    let (long, bytes) = long
        .seal(
            world.kit.public(),
            &world.endpoint.key,
            &mut agent::random::draw().unwrap(),
        )
        .unwrap();
    world.bucket.put(
        &layout::object_key(PREFIX, header.source_id, long.kind, &long.hash),
        &bytes,
    );
    let [(page, bytes)] = &plan.write[..] else {
        panic!("one page")
    };
    let key = layout::object_key(PREFIX, header.source_id, page.kind, &page.hash);

    let reading = world.reading(&[]);
    for whole in [false, true] {
        if whole {
            world.bucket.put(&key, bytes);
        }
        let target = tempfile::tempdir().unwrap();
        let outcome = world.restore(&reading, &long.hash.to_string(), target.path());
        assert_eq!(
            &describe(&target.path().join(world.root.strip_prefix("/").unwrap())),
            looks
        );
        let named = outcome
            .notes
            .iter()
            .any(|note| note.contains(&page.hash.to_string()));
        assert_eq!(named, !whole, "{:?}", outcome.notes);
    }
}

/// In the bucket of an honest world, reading costs one request for each thing that is read.
#[test]
fn nothing_is_listed_that_reads_as_it_should() {
    let world = World::new();
    let store = SourceStore::new(&world.bucket, PREFIX, world.endpoint.spec.id);
    world.bucket.requests.store(0, Relaxed);
    store.read(&world.snapshots[0].0, None).unwrap();
    assert_eq!(world.bucket.requests.load(Relaxed), 1);
}

/// Of every pack of files that the snapshots need, one after the other is gone or rotten; the next run sends what they
/// held again. All of the old snapshots are whole then, out of packs that they never needed.
#[test]
fn lost_packs_are_made_good_by_the_next_run() {
    let mut world = World::new();
    let home = format!("{}packs/", layout::source_prefix(PREFIX, world.endpoint.spec.id));
    let keys: Vec<String> = world.bucket.keys().into_iter().collect();
    let lost: Vec<(String, ObjectHash)> = keys
        .into_iter()
        .filter_map(|key| {
            let hash = key.strip_prefix(&home)?.parse().ok()?;
            Some((key, hash))
        })
        .collect();
    assert!(lost.len() >= 3);
    for (number, (key, hash)) in lost.iter().enumerate() {
        match number % 3 {
            0 => world.bucket.delete(key),
            1 => world.bucket.rot(key, |bytes| bytes[200] ^= 1),
            _ => world.bucket.rot(key, |bytes| bytes.truncate(bytes.len() / 2)),
        }
        // So that it is not put again as it was.
        world.endpoint.bucket.objects.lock().unwrap().remove(hash);
    }
    let restore = |world: &World, seq: &str| {
        let reading = world.reading(&[]);
        let found = reading.choose(None, seq).unwrap();
        let target = tempfile::tempdir().unwrap();
        let order = Order {
            target: target.path().to_owned(),
            ..Order::default()
        };
        reading
            .restore(&found, &[], &order, &RestoreCounters::default())
            .unwrap()
    };
    for seq in ["1", "2", "3"] {
        assert!(
            !restore(&world, seq).is_complete(),
            "there is nothing yet that has it"
        );
    }

    world.endpoint.do_not_reuse = lost.iter().map(|(_, hash)| *hash).collect();
    fs::write(world.root.join("later"), b"later").unwrap();
    let (figures, header) = world.endpoint.backup();
    let known: Vec<_> = lost
        .iter()
        .map(|(key, _)| (key.clone(), world.bucket.keys().contains(key)))
        .collect();
    world
        .bucket
        .fill(PREFIX, world.endpoint.spec.id, &world.endpoint.bucket);
    for (key, there) in known {
        assert_eq!(world.bucket.keys().contains(&key), there, "it is another pack");
    }
    world.bucket.commit(PREFIX, figures.manifest, &header);
    let looks = describe(&world.root);
    world.snapshots.push((figures.manifest, header, looks));
    let reading = world.reading(&[]);
    world.check_all(&reading);
    for seq in ["1", "2", "3"] {
        let notes = restore(&world, seq).notes.join("\n");
        assert!(notes.contains("other snapshots"), "{notes}");
    }
    assert_eq!(restore(&world, "4").notes, Vec::<String>::new());

    // A verification tells what is damaged, and of no file that is lost by it.
    let options = Options {
        depth: Depth::Everything,
        locks: false,
        newest_only: false,
    };
    let report = verify_source(&reading, world.endpoint.spec.id, &options).unwrap();
    assert!(!report.is_sound());
    for (_, hash) in &lost {
        let about: Vec<_> = report
            .findings
            .iter()
            .filter(|finding| finding.hash() == Some(*hash))
            .collect();
        assert!(about.iter().any(|finding| finding.defect.is_damage()), "{hash}");
        assert!(about.iter().all(|finding| finding.files.is_empty()), "{about:?}");
    }
}
