//! Restores that meet damage, and files that are there already.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use agent::{
    restore::{Order, Overwrite},
    snapshot::Reason,
};
use repository::index;
use shared::object::{ObjectHash, ObjectKind, ObjectRef};

use crate::support::tree::{describe, noise, set_time};
use crate::support::world::{TIME, World, paths, temporary, write};

#[test]
fn the_overwrite_policy_decides_and_folders_are_never_taken_away() {
    let world = World::new(|root| {
        write(&root.join("same"), b"same content");
        write(&root.join("touched"), b"same content, other time");
        write(&root.join("longer"), b"short");
        write(&root.join("sneaky"), b"one");
        write(&root.join("is-folder"), b"a file in the backup");
        symlink("to/here", root.join("link")).unwrap();
    });
    let prepare = || {
        let target = tempfile::tempdir().unwrap();
        let at = |name: &str| world.below(target.path(), name);
        write(&at("same"), b"same content");
        write(&at("touched"), b"same content, other time");
        set_time(&at("touched"), TIME + 5, 0);
        write(&at("longer"), b"longer than it was");
        write(&at("sneaky"), b"two");
        set_time(&at("sneaky"), TIME + 5, 0);
        symlink("elsewhere", at("link")).unwrap();
        write(&at("is-folder/mine"), b"mine");
        target
    };

    let target = prepare();
    let outcome = world.restore(target.path(), Overwrite::Never);
    assert!(outcome.is_complete());
    assert_eq!(
        fs::read(world.below(target.path(), "longer")).unwrap(),
        b"longer than it was"
    );
    assert_eq!(
        fs::read_link(world.below(target.path(), "link")).unwrap(),
        Path::new("elsewhere")
    );
    assert!(
        outcome
            .notes
            .iter()
            .any(|note| note.starts_with("6 files or links")),
        "{:?}",
        outcome.notes
    );

    for overwrite in [Overwrite::IfDifferent, Overwrite::Always] {
        let target = prepare();
        let at = |name: &str| world.below(target.path(), name);
        let before = fs::metadata(at("same")).unwrap().ino();
        let outcome = world.restore(target.path(), overwrite);
        assert_eq!(paths(&outcome), [world.root.join("is-folder").to_str().unwrap()]);
        assert!(matches!(outcome.losses[0].reason, Reason::Blocked { .. }));
        assert_eq!(fs::read(at("is-folder/mine")).unwrap(), b"mine");
        // Only what differs is another file than before.
        assert_eq!(
            fs::metadata(at("same")).unwrap().ino() == before,
            overwrite == Overwrite::IfDifferent
        );
        fs::remove_dir_all(at("is-folder")).unwrap();
        fs::copy(world.root.join("is-folder"), at("is-folder")).unwrap();
        set_time(&at("is-folder"), TIME, 0);
        set_time(
            &at(""),
            fs::metadata(&world.root).unwrap().mtime(),
            u32::try_from(fs::metadata(&world.root).unwrap().mtime_nsec()).unwrap(),
        );
        assert!(world.same(target.path()), "{overwrite:?}");
    }
}

#[test]
fn a_link_in_a_folders_place_is_not_followed() {
    let world = World::new(|root| {
        write(&root.join("a/b"), b"content");
        write(&root.join("c"), b"other");
    });
    for overwrite in [Overwrite::Never, Overwrite::IfDifferent, Overwrite::Always] {
        let target = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::create_dir_all(world.below(target.path(), "")).unwrap();
        symlink(elsewhere.path(), world.below(target.path(), "a")).unwrap();
        let outcome = world.restore(target.path(), overwrite);
        assert_eq!(paths(&outcome), [world.root.join("a").to_str().unwrap()]);
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        assert_eq!(fs::read(world.below(target.path(), "c")).unwrap(), b"other");
    }
}

/// What stands under the temporary name is never written through.
#[test]
fn planted_temporary_files_are_replaced() {
    let world = World::new(|root| {
        write(&root.join("small"), b"content");
        write(&root.join("large"), &noise(6 << 20, 0));
    });
    let target = tempfile::tempdir().unwrap();
    let outside = target.path().join("outside");
    write(&outside, b"precious");
    fs::create_dir_all(world.below(target.path(), "")).unwrap();
    symlink(&outside, temporary(&world.below(target.path(), "small"))).unwrap();
    fs::hard_link(&outside, temporary(&world.below(target.path(), "large"))).unwrap();
    let outcome = world.restore(target.path(), Overwrite::Never);
    assert_eq!(outcome.losses, []);
    assert_eq!(fs::read(&outside).unwrap(), b"precious");
    assert_eq!(fs::metadata(&outside).unwrap().nlink(), 1);
    for name in ["small", "large"] {
        let restored = world.below(target.path(), name);
        assert_eq!(
            fs::read(&restored).unwrap(),
            fs::read(world.root.join(name)).unwrap()
        );
        assert!(!temporary(&restored).exists());
    }
}

