//! What version 2 of the format brings: warnings file by file, names of owners, and a parent of version 1 that is built on.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use agent::{
    owners::{OwnerPolicy, Users},
    platform::UserDatabase,
    restore::{Order, Overwrite},
    show::{SnapshotFacts, facts},
};
use repository::manifest::{
    self, ManifestContent, ManifestHeader, NewManifest, Warning, WarningKind, WarningList,
};
use shared::object::{ObjectHash, ObjectKind};

use crate::support::{endpoint::Endpoint, tree::describe, world::write};

fn pipe(path: &Path) {
    let (here, fifo) = (rustix::fs::CWD, rustix::fs::FileType::Fifo);
    rustix::fs::mknodat(here, path, fifo, rustix::fs::Mode::RWXU, 0).unwrap();
}

fn bytes_of(endpoint: &Endpoint, manifest: &ObjectHash) -> Vec<u8> {
    endpoint.bucket.objects.lock().unwrap()[manifest].1.clone()
}

fn shown(endpoint: &Endpoint, manifest: &ObjectHash) -> SnapshotFacts {
    let bytes = bytes_of(endpoint, manifest);
    let header = manifest::open_header_of_any(&bytes).unwrap();
    facts(&endpoint.bucket, &bytes, &header, &endpoint.kit, true).unwrap()
}

fn content(endpoint: &Endpoint, manifest: &ObjectHash) -> ManifestContent {
    manifest::open_content(&bytes_of(endpoint, manifest), &endpoint.kit).unwrap()
}

#[test]
fn warnings_and_notes_are_listed_and_the_same_again_takes_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    write(&root.join("a"), b"a");
    for number in 0..3000 {
        pipe(&root.join(format!("pipe {number:04}")));
    }
    let gone = root.with_file_name("gone before the backup");
    let mut endpoint = Endpoint::new(&[&root, &gone], &[]);
    let (first, header) = endpoint.backup();
    assert_eq!((header.totals.warnings, header.totals.notes), (1, 3000));
    let shown = shown(&endpoint, &first.manifest.hash);
    assert_eq!((shown.lost.len(), shown.warnings.len()), (0, 3001));
    assert!(shown.warnings.is_sorted_by(|a, b| a.path <= b.path));
    let warning = shown.warnings.iter().find(|one| !one.is_note).unwrap();
    assert_eq!(warning.known_kind(), Some(WarningKind::PathMissing));
    assert_eq!(warning.path, gone.to_str().unwrap().as_bytes());
    assert!(warning.detail.contains("No such file"), "{}", warning.detail);
    assert!(
        first.manifest.size_bytes < 16 * 1024,
        "{}",
        first.manifest.size_bytes
    );

    let (second, _) = endpoint.backup();
    assert_eq!(second.added, []);
}

#[test]
fn a_lost_page_of_warnings_costs_its_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    pipe(&root.join("pipe"));
    let mut endpoint = Endpoint::new(&[&root], &[]);
    let (figures, header) = endpoint.backup();
    let trees: Vec<_> = endpoint.objects(&header);
    for object in trees.iter().filter(|object| object.kind == ObjectKind::TreePack) {
        endpoint.bucket.objects.lock().unwrap().remove(&object.hash);
    }
    let shown = shown(&endpoint, &figures.manifest.hash);
    assert_eq!((shown.warnings.len(), shown.lost.len()), (0, 1));
    assert_eq!(shown.totals.notes, 1);
}

/// The snapshot as an agent of the first release would have described it.
fn as_version_1(endpoint: &Endpoint, manifest: &ObjectHash, header: &ManifestHeader) -> ObjectHash {
    let new = content(endpoint, manifest);
    let old = NewManifest {
        agent_id: header.agent_id,
        source_id: header.source_id,
        run_id: header.run_id,
        parent: header.parent,
        created_at: header.created_at,
        totals: header.totals,
        objects: endpoint
            .objects(header)
            .into_iter()
            .filter(|object| object.kind != ObjectKind::ListPage)
            .collect(),
        list: header.list.clone(),
        certificate: None,
        content: ManifestContent {
            warnings: WarningList::Inline(vec![Warning {
                path: b"/pipe".to_vec(),
                kind: WarningKind::UnsupportedType,
                detail: "a device, pipe or socket".into(),
            }]),
            ..ManifestContent::new(new.source_name, new.hostname, new.roots, new.chunk_key)
        },
    };
    let mut rng = agent::random::draw().unwrap();
    let (object, bytes) = old.seal(endpoint.kit.public(), &endpoint.key, &mut rng).unwrap();
    assert_eq!(bytes[5], 1);
    let mut objects = endpoint.bucket.objects.lock().unwrap();
    objects.insert(object.hash, (object, bytes));
    object.hash
}

