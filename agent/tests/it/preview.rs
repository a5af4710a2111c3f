//! The preview says what a run takes and leaves out, without the run.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use agent::backup::preview::{LeftOutBy, PreviewTotals, Previewed, What, preview};
use proptest::prelude::*;
use shared::api::agent::SourceSpec;

use crate::rounds::rounds;
use crate::support::{
    endpoint::Endpoint,
    enrolled::World,
    tree::{entries, make},
};

fn previewed(source: &SourceSpec) -> (Vec<Previewed>, PreviewTotals) {
    let mut all = Vec::new();
    let totals = preview(
        &What::from(source.clone()),
        None,
        &AtomicBool::new(false),
        &mut |one| all.push(one),
    )
    .unwrap();
    (all, totals)
}

/// What a preview of a source of one path says is taken is what `restored` holds.
pub fn must_agree(source: &SourceSpec, restored: &Path) {
    let root = Path::new(&source.paths[0]);
    let (all, totals) = previewed(source);
    let taken: BTreeSet<String> = all
        .iter()
        .filter_map(|one| match one {
            Previewed::Taken(item) => Some(item.path.clone()),
            Previewed::LeftOut {
                item,
                by: LeftOutBy::Mount { .. },
            } => Some(item.path.clone()),
            _ => None,
        })
        .collect();
    let there = walkdir::WalkDir::new(restored).into_iter().map(Result::unwrap);
    let there: BTreeSet<String> = there
        .map(|entry| {
            let path = root.join(entry.path().strip_prefix(restored).unwrap());
            let path = path.to_str().map_or_else(
                || agent::escape::escaped(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())),
                |path| agent::escape::escaped(path.as_bytes()),
            );
            path.trim_end_matches('/').to_owned()
        })
        .collect();
    assert_eq!(taken, there);
    assert!(totals.is_whole);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: rounds(12), ..ProptestConfig::default() })]

    #[test]
    fn what_a_preview_says_is_what_a_run_takes(
        entries in entries(),
        excludes in prop::collection::vec("[*]?[a-c]{1,2}[*]?/?|![a-c][*]?", 0..4),
        includes in prop::collection::vec("[a-e]{1,2}[*]?/?", 0..2),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("data");
        fs::create_dir(&root).unwrap();
        make(&root, &entries, &mut None);
        let excludes: Vec<&str> = excludes.iter().map(String::as_str).collect();
        let mut endpoint = Endpoint::new(&[&root], &excludes);
        // A folder that is only there for what is in it is told of by what is in it.
        let with_includes = !includes.is_empty();
        endpoint.spec.options.includes = includes;
        endpoint.spec.options.max_file_bytes = Some(100_000);
        let (figures, header) = endpoint.backup();
        let (_, totals) = previewed(&endpoint.spec);
        prop_assert_eq!((totals.taken.files, totals.taken.bytes), (header.totals.files, header.totals.bytes));
        let unmatched: Vec<u32> = totals.lines.iter().filter(|line| line.is_unmatched).map(|line| line.line - 1).collect();
        prop_assert_eq!(unmatched, figures.report.unmatched_excludes);
        if !with_includes {
            let target = tempfile::tempdir().unwrap();
            endpoint.restore(&figures.manifest.hash, target.path(), &[]).unwrap();
            must_agree(&endpoint.spec, &target.path().join(root.strip_prefix("/").unwrap()));
        }
    }
}

