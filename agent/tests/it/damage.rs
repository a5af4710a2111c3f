//! The damage matrix: whatever happens to whatever object is found, named, costs no more than what was damaged, and is
//! healed by the next backup where the data is still there.

use std::collections::BTreeSet;

use agent::{
    recover::Reading,
    verify::{Defect, Depth, Finding, Options, Subject, verify_source},
};
use repository::{compress::Compression, layout};
use shared::object::{ObjectHash, ObjectKind, ObjectRef};

use crate::support::harm::{HARMS, Harm, World, about, harm, keep, names};
use crate::support::versions::{Versioned, commit_key};

#[test]
fn an_unharmed_bucket_is_sound() {
    let world = World::new();
    for with_kit in [true, false] {
        for depth in [Depth::Structure, Depth::Everything] {
            let report = world.verify(with_kit, depth);
            assert_eq!(report.findings, []);
            assert_eq!(report.snapshots, 2);
            assert!(report.objects > 260);
        }
    }
    for seq in [1, 2] {
        assert_eq!(world.restore(seq).losses, []);
    }
}

#[test]
fn every_harm_to_every_kind_of_object_is_found_named_and_limited() {
    let world = World::new();
    let pristine = keep(&world.bucket);
    for kind in [
        ObjectKind::Pack,
        ObjectKind::TreePack,
        ObjectKind::Index,
        ObjectKind::ListPage,
        ObjectKind::Manifest,
    ] {
        // The largest of its kind, and the next one, or something else where there is only one.
        let mut of_kind: Vec<&(String, ObjectRef)> =
            world.objects.iter().filter(|(_, o)| o.kind == kind).collect();
        of_kind.sort_by_key(|(_, object)| std::cmp::Reverse(object.size_bytes));
        let (key, object) = of_kind[0];
        let (other_key, other) = match of_kind.get(1) {
            Some(other) => other,
            None => some_index(&world),
        };
        for what in HARMS {
            world.bucket.versions.lock().unwrap().clone_from(&pristine);
            harm(&world.bucket, what, key, other_key);
            check(&world, what, object, other);
        }
    }
}

fn check(world: &World, what: Harm, object: &ObjectRef, other: &ObjectRef) {
    let case = format!("{what:?} {:?}", object.kind);
    let is_pack = matches!(object.kind, ObjectKind::Pack | ObjectKind::TreePack);
    // Found and named, with the kit and without it.
    let opened = world.verify(true, Depth::Everything);
    let hashed = world.verify(false, Depth::Everything);
    for (with_kit, report) in [(true, &opened), (false, &hashed)] {
        let found = about(report, object.hash);
        assert!(
            found.iter().any(|f| names(what, &f.defect, other)),
            "{case}: {found:?}"
        );
        assert_eq!(report.is_sound(), what == Harm::Duplicate, "{case}");
        for finding in report.findings.iter().filter(|f| f.defect.is_damage()) {
            let is_meant = finding.hash() == Some(object.hash)
                || (what == Harm::Swap && finding.hash() == Some(other.hash));
            assert!(is_meant, "{case}: {finding}");
        }
        // Looking at lengths finds all that changes them; what is not a pack is read anyway.
        let shallow = world.verify(with_kit, Depth::Structure);
        let seen = about(&shallow, object.hash)
            .iter()
            .any(|f| names(what, &f.defect, other));
        let keeps_length = match what {
            Harm::Flip => true,
            Harm::Swap => object.size_bytes == other.size_bytes,
            _ => false,
        };
        assert!(seen || (is_pack && keeps_length), "{case}");
    }
    if object.kind == ObjectKind::Manifest && !matches!(what, Harm::Duplicate) {
        // Its snapshot is lost, or both that were swapped; no other.
        let reading = world.reading(Some(&world.kit));
        let source = &reading.all().unwrap()[0];
        let left: Vec<u64> = source
            .snapshots
            .iter()
            .map(agent::recover::FoundSnapshot::seq)
            .collect();
        assert_eq!(left.len(), if what == Harm::Swap { 0 } else { 1 }, "{case}");
        for seq in left {
            assert_eq!(world.restore(seq).losses, [], "{case}");
        }
        return;
    }
    // Costs what needs it, and verify had said so: of the newest snapshot that needs it.
    let costs: BTreeSet<&String> = opened
        .findings
        .iter()
        .flat_map(|finding| &finding.files)
        .collect();
    let lost_of = |seq| -> BTreeSet<String> {
        let losses = world.restore(seq).losses;
        losses.into_iter().map(|loss| loss.path).collect()
    };
    let newest = lost_of(2);
    let lost = &lost_of(1) | &newest;
    assert!(
        newest.iter().all(|path| costs.contains(path)),
        "{case}: {newest:?} {costs:?}"
    );
    assert!(
        costs.iter().all(|path| lost.contains(*path)),
        "{case}: {lost:?} {costs:?}"
    );
    let may_cost = is_pack && what != Harm::Duplicate;
    assert_eq!(!lost.is_empty(), may_cost, "{case}: {lost:?}");
    // One pack of two, or both that were swapped.
    let most = if what == Harm::Swap { 40 } else { 25 };
    assert!(lost.len() < most, "{case}: {}", lost.len());
}

