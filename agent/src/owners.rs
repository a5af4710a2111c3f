//! Names of owners and groups: taken at a backup from the machine's user database, and mapped by at a restore. Numbers
//! belong to one machine: 991 is one account here and another there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, mpsc},
    time::Duration,
};

use repository::{
    owners::OwnerTable,
    tree::{Entry, OwnerNames},
};
use shared::words::counted;

use crate::{
    acl, clock,
    escape::escaped,
    platform::{self, UserDatabase},
    snapshot::{Metadata, Tree},
};

/// A directory service that does not answer in this time costs the backup names, not the night.
const LOOKUP_LIMIT: Duration = Duration::from_secs(60);

/// A user database, shared between threads.
#[derive(Clone)]
pub struct Users(Arc<dyn UserDatabase>);

impl Users {
    /// Any user database.
    #[must_use]
    pub fn of(users: impl UserDatabase + 'static) -> Self {
        Self(Arc::new(users))
    }
}

impl Default for Users {
    /// This machine's.
    fn default() -> Self {
        Self(Arc::new(platform::SystemUsers))
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Users")
    }
}

/// A user or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    User,
    Group,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }
}

/// The numbers that own what a walk met, those in access control lists among them.
#[derive(Debug, Default)]
pub(crate) struct Owners(BTreeSet<(Kind, u32)>);

impl Owners {
    pub(crate) fn add(&mut self, entry: &Entry) {
        self.0.insert((Kind::User, entry.uid));
        self.0.insert((Kind::Group, entry.gid));
        for attribute in &entry.xattrs {
            for (is_group, id) in acl::ids(attribute) {
                self.0
                    .insert((if is_group { Kind::Group } else { Kind::User }, id));
            }
        }
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Asks for each name once. What is not answered within the limit keeps its number alone.
    pub(crate) fn names(self, users: &Users) -> OwnerTable {
        self.names_within(users, LOOKUP_LIMIT)
    }

    fn names_within(self, users: &Users, limit: Duration) -> OwnerTable {
        let wanted = self.0.len();
        let (found, names) = mpsc::channel();
        let users = users.clone();
        // A call into a directory service that hangs cannot be cut off: its thread is left behind.
        let asking = std::thread::Builder::new()
            .name("names".to_owned())
            .spawn(move || {
                for (kind, id) in self.0 {
                    let name = match kind {
                        Kind::User => users.0.user_name(id),
                        Kind::Group => users.0.group_name(id),
                    };
                    if found.send((kind, id, name)).is_err() {
                        return;
                    }
                }
            });
        let mut table = OwnerTable::default();
        let mut answered = 0;
        let begun = clock::monotonic();
        while asking.is_ok() {
            let left = limit.saturating_sub(clock::monotonic().duration_since(begun));
            let Ok((kind, id, name)) = names.recv_timeout(left) else {
                break;
            };
            answered += 1;
            let of_kind = match kind {
                Kind::User => &mut table.users,
                Kind::Group => &mut table.groups,
            };
            of_kind.extend(name.map(|name| (id, name)));
        }
        if answered < wanted {
            tracing::warn!(
                missing = wanted - answered,
                "the user database did not answer in time: these owners are backed up by number alone"
            );
        }
        table.bounded()
    }
}

/// How owners are put back.
#[derive(Debug, Clone)]
pub enum OwnerPolicy {
    /// By name where both machines know it, and else by number.
    ByName(Users),
    /// By number.
    Numeric,
}

impl Default for OwnerPolicy {
    fn default() -> Self {
        Self::ByName(Users::default())
    }
}

/// What became of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mapped {
    /// As it was, and nothing is wrong.
    Same,
    /// The name has this number here.
    To(u32),
    /// By number, since the name is not known here; whose the number is here.
    Unknown { name: Vec<u8>, here: Option<Vec<u8>> },
    /// By number, since the name stands for the superuser here and did not there.
    Superuser { name: Vec<u8> },
    /// By number: it had no name there, and has one here.
    Nameless { here: Vec<u8> },
}

/// Maps owners from one machine to another. Every name is looked up once.
pub(crate) struct OwnerMap<'a> {
    users: &'a Users,
    table: &'a OwnerTable,
    known: HashMap<(Kind, u32, Option<Vec<u8>>), Mapped>,
    /// Files by what is told of them.
    told: BTreeMap<(Kind, u32, Option<Vec<u8>>), u64>,
}

