//! Backup and restore through a bucket in memory: what comes back equals what was there.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path, sync::atomic::Ordering::Relaxed};

use agent::{restore::RestoreError, snapshot::SnapshotError};
use proptest::prelude::*;
use repository::{index, manifest};
use shared::object::{ObjectHash, ObjectKind};

use crate::rounds::rounds;
use crate::support::endpoint::Endpoint;
use crate::support::tree::{describe, entries, make, noise, set_time};

/// Files whose times are just now are read again: the tests' files are made old.
fn age(root: &Path) {
    std::thread::sleep(std::time::Duration::from_millis(60));
    assert!(root.exists());
}

/// Where a path of the source is below the target.
fn below(target: &Path, path: &Path) -> std::path::PathBuf {
    target.join(path.strip_prefix("/").unwrap())
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: rounds(16), max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_back_and_so_does_its_successor(first in entries(), second in entries()) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("data");
        fs::create_dir(&root).unwrap();
        make(&root, &first, &mut None);
        let mut endpoint = Endpoint::new(&[&root], &[]);
        let before = describe(&root);
        let (one, _) = endpoint.backup();

        fs::create_dir(root.join("\u{1}later")).unwrap();
        make(&root.join("\u{1}later"), &second, &mut None);
        let after = describe(&root);
        let (two, _) = endpoint.backup();

        for (manifest, expected) in [(one.manifest, before), (two.manifest, after)] {
            let target = tempfile::tempdir().unwrap();
            endpoint.restore(&manifest.hash, target.path(), &[]).unwrap();
            prop_assert_eq!(describe(&below(target.path(), &root)), expected);
        }
    }
}

#[test]
fn the_second_backup_sends_only_what_changed_and_reads_only_that() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for i in 0..200u16 {
        let path = root.join(format!("d{}/f{i}", i % 10));
        write(&path, &noise(5000, u8::try_from(i % 85).unwrap() * 3));
        write(&path.with_extension("txt"), format!("file number {i}").as_bytes());
    }
    write(&root.join("big"), &noise(12 << 20, 0));
    age(&root);
    let mut endpoint = Endpoint::new(&[&root], &[]);
    let (first, header) = endpoint.backup();
    assert_eq!(header.totals.files, 401);
    assert_eq!(header.totals.folders, 11);
    assert_eq!(first.added.len(), endpoint.objects(&header).len());
    assert!(first.dropped.is_empty());
    assert_eq!(
        header.totals.bytes_sent,
        endpoint
            .objects(&header)
            .iter()
            .map(|object| object.size_bytes)
            .sum::<u64>()
    );

    // Nothing changed: nothing is sent but a manifest, and nothing is read.
    let (second, same) = endpoint.backup();
    assert_eq!(endpoint.counters.bytes_read.load(Relaxed), 0);
    assert_eq!(endpoint.counters.report().bytes_done, header.totals.bytes);
    assert!(second.added.is_empty() && second.dropped.is_empty());
    assert_eq!(same.totals.bytes_sent, 0);
    assert_eq!(same.objects_root, header.objects_root);
    assert_eq!(
        same.parent.map(|parent| (parent.seq, parent.manifest)),
        Some((1, first.manifest.hash))
    );

    // One small file changed: one pack of files, one of trees, one index segment.
    write(&root.join("d3/f3"), b"changed");
    fs::remove_file(root.join("d4/f4")).unwrap();
    let (third, header) = endpoint.backup();
    assert_eq!(endpoint.counters.bytes_read.load(Relaxed), 7);
    let mut kinds: Vec<_> = third.added.iter().map(|object| object.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [ObjectKind::Pack, ObjectKind::TreePack, ObjectKind::Index]);
    assert!(header.totals.bytes_sent < 20_000, "{}", header.totals.bytes_sent);

    // parent + added − dropped is what the manifest lists.
    let mut objects: BTreeSet<_> = endpoint.objects(&same).into_iter().collect();
    objects.extend(&third.added);
    objects.retain(|object| !third.dropped.contains(&object.hash));
    assert_eq!(
        objects.iter().copied().collect::<BTreeSet<_>>(),
        endpoint.objects(&header).into_iter().collect()
    );
    assert_eq!(repository::object_list::root(&objects), header.objects_root);
}