#[test]
fn every_harm_to_a_commit_record_is_found_and_costs_no_snapshot() {
    let world = World::new();
    let pristine = keep(&world.bucket);
    let key = |seq| layout::commit_key("", world.endpoint.spec.id, seq);
    for what in HARMS {
        world.bucket.versions.lock().unwrap().clone_from(&pristine);
        harm(&world.bucket, what, &key(1), &key(2));
        for with_kit in [true, false] {
            // Without the server's key nobody can tell a changed date from the right one.
            let reading = Reading {
                commit_key: Some(commit_key().verifying_key()),
                ..world.reading(with_kit.then_some(&world.kit))
            };
            let options = Options {
                depth: Depth::Structure,
                locks: true,
                newest_only: false,
            };
            let report = verify_source(&reading, world.endpoint.spec.id, &options).unwrap();
            let subject = Subject::Record { seq: 1 };
            let found: Vec<&Defect> = report
                .findings
                .iter()
                .filter(|finding| finding.subject == subject)
                .map(|finding| &finding.defect)
                .collect();
            let is_named = match what {
                Harm::Delete => found == [&Defect::Missing],
                Harm::Duplicate => found == [&Defect::Versions { versions: 2 }],
                _ => matches!(found[..], [Defect::Malformed { .. }]),
            };
            assert!(is_named, "{what:?}: {found:?}");
            assert_eq!(report.is_sound(), what == Harm::Duplicate, "{what:?}");
        }
        for seq in [1, 2] {
            assert_eq!(world.restore(seq).losses, [], "{what:?}");
        }
    }
}

/// What verify names goes onto the next run's do-not-reuse list. The data is still on the disk: it enters again. A
/// damaged list page makes the list begin afresh.
#[test]
fn the_next_backup_heals_what_can_be_healed() {
    let kinds = [
        ObjectKind::Pack,
        ObjectKind::TreePack,
        ObjectKind::Index,
        ObjectKind::ListPage,
    ];
    let mut world = World::new();
    let saved = world.save();
    for (kind, what) in kinds.into_iter().flat_map(|kind| HARMS.map(|what| (kind, what))) {
        let case = format!("{what:?} {kind:?}");
        world.rewind(&saved);
        let mut of_kind: Vec<(String, ObjectRef)> = world
            .objects
            .iter()
            .filter(|(_, o)| o.kind == kind)
            .cloned()
            .collect();
        of_kind.sort_by_key(|(_, object)| std::cmp::Reverse(object.size_bytes));
        let (key, object) = of_kind[0].clone();
        let (other_key, other) = of_kind.get(1).unwrap_or_else(|| some_index(&world)).clone();
        harm(&world.bucket, what, &key, &other_key);
        let damaged: BTreeSet<ObjectHash> = world
            .verify(false, Depth::Everything)
            .findings
            .iter()
            .filter(|finding| finding.defect.is_damage())
            .filter_map(Finding::hash)
            .collect();
        let expected: BTreeSet<ObjectHash> = match what {
            // The right version is there as well.
            Harm::Duplicate => BTreeSet::new(),
            Harm::Swap => BTreeSet::from([object.hash, other.hash]),
            _ => BTreeSet::from([object.hash]),
        };
        assert_eq!(damaged, expected, "{case}");
        world.endpoint.do_not_reuse = damaged.into_iter().collect();
        let before = world.endpoint.bucket.objects.lock().unwrap().len();
        let (manifest, objects) = world.backup();
        assert!(!objects.iter().any(|one| expected.contains(&one.hash)), "{case}");
        let sent = world.endpoint.bucket.objects.lock().unwrap().len() - before;
        match (kind, what) {
            (_, Harm::Duplicate) => assert_eq!(sent, 1, "{case}: a manifest"),
            // Nothing but the index, and the list of it.
            (ObjectKind::Index, Harm::Delete) => assert!(sent <= 3, "{case}: {sent}"),
            _ => {}
        }
        // In a bucket of its own, with nothing else to fall back on.
        let healed = Versioned::default();
        let all = world.endpoint.bucket.objects.lock().unwrap().clone();
        for one in objects.iter().chain([&manifest]) {
            let key = layout::object_key("", world.endpoint.spec.id, one.kind, &one.hash);
            healed.put(&key, &all[&one.hash].1);
        }
        let header = repository::manifest::open_header_of_any(&all[&manifest.hash].1).unwrap();
        healed.commit("", manifest, &header);
        world.bucket = healed;
        assert_eq!(world.verify(true, Depth::Everything).findings, [], "{case}");
        assert_eq!(world.restore(3).losses, [], "{case}");
    }
}