/// The update of an agent: what the first release left in bucket and cache stays in use.
#[test]
fn a_snapshot_of_version_1_is_read_and_built_on_without_sending_anything_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for number in 0..50 {
        write(
            &root.join(format!("folder {}/file {number}", number % 5)),
            b"content",
        );
    }
    let mut endpoint = Endpoint::new(&[&root], &[]);
    let (figures, header) = endpoint.backup();
    let old = as_version_1(&endpoint, &figures.manifest.hash, &header);
    endpoint.manifest = Some(old);
    let facts = shown(&endpoint, &old);
    assert_eq!(facts.warnings.len(), 1);
    let target = tempfile::tempdir().unwrap();
    endpoint.restore(&old, target.path(), &[]).unwrap();
    let back = target.path().join(root.strip_prefix("/").unwrap());
    assert_eq!(describe(&back), describe(&root));

    let (second, header) = endpoint.backup();
    assert_eq!((second.added.len(), second.dropped.len()), (0, 0));
    assert_eq!((header.version, header.parent.unwrap().manifest), (2, old));
    assert!(!content(&endpoint, &second.manifest.hash).owners.is_empty());
}

/// A machine with these accounts, each user with a group of the same name.
struct Machine(&'static [(u32, &'static str)]);

impl UserDatabase for Machine {
    fn user_name(&self, id: u32) -> Option<Vec<u8>> {
        let found = self.0.iter().find(|(other, _)| *other == id)?;
        Some(found.1.as_bytes().to_vec())
    }

    fn group_name(&self, id: u32) -> Option<Vec<u8>> {
        self.user_name(id)
    }

    fn user_id(&self, name: &[u8]) -> Option<u32> {
        let found = self.0.iter().find(|(_, other)| other.as_bytes() == name)?;
        Some(found.0)
    }

    fn group_id(&self, name: &[u8]) -> Option<u32> {
        self.user_id(name)
    }
}

/// 991 was svc-a and is svc-b on the new machine.
#[test]
fn a_file_goes_to_whoever_has_its_owners_name() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for (name, id) in [("a", 991), ("lost", 993)] {
        write(&root.join(name), b"content");
        std::os::unix::fs::chown(root.join(name), Some(id), Some(id)).unwrap();
    }
    let mut endpoint = Endpoint::new(&[&root], &[]);
    endpoint.users = Users::of(Machine(&[(0, "root"), (991, "svc-a"), (993, "svc-c")]));
    let (figures, _) = endpoint.backup();
    let named = content(&endpoint, &figures.manifest.hash).owners;
    assert_eq!(named.users[&991], b"svc-a");
    assert_eq!(named.groups[&993], b"svc-c");

    let here = Users::of(Machine(&[(0, "root"), (991, "svc-b"), (992, "svc-a")]));
    for (owners, a, notes) in [
        (OwnerPolicy::ByName(here), 992, 2),
        (OwnerPolicy::Numeric, 991, 0),
    ] {
        let target = tempfile::tempdir().unwrap();
        let order = Order {
            target: target.path().to_owned(),
            overwrite: Overwrite::Never,
            owners,
            ..Order::default()
        };
        let outcome = endpoint.restore_as(&figures.manifest.hash, &order, &[]).unwrap();
        let back = target.path().join(root.strip_prefix("/").unwrap());
        let owner = |name: &str| {
            let found = fs::metadata(back.join(name)).unwrap();
            (found.uid(), found.gid())
        };
        assert_eq!((owner("a"), owner("lost")), ((a, a), (993, 993)));
        let told = outcome.notes.iter().filter(|note| note.contains("svc-c"));
        assert_eq!(told.count(), notes, "{:?}", outcome.notes);
    }
}
