//! Access control lists and attributes: what a restore leaves is the backup's and nothing else, at no moment more.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use agent::restore::Overwrite;

use crate::support::world::{World, write};

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

/// A list that gives the user 4711 and the group 4712 these permissions; whoever else has those of `mode`.
fn acl(mode: u16, named: u16) -> Vec<u8> {
    let entries: [(u16, u16, u32); 6] = [
        (0x01, mode >> 6 & 7, u32::MAX),
        (0x02, named, 4711),
        (0x04, mode >> 3 & 7, u32::MAX),
        (0x08, named, 4712),
        (0x10, (mode >> 3 & 7) | named, u32::MAX),
        (0x20, mode & 7, u32::MAX),
    ];
    let entries = entries.iter().flat_map(|(tag, perm, id)| {
        [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat()
    });
    [vec![2, 0, 0, 0], entries.collect()].concat()
}

/// Whether this file system has access control lists and attributes.
fn has_lists() -> bool {
    let folder = tempfile::tempdir().unwrap();
    xattr::set(folder.path(), DEFAULT, &acl(0o755, 7)).is_ok()
        && xattr::set(folder.path(), "user.note", b"x").is_ok()
}

fn attributes(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = xattr::list(path)
        .unwrap()
        .map(|name| {
            let value = xattr::get(path, &name).unwrap().unwrap();
            (name.into_string().unwrap(), value)
        })
        .filter(|(name, _)| !name.starts_with("security."))
        .collect();
    found.sort();
    found
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// A source of a private file, one with a list and an attribute of its own, and a folder with a default list.
fn world() -> World {
    World::new(|root| {
        for name in ["private", "listed", "below/inner"] {
            write(&root.join(name), b"secret");
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o640)).unwrap();
        }
        xattr::set(root.join("listed"), ACCESS, &acl(0o640, 4)).unwrap();
        xattr::set(root.join("listed"), "user.note", b"ours").unwrap();
        xattr::set(root.join("below"), DEFAULT, &acl(0o750, 5)).unwrap();
    })
}

fn is_as_it_was(world: &World, target: &Path) {
    for name in ["", "private", "listed", "below", "below/inner"] {
        let (there, here) = (world.root.join(name), world.below(target, name));
        assert_eq!(attributes(&here), attributes(&there), "{name}");
        assert_eq!(mode(&here), mode(&there), "{name}");
    }
    assert!(world.same(target));
}

#[test]
fn what_is_inherited_from_a_default_list_does_not_stay() {
    if !has_lists() {
        return;
    }
    let world = world();
    let target = tempfile::tempdir().unwrap();
    xattr::set(target.path(), DEFAULT, &acl(0o777, 7)).unwrap();
    let outcome = world.restore(target.path(), Overwrite::Never);
    assert_eq!(outcome.losses, []);
    is_as_it_was(&world, target.path());
}

#[test]
fn equal_files_keep_no_foreign_lists_and_attributes() {
    if !has_lists() {
        return;
    }
    let world = world();
    for overwrite in [Overwrite::IfDifferent, Overwrite::Always] {
        let target = tempfile::tempdir().unwrap();
        world.restore(target.path(), Overwrite::Never);
        for name in ["private", "listed", "below", "below/inner"] {
            let path = world.below(target.path(), name);
            xattr::set(&path, ACCESS, &acl(0o644, 6)).unwrap();
            xattr::set(&path, "user.foreign", b"theirs").unwrap();
        }
        xattr::set(world.below(target.path(), "listed"), "user.note", b"changed").unwrap();
        xattr::set(world.below(target.path(), ""), DEFAULT, &acl(0o777, 7)).unwrap();
        let outcome = world.restore(target.path(), overwrite);
        assert_eq!(outcome.losses, []);
        is_as_it_was(&world, target.path());
        // What is as it should be is left alone.
        let ctime = |name| {
            fs::metadata(world.below(target.path(), name))
                .unwrap()
                .ctime_nsec()
        };
        let before = (ctime("private"), ctime("listed"));
        world.restore(target.path(), Overwrite::IfDifferent);
        assert_eq!((ctime("private"), ctime("listed")), before);
    }
}

#[test]
fn never_leaves_lists_and_attributes_as_they_are() {
    if !has_lists() {
        return;
    }
    let world = world();
    let target = tempfile::tempdir().unwrap();
    world.restore(target.path(), Overwrite::Never);
    let path = world.below(target.path(), "private");
    xattr::set(&path, "user.foreign", b"theirs").unwrap();
    let outcome = world.restore(target.path(), Overwrite::Never);
    assert_eq!(
        attributes(&path),
        [("user.foreign".to_owned(), b"theirs".to_vec())]
    );
    assert!(
        outcome
            .notes
            .iter()
            .any(|note| note.contains("stayed as they are"))
    );
}

/// While a file is restored, somebody looks at everything in its folder as often as possible.
#[test]
fn a_private_file_is_readable_by_nobody_else_at_any_moment() {
    if !has_lists() {
        return;
    }
    let world = World::new(|root| {
        for number in 0..200 {
            let path = root.join(format!("{number}"));
            write(&path, b"secret");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        }
    });
    let target = tempfile::tempdir().unwrap();
    let folder = world.below(target.path(), "");
    fs::create_dir_all(&folder).unwrap();
    xattr::set(&folder, DEFAULT, &acl(0o777, 7)).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let watcher = std::thread::spawn({
        let over = over.clone();
        move || {
            let mut looks = 0;
            while !over.load(Relaxed) {
                for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                    looks += 1;
                    let path = entry.path();
                    let (Ok(before), Ok(Some(list)), Ok(after)) = (
                        fs::metadata(&path),
                        xattr::get(&path, ACCESS),
                        fs::metadata(&path),
                    ) else {
                        continue;
                    };
                    // A list is in force as far as its mask allows, and that is the group's part of the mode.
                    let mask = list[4..].chunks_exact(8).find(|entry| entry[0] == 0x10);
                    let in_force = mask.is_none_or(|entry| entry[2] != 0);
                    let mode = before.mode() & after.mode() & 0o077;
                    assert!(!(in_force && mode != 0), "{path:?}: {list:?}");
                }
            }
            looks
        }
    });
    let outcome = world.restore(target.path(), Overwrite::Never);
    over.store(true, Relaxed);
    let looks = watcher.join().unwrap();
    assert_eq!(outcome.losses, []);
    assert!(looks > 0);
    for number in 0..200 {
        let path = world.below(target.path(), &number.to_string());
        assert_eq!((attributes(&path), mode(&path)), (vec![], 0o640));
    }
}