impl<'a> OwnerMap<'a> {
    pub(crate) fn new(users: &'a Users, table: &'a OwnerTable) -> Self {
        Self {
            users,
            table,
            known: HashMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// Gives everything in the tree the owners that it has on this machine.
    pub(crate) fn apply(&mut self, tree: &mut Tree) {
        let looks = tree.items.iter_mut().filter_map(|item| item.looks.as_mut());
        looks.for_each(|looks| self.map(looks));
    }

    fn map(&mut self, looks: &mut Metadata) {
        let own: Option<OwnerNames> = looks.owner.take().map(|owner| *owner);
        let (user, group) = own.map_or((None, None), |own| (Some(own.user), Some(own.group)));
        let is_known = |name: &Vec<u8>| !name.is_empty();
        looks.uid = self.id(Kind::User, looks.uid, user.filter(is_known));
        looks.gid = self.id(Kind::Group, looks.gid, group.filter(is_known));
        for attribute in &mut looks.xattrs {
            acl::map(attribute, |is_group, id| {
                let kind = if is_group { Kind::Group } else { Kind::User };
                self.id(kind, id, None)
            });
        }
    }

    /// A number here for a number there. `own` is the name that the entry itself has.
    fn id(&mut self, kind: Kind, id: u32, own: Option<Vec<u8>>) -> u32 {
        let key = (kind, id, own);
        if !self.known.contains_key(&key) {
            let mapped = self.look_up(kind, id, key.2.as_deref());
            self.known.insert(key.clone(), mapped);
        }
        match self.known.get(&key) {
            Some(Mapped::To(id)) => *id,
            None | Some(Mapped::Same) => id,
            Some(_) => {
                *self.told.entry(key).or_default() += 1;
                id
            }
        }
    }

    fn look_up(&self, kind: Kind, id: u32, own: Option<&[u8]>) -> Mapped {
        let (names, users) = match kind {
            Kind::User => (&self.table.users, &self.users.0),
            Kind::Group => (&self.table.groups, &self.users.0),
        };
        // The superuser is one and the same everywhere, whatever it is called. And a manifest without any name is of a
        // version that had none.
        if id == 0 || (own.is_none() && self.table.is_empty()) {
            return Mapped::Same;
        }
        let here = |id| match kind {
            Kind::User => users.user_name(id),
            Kind::Group => users.group_name(id),
        };
        let Some(name) = own.or_else(|| names.get(&id).map(Vec::as_slice)) else {
            return here(id).map_or(Mapped::Same, |here| Mapped::Nameless { here });
        };
        let found = match kind {
            Kind::User => users.user_id(name),
            Kind::Group => users.group_id(name),
        };
        let name = name.to_vec();
        match found {
            Some(0) => Mapped::Superuser { name },
            Some(found) if found == id => Mapped::Same,
            Some(found) => Mapped::To(found),
            None => Mapped::Unknown { name, here: here(id) },
        }
    }

    /// What did not fit, a sentence for each name.
    pub(crate) fn notes(&self) -> Vec<String> {
        let notes = self.told.iter().filter_map(|(key, count)| {
            let (word, id) = (key.0.word(), key.1);
            let count = counted(*count, "file or folder", "files and folders");
            Some(match self.known.get(key)? {
                Mapped::Unknown { name, here } => {
                    let name = escaped(name);
                    let whose = here.as_ref().map_or_else(
                        || "which nobody has here".to_owned(),
                        |here| format!("which is {} here", escaped(here)),
                    );
                    format!("there is no {word} {name} here: {count} got its number, {id}, {whose}")
                }
                Mapped::Superuser { name } => format!(
                    "{word} {} is the superuser here and was not there: {count} got its number, {id}",
                    escaped(name)
                ),
                Mapped::Nameless { here } => format!(
                    "{word} {id} had no name at the backup and is {} here: {count} got that number",
                    escaped(here)
                ),
                Mapped::Same | Mapped::To(_) => return None,
            })
        });
        notes.collect()
    }
}

#[cfg(test)]
mod tests;
