//! What a source takes, beyond its excludes: only what is included, files up to a size, one file system.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
};

use shared::api::agent::SourceOptions;

use crate::support::endpoint::Endpoint;

fn write(path: &Path, size: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, vec![7; size]).unwrap();
}

/// The files and links of a snapshot, as they come back, and how many warnings it has.
fn taken(root: &Path, excludes: &[&str], options: SourceOptions) -> (BTreeSet<String>, u64) {
    let mut endpoint = Endpoint::new(&[root], excludes);
    endpoint.spec.options = options;
    let (figures, header) = endpoint.backup();
    let target = tempfile::tempdir().unwrap();
    endpoint
        .restore(&figures.manifest.hash, target.path(), &[])
        .unwrap();
    let restored = target.path().join(root.strip_prefix("/").unwrap());
    let names = walkdir::WalkDir::new(&restored)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| {
            entry
                .path()
                .strip_prefix(&restored)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    (names, header.totals.warnings)
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn only_what_is_included_and_not_excluded_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("data");
    for name in [
        "docs/a.txt",
        "docs/b.tmp",
        "docs/deep/c",
        "src/main.rs",
        "src/x.o",
        "other/deep/y.rs",
        "z",
    ] {
        write(&root.join(name), 10);
    }
    let options = SourceOptions {
        includes: vec!["docs/".into(), "*.rs".into()],
        ..SourceOptions::default()
    };
    let (names, warnings) = taken(&root, &["*.tmp"], options);
    assert_eq!(
        names,
        set(&["docs/a.txt", "docs/deep/c", "src/main.rs", "other/deep/y.rs"])
    );
    assert_eq!(warnings, 0);
}

#[test]
fn files_beyond_the_size_limit_are_left_out_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("data");
    write(&root.join("just"), 1000);
    write(&root.join("over"), 1001);
    write(&root.join("folder/empty"), 0);
    symlink("x".repeat(2000), root.join("link")).unwrap();
    let options = SourceOptions {
        max_file_bytes: Some(1000),
        ..SourceOptions::default()
    };
    let (names, warnings) = taken(&root, &[], options);
    assert_eq!(names, set(&["just", "folder/empty", "link"]));
    assert_eq!(warnings, 0);
}

#[test]
fn another_file_system_is_entered_only_when_it_may_be() {
    let (outer, inner) = (Path::new("/dev"), Path::new("/dev/shm"));
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    assert_ne!(device(outer), device(inner), "Linux mounts one below the other");
    let folder = tempfile::tempdir_in(inner).unwrap();
    write(&folder.path().join("file"), 10);
    let name = folder.path().strip_prefix(outer).unwrap().to_str().unwrap();
    for one_file_system in [false, true] {
        let options = SourceOptions {
            includes: vec![format!("/{name}/")],
            one_file_system,
            ..SourceOptions::default()
        };
        let (names, _) = taken(outer, &[], options);
        let expected = if one_file_system {
            set(&[])
        } else {
            set(&[&format!("{name}/file")])
        };
        assert_eq!(names, expected);
    }
}
