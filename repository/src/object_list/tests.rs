use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use shared::object::ObjectHash;

use super::*;

/// A source's bucket, as far as lists are concerned.
#[derive(Default)]
struct Source {
    /// In no order.
    now: Vec<ObjectRef>,
    list: ObjectList,
    pages: HashMap<ObjectHash, Vec<u8>>,
    seq: u64,
    made: u64,
}

/// What a run wrote.
struct Written {
    /// New pages, and what the manifest says of the list.
    bytes: u64,
    added: Vec<ObjectRef>,
    dropped: Vec<ObjectHash>,
}

impl Source {
    fn object(&mut self) -> ObjectRef {
        self.made += 1;
        ObjectRef {
            kind: ObjectKind::Pack,
            hash: crate::hash(&self.made.to_be_bytes()),
            size_bytes: 16_000_000 + self.made,
        }
    }

    /// A run that drops the oldest objects and adds new ones.
    fn run(&mut self, added: usize, dropped: usize) -> Written {
        let dropped = dropped.min(self.now.len());
        let gone: Vec<ObjectHash> = self.now.drain(..dropped).map(|object| object.hash).collect();
        let new: Vec<ObjectRef> = (0..added).map(|_| self.object()).collect();
        self.now.extend_from_slice(&new);
        self.change(Delta::new(new, gone).unwrap())
    }

    fn change(&mut self, change: Delta) -> Written {
        self.seq += 1;
        let plan = plan(&self.list, self.seq, change, &self.now, |page| {
            self.pages.get(&page.hash).cloned()
        })
        .unwrap();
        let bytes: u64 = plan.write.iter().map(|(page, _)| page.size_bytes).sum();
        for hash in &plan.dropped {
            self.pages
                .remove(hash)
                .expect("only the parent's pages are dropped");
        }
        let added = plan.write.iter().map(|(page, _)| *page).collect();
        for (page, content) in plan.write {
            assert!(
                self.pages.insert(page.hash, content).is_none(),
                "a page is written once"
            );
        }
        self.list = plan.list;
        Written {
            bytes: bytes + self.list.to_bytes().len() as u64,
            added,
            dropped: plan.dropped,
        }
    }

    fn needed(&self) -> Vec<ObjectRef> {
        let mut needed: Vec<ObjectRef> = self.now.iter().chain(self.list.pages()).copied().collect();
        needed.sort_unstable_by_key(sort_key);
        needed
    }

    fn read(&self) -> Result<Vec<ObjectRef>, ListError> {
        self.read_as(&self.list, &root(&self.needed()))
    }

    fn read_as(&self, list: &ObjectList, root: &ObjectHash) -> Result<Vec<ObjectRef>, ListError> {
        let mut replay = Replay::new(list);
        for page in list.pages() {
            replay.page(&self.pages[&page.hash])?;
        }
        replay.finish(root)
    }
}

/// 10 TiB in packs of 16 MiB, and as many runs with the same small churn on a hundredth of it: the bytes must be
/// those of the churn, not of the size.
#[test]
fn what_a_run_writes_grows_with_churn_and_not_with_size() {
    let total = |objects: usize, churn: usize| {
        let mut source = Source::default();
        let first = source.run(objects, 0).bytes;
        let runs: Vec<u64> = (0..200).map(|_| source.run(churn, churn).bytes).collect();
        assert_eq!(source.read(), Ok(source.needed()));
        assert!(source.list.layers() <= 9, "{} layers", source.list.layers());
        (first, runs.iter().sum::<u64>(), runs.into_iter().max().unwrap())
    };
    let (first, large, worst) = total(650_000, 20);
    assert!(first > 20_000_000, "the first run lists everything: {first}");
    let (_, small, _) = total(6_500, 20);
    // 10.7 KB a run when this was written: 40 entries are 1.5 KB, repeated inline six times and merged a few times.
    assert!(large < 200 * 16_000, "{large} bytes in 200 runs");
    assert!(worst < 400_000, "{worst} bytes in one run");
    assert!(
        large < small * 3 / 2,
        "a hundred times the size: {large} and {small}"
    );
    let (_, busy, _) = total(65_000, 200);
    assert!(
        (large..large * 10).contains(&busy),
        "ten times the churn: {busy} and {large}"
    );
}

#[test]
fn a_list_stays_in_proportion_to_what_it_lists() {
    let mut source = Source::default();
    source.run(20_000, 0);
    for _ in 0..300 {
        source.run(150, 190);
        let entries: u64 = source.list.layers.iter().map(Layer::len).sum();
        assert!(entries <= 3 * source.now.len() as u64 + 600, "{entries} entries");
    }
    // Nearly everything goes: the list shrinks with it.
    source.run(0, source.now.len() - 100);
    assert_eq!(source.list.pages().count(), 0);
    assert_eq!(source.read(), Ok(source.needed()));
}