#[test]
fn each_line_is_told_with_what_it_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("data");
    for name in ["a.tmp", "b.tmp", "keep.tmp", "cache/x", "doc"] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![1; 100]).unwrap();
    }
    symlink("doc", root.join("link")).unwrap();
    let endpoint = Endpoint::new(&[&root], &["*.tmp", "!keep.tmp", "/cache/", "nothing"]);
    let (all, totals) = previewed(&endpoint.spec);
    let left: Vec<(String, u32)> = all
        .into_iter()
        .filter_map(|one| match one {
            Previewed::LeftOut {
                item,
                by: LeftOutBy::Line { line, .. },
            } => Some((item.path, line)),
            _ => None,
        })
        .collect();
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    assert_eq!(left, [(path("a.tmp"), 1), (path("b.tmp"), 1), (path("cache"), 3)]);
    assert_eq!(
        (
            totals.taken.files,
            totals.taken.bytes,
            totals.taken.folders,
            totals.taken.others
        ),
        (2, 200, 1, 1)
    );
    assert_eq!(
        (totals.lines[0].left_out.files, totals.lines[0].left_out.bytes),
        (2, 200)
    );
    assert_eq!(totals.lines[2].left_out.folders, 1);
    let unmatched: Vec<bool> = totals.lines.iter().map(|line| line.is_unmatched).collect();
    assert_eq!(unmatched, [false, false, false, true]);
}

#[test]
fn a_preview_ends_when_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for number in 0..100 {
        fs::write(root.join(number.to_string()), "x").unwrap();
    }
    let endpoint = Endpoint::new(&[&root], &[]);
    let (stop, mut told) = (AtomicBool::new(false), 0);
    let totals = preview(&What::from(endpoint.spec.clone()), None, &stop, &mut |_| {
        told += 1;
        stop.store(told == 10, Relaxed);
    });
    let totals = totals.unwrap();
    assert!(!totals.is_whole);
    assert_eq!((told, totals.taken.files), (10, 9));
}

fn command(world: &World, arguments: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast-agent"))
        .arg("preview")
        .args(arguments)
        .env("HOLDFAST_AGENT_STATE", world.path("state"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    (output, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_asks_the_server_for_paths_and_lines_and_tells_it_nothing() {
    let world = World::new().await;
    world.write("a.tmp", b"temporary");
    world.write("doc", b"document");
    let data = world.path("data").canonicalize().unwrap();
    let data = data.to_str().unwrap();

    // Before it is enrolled, and without a server.
    let (output, said) = command(
        &world,
        &["--path", data, "--exclude", "*.tmp", "--exclude", "none"],
    );
    assert!(output.status.success(), "{output:?}");
    for line in [
        &format!("take   {data}/doc  8 B"),
        &format!("leave  {data}/a.tmp  9 B  by exclude line 1: *.tmp"),
        "would be taken:    1 file, 8 B, 1 folder",
        "exclude line 1 leaves out 1 file, 9 B, 0 folders: *.tmp",
        "exclude line 2 matches nothing: none",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    // A line is read as the console reads it.
    let (output, _) = command(&world, &["--path", data, "--exclude", &format!("{data}/doc")]);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && complaint.contains("write `/doc` instead"),
        "{complaint}"
    );
    let (output, _) = command(&world, &[]);
    assert!(!output.status.success(), "not enrolled");

    world.enroll().await;
    world.server.lock().source.as_mut().unwrap().excludes = vec!["*.tmp".into()];
    world.server.lock().hook = Some(Box::new(|call| {
        panic!("nothing but its sources is asked for: {call:?}")
    }));
    let (output, said) = command(&world, &["--json", "--left-out", "--exclude", "doc"]);
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<serde_json::Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let paths: Vec<_> = lines.iter().filter_map(|line| line["path"].as_str()).collect();
    assert_eq!(paths, [format!("{data}/a.tmp"), format!("{data}/doc")]);
    assert_eq!((&lines[1]["by"], &lines[1]["line"]), (&"line".into(), &2.into()));
    assert_eq!(lines[2]["totals"]["taken"]["files"], 0);
    let (output, said) = command(&world, &["--source", "documents", "--totals"]);
    assert!(output.status.success() && !said.contains("take "), "{said}");
    let (output, _) = command(&world, &["--source", "other"]);
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("it has `documents`")
    );
    assert_eq!(world.server.lock().runs, 0);
}
