//! File systems that give inode numbers and change times anew: what a run reads again, and what it says of that.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use shared::api::report::{FilesRead, ReadAgain};

use crate::support::{
    endpoint::Endpoint,
    tree::{describe, noise},
};

const SIZES: [usize; 4] = [1, 5_000, 100_000, 3_000_000];
const BYTES: u64 = 3_105_001;

/// Files of several sizes, so old that they are trusted.
fn data(folder: &tempfile::TempDir) -> PathBuf {
    let root = folder.path().canonicalize().unwrap().join("data");
    fs::create_dir(&root).unwrap();
    for (number, size) in (0..).zip(SIZES) {
        fs::write(root.join(size.to_string()), noise(size, number)).unwrap();
    }
    past_a_tick();
    root
}

/// File systems tick: what was changed just now is not trusted.
fn past_a_tick() {
    std::thread::sleep(Duration::from_millis(60));
}

/// Every file becomes another one that looks the same: what is seen of a mount that numbers its files anew.
fn renumber(root: &Path) {
    for size in SIZES {
        let (path, copy) = (root.join(size.to_string()), root.join("copy"));
        let before = fs::metadata(&path).unwrap();
        fs::copy(&path, &copy).unwrap();
        File::options()
            .write(true)
            .open(&copy)
            .unwrap()
            .set_modified(before.modified().unwrap())
            .unwrap();
        fs::rename(&copy, &path).unwrap();
        assert_ne!(fs::metadata(&path).unwrap().ino(), before.ino());
    }
    past_a_tick();
}

fn touch_change_times(root: &Path) {
    for size in SIZES {
        let path = root.join(size.to_string());
        let mode = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, mode).unwrap();
    }
    past_a_tick();
}

fn endpoint(root: &Path, unstable_inodes: bool) -> Endpoint {
    let mut endpoint = Endpoint::new(&[root], &[]);
    endpoint.spec.options.unstable_inodes = unstable_inodes;
    endpoint
}

fn must_come_back(endpoint: &Endpoint, manifest: &shared::object::ObjectHash, root: &Path) {
    let target = tempfile::tempdir().unwrap();
    endpoint.restore(manifest, target.path(), &[]).unwrap();
    let restored = target.path().join(root.strip_prefix("/").unwrap());
    assert_eq!(describe(&restored), describe(root));
}

#[test]
fn what_is_read_again_for_its_numbers_alone_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let root = data(&folder);
    let mut endpoint = endpoint(&root, false);
    assert_eq!(endpoint.backup().0.report.read_again, ReadAgain::default());
    assert_eq!(endpoint.backup().0.report.read_again, ReadAgain::default());
    let all = FilesRead {
        files: 4,
        bytes: BYTES,
    };
    renumber(&root);
    let report = endpoint.backup().0.report;
    assert_eq!(
        report.read_again,
        ReadAgain {
            inode: all,
            ..ReadAgain::default()
        }
    );
    assert_eq!(endpoint.counters.bytes_read.load(Relaxed), BYTES);
    touch_change_times(&root);
    let report = endpoint.backup().0.report;
    assert_eq!(
        report.read_again,
        ReadAgain {
            change_time: all,
            ..ReadAgain::default()
        }
    );
    // What was really changed is read for that.
    fs::write(root.join("1"), "2").unwrap();
    past_a_tick();
    assert_eq!(endpoint.backup().0.report.read_again, ReadAgain::default());
}

#[test]
fn a_source_that_goes_by_size_time_and_sample_reads_nothing_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = data(&folder);
    let mut endpoint = endpoint(&root, true);
    endpoint.backup();
    let changes: [fn(&Path); 3] = [renumber, touch_change_times, |root| {
        fs::set_permissions(root.join("5000"), Permissions::from_mode(0o600)).unwrap();
        past_a_tick();
    }];
    for change in changes {
        change(&root);
        let (figures, header) = endpoint.backup();
        assert_eq!(figures.report.read_again, ReadAgain::default());
        assert_eq!(endpoint.counters.bytes_read.load(Relaxed), 0);
        assert_eq!((header.totals.files, header.totals.bytes), (4, BYTES));
        // Also the new mode.
        must_come_back(&endpoint, &figures.manifest.hash, &root);
        // And what was looked into is trusted again.
        endpoint.backup();
        assert_eq!(endpoint.counters.bytes_read.load(Relaxed), 0);
    }
}

/// A change that keeps size and modification time is seen where the sample is, and only there: the warning beside the option.
#[test]
fn a_sample_sees_what_it_reads() {
    for (size, place, is_seen) in [
        (5_000_u64, 2_500, true),
        (100_000, 0, true),
        (3_000_000, 2_999_999, true),
        (3_000_000, 5_000, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let root = data(&folder);
        let mut endpoint = endpoint(&root, true);
        endpoint.backup();
        let path = root.join(size.to_string());
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        let file = File::options().write(true).read(true).open(&path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).unwrap();
        file.write_all_at(&[!byte[0]], place).unwrap();
        file.set_modified(before).unwrap();
        past_a_tick();
        let (figures, _) = endpoint.backup();
        let expected = if is_seen { size } else { 0 };
        assert_eq!(
            endpoint.counters.bytes_read.load(Relaxed),
            expected,
            "{size} {place}"
        );
        if is_seen {
            must_come_back(&endpoint, &figures.manifest.hash, &root);
        }
    }
}

/// The option is given to a source that has a cache of before.
#[test]
fn what_was_read_without_a_sample_is_read_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let root = data(&folder);
    let mut endpoint = endpoint(&root, false);
    endpoint.backup();
    endpoint.spec.options.unstable_inodes = true;
    for expected in [BYTES, 0] {
        renumber(&root);
        assert_eq!(endpoint.backup().0.report.read_again.inode.bytes, expected);
        assert_eq!(endpoint.counters.bytes_read.load(Relaxed), expected);
    }
}

/// File systems that show every change time as now, and a `chown` just before each run.
#[test]
fn a_change_time_of_just_now_does_not_keep_a_file_from_being_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let root = data(&folder);
    let mut endpoint = endpoint(&root, true);
    for expected in [BYTES, 0, 0] {
        for size in SIZES {
            let path = root.join(size.to_string());
            let mode = fs::metadata(&path).unwrap().permissions();
            fs::set_permissions(&path, mode).unwrap();
        }
        endpoint.backup();
        assert_eq!(endpoint.counters.bytes_read.load(Relaxed), expected);
    }
}