#[test]
fn owner_and_set_user_id_come_back_together_or_not_at_all() {
    let as_root = rustix::process::geteuid().is_root();
    let world = World::new(|root| {
        write(&root.join("tool"), b"#!");
        if as_root {
            std::os::unix::fs::chown(root.join("tool"), Some(1234), Some(1235)).unwrap();
        }
        fs::set_permissions(root.join("tool"), fs::Permissions::from_mode(0o6755)).unwrap();
    });
    let target = tempfile::tempdir().unwrap();
    assert!(world.restore(target.path(), Overwrite::Never).is_complete());
    let found = fs::metadata(world.below(target.path(), "tool")).unwrap();
    let stored = fs::metadata(world.root.join("tool")).unwrap();
    assert_eq!(
        (found.uid(), found.gid(), found.mode()),
        (stored.uid(), stored.gid(), stored.mode())
    );
}

#[test]
fn damage_costs_the_files_that_need_it_and_no_others() {
    let world = World::new(|root| {
        for i in 0..60u8 {
            // Incompressible: a few packs.
            write(
                &root.join(format!("d{}/f{i}", i % 7)),
                &noise(700_000 + usize::from(i), i * 3),
            );
        }
        write(&root.join("empty"), b"");
    });
    let packs: Vec<ObjectRef> = world
        .objects
        .iter()
        .filter(|object| object.kind == ObjectKind::Pack)
        .copied()
        .collect();
    assert!(packs.len() >= 3);
    let pristine = world.endpoint.bucket.objects.lock().unwrap().clone();
    let victim = packs[1];
    let other = packs[2];
    let needing: Vec<String> = (0..60u8)
        .map(|i| format!("d{}/f{i}", i % 7))
        .filter(|name| world.packs_of(name).contains(&victim.hash))
        .map(|name| world.root.join(name).to_str().unwrap().to_owned())
        .collect();
    assert!(needing.len() > 3 && needing.len() < 40, "{}", needing.len());

    type Harm = fn(&mut Vec<u8>);
    let harms: [(&str, Option<Harm>, bool); 5] = [
        ("deleted", None, true),
        ("header flipped", Some(|bytes| bytes[40] ^= 1), true),
        (
            "bit flipped",
            Some(|bytes| {
                let at = bytes.len() / 2;
                bytes[at] ^= 4;
            }),
            false,
        ),
        ("truncated", Some(|bytes| bytes.truncate(bytes.len() / 2)), false),
        ("emptied", Some(Vec::clear), true),
    ];
    for (what, harm, all) in harms {
        let mut objects = pristine.clone();
        match harm {
            None => drop(objects.remove(&victim.hash)),
            Some(harm) => harm(&mut objects.get_mut(&victim.hash).unwrap().1),
        }
        *world.endpoint.bucket.objects.lock().unwrap() = objects;
        check_loss(&world, what, &needing, all, &victim.hash);
    }
    // Swapped: each holds the other's bytes.
    let mut objects = pristine.clone();
    let (a, b) = (objects[&victim.hash].1.clone(), objects[&other.hash].1.clone());
    objects.get_mut(&victim.hash).unwrap().1 = b;
    objects.get_mut(&other.hash).unwrap().1 = a;
    *world.endpoint.bucket.objects.lock().unwrap() = objects;
    let target = tempfile::tempdir().unwrap();
    let outcome = world.restore(target.path(), Overwrite::Never);
    let hashes: BTreeSet<ObjectHash> = outcome.losses.iter().map(data_hash).collect();
    assert_eq!(hashes, BTreeSet::from([victim.hash, other.hash]));
}

fn data_hash(loss: &agent::snapshot::Loss) -> ObjectHash {
    match &loss.reason {
        Reason::Data {
            hash,
            kind: ObjectKind::Pack,
            ..
        } => *hash,
        other => panic!("{other:?}"),
    }
}