/// A reader must not be led to a wrong set, whatever stands in the pages.
#[test]
fn lists_that_contradict_themselves_are_refused() {
    let mut source = Source::default();
    source.run(4_000, 0);
    source.run(600, 300);
    source.run(5, 5);
    assert_eq!((source.list.layers(), source.read().is_ok()), (2, true));
    let needed = source.needed();
    let right = root(&needed);
    let refused = |change: &dyn Fn(&mut ObjectList, &mut Source)| {
        let (mut list, mut copy) = (
            source.list.clone(),
            Source {
                pages: source.pages.clone(),
                ..Source::default()
            },
        );
        change(&mut list, &mut copy);
        copy.read_as(&list, &right).unwrap_err()
    };
    let relist = |layer: usize, list: &mut ObjectList, copy: &mut Source, delta: Delta| {
        let (page, bytes) = Page { seq: 9, delta }.encode();
        list.layers[layer].pages = vec![page];
        copy.pages.insert(page.hash, bytes);
    };
    let page = |layer: usize| {
        Page::decode(&source.pages[&source.list.layers[layer].pages[0].hash])
            .unwrap()
            .delta
    };
    let (bottom, top) = (page(0), page(1));

    let twice = |list: &mut ObjectList, _: &mut Source| {
        list.inline = Delta::new(vec![bottom.added()[3_999]], vec![]).unwrap();
    };
    assert!(matches!(refused(&twice), ListError::AddOfPresent { .. }));
    let absent = |list: &mut ObjectList, _: &mut Source| {
        list.inline = Delta::new(vec![], vec![ObjectHash::from_bytes([7; 32])]).unwrap();
    };
    assert!(matches!(refused(&absent), ListError::DropOfAbsent { .. }));
    let counts = |list: &mut ObjectList, _: &mut Source| list.layers[1].added += 1;
    assert_eq!(refused(&counts), ListError::OtherLayer { layer: 1 });
    let other_entries = |list: &mut ObjectList, copy: &mut Source| {
        let mut added = top.added().to_vec();
        added[0].hash = ObjectHash::from_bytes([1; 32]);
        relist(1, list, copy, Delta::new(added, top.dropped().to_vec()).unwrap());
    };
    assert_eq!(refused(&other_entries), ListError::OtherLayer { layer: 1 });
    let other_size = |list: &mut ObjectList, copy: &mut Source| {
        let mut added = top.added().to_vec();
        added[0].size_bytes += 1;
        relist(1, list, copy, Delta::new(added, top.dropped().to_vec()).unwrap());
    };
    assert_eq!(refused(&other_size), ListError::WrongRoot);
    let no_inline = |list: &mut ObjectList, _: &mut Source| list.inline = Delta::default();
    assert_eq!(refused(&no_inline), ListError::WrongRoot);
    let swapped = |list: &mut ObjectList, _: &mut Source| list.layers.swap(0, 1);
    assert!(matches!(refused(&swapped), ListError::DropOfAbsent { .. }));
    let repeated = |list: &mut ObjectList, _: &mut Source| {
        let layer = list.layers[1].clone();
        list.layers.push(layer);
    };
    assert!(matches!(
        refused(&repeated),
        ListError::AddOfPresent { .. } | ListError::DropOfAbsent { .. }
    ));
    let changed = |list: &mut ObjectList, copy: &mut Source| {
        copy.pages.get_mut(&list.layers[0].pages[0].hash).unwrap()[100] ^= 1;
    };
    assert!(matches!(refused(&changed), ListError::OtherPage { .. }));

    let fewer = Replay::new(&source.list).finish(&right);
    assert_eq!(fewer, Err(ListError::OtherPages));
    let mut more = Replay::new(&source.list);
    let contents: Vec<&[u8]> = source
        .list
        .pages()
        .map(|page| source.pages[&page.hash].as_slice())
        .collect();
    contents.iter().for_each(|bytes| more.page(bytes).unwrap());
    assert_eq!(more.page(contents[0]), Err(ListError::OtherPages));
}

