//! Links in the paths of a source, and what a restore says of what it did.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use agent::restore::{Order, Outcome, Overwrite, RestoreError};
use shared::object::ObjectHash;

use crate::support::{
    endpoint::Endpoint,
    tree::describe,
    world::{World, write},
};

/// `link/docs` is backed up, with `link` pointing to `real`.
struct Linked {
    folder: tempfile::TempDir,
    endpoint: Endpoint,
    manifest: ObjectHash,
}

impl Linked {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for name in ["one", "two", "below/three"] {
            write(&base.join("real/docs").join(name), name.as_bytes());
        }
        symlink("real", base.join("link")).unwrap();
        let mut endpoint = Endpoint::new(&[&base.join("link/docs")], &[]);
        let manifest = endpoint.backup().0.manifest.hash;
        Self {
            folder,
            endpoint,
            manifest,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn in_place(&self, paths: &[&str]) -> Result<Outcome, RestoreError> {
        let order = Order {
            target: "/".into(),
            overwrite: Overwrite::IfDifferent,
            ..Order::default()
        };
        self.endpoint.restore_as(&self.manifest, &order, paths)
    }
}

#[test]
fn a_link_in_the_path_is_followed_back() {
    let linked = Linked::new();
    let before = describe(&linked.path("real/docs"));
    fs::remove_dir_all(linked.path("real/docs")).unwrap();
    let outcome = linked.in_place(&[]).unwrap();
    assert_eq!((outcome.losses.len(), outcome.lost, outcome.restored), (0, 0, 5));
    assert_eq!(describe(&linked.path("real/docs")), before);
    assert!(linked.path("link").is_symlink());
    let note = format!("leads to {}", linked.path("real/docs").display());
    assert!(
        outcome.notes.iter().any(|told| told.contains(&note)),
        "{:?}",
        outcome.notes
    );

    // A part of it, by the path as it was backed up.
    fs::remove_dir_all(linked.path("real/docs")).unwrap();
    let part = linked.path("link/docs/below/three");
    linked.in_place(&[part.to_str().unwrap()]).unwrap();
    assert_eq!(
        fs::read(linked.path("real/docs/below/three")).unwrap(),
        b"below/three"
    );
    assert!(!linked.path("real/docs/one").exists());
}

#[test]
fn a_link_that_leads_elsewhere_is_named_before_anything_begins() {
    let linked = Linked::new();
    fs::remove_dir_all(linked.path("real/docs")).unwrap();
    fs::remove_file(linked.path("link")).unwrap();
    fs::create_dir(linked.path("other")).unwrap();
    symlink("other", linked.path("link")).unwrap();
    let error = linked.in_place(&[]).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, RestoreError::Link(_)), "{text}");
    for words in [
        linked.path("link"),
        linked.path("other/docs"),
        linked.path("real/docs"),
    ] {
        assert!(text.contains(words.to_str().unwrap()), "{text}");
    }
    assert_eq!(fs::read_dir(linked.path("other")).unwrap().count(), 0);
    assert!(!linked.path("real/docs").exists());

    // Elsewhere the folders are made, and nothing is in the way.
    let target = tempfile::tempdir().unwrap();
    linked
        .endpoint
        .restore(&linked.manifest, target.path(), &[])
        .unwrap();
    let below = linked.path("link/docs/one");
    let back = target.path().join(below.strip_prefix("/").unwrap());
    assert_eq!(fs::read(back).unwrap(), b"one");
}

#[test]
fn without_the_link_its_place_is_taken_by_a_folder() {
    let linked = Linked::new();
    let before = describe(&linked.path("real/docs"));
    fs::remove_dir_all(linked.path("real")).unwrap();
    fs::remove_file(linked.path("link")).unwrap();
    let outcome = linked.in_place(&[]).unwrap();
    assert_eq!(outcome.losses, []);
    assert_eq!(describe(&linked.path("link/docs")), before);
}

fn conclusion(fill: impl FnOnce(&Path), blocked: &[&str], dry_run: bool) -> (Outcome, String) {
    let world = World::new(fill);
    let target = tempfile::tempdir().unwrap();
    fs::create_dir_all(world.below(target.path(), "")).unwrap();
    for name in blocked {
        let path: PathBuf = world.below(target.path(), name).components().collect();
        let _ = fs::remove_dir(&path);
        symlink("elsewhere", path).unwrap();
    }
    let order = Order {
        target: target.path().to_owned(),
        dry_run,
        ..Order::default()
    };
    let outcome = world
        .endpoint
        .restore_as(&world.manifest.hash, &order, &[])
        .unwrap();
    let text = outcome.conclusion();
    (outcome, text)
}

/// What is lost is counted with everything below it, and what is said is true when nothing or something came back.
#[test]
fn what_is_said_of_a_restore_is_true() {
    let fill = |root: &Path| {
        for number in 0..47 {
            write(&root.join(format!("a/{number}")), b"content");
        }
        write(&root.join("b/file"), b"content");
    };
    // The folder `a` and 47 files are not there; `b`, its file and the folder above are.
    let (outcome, text) = conclusion(fill, &["a"], false);
    assert_eq!((outcome.losses.len(), outcome.lost, outcome.restored), (1, 48, 2));
    assert_eq!(
        text,
        "incomplete: 48 files, folders or links were not put back, and 2 files, folders or links were"
    );
    // Everything is in the way.
    let (outcome, text) = conclusion(fill, &[""], false);
    assert_eq!((outcome.losses.len(), outcome.lost, outcome.restored), (1, 51, 0));
    assert_eq!(text, "nothing was put back: 51 files, folders or links were not");
    // Nothing was tried.
    let (_, text) = conclusion(fill, &["a"], true);
    assert_eq!(
        text,
        "incomplete: 48 files, folders or links would not be put back"
    );
    let (outcome, _) = conclusion(fill, &[], false);
    assert!(outcome.is_complete() && outcome.lost == 0);
}
