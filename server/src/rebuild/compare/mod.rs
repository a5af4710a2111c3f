//! The bucket's word beside the ledger's: what differs, and what is to be written.

mod objects;
mod snapshots;
mod unknown_versions;

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use shared::{object::ObjectHash, retention::LockMode};

use super::{
    ledger::Ledger,
    report::{Finding, Kind},
    scan::Found,
    versions::FoundVersion,
};
use crate::db::{ledger::ConfirmedLock, rebuild::RebuiltObject, snapshots::Snapshot};

/// What came of it.
#[derive(Default)]
pub(super) struct Comparison {
    pub findings: Vec<Finding>,
    /// Snapshots to add or to correct.
    pub snapshots: Vec<Snapshot>,
    /// Objects to add or to correct.
    pub objects: Vec<RebuiltObject>,
    /// Objects that no list names and whose version or lock is another.
    pub locks: Vec<(ObjectHash, ConfirmedLock)>,
    /// Objects of the ledger that are not in the bucket.
    pub missing: Vec<ObjectHash>,
}

/// Compares.
pub(super) fn compare(
    found: &Found,
    versions: &HashMap<ObjectHash, Option<FoundVersion>>,
    ledger: &Ledger,
    prefix: &str,
    mode: LockMode,
    now: Timestamp,
) -> Comparison {
    let mut side = Side {
        found,
        versions,
        ledger,
        prefix,
        mode,
        now,
        promises: BTreeMap::new(),
        listed: found
            .snapshots
            .iter()
            .filter(|(_, snapshot)| snapshot.unlisted.is_none())
            .map(|(seq, _)| *seq)
            .collect(),
        known: HashMap::new(),
        out: Comparison {
            findings: found.findings.clone(),
            ..Comparison::default()
        },
    };
    side.owner();
    side.snapshots();
    side.objects();
    side.rows_of_no_list();
    side.unknown_versions();
    let mut out = side.out;
    out.findings
        .sort_by(|a, b| (a.kind, &a.subject).cmp(&(b.kind, &b.subject)));
    out
}

struct Side<'a> {
    found: &'a Found,
    versions: &'a HashMap<ObjectHash, Option<FoundVersion>>,
    ledger: &'a Ledger,
    prefix: &'a str,
    mode: LockMode,
    now: Timestamp,
    /// The promise of each snapshot that is kept.
    promises: BTreeMap<u64, Timestamp>,
    /// The numbers whose lists could be read.
    listed: Vec<u64>,
    /// The largest promise among the kept snapshots of a span of numbers.
    known: HashMap<(u64, Option<u64>), Option<Timestamp>>,
    out: Comparison,
}

impl Side<'_> {
    fn tell(
        &mut self,
        kind: Kind,
        subject: impl Into<String>,
        ledger: Option<String>,
        bucket: Option<String>,
    ) {
        self.out
            .findings
            .push(Finding::new(kind, subject, ledger, bucket));
    }

    fn version(&self, hash: &ObjectHash) -> Option<&FoundVersion> {
        self.versions.get(hash).and_then(Option::as_ref)
    }

    /// Whose source it is.
    fn owner(&mut self) {
        let Some(header) = &self.found.newest_header else {
            return;
        };
        if self.ledger.source.is_none() {
            self.tell(Kind::UnknownSource, self.found.id.to_string(), None, None);
        }
        match &self.ledger.agent {
            None => {
                let signer = Some(header.signer.to_hex());
                self.tell(Kind::UnknownAgent, header.agent_id.to_string(), None, signer);
            }
            Some(agent) => {
                let expected = agent.signing_key.to_hex();
                for (signer, seq) in self
                    .found
                    .signers
                    .iter()
                    .filter(|(signer, _)| **signer != expected)
                {
                    let subject = format!("snapshot {seq}");
                    self.tell(
                        Kind::OtherSigner,
                        subject,
                        Some(expected.clone()),
                        Some(signer.clone()),
                    );
                }
            }
        }
    }

    /// The largest promise among the kept snapshots that need what `born` and `dropped` say; `None` when none does.
    fn promise(&mut self, born: u64, dropped: Option<u64>) -> Option<Timestamp> {
        let promises = &self.promises;
        *self.known.entry((born, dropped)).or_insert_with(|| {
            let end = dropped.unwrap_or(u64::MAX);
            (born < end)
                .then(|| promises.range(born..end).map(|(_, promise)| *promise).max())
                .flatten()
        })
    }
}

fn need(born: u64, dropped: Option<u64>) -> String {
    match dropped {
        Some(dropped) if dropped == born + 1 => format!("needed by snapshot {born}"),
        Some(dropped) => format!("needed by snapshots {born} to {}", dropped - 1),
        None => format!("needed from snapshot {born} on"),
    }
}

fn lock(lock: Option<(LockMode, Timestamp)>) -> String {
    match lock {
        Some((mode, until)) => format!("{mode:?} until {until}"),
        None => "not locked".to_owned(),
    }
}