#[test]
fn pages_have_one_spelling_and_name_only_what_a_list_names() {
    let mut source = Source::default();
    let objects: Vec<ObjectRef> = (0..3).map(|_| source.object()).collect();
    let delta = Delta::new(objects.clone(), vec![ObjectHash::from_bytes([1; 32])]).unwrap();
    let page = Page { seq: 4, delta };
    let (object, bytes) = page.encode();
    assert_eq!(
        (object.hash, object.size_bytes),
        (crate::hash(&bytes), bytes.len() as u64)
    );
    assert_eq!(Page::decode(&bytes), Ok(page));
    for at in 0..bytes.len() {
        assert!(Page::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(Page::decode(&[bytes, vec![0]].concat()).is_err());
    let empty = Page {
        seq: 1,
        delta: Delta::default(),
    }
    .encode()
    .1;
    assert_eq!(Page::decode(&empty), Err(ListError::Malformed));

    for kind in [ObjectKind::Manifest, ObjectKind::Commit, ObjectKind::ListPage] {
        let object = ObjectRef { kind, ..objects[0] };
        assert_eq!(Delta::new(vec![object], vec![]), Err(ListError::Malformed));
    }
    assert_eq!(
        Delta::new(objects.clone(), vec![objects[1].hash]),
        Err(ListError::Malformed)
    );
    assert_eq!(
        Delta::new([objects.clone(), objects.clone()].concat(), vec![]),
        Err(ListError::Malformed)
    );
    // The reader's check, not only the writer's: the same lists out of order, on the wire.
    let mut backwards = objects;
    backwards.sort_unstable_by_key(|object| std::cmp::Reverse(object.hash));
    let (_, bytes) = Page {
        seq: 1,
        delta: Delta::of_sorted(backwards, vec![]),
    }
    .encode();
    assert_eq!(Page::decode(&bytes), Err(ListError::Malformed));
}

/// The agent's memory of pages may be lost or wrong: the next list is right all the same.
#[test]
fn a_plan_on_false_memories_begins_afresh() {
    let mut source = Source::default();
    source.run(3_000, 0);
    source.run(300, 10);
    let lost: Vec<ObjectRef> = source.list.layers[1].pages.clone();
    let before = source.pages.len();
    for page in &lost {
        source.pages.insert(page.hash, b"damaged".to_vec());
    }
    let written = source.run(300, 0);
    assert_eq!(written.added.len(), 1);
    assert_eq!(written.dropped.len(), before);
    assert_eq!((source.list.layers(), source.read()), (1, Ok(source.needed())));

    // A list that is not the parent's: what it says does not come to the set.
    let other = {
        let mut other = Source {
            made: 1_000_000,
            ..Source::default()
        };
        other.run(3_000, 0);
        other.list
    };
    let now = source.now;
    let plan = plan(&other, 9, Delta::default(), &now, |_| None).unwrap();
    assert!(plan.list.accounts_for(&now) && plan.is_afresh());
    assert_eq!(plan.dropped.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_history_reads_back(runs in proptest::collection::vec((0usize..700, 0usize..900), 1..30)) {
        let mut source = Source::default();
        let mut ledger: BTreeMap<ObjectHash, ObjectRef> = BTreeMap::new();
        for (added, dropped) in runs {
            let before = source.now.clone();
            let written = source.run(added, dropped);
            let (gone, _) = before.split_at(dropped.min(before.len()));
            let (_, new) = source.now.split_at(before.len() - gone.len());
            // As the server counts: parent + added − dropped, pages among them.
            for hash in gone.iter().map(|object| &object.hash).chain(&written.dropped) {
                prop_assert!(ledger.remove(hash).is_some());
            }
            for object in new.iter().chain(&written.added) {
                prop_assert!(ledger.insert(object.hash, *object).is_none());
            }
            prop_assert_eq!(source.read(), Ok(ledger.values().copied().collect()));
            prop_assert_eq!(ObjectList::from_bytes(&source.list.to_bytes()), Ok(source.list.clone()));
            let mut above = 0;
            for layer in source.list.layers.iter().rev() {
                prop_assert!(layer.len() >= 2 * above);
                above += layer.len();
            }
        }
    }

    #[test]
    fn changes_join(objects in 1usize..60, script in proptest::collection::vec(any::<prop::sample::Index>(), 0..120), at in any::<prop::sample::Index>()) {
        // Each step toggles one object; two halves joined are the whole.
        let mut source = Source::default();
        let all: Vec<ObjectRef> = (0..objects).map(|_| source.object()).collect();
        let mut set: BTreeMap<ObjectHash, ObjectRef> = BTreeMap::new();
        let mut changes = Vec::new();
        for step in script {
            let object = all[step.index(objects)];
            changes.push(if set.remove(&object.hash).is_some() {
                Delta::new(vec![], vec![object.hash]).unwrap()
            } else {
                set.insert(object.hash, object);
                Delta::new(vec![object], vec![]).unwrap()
            });
        }
        let join = |changes: &[Delta]| changes.iter().cloned().try_fold(Delta::default(), Delta::then).unwrap();
        let (first, second) = changes.split_at(if changes.is_empty() { 0 } else { at.index(changes.len()) });
        let joined = join(first).then(join(second)).unwrap();
        prop_assert_eq!(&joined, &join(&changes));
        prop_assert_eq!(joined.apply(Vec::new()).unwrap(), set.into_values().collect::<Vec<_>>());
    }
}

/// A manifest of a mebibyte could name 20,000 pages of 4 MiB each, all of which a reader would hold.
#[test]
fn a_list_of_too_many_pages_is_refused() {
    let list = |pages: usize| ObjectList {
        layers: vec![Layer {
            added: 1,
            dropped: 0,
            fold: Fold::default(),
            pages: (0..pages)
                .map(|page| ObjectRef {
                    kind: ObjectKind::ListPage,
                    hash: crate::hash(&page.to_be_bytes()),
                    size_bytes: 1,
                })
                .collect(),
        }],
        inline: Delta::default(),
    };
    let longest = list(MAX_PAGES);
    assert_eq!(ObjectList::from_bytes(&longest.to_bytes()), Ok(longest));
    let longer = list(MAX_PAGES + 1).to_bytes();
    assert_eq!(
        ObjectList::from_bytes(&longer),
        Err(ListError::TooLong { pages: 1_025 })
    );
}