#[test]
fn objects_are_written_in_the_order_that_the_format_demands() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a"), &noise(40 << 20, 0));
    let mut endpoint = Endpoint::new(&[folder.path()], &[]);
    endpoint.backup();
    let order = endpoint.bucket.order.lock().unwrap().clone();
    let rank = |kind: &ObjectKind| match kind {
        ObjectKind::Pack | ObjectKind::TreePack => 0,
        ObjectKind::Index => 1,
        ObjectKind::ListPage => 2,
        ObjectKind::Manifest | ObjectKind::Commit => 3,
    };
    assert!(order.is_sorted_by_key(rank), "{order:?}");
    assert!(order.len() >= 5, "{order:?}");
}

#[test]
fn do_not_reuse_sends_the_data_again_and_drops_the_old_pack() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a"), &noise(3 << 20, 0));
    age(folder.path());
    let mut endpoint = Endpoint::new(&[folder.path()], &[]);
    let (_, first) = endpoint.backup();
    let packs: Vec<ObjectHash> = endpoint
        .objects(&first)
        .iter()
        .filter(|object| object.kind != ObjectKind::Index)
        .map(|object| object.hash)
        .collect();
    endpoint.do_not_reuse.clone_from(&packs);
    let (second, header) = endpoint.backup();
    assert!(packs.iter().all(|pack| second.dropped.contains(pack)));
    assert!(header.totals.bytes_sent >= 3 << 20);
    let target = tempfile::tempdir().unwrap();
    endpoint
        .restore(&second.manifest.hash, target.path(), &[])
        .unwrap();
}

#[test]
fn a_run_that_was_not_committed_leaves_no_trace_in_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a"), &noise(100_000, 0));
    let mut endpoint = Endpoint::new(&[folder.path()], &[]);
    let (lost, _) = endpoint.prepare(false).unwrap();
    let (kept, header) = endpoint.backup();
    assert_eq!(
        kept.added.len(),
        endpoint.objects(&header).len(),
        "nothing of the lost run is taken for granted"
    );
    assert!(lost.added.iter().all(|object| !kept.added.contains(object)));
}

#[test]
fn a_lost_cache_is_rebuilt_from_index_segments() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("a"), &noise(9 << 20, 0));
    write(&folder.path().join("b/c"), b"small");
    let mut endpoint = Endpoint::new(&[folder.path()], &[]);
    let (_, header) = endpoint.backup();
    endpoint.cache = tempfile::tempdir().unwrap();
    let cache = agent::cache::Cache::open(&endpoint.cache.path().join("cache")).unwrap();
    let run = cache.begin().unwrap();
    for object in endpoint
        .objects(&header)
        .iter()
        .filter(|object| object.kind == ObjectKind::Index)
    {
        let bytes = endpoint.bucket.objects.lock().unwrap()[&object.hash].1.clone();
        let layouts = index::open(&bytes, &endpoint.secret.index_key()).unwrap();
        run.add_packs(&layouts, *object).unwrap();
    }
    run.commit().unwrap();
    drop(cache);
    let (second, again) = endpoint.backup();
    assert!(second.added.is_empty() && second.dropped.is_empty());
    assert_eq!(again.objects_root, header.objects_root);
}

#[test]
fn many_small_runs_do_not_pile_up_index_segments() {
    let folder = tempfile::tempdir().unwrap();
    let mut endpoint = Endpoint::new(&[folder.path()], &[]);
    let mut newest = None;
    for i in 0..40u8 {
        // Each file stays, so each run's pack stays needed.
        write(&folder.path().join(format!("{i}")), &noise(3000, i));
        newest = Some(endpoint.backup());
    }
    let (figures, header) = newest.unwrap();
    let segments = endpoint
        .objects(&header)
        .iter()
        .filter(|object| object.kind == ObjectKind::Index)
        .count();
    assert!(segments <= 18, "{segments}");
    let target = tempfile::tempdir().unwrap();
    endpoint
        .restore(&figures.manifest.hash, target.path(), &[])
        .unwrap();
    assert_eq!(
        describe(&below(target.path(), folder.path())),
        describe(folder.path())
    );
}

