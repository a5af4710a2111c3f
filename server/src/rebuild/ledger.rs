//! What the database holds of a source.

use std::collections::{BTreeMap, HashMap};

use shared::{object::ObjectHash, retention::ObjectState};

use crate::db::{
    agents::Agent, groom::SpareVersion, ledger::LedgerObject, rebuild::Mark, snapshots::Snapshot,
    sources::Source,
};

/// What the database holds of a source, read in one transaction.
pub(super) struct Ledger {
    pub source: Option<Source>,
    pub agent: Option<Agent>,
    pub rows: HashMap<ObjectHash, LedgerObject>,
    /// By number.
    pub snapshots: BTreeMap<u64, Snapshot>,
    pub spares: Vec<SpareVersion>,
    /// What tells whether the ledger moved on since.
    pub mark: Mark,
}

impl Ledger {
    /// The rows whose versions should be in the bucket, whatever the bucket says of who needs them.
    pub(super) fn stored(&self) -> impl Iterator<Item = &LedgerObject> {
        self.rows
            .values()
            .filter(|row| matches!(row.state, ObjectState::Live | ObjectState::Unknown))
    }
}
