//! Objects: what lists name and what the ledger has, version by version.

use shared::{
    object::{ObjectKind, ObjectRef},
    retention::ObjectState,
};

use super::{Kind, Side, lock, need};
use crate::{
    db::{
        ledger::{ConfirmedLock, LedgerObject},
        rebuild::RebuiltObject,
    },
    rebuild::{scan::Span, versions::FoundVersion},
};

impl Side<'_> {
    /// Everything that some list names.
    pub(super) fn objects(&mut self) {
        for (hash, span) in &self.found.spans {
            let key = span.key(self.prefix, self.found.id);
            let promise = self.promise(span.born, span.dropped);
            let row = self.ledger.rows.get(hash);
            let version = self.version(hash).cloned();
            if row.is_some_and(|row| row.state == ObjectState::Deleting) {
                if promise.is_some() {
                    let bucket = Some(need(span.born, span.dropped));
                    self.tell(Kind::OtherNeed, key, Some("is being deleted".to_owned()), bucket);
                }
                continue;
            }
            if let (Some(version), Some(promise)) = (&version, promise)
                && version.locked_until() < promise
            {
                let ledger = Some(format!("must be locked until {promise}"));
                self.tell(
                    Kind::LockedTooShort,
                    key.clone(),
                    ledger,
                    Some(lock(version.lock.map(|lock| (lock.mode, lock.retain_until)))),
                );
            }
            match (row, version) {
                (None, None) if promise.is_none() => {}
                (None, None) => {
                    let bucket = Some(need(span.born, span.dropped));
                    self.tell(Kind::MissingInBucket, key, None, bucket);
                    self.put(span, None, None);
                }
                (Some(row), None) => {
                    self.gone(row, key);
                    if !self.same_need(row, span) {
                        self.put(span, Some(row), None);
                    }
                }
                (None, Some(version)) => {
                    let bucket = format!(
                        "version {}, {}",
                        version.version_id,
                        need(span.born, span.dropped)
                    );
                    self.tell(Kind::MissingInLedger, key, None, Some(bucket));
                    self.put(span, None, Some(&version));
                }
                (Some(row), Some(version)) => {
                    let is_other = self.other_row(row, &span.object, &version, &key);
                    let is_same = self.same_need(row, span);
                    if !is_same {
                        let ledger = match (row.state, row.born) {
                            (ObjectState::Live, Some(born)) => need(born, row.dropped),
                            _ => "committed by none".to_owned(),
                        };
                        let bucket = Some(need(span.born, span.dropped));
                        self.tell(Kind::OtherNeed, key, Some(ledger), bucket);
                    }
                    if is_other || !is_same {
                        self.put(span, Some(row), Some(&version));
                    }
                }
            }
        }
    }

    /// What the row says of version, lock and content; whether anything of it is other.
    fn other_row(
        &mut self,
        row: &LedgerObject,
        object: &ObjectRef,
        version: &FoundVersion,
        key: &str,
    ) -> bool {
        let before = self.out.findings.len();
        let ledgers = row.lock.as_ref();
        if ledgers.is_none_or(|lock| lock.version_id != version.version_id) {
            let ledger = ledgers.map(|lock| lock.version_id.clone());
            self.tell(Kind::OtherVersion, key, ledger, Some(version.version_id.clone()));
        }
        let shown = version.lock.map(|lock| (lock.mode, lock.retain_until));
        let kept = ledgers.map(|lock| (lock.mode, lock.locked_until));
        if shown != kept {
            self.tell(Kind::OtherLock, key, Some(lock(kept)), Some(lock(shown)));
        }
        if row.object != *object || row.content_md5 != version.content_md5 {
            let describe = |object: &ObjectRef, md5: &[u8; 16]| {
                let md5 = data_encoding::HEXLOWER.encode(md5);
                Some(format!(
                    "{:?} of {} bytes, MD5 {md5}",
                    object.kind, object.size_bytes
                ))
            };
            let ledger = describe(&row.object, &row.content_md5);
            self.tell(
                Kind::OtherContent,
                key,
                ledger,
                describe(object, &version.content_md5),
            );
        }
        self.out.findings.len() > before
    }

    /// Whether the ledger has it needed by the same snapshots, as far as their lists are known.
    fn same_need(&self, row: &LedgerObject, span: &Span) -> bool {
        let (ObjectState::Live | ObjectState::Unknown, Some(born)) = (row.state, row.born) else {
            return false;
        };
        if matches!(span.object.kind, ObjectKind::Manifest | ObjectKind::Commit) {
            return (born, row.dropped) == (span.born, span.dropped);
        }
        let end = row.dropped.unwrap_or(u64::MAX);
        let from = self.listed.partition_point(|seq| *seq < born);
        let to = self.listed.partition_point(|seq| *seq < end);
        let range = self.listed.get(from..to).unwrap_or_default();
        let ends = (range.first().copied(), range.last().copied());
        let is_ahead = self.ledger.snapshots.keys().next_back() > self.found.snapshots.keys().next_back();
        ends == (Some(span.first), Some(span.last))
            && (is_ahead || span.dropped.is_some() || row.dropped.is_none())
    }

    fn put(&mut self, span: &Span, row: Option<&LedgerObject>, version: Option<&FoundVersion>) {
        let same = row.filter(|row| self.same_need(row, span));
        let (born, dropped) = match same {
            Some(row) => (row.born.unwrap_or(span.born), row.dropped),
            None => (span.born, span.dropped),
        };
        let known = self.ledger.snapshots.get(&span.first);
        self.out.objects.push(RebuiltObject {
            object: span.object,
            content_md5: version
                .map(|version| version.content_md5)
                .or(row.map(|row| row.content_md5)),
            run_id: known.map_or(span.run, |snapshot| snapshot.run_id),
            lock: version.map(|version| self.confirmed(version)),
            born,
            dropped,
        });
    }

    fn confirmed(&self, version: &FoundVersion) -> ConfirmedLock {
        ConfirmedLock {
            version_id: version.version_id.clone(),
            mode: version.lock.map_or(self.mode, |lock| lock.mode),
            locked_until: version.locked_until(),
        }
    }

    fn gone(&mut self, row: &LedgerObject, key: String) {
        let version = row
            .lock
            .as_ref()
            .map(|lock| format!("version {}", lock.version_id));
        self.tell(Kind::MissingInBucket, key, version, None);
        self.out.missing.push(row.object.hash);
    }

    /// Rows that no list of the bucket names.
    pub(super) fn rows_of_no_list(&mut self) {
        let ledger = self.ledger;
        for row in ledger
            .stored()
            .filter(|row| !self.found.spans.contains_key(&row.object.hash))
        {
            let key = row.key(self.prefix, self.found.id);
            let Some(version) = self.version(&row.object.hash).cloned() else {
                self.gone(row, key);
                continue;
            };
            if self.other_row(row, &row.object, &version, &key) {
                let lock = self.confirmed(&version);
                self.out.locks.push((row.object.hash, lock));
            }
            let end = row.dropped.unwrap_or(u64::MAX);
            let listed = self
                .listed
                .iter()
                .find(|seq| row.born.is_some_and(|born| born <= **seq) && **seq < end);
            if let (Some(_), Some(born)) = (listed, row.born) {
                let bucket = Some("no list names it".to_owned());
                self.tell(Kind::OtherNeed, key, Some(need(born, row.dropped)), bucket);
            }
        }
    }
}