#[test]
fn excludes_follow_gitignore_and_the_state_folder_is_never_taken() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in [
        "keep.txt",
        "drop.tmp",
        "cache/x",
        "deep/cache/y",
        "deep/keep.tmp",
        "only/top",
    ] {
        write(&root.join(name), b"x");
    }
    let mut endpoint = Endpoint::new(&[root], &["*.tmp", "!keep.tmp", "cache/", "/only"]);
    // The agent's own state lies in the source.
    endpoint.cache = tempfile::tempdir_in(root).unwrap();
    let (figures, header) = endpoint.backup();
    assert_eq!(header.totals.files, 2);
    let target = tempfile::tempdir().unwrap();
    endpoint
        .restore(&figures.manifest.hash, target.path(), &[])
        .unwrap();
    let names: Vec<_> = describe(&below(target.path(), root)).into_keys().collect();
    assert_eq!(names, [&b""[..], b"deep", b"deep/keep.tmp", b"keep.txt"]);
}

#[test]
fn parts_are_restored_alone_by_ranges() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for i in 0..40u8 {
        write(&root.join(format!("d/f{i}")), &noise(300_000, i / 2 * 3));
    }
    write(&root.join("e/wanted"), b"wanted");
    symlink("nowhere", root.join("e/link")).unwrap();
    let mut endpoint = Endpoint::new(&[&root], &[]);
    let (figures, _) = endpoint.backup();
    let text = |name: &str| root.join(name).to_str().unwrap().to_owned();

    let target = tempfile::tempdir().unwrap();
    endpoint.bucket.bytes_read.store(0, Relaxed);
    endpoint
        .restore(
            &figures.manifest.hash,
            target.path(),
            &[&text("e/wanted"), &text("d/f7")],
        )
        .unwrap();
    let names: Vec<_> = describe(&below(target.path(), &root)).into_keys().collect();
    assert_eq!(names, [&b""[..], b"d", b"d/f7", b"e", b"e/wanted"]);
    assert!(
        endpoint.bucket.bytes_read.load(Relaxed) < 2_000_000,
        "whole packs were read for two files"
    );

    // A trailing slash and a folder; overlapping selections.
    let target = tempfile::tempdir().unwrap();
    endpoint
        .restore(
            &figures.manifest.hash,
            target.path(),
            &[&format!("{}/", text("e")), &text("e/link")],
        )
        .unwrap();
    assert!(below(target.path(), &root).join("e/link").is_symlink());

    let target = tempfile::tempdir().unwrap();
    let error = endpoint
        .restore(&figures.manifest.hash, target.path(), &[&text("e/wanted/below")])
        .unwrap_err();
    assert!(
        matches!(error, RestoreError::Snapshot(SnapshotError::NotInSnapshot(_))),
        "{error}"
    );
}

#[test]
fn what_cannot_be_backed_up_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    write(&root.join("a"), b"a");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let missing = root.join("missing");
    let other = tempfile::tempdir().unwrap();
    let mut endpoint = Endpoint::new(&[&root, &missing, &other.path().join("gone")], &[]);
    let (figures, header) = endpoint.backup();
    let bytes = endpoint.bucket.objects.lock().unwrap()[&figures.manifest.hash]
        .1
        .clone();
    let shown = agent::show::facts(&endpoint.bucket, &bytes, &header, &endpoint.kit, true).unwrap();
    let kinds: Vec<_> = shown
        .warnings
        .iter()
        .filter_map(manifest::ListedWarning::known_kind)
        .collect();
    // `missing` lies below the first path and is dropped as a duplicate of it.
    assert_eq!(kinds.len(), 2, "{:?}", shown.warnings);
    assert!(kinds.contains(&manifest::WarningKind::UnsupportedType));
    assert!(kinds.contains(&manifest::WarningKind::PathMissing));
    // The pipe is a note: no file is missing for it.
    assert_eq!((header.totals.warnings, header.totals.notes), (1, 1));

    // One that was named as a path of its own is expected to be there.
    let pipe = root.join("pipe");
    let mut named = Endpoint::new(&[&pipe, other.path()], &[]);
    let (_, header) = named.backup();
    assert_eq!((header.totals.warnings, header.totals.notes), (1, 0));

    let mut nothing = Endpoint::new(&[&missing], &[]);
    assert!(
        nothing.prepare(true).is_err(),
        "an unmounted disk must not become an empty snapshot"
    );
}

