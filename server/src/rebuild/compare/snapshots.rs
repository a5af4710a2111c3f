//! Snapshots: what their commit records say, beside the ledger's rows.

use shared::{
    anomaly::{Taken, anomalies},
    api::{agent::SnapshotTotals, view::SnapshotState},
    retention::Period,
};

use super::{Kind, Side};
use crate::{
    db::snapshots::Snapshot,
    rebuild::scan::{FoundSnapshot, Span},
};

impl Side<'_> {
    pub(super) fn snapshots(&mut self) {
        let missing: Vec<Span> = self
            .found
            .spans
            .iter()
            .filter(|(hash, _)| self.version(hash).is_none())
            .map(|(_, span)| *span)
            .collect();
        // The newest sound one so far. What a person decided stands in the ledger alone, and so do the figures of single paths: by the
        // totals of all, a snapshot of nothing is no more taken for good than it was at its commit.
        let mut baseline: Option<SnapshotTotals> = None;
        for (seq, snapshot) in &self.found.snapshots {
            let told = self.told(snapshot, baseline.as_ref());
            let row = self.ledger.snapshots.get(seq);
            if let Some(totals) = snapshot.totals
                && row.map_or(told.sound, |row| row.sound)
            {
                baseline = Some(totals);
            }
            let is_final =
                |row: &Snapshot| matches!(row.state, SnapshotState::Expired | SnapshotState::Broken);
            if row.is_some_and(is_final) {
                continue;
            }
            if let Some(reason) = &snapshot.unlisted {
                let reason = Some(reason.clone());
                self.tell(Kind::UnreadableList, format!("snapshot {seq}"), None, reason);
            }
            let Some(row) = row else {
                // Its promise has ended and something of it is gone: it was given up, and that is final.
                let is_expired = told.protected_until < self.now
                    && (snapshot.totals.is_none() || missing.iter().any(|span| span.needed_by(*seq)));
                if !is_expired {
                    self.promises.insert(*seq, told.protected_until);
                }
                let bucket = format!(
                    "{}, received {}, protected until {}",
                    told.id, told.received_at, told.protected_until
                );
                self.tell(
                    Kind::SnapshotMissingInLedger,
                    format!("snapshot {seq}"),
                    None,
                    Some(bucket),
                );
                self.out.snapshots.push(Snapshot {
                    state: if is_expired {
                        SnapshotState::Expired
                    } else {
                        SnapshotState::Complete
                    },
                    expired_at: is_expired.then_some(self.now),
                    ..told
                });
                continue;
            };
            let promise = row.protected_until.max(told.protected_until);
            self.promises.insert(*seq, promise);
            self.other_snapshot(row.clone(), told);
        }
        for (seq, row) in &self.ledger.snapshots {
            if row.state == SnapshotState::Complete && !self.found.snapshots.contains_key(seq) {
                self.promises.insert(*seq, row.protected_until);
                let ledger = Some(row.id.to_string());
                self.tell(
                    Kind::SnapshotMissingInBucket,
                    format!("snapshot {seq}"),
                    ledger,
                    None,
                );
            }
        }
    }

    /// The snapshot as its commit record and manifest tell it.
    fn told(&self, snapshot: &FoundSnapshot, baseline: Option<&SnapshotTotals>) -> Snapshot {
        let record = &snapshot.record;
        let taken = |totals| Taken { totals, paths: &[] };
        let anomalies = snapshot
            .totals
            .as_ref()
            .map_or_else(Vec::new, |totals| anomalies(baseline.map(taken), taken(totals)));
        Snapshot {
            id: record.snapshot_id,
            source_id: record.source_id,
            run_id: record.run_id,
            seq: record.seq,
            state: SnapshotState::Complete,
            received_at: record.received_at,
            protected_until: record.protected_until,
            mode: record.mode,
            manifest: record.manifest,
            totals: snapshot.totals.unwrap_or_default(),
            tiers: record.tiers.iter().copied().map(period).collect(),
            // What is not known to be whole uses no period up.
            clean: snapshot.totals.is_some_and(|totals| totals.warnings == 0),
            sound: anomalies.is_empty(),
            anomalies,
            judgement: None,
            judged_at: None,
            expired_at: None,
        }
    }

    fn other_snapshot(&mut self, row: Snapshot, told: Snapshot) {
        let subject = format!("snapshot {}", row.seq);
        let mut right = row.clone();
        let mut differs = |what: &str, ledger: String, bucket: String, is_other: bool| {
            if is_other {
                let both = (Some(format!("{what} {ledger}")), Some(format!("{what} {bucket}")));
                self.tell(Kind::OtherSnapshot, subject.clone(), both.0, both.1);
            }
            is_other
        };
        // An id or a run is what other rows refer to: those are told of and left.
        differs("id", row.id.to_string(), told.id.to_string(), row.id != told.id);
        differs(
            "run",
            row.run_id.to_string(),
            told.run_id.to_string(),
            row.run_id != told.run_id,
        );
        let mut any = differs(
            "received",
            row.received_at.to_string(),
            told.received_at.to_string(),
            row.received_at != told.received_at,
        );
        any |= differs(
            "manifest",
            row.manifest.hash.to_string(),
            told.manifest.hash.to_string(),
            row.manifest != told.manifest,
        );
        // A snapshot loses no tier, whatever the ledger had beside the record's.
        let more = |of: &[Period], than: &[Period]| -> Vec<Period> {
            let more = of.iter().filter(|tier| !than.contains(tier));
            more.copied().collect()
        };
        let lacked = more(&told.tiers, &row.tiers);
        any |= differs(
            "tiers",
            format!("{:?}", row.tiers),
            format!("{:?}", told.tiers),
            !lacked.is_empty(),
        );
        any |= differs(
            "mode",
            format!("{:?}", row.mode),
            format!("{:?}", told.mode),
            row.mode != told.mode,
        );
        // A promotion is the ledger's alone: a longer promise stays.
        any |= differs(
            "protected until",
            row.protected_until.to_string(),
            told.protected_until.to_string(),
            row.protected_until < told.protected_until,
        );
        if any {
            right.received_at = told.received_at;
            right.manifest = told.manifest;
            right.tiers.extend(lacked);
            right.mode = told.mode;
            right.protected_until = row.protected_until.max(told.protected_until);
            self.out.snapshots.push(right);
        }
    }
}

/// A tier in the words of the policy.
fn period(tier: repository::commit::Tier) -> Period {
    use repository::commit::Tier;
    match tier {
        Tier::Hour => Period::Hour,
        Tier::Day => Period::Day,
        Tier::Week => Period::Week,
        Tier::Month => Period::Month,
        Tier::Year => Period::Year,
    }
}