/// A list page that is lost takes the names of objects with it. Those are looked at all the same, and what a run that broke
/// off has left there is no damage.
#[test]
fn a_lost_list_page_hides_no_other_damage() {
    let world = World::new();
    let mut left_over = repository::pack::PackBuilder::files();
    let chunk = world.endpoint.secret.chunk_key().id(b"left");
    left_over.add(chunk, 4, Compression::None, b"left").unwrap();
    let left_over = left_over
        .seal(world.kit.public(), &mut agent::random::draw().unwrap())
        .unwrap();
    let key = |object: &ObjectRef| layout::object_key("", world.endpoint.spec.id, object.kind, &object.hash);
    world.bucket.put(&key(&left_over.layout.object), &left_over.bytes);
    let of_kind = |kind| {
        world
            .objects
            .iter()
            .map(|(_, object)| object)
            .filter(move |one| one.kind == kind)
    };
    let page = of_kind(ObjectKind::ListPage).next().unwrap();
    harm(&world.bucket, Harm::Delete, &key(page), "");
    let pristine = keep(&world.bucket);
    let others = of_kind(ObjectKind::Index)
        .chain(of_kind(ObjectKind::TreePack))
        .chain(of_kind(ObjectKind::Pack).take(3));
    for other in others {
        world.bucket.versions.lock().unwrap().clone_from(&pristine);
        harm(&world.bucket, Harm::Flip, &key(other), "");
        for with_kit in [true, false] {
            let report = world.verify(with_kit, Depth::Everything);
            let damage = report
                .findings
                .iter()
                .filter(|finding| finding.defect.is_damage());
            let damaged: BTreeSet<ObjectHash> = damage.filter_map(Finding::hash).collect();
            assert_eq!(
                damaged,
                BTreeSet::from([page.hash, other.hash]),
                "{other:?}, {with_kit}"
            );
        }
    }
}

/// A manifest is signed and locked, and nobody can write it again: its snapshot is lost. The next one is not, nor does it
/// need anything of it but the packs.
#[test]
fn a_damaged_manifest_stays_damaged_and_the_next_snapshot_is_whole() {
    let mut world = World::new();
    let saved = world.save();
    for what in [Harm::Delete, Harm::Truncate, Harm::Flip, Harm::Swap] {
        world.rewind(&saved);
        let newest = world.endpoint.manifest.unwrap();
        let (key, object) = world
            .objects
            .iter()
            .find(|(_, object)| object.hash == newest)
            .unwrap()
            .clone();
        let (other_key, _) = some_index(&world).clone();
        harm(&world.bucket, what, &key, &other_key);
        if what == Harm::Swap {
            // The other one is healed, as above.
            world.endpoint.do_not_reuse = vec![some_index(&world).1.hash];
        }
        world.backup();
        let report = world.verify(true, Depth::Everything);
        let damaged: Vec<_> = report.findings.iter().filter(|f| f.defect.is_damage()).collect();
        assert!(
            about(&report, object.hash).iter().any(|f| f.defect.is_damage()),
            "{what:?}"
        );
        for finding in damaged {
            assert!(!finding.snapshots.contains(&3), "{what:?}: {finding}");
        }
        assert_eq!(world.restore(3).losses, [], "{what:?}");
        assert_eq!(world.restore(1).losses, [], "{what:?}");
    }
}

/// An index segment that the newest snapshot needs.
fn some_index(world: &World) -> &(String, ObjectRef) {
    let mut indexes = world.objects.iter().filter(|(_, o)| o.kind == ObjectKind::Index);
    indexes.next().unwrap()
}

/// A share of the packs is read, the same for the same seed, and its damage is found then.
#[test]
fn a_share_finds_what_it_reads() {
    let world = World::new();
    let packs: Vec<_> = world
        .objects
        .iter()
        .filter(|(_, o)| o.kind == ObjectKind::Pack)
        .collect();
    for (key, _) in &packs {
        harm(&world.bucket, Harm::Flip, key, "");
    }
    let depth = Depth::Share { share: 0.3, seed: 11 };
    let report = world.verify(false, depth);
    let expected = packs
        .iter()
        .filter(|(_, object)| depth.reads(&object.hash))
        .count();
    assert!(expected > 40 && expected < packs.len() / 2);
    assert_eq!(
        report
            .findings
            .iter()
            .filter(|f| f.defect == Defect::Changed)
            .count(),
        expected
    );
}
