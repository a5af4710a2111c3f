//! What is said of what a source leaves out: lines that match nothing, lines that are no patterns, and a run that takes nothing.

use std::{fs, path::PathBuf};

use repository::manifest::WarningKind;

use crate::support::endpoint::Endpoint;

fn data(folder: &tempfile::TempDir, names: &[&str]) -> PathBuf {
    let root = folder.path().canonicalize().unwrap().join("data");
    for name in names {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    root
}

/// With `--exclude /data/secret/` on a source of `/data` everything is taken, and nobody was told.
#[test]
fn lines_that_match_nothing_are_told_after_each_run() {
    let folder = tempfile::tempdir().unwrap();
    let root = data(&folder, &["a.tmp", "cache/x.tmp", "secret/key", "keep"]);
    let full = format!("{}/secret/", root.display());
    let mut endpoint = Endpoint::new(&[&root], &["*.tmp", &full, "# why", "/cache/", "x.*", "keep/"]);
    let report = endpoint.backup().0.report;
    // Below a folder that is left out nothing is looked at; and `keep/` is no folder.
    assert_eq!(report.unmatched_excludes, [1, 4, 5]);
    assert_eq!((report.unread_excludes.as_slice(), report.left_out), (&[][..], 2));
    fs::create_dir(root.join("deep")).unwrap();
    fs::write(root.join("deep/x.y"), "new").unwrap();
    assert_eq!(endpoint.backup().0.report.unmatched_excludes, [1, 5]);
}

/// Such a line is stored where it was typed before it could be refused.
#[test]
fn a_line_that_is_no_pattern_is_a_warning_of_the_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let root = data(&folder, &["secret", "other"]);
    let mut endpoint = Endpoint::new(&[&root], &["other", "secret\\"]);
    let (figures, header) = endpoint.backup();
    assert_eq!((header.totals.files, header.totals.warnings), (1, 1));
    assert_eq!(figures.report.unread_excludes, [1]);
    assert!(figures.report.unmatched_excludes.is_empty());
    let warnings = endpoint.warnings(&figures.manifest.hash);
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        (warnings[0].kind, warnings[0].path.as_slice()),
        (WarningKind::ExcludeUnread, &b"secret\\"[..])
    );
    assert!(
        warnings[0].detail.contains("leaves out nothing"),
        "{}",
        warnings[0].detail
    );
}

#[test]
fn a_run_that_takes_none_of_what_is_there_is_not_clean_and_says_why() {
    let cases: [(&[&str], &[&str], u64, bool); 6] = [
        (&["a", "b/c"], &["*"], 2, true),
        (&["a"], &["/a"], 1, true),
        (&["b/c"], &["b/"], 1, true),
        (&["a", "b/c"], &["a"], 1, false),
        (&["a"], &["none"], 0, false),
        // An empty folder is no fault.
        (&[], &["*"], 0, false),
    ];
    for (names, excludes, left_out, is_told) in cases {
        let folder = tempfile::tempdir().unwrap();
        let root = data(&folder, names);
        fs::create_dir_all(&root).unwrap();
        let mut endpoint = Endpoint::new(&[&root], excludes);
        let (figures, header) = endpoint.backup();
        assert_eq!(figures.report.left_out, left_out, "{excludes:?}");
        assert_eq!(
            figures.report.took_nothing(header.totals.files),
            is_told,
            "{excludes:?}"
        );
        assert_eq!(header.totals.warnings, u64::from(is_told), "{excludes:?}");
        for warning in endpoint.warnings(&figures.manifest.hash) {
            assert_eq!(warning.kind, WarningKind::NothingTaken);
            assert_eq!(warning.path, root.to_str().unwrap().as_bytes());
            assert!(
                warning.detail.starts_with("0 files were taken"),
                "{}",
                warning.detail
            );
        }
    }
}

/// What is larger than the source takes counts like what a line leaves out.
#[test]
fn files_beyond_the_size_limit_are_left_out_too() {
    let folder = tempfile::tempdir().unwrap();
    let root = data(&folder, &["a-long-name"]);
    let mut endpoint = Endpoint::new(&[&root], &[]);
    endpoint.spec.options.max_file_bytes = Some(3);
    let (figures, header) = endpoint.backup();
    assert_eq!((figures.report.left_out, header.totals.warnings), (1, 1));
}
