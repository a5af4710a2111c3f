//! What a source takes, beyond its excludes: only what is included, files up to a size, one file system.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path, process::Command};

use repository::manifest::WarningKind;
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
    in_a_mount_namespace(
        &root,
        "mount --bind /proc proc && mount -t devpts devpts terminals && mount -t tmpfs tmpfs disk && echo file > disk/file",
        "inside_a_mount_namespace",
    );
}

/// Runs an ignored test where `mounts` was done in the folder `root`.
fn in_a_mount_namespace(root: &Path, mounts: &str, test: &str) {
    let script = format!("cd \"$1\" && {mounts} && exec \"$2\" {test} --include-ignored");
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &script, "sh"])
        .arg(root)
        .arg(std::env::current_exe().unwrap())
        .env(MOUNTED, root)
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

/// The kernel's list says of a file system in memory that it is another machine's.
#[test]
fn a_network_mount_is_left_out_with_a_note_unless_it_is_included() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("data");
    for mount_point in ["nas", "disk"] {
        fs::create_dir_all(root.join(mount_point)).unwrap();
    }
    write(&root.join("own"), 10);
    in_a_mount_namespace(
        &root,
        "mount -t tmpfs holdfast-nas nas && mkdir nas/deep && echo remote > nas/file && mount -t tmpfs holdfast-deep nas/deep \
         && echo deep > nas/deep/file && mount -t tmpfs tmpfs disk && echo file > disk/file \
         && sed 's/ - tmpfs holdfast-/ - nfs4 server:/' /proc/$$/mountinfo > ../list \
         && mount --bind ../list /proc/$$/mountinfo",
        "inside_a_namespace_with_a_network_mount",
    );
}

/// A path, whether network mounts are left out and whether it is one file system alone, what is taken, notes, and what is left out.
type Mounted<'a> = (&'a Path, bool, bool, &'a [&'a str], u64, u64);

#[test]
#[ignore = "the test above runs it"]
fn inside_a_namespace_with_a_network_mount() {
    let root = std::env::var_os(MOUNTED).expect("run by another test");
    let (root, nas) = (Path::new(&root), Path::new(&root).join("nas"));
    let all = ["own", "disk/file", "nas/file", "nas/deep/file"];
    let cases: [Mounted<'_>; 5] = [
        // As sources of before, and where an older server says nothing of it.
        (root, false, false, &all, 0, 0),
        (root, true, false, &["own", "disk/file"], 1, 1),
        (root, true, true, &["own"], 0, 2),
        // Whoever names a path on the other machine wants what is there.
        (&nas, true, false, &["file", "deep/file"], 0, 0),
        (&nas, true, true, &["file"], 0, 1),
    ];
    for (path, leave_out_network_mounts, one_file_system, expected, notes, left_out) in cases {
        let mut endpoint = Endpoint::new(&[path], &[]);
        endpoint.spec.options.leave_out_network_mounts = leave_out_network_mounts;
        endpoint.spec.options.one_file_system = one_file_system;
        let (figures, header) = endpoint.backup();
        assert_eq!((header.totals.warnings, header.totals.notes), (0, notes));
        assert_eq!(figures.report.left_out, left_out);
        for note in endpoint.warnings(&figures.manifest.hash) {
            assert_eq!(
                (note.kind, &note.path),
                (WarningKind::MountLeftOut, &nas.to_str().unwrap().into())
            );
            assert!(
                note.detail.starts_with("nfs4: a network mount"),
                "{}",
                note.detail
            );
        }
        let target = tempfile::tempdir().unwrap();
        endpoint
            .restore(&figures.manifest.hash, target.path(), &[])
            .unwrap();
        let restored = target.path().join(path.strip_prefix("/").unwrap());
        assert_eq!(names_below(&restored), set(expected));
        if path == root {
            assert!(restored.join("nas").is_dir());
        }
        crate::preview::must_agree(&endpoint.spec, &restored);
    }
}
