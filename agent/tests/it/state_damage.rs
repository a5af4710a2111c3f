//! What the agent keeps between its runs, damaged in every way: it is found and named, never believed, and costs the next
//! backup time and nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use agent::verify::{Defect, Subject};

use crate::support::enrolled::{World, noise};
use crate::support::tree::describe;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Delete,
    Truncate,
    Flip,
    /// An older one, or another source's.
    Swap,
    /// The same again behind it.
    Duplicate,
}

const HARMS: [Harm; 5] = [
    Harm::Delete,
    Harm::Truncate,
    Harm::Flip,
    Harm::Swap,
    Harm::Duplicate,
];

fn file(world: &World, name: &str) -> PathBuf {
    walkdir::WalkDir::new(world.path("state"))
        .into_iter()
        .map(Result::unwrap)
        .find(|entry| entry.file_name() == name)
        .unwrap()
        .into_path()
}

/// `used` stands in a part that is used: a file may have room.
fn harm(path: &Path, what: Harm, used: &[u8], other: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    match what {
        Harm::Delete => return fs::remove_file(path).unwrap(),
        Harm::Truncate => bytes.truncate(bytes.len() * 2 / 3),
        Harm::Flip => {
            // Of several copies only one may be in use.
            let places: Vec<usize> = (0..bytes.len() - used.len())
                .filter(|at| bytes[*at..].starts_with(used))
                .collect();
            assert!(!places.is_empty());
            for place in places {
                bytes[place + used.len() / 2] ^= 0x10;
            }
        }
        Harm::Swap => bytes = other.to_vec(),
        Harm::Duplicate => bytes.extend_from_within(..),
    }
    fs::write(path, bytes).unwrap();
}

/// What verify says of a file of the state.
async fn defects(world: &World, path: &Path) -> Vec<Defect> {
    let report = agent::verify_state(&world.path("state"), false).await.unwrap();
    let about = Subject::State {
        path: path.display().to_string(),
    };
    for finding in &report.findings {
        assert_eq!(finding.subject, about, "{finding}");
    }
    report
        .findings
        .into_iter()
        .map(|finding| finding.defect)
        .collect()
}

async fn comes_back(world: &World, case: &str) {
    let snapshot = world.backup().await.unwrap();
    let back = world.restore(snapshot.id, case, "kit").await.unwrap();
    assert_eq!(describe(&back), describe(&world.path("data")), "{case}");
    let report = agent::verify_state(&world.path("state"), false).await.unwrap();
    assert_eq!(report.findings, [], "{case}");
}

#[tokio::test(flavor = "multi_thread")]
async fn harm_to_the_cache_is_named_and_the_next_backup_is_right() {
    let world = World::new().await;
    world.enroll().await;
    for i in 0..40u8 {
        world.write(&format!("d{}/f{i}", i % 4), &noise(30_000, i));
    }
    world.backup().await.unwrap();
    let cache = file(&world, "cache");
    for (what, number) in HARMS.into_iter().zip(100u8..) {
        let older = fs::read(&cache).unwrap();
        world.write("later", &noise(40_000, number));
        world.backup().await.unwrap();
        assert_eq!(defects(&world, &cache).await, []);
        let sent = world.server.lock().stored.len();

        let newest = world.server.lock().parent.as_ref().unwrap().manifest.hash;
        harm(&cache, what, newest.as_bytes(), &older);
        let found = defects(&world, &cache).await;
        let is_named = match what {
            Harm::Delete => found == [Defect::Missing],
            Harm::Truncate | Harm::Flip => matches!(found[..], [Defect::Malformed { .. }]),
            Harm::Swap => matches!(found[..], [Defect::Stale { .. }]),
            // What stands behind a database is not part of it.
            Harm::Duplicate => found.is_empty() || matches!(found[..], [Defect::Malformed { .. }]),
        };
        assert!(is_named, "{what:?}: {found:?}");

        world.write("d1/f1", &noise(50_000, number + 50));
        comes_back(&world, &format!("{what:?}")).await;
        // One file's data was sent: the index came back from the bucket.
        let server = world.server.lock();
        let bytes: u64 = server.stored[sent..].iter().map(|object| object.size_bytes).sum();
        assert!(bytes < 120_000, "{what:?}: {bytes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn harm_to_the_journal_of_a_run_is_named_and_the_next_backup_is_right() {
    let others = {
        let other = World::new().await;
        other.enroll().await;
        other.write("large", &noise(40 << 20, 9));
        break_off(&other).await;
        fs::read(file(&other, "journal")).unwrap()
    };
    let world = World::new().await;
    world.enroll().await;
    for (what, number) in HARMS.into_iter().zip(0u8..) {
        world.write("large", &noise(60 << 20, number));
        let before = world.server.lock().stored.len();
        break_off(&world).await;
        let journal = file(&world, "journal");
        assert_eq!(defects(&world, &journal).await, []);
        let stored = world.server.lock().stored[before..].to_vec();
        let newest = stored[stored.len() - 1].hash;
        let records = fs::read(&journal).unwrap();

        harm(&journal, what, newest.as_bytes(), &others);
        let found = defects(&world, &journal).await;
        let is_named = match what {
            // None is there after a run that went through either; and the same packs twice are the same packs.
            Harm::Delete | Harm::Duplicate => found.is_empty(),
            Harm::Truncate | Harm::Flip | Harm::Swap => matches!(found[..], [Defect::Malformed { .. }]),
        };
        assert!(is_named, "{what:?}: {found:?}");

        let left = fs::read(&journal).unwrap_or_default();
        let known: Vec<_> = stored
            .iter()
            .filter(|object| is_whole(&records, &left, object.hash.as_bytes()))
            .collect();
        match what {
            Harm::Delete | Harm::Swap => assert!(known.is_empty()),
            Harm::Flip | Harm::Duplicate => assert!(!known.is_empty()),
            // As many as were noted before the cut.
            Harm::Truncate => {}
        }
        let known: u64 = known.iter().map(|object| object.size_bytes).sum();
        comes_back(&world, &format!("{what:?}")).await;
        let server = world.server.lock();
        let again = server.stored[before + stored.len()..].iter();
        let again: u64 = again.map(|object| object.size_bytes).sum();
        // What is known is not sent again; trees, index and manifest come to less than a MiB.
        assert!(
            again + known < 61 << 20,
            "{what:?}: {again} bytes were sent again, {known} are known"
        );
    }
}

/// Whether the record of a pack is in a journal as it was before the harm.
fn is_whole(before: &[u8], after: &[u8], pack: &[u8]) -> bool {
    const MARK: &[u8] = b"\nHFPACK\n";
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|part| part == what);
    let at = find(before, pack).unwrap();
    let end = find(&before[at..], MARK).map_or(before.len(), |next| at + next);
    find(after, &before[at..end]).is_some()
}

/// A backup that the server ends when two packs are stored.
async fn break_off(world: &World) {
    world.server.lock().over_after = Some(2);
    world.backup().await.unwrap_err();
    world.server.lock().run_over = false;
}
