use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use repository::tree::{Node, UnixTime, Xattr};

use super::*;
use crate::snapshot::{Item, What};

/// A machine's accounts, and how often it was asked.
#[derive(Default)]
struct Machine {
    users: Vec<(u32, &'static str)>,
    groups: Vec<(u32, &'static str)>,
    asked: Arc<AtomicUsize>,
}

impl UserDatabase for Machine {
    fn user_name(&self, id: u32) -> Option<Vec<u8>> {
        self.asked.fetch_add(1, Relaxed);
        name_of(&self.users, id)
    }

    fn group_name(&self, id: u32) -> Option<Vec<u8>> {
        self.asked.fetch_add(1, Relaxed);
        name_of(&self.groups, id)
    }

    fn user_id(&self, name: &[u8]) -> Option<u32> {
        self.asked.fetch_add(1, Relaxed);
        id_of(&self.users, name)
    }

    fn group_id(&self, name: &[u8]) -> Option<u32> {
        self.asked.fetch_add(1, Relaxed);
        id_of(&self.groups, name)
    }
}

fn name_of(accounts: &[(u32, &'static str)], id: u32) -> Option<Vec<u8>> {
    let found = accounts.iter().find(|(other, _)| *other == id)?;
    Some(found.1.as_bytes().to_vec())
}

fn id_of(accounts: &[(u32, &'static str)], name: &[u8]) -> Option<u32> {
    let found = accounts.iter().find(|(_, other)| other.as_bytes() == name)?;
    Some(found.0)
}

fn looks(uid: u32, gid: u32) -> Metadata {
    Metadata {
        mode: 0o640,
        uid,
        gid,
        mtime: UnixTime {
            seconds: 0,
            nanoseconds: 0,
        },
        xattrs: vec![],
        owner: None,
    }
}

fn tree(looks: Vec<Metadata>) -> Tree {
    let items = looks.into_iter().map(|looks| Item {
        parent: None,
        name: b"a".to_vec(),
        what: What::Folder,
        looks: Some(looks),
    });
    Tree {
        items: items.collect(),
        ..Tree::default()
    }
}

fn table(users: &[(u32, &str)], groups: &[(u32, &str)]) -> OwnerTable {
    let named = |names: &[(u32, &str)]| {
        let names = names.iter().map(|(id, name)| (*id, name.as_bytes().to_vec()));
        names.collect()
    };
    OwnerTable {
        users: named(users),
        groups: named(groups),
    }
}

/// A machine, what the backup knew, a number, and what becomes of it.
struct Case {
    why: &'static str,
    there: &'static [(u32, &'static str)],
    here: &'static [(u32, &'static str)],
    id: u32,
    becomes: u32,
    note: Option<&'static str>,
}

const CASES: [Case; 10] = [
    Case {
        why: "the same machine",
        there: &[(991, "svc-a")],
        here: &[(991, "svc-a")],
        id: 991,
        becomes: 991,
        note: None,
    },
    Case {
        why: "991 is another's here: the name has another number",
        there: &[(991, "svc-a")],
        here: &[(991, "svc-b"), (992, "svc-a")],
        id: 991,
        becomes: 992,
        note: None,
    },
    Case {
        why: "the name is not known here, and the number is nobody's",
        there: &[(991, "svc-a")],
        here: &[(992, "svc-b")],
        id: 991,
        becomes: 991,
        note: Some("svc-a here: 2 files and folders got its number, 991, which nobody has here"),
    },
    Case {
        why: "the name is not known here, and the number is another's",
        there: &[(991, "svc-a")],
        here: &[(991, "svc-b")],
        id: 991,
        becomes: 991,
        note: Some("svc-a here: 2 files and folders got its number, 991, which is svc-b here"),
    },
    Case {
        why: "no name on either machine",
        there: &[(1, "daemon")],
        here: &[],
        id: 4711,
        becomes: 4711,
        note: None,
    },
    Case {
        why: "no name there, one here",
        there: &[(1, "daemon")],
        here: &[(4711, "anna")],
        id: 4711,
        becomes: 4711,
        note: Some("4711 had no name at the backup and is anna here"),
    },
    Case {
        why: "the superuser under another name",
        there: &[(0, "root")],
        here: &[(0, "toor"), (1000, "root")],
        id: 0,
        becomes: 0,
        note: None,
    },
    Case {
        why: "an account whose name is the superuser's here",
        there: &[(1000, "toor")],
        here: &[(0, "toor")],
        id: 1000,
        becomes: 1000,
        note: Some("toor is the superuser here and was not there: 2 files and folders got its number, 1000"),
    },
    Case {
        why: "two accounts that swapped their numbers",
        there: &[(1000, "anna"), (1001, "bert")],
        here: &[(1001, "anna"), (1000, "bert")],
        id: 1001,
        becomes: 1000,
        note: None,
    },
    Case {
        why: "a backup of a version without names",
        there: &[],
        here: &[(1000, "anna")],
        id: 1000,
        becomes: 1000,
        note: None,
    },
];

#[test]
fn owners_go_by_name_and_else_by_number_and_are_told_of_once() {
    for case in CASES {
        for kind in [Kind::User, Kind::Group] {
            let (names, machine) = match kind {
                Kind::User => (
                    table(case.there, &[]),
                    Machine {
                        users: case.here.to_vec(),
                        ..Machine::default()
                    },
                ),
                Kind::Group => (
                    table(&[], case.there),
                    Machine {
                        groups: case.here.to_vec(),
                        ..Machine::default()
                    },
                ),
            };
            let asked = machine.asked.clone();
            let users = Users::of(machine);
            let mut map = OwnerMap::new(&users, &names);
            let both = match kind {
                Kind::User => looks(case.id, 0),
                Kind::Group => looks(0, case.id),
            };
            let mut tree = tree(vec![both.clone(), both]);
            map.apply(&mut tree);
            for item in &tree.items {
                let looks = item.looks.as_ref().unwrap();
                let (mapped, other) = match kind {
                    Kind::User => (looks.uid, looks.gid),
                    Kind::Group => (looks.gid, looks.uid),
                };
                assert_eq!((mapped, other), (case.becomes, 0), "{}", case.why);
            }
            match (case.note, map.notes().as_slice()) {
                (None, []) => {}
                (Some(words), [note]) => {
                    assert!(note.contains(words) && note.contains(kind.word()), "{note}");
                }
                (_, notes) => panic!("{}: {notes:?}", case.why),
            }
            // Once for the name and once for whose the number is, however many files there are.
            assert!(asked.load(Relaxed) <= 2, "{}", case.why);
        }
    }
}

#[test]
fn an_entrys_own_names_and_those_in_access_control_lists_are_mapped() {
    let users = Users::of(Machine {
        users: vec![(7, "anna"), (8, "bert")],
        ..Machine::default()
    });
    let names = table(&[(1000, "bert")], &[]);
    let mut owned = looks(1000, 0);
    owned.owner = Some(Box::new(OwnerNames {
        user: b"anna".to_vec(),
        group: vec![],
    }));
    let mut listed = looks(0, 0);
    listed.xattrs = vec![Xattr {
        name: acl::ACCESS.to_vec(),
        value: [&[2, 0, 0, 0, 2, 0, 4, 0][..], &1000u32.to_le_bytes()].concat(),
    }];
    let mut tree = tree(vec![owned, listed]);
    let mut map = OwnerMap::new(&users, &names);
    map.apply(&mut tree);
    let looks: Vec<_> = tree
        .items
        .iter()
        .map(|item| item.looks.as_ref().unwrap())
        .collect();
    assert_eq!(looks[0].uid, 7, "the entry's own name comes before the table's");
    assert_eq!(acl::ids(&looks[1].xattrs[0]).collect::<Vec<_>>(), [(false, 8)]);
    assert_eq!(map.notes(), [] as [String; 0]);
}

fn entry(uid: u32, gid: u32) -> Entry {
    let time = UnixTime {
        seconds: 0,
        nanoseconds: 0,
    };
    Entry {
        name: b"a".to_vec(),
        node: Node::Directory { pages: vec![] },
        mode: 0o755,
        uid,
        gid,
        mtime: time,
        ctime: time,
        xattrs: vec![],
        hard_link: None,
        owner: None,
        holes: None,
        windows: None,
        further: None,
    }
}

#[test]
fn each_name_is_asked_for_once_at_a_backup() {
    let machine = Machine {
        users: vec![(0, "root"), (1000, "anna")],
        groups: vec![(100, "users")],
        ..Machine::default()
    };
    let asked = machine.asked.clone();
    let mut owners = Owners::default();
    for _ in 0..1000 {
        owners.add(&entry(1000, 100));
        owners.add(&entry(4711, 100));
    }
    let found = owners.names(&Users::of(machine));
    assert_eq!(found, table(&[(1000, "anna")], &[(100, "users")]));
    assert_eq!(asked.load(Relaxed), 3);
}

/// A directory service that never answers.
struct Hanging(Mutex<mpsc::Receiver<()>>);

impl UserDatabase for Hanging {
    fn user_name(&self, id: u32) -> Option<Vec<u8>> {
        if id > 1 {
            let _ = self.0.lock().unwrap().recv();
        }
        Some(b"first".to_vec())
    }

    fn group_name(&self, _id: u32) -> Option<Vec<u8>> {
        None
    }

    fn user_id(&self, _name: &[u8]) -> Option<u32> {
        None
    }

    fn group_id(&self, _name: &[u8]) -> Option<u32> {
        None
    }
}

#[test]
fn a_user_database_that_hangs_costs_names_and_not_the_backup() {
    let (_never, answer) = mpsc::channel();
    let mut owners = Owners::default();
    owners.add(&entry(1, 1));
    owners.add(&entry(2, 1));
    let users = Users::of(Hanging(Mutex::new(answer)));
    let found = owners.names_within(&users, Duration::from_millis(200));
    assert_eq!(found, table(&[(1, "first")], &[]));
}

#[test]
fn this_machine_knows_its_superuser() {
    let users = Users::default();
    assert_eq!(users.0.user_name(0), Some(b"root".to_vec()));
    assert_eq!(users.0.user_id(b"root"), Some(0));
    assert_eq!(users.0.user_id(b"no such account\0"), None);
    assert_eq!(users.0.group_id(b""), None);
}
