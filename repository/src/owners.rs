//! Names of owners and groups. Numbers belong to one machine; names are what another machine can map them by.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::wire::WireError;

/// No name is longer, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// No snapshot names more users, and no more groups.
pub const MAX_NAMES: usize = 65_536;

/// The names of the numbers that own the entries of one snapshot, as the machine's user database had them at the backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnerTable {
    /// Users by their numbers.
    pub users: BTreeMap<u32, Vec<u8>>,
    /// Groups by their numbers.
    pub groups: BTreeMap<u32, Vec<u8>>,
}

impl OwnerTable {
    /// Whether it names nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    /// What is within the limits; the rest keeps its numbers alone.
    #[must_use]
    pub fn bounded(self) -> Self {
        let take = |names: BTreeMap<u32, Vec<u8>>| {
            let fitting = names.into_iter().filter(|(_, name)| is_name(name));
            fitting.take(MAX_NAMES).collect()
        };
        Self {
            users: take(self.users),
            groups: take(self.groups),
        }
    }
}

/// Whether it may stand in a table.
pub(crate) fn is_name(name: &[u8]) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.contains(&0)
}

/// A table as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct WireTable {
    #[n(0)]
    users: Vec<WireName>,
    #[n(1)]
    groups: Vec<WireName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
struct WireName {
    #[n(0)]
    id: u32,
    #[cbor(n(1), with = "minicbor::bytes")]
    name: Vec<u8>,
}

impl From<&OwnerTable> for Option<WireTable> {
    fn from(table: &OwnerTable) -> Self {
        let wire = |names: &BTreeMap<u32, Vec<u8>>| {
            let named = names.iter().map(|(id, name)| WireName {
                id: *id,
                name: name.clone(),
            });
            named.collect()
        };
        (!table.is_empty()).then(|| WireTable {
            users: wire(&table.users),
            groups: wire(&table.groups),
        })
    }
}

impl TryFrom<Option<WireTable>> for OwnerTable {
    type Error = WireError;

    fn try_from(wire: Option<WireTable>) -> Result<Self, WireError> {
        let Some(wire) = wire else {
            return Ok(Self::default());
        };
        let refused = WireError::Malformed { what: "owner names" };
        let read = |names: Vec<WireName>| {
            let is_sound = names.len() <= MAX_NAMES
                && names.is_sorted_by(|a, b| a.id < b.id)
                && names.iter().all(|named| is_name(&named.name));
            is_sound.then(|| names.into_iter().map(|named| (named.id, named.name)).collect())
        };
        let table = Self {
            users: read(wire.users).ok_or(refused.clone())?,
            groups: read(wire.groups).ok_or(refused.clone())?,
        };
        // No names are told by the field's absence.
        if table.is_empty() { Err(refused) } else { Ok(table) }
    }
}