fn check_loss(world: &World, what: &str, needing: &[String], all: bool, victim: &ObjectHash) {
    let target = tempfile::tempdir().unwrap();
    let outcome = world.restore(target.path(), Overwrite::Never);
    let lost = paths(&outcome);
    assert!(
        outcome.losses.iter().all(|loss| data_hash(loss) == *victim),
        "{what}"
    );
    assert!(
        !lost.is_empty() && lost.iter().all(|path| needing.contains(path)),
        "{what}: {lost:?}"
    );
    if all {
        let mut needing = needing.to_vec();
        needing.sort();
        assert_eq!(lost, needing, "{what}");
    } else {
        assert!(
            lost.len() < needing.len(),
            "{what}: only a part of the pack is damaged"
        );
    }
    // Everything else is there, and nothing half written.
    for (path, looks) in describe(&world.root) {
        let shown = world.root.join(String::from_utf8(path.clone()).unwrap());
        let restored = world.below(target.path(), std::str::from_utf8(&path).unwrap());
        if lost.contains(&shown.to_str().unwrap().to_owned()) {
            assert!(!restored.exists() && !temporary(&restored).exists(), "{what}");
        } else if looks.starts_with("file") {
            assert_eq!(fs::read(&restored).unwrap(), fs::read(&shown).unwrap(), "{what}");
        }
    }
}

#[test]
fn a_lost_listing_costs_its_folder_and_lost_indexes_cost_nothing() {
    let world = World::new(|root| {
        for folder in ["a", "b", "c"] {
            write(&root.join(folder).join("inner/file"), folder.as_bytes());
        }
    });
    let pristine = world.endpoint.bucket.objects.lock().unwrap().clone();
    for object in &world.objects {
        if object.kind == ObjectKind::Index {
            world.endpoint.bucket.objects.lock().unwrap().remove(&object.hash);
        }
    }
    let target = tempfile::tempdir().unwrap();
    let outcome = world.restore(target.path(), Overwrite::Never);
    assert_eq!(outcome.losses, []);
    assert!(world.same(target.path()));
    assert!(
        outcome.notes.iter().any(|note| note.contains("index segment")),
        "{:?}",
        outcome.notes
    );

    // One bit in the tree pack: one listing is lost.
    world
        .endpoint
        .bucket
        .objects
        .lock()
        .unwrap()
        .clone_from(&pristine);
    let trees: Vec<_> = world
        .objects
        .iter()
        .filter(|object| object.kind == ObjectKind::TreePack)
        .collect();
    {
        let mut objects = world.endpoint.bucket.objects.lock().unwrap();
        let segment = world
            .objects
            .iter()
            .find(|object| object.kind == ObjectKind::Index)
            .unwrap();
        let layouts = index::open_with_kit(&objects[&segment.hash].1, &world.endpoint.kit).unwrap();
        let layout = layouts.iter().find(|layout| layout.object == *trees[0]).unwrap();
        // A folder's listing is stored behind those of its folders: the first one is that of an `inner`. Which one
        // it is depends on which of the threads was done first.
        let (_, offset, _) = layout.places().next().unwrap();
        let at = usize::try_from(offset).unwrap() + 3;
        objects.get_mut(&trees[0].hash).unwrap().1[at] ^= 1;
    }
    let target = tempfile::tempdir().unwrap();
    let outcome = world.restore(target.path(), Overwrite::Never);
    let [lost] = &paths(&outcome)[..] else {
        panic!("one listing was damaged: {:?}", paths(&outcome));
    };
    let folders = ["a", "b", "c"];
    let is_lost = |folder: &&str| world.root.join(folder).join("inner").to_str() == Some(lost.as_str());
    let hit = folders
        .into_iter()
        .find(is_lost)
        .expect("an `inner` folder is lost");
    assert!(
        matches!(&outcome.losses[0].reason, Reason::Listing { hash, kind: ObjectKind::TreePack, .. } if *hash == trees[0].hash)
    );
    for folder in folders.into_iter().filter(|folder| *folder != hit) {
        let file = world.below(target.path(), &format!("{folder}/inner/file"));
        assert_eq!(fs::read(file).unwrap(), folder.as_bytes());
    }
    assert!(world.below(target.path(), &format!("{hit}/inner")).is_dir());

    // Asked for something below it, the answer is what is known, not "not in the snapshot".
    let order = Order {
        target: target.path().join("part"),
        ..Order::default()
    };
    let wanted = world.root.join(hit).join("inner/file");
    let outcome = world
        .endpoint
        .restore_as(&world.manifest.hash, &order, &[wanted.to_str().unwrap()])
        .unwrap();
    assert!(paths(&outcome).contains(&wanted.to_str().unwrap().to_owned()));
}
