//! What a source takes, beyond its excludes: only what is included, files up to a size, one file system.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path, process::Command};

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
    (names_below(&restored), header.totals.warnings)
}

/// Everything below a folder that is not a folder.
fn names_below(folder: &Path) -> BTreeSet<String> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    entries
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| {
            let name = entry.path().strip_prefix(folder).unwrap();
            name.to_str().unwrap().to_owned()
        })
        .collect()
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

/// The folder that the test below finds mounted.
const MOUNTED: &str = "HOLDFAST_TEST_MOUNTED";

/// The rest of the test runs in a mount namespace of its own, in which anybody may mount.
#[test]
fn another_file_system_is_entered_only_when_it_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("data");
    for mount_point in ["proc", "terminals", "disk"] {
        fs::create_dir_all(root.join(mount_point)).unwrap();
    }
    write(&root.join("own"), 10);
    let script = "cd \"$1\" && mount --bind /proc proc && mount -t devpts devpts terminals && mount -t tmpfs tmpfs disk \
                  && echo file > disk/file && exec \"$2\" inside_a_mount_namespace --include-ignored";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(&root)
        .arg(std::env::current_exe().unwrap())
        .env(MOUNTED, &root)
        .output()
        .expect("unshare, of util-linux");
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{complaint}"
    );
}

#[test]
#[ignore = "the test above runs it"]
fn inside_a_mount_namespace() {
    let root = std::env::var_os(MOUNTED).expect("run by another test");
    let root = Path::new(&root);
    for (one_file_system, expected, notes) in [(false, &["own", "disk/file"][..], 2), (true, &["own"], 0)] {
        let mut endpoint = Endpoint::new(&[root], &[]);
        endpoint.spec.options.one_file_system = one_file_system;
        let (figures, header) = endpoint.backup();
        assert_eq!((header.totals.warnings, header.totals.notes), (0, notes));
        let target = tempfile::tempdir().unwrap();
        endpoint
            .restore(&figures.manifest.hash, target.path(), &[])
            .unwrap();
        let restored = target.path().join(root.strip_prefix("/").unwrap());
        assert_eq!(names_below(&restored), set(expected));
        for kept in ["proc", "terminals", "disk"] {
            assert!(restored.join(kept).is_dir(), "{kept}");
        }
    }
}