#[test]
fn a_file_changed_without_a_new_size_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    write(&root.join("a"), b"one");
    set_time(&root.join("a"), 1_000_000_000, 0);
    age(&root);
    let mut endpoint = Endpoint::new(&[&root], &[]);
    endpoint.backup();
    // The same size and the same mtime; the change time gives it away.
    write(&root.join("a"), b"two");
    set_time(&root.join("a"), 1_000_000_000, 0);
    let (figures, _) = endpoint.backup();
    let target = tempfile::tempdir().unwrap();
    endpoint
        .restore(&figures.manifest.hash, target.path(), &[])
        .unwrap();
    assert_eq!(fs::read(below(target.path(), &root).join("a")).unwrap(), b"two");
}

#[test]
fn one_file_as_a_source_and_two_paths() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    write(&root.join("x/single"), b"s");
    write(&root.join("x/other"), b"not this");
    write(&root.join("y/f"), b"f");
    let mut endpoint = Endpoint::new(&[&root.join("x/single"), &root.join("y")], &[]);
    endpoint.backup();
    let (figures, _) = endpoint.backup();
    let target = tempfile::tempdir().unwrap();
    endpoint
        .restore(&figures.manifest.hash, target.path(), &[])
        .unwrap();
    let names: Vec<_> = describe(&below(target.path(), &root)).into_keys().collect();
    assert_eq!(names, [&b""[..], b"x", b"x/single", b"y", b"y/f"]);
}

/// Eight files lie in one pack. Three are deleted, one is changed, and one was written again with the same content right before
/// the count, so that nothing is known of it but what this run read.
#[test]
fn every_fourth_snapshot_tells_what_it_still_uses_of_each_pack() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("data");
    fs::create_dir(&root).unwrap();
    let write = |number: u8, content: u8| {
        // Each third seed gives bytes that do not compress.
        let bytes = noise(1 << 20, 3 * content);
        fs::write(root.join(number.to_string()), bytes).unwrap();
    };
    (0..8).for_each(|number| write(number, number));
    let mut endpoint = Endpoint::new(&[&root], &[]);
    let (first, _) = endpoint.backup();
    let packs: Vec<_> = first
        .added
        .iter()
        .filter(|object| object.kind == ObjectKind::Pack)
        .collect();
    let [pack] = packs[..] else {
        panic!("one pack: {packs:?}")
    };

    // By the same content from elsewhere the chunks stay in use.
    fs::copy(root.join("0"), root.join("copy of 0")).unwrap();
    for number in [0, 1, 2] {
        fs::remove_file(root.join(number.to_string())).unwrap();
    }
    write(3, 80);
    for _ in 0..2 {
        let (between, _) = endpoint.backup();
        assert_eq!(between.liveness, None);
    }
    write(4, 4);
    let (fourth, _) = endpoint.backup();
    let worn = fourth.liveness.unwrap();
    assert_eq!(worn.len(), 1, "{worn:?}");
    assert_eq!(worn[0].hash, pack.hash);
    // 4, 5, 6, 7 and the copy of 0 of the eight are still in it.
    let eighths = worn[0].live_bytes as f64 * 8.0 / pack.size_bytes as f64;
    assert!((4.8..5.2).contains(&eighths), "{worn:?} of {pack:?}");

    // Added again, nothing of the old pack is in use, and the new ones are whole.
    endpoint.do_not_reuse = vec![pack.hash];
    let (again, _) = endpoint.backup();
    assert!(again.dropped.contains(&pack.hash));
    endpoint.do_not_reuse.clear();
    for seq in 6..=8 {
        let (later, _) = endpoint.backup();
        assert_eq!(later.liveness, (seq == 8).then(Vec::new), "{seq}");
    }
}
