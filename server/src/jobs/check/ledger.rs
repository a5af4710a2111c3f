//! The ledger of one source, beside what a bucket lists and shows. Pure but for reading the ledger.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use shared::{
    api::view::{BucketFindingKind, SnapshotState},
    ids::SourceId,
    object::{ObjectHash, ObjectKind},
    retention::{LockMode, ObjectState},
    words::{count, counted},
};

use crate::{
    app::App,
    db::{
        self,
        checks::NewFinding,
        ledger::{ConfirmedLock, LedgerObject},
    },
    jobs::error::JobError,
    presence::Unseen,
    s3::VersionHead,
    scope::TenantScope,
    source_listing::SourceListing,
};

/// What came of it.
#[derive(Default)]
pub(super) struct Compared {
    pub objects: u64,
    pub bytes: u64,
    pub locks_asked: u64,
    pub findings: Vec<NewFinding>,
    /// Unknown versions beyond those that were looked at.
    pub unlooked: u64,
    /// Delete markers beyond those that are named.
    pub unnamed_markers: u64,
    /// Objects of the ledger that S3 does not give by name, and whether they are listed.
    pub gone: Vec<(ObjectHash, Unseen)>,
    /// Objects that were in doubt and are given.
    pub seen: Vec<ObjectHash>,
    /// Locks that end sooner than the ledger has it, as they are.
    pub shorter: Vec<(ObjectHash, ConfirmedLock)>,
}

/// What S3 is asked for by name after a listing.
#[derive(Default)]
pub(super) struct Questions<'l> {
    /// Objects that are not listed as they were confirmed.
    pub suspects: Vec<&'l LedgerObject>,
    /// Objects that are listed and whose locks are asked for.
    pub sample: Vec<&'l LedgerObject>,
}

/// How the lock falls short of what S3 had confirmed.
fn weakness(row: &LedgerObject, head: &VersionHead) -> Option<String> {
    let kept = row.lock.as_ref()?;
    let Some(shown) = head.lock else {
        return Some(format!("it is not locked; it was until {}", kept.locked_until));
    };
    if shown.mode == LockMode::Governance && kept.mode == LockMode::Compliance {
        return Some("its lock is in GOVERNANCE mode instead of COMPLIANCE".to_owned());
    }
    (shown.retain_until < kept.locked_until).then(|| {
        format!(
            "its lock ends {} instead of {}",
            shown.retain_until, kept.locked_until
        )
    })
}

/// What the ledger is to know of a lock that ends sooner than it has it: then a sweep extends it. What is not locked at all
/// is as if its lock had ended long ago. The mode stays what S3 had confirmed, so that a weaker one goes on being told.
fn shorter(row: &LedgerObject, head: &VersionHead) -> Option<ConfirmedLock> {
    let kept = row.lock.as_ref()?;
    let shown = head.lock.map_or(Timestamp::UNIX_EPOCH, |lock| lock.retain_until);
    (shown < kept.locked_until).then(|| ConfirmedLock {
        locked_until: shown,
        ..kept.clone()
    })
}

/// What the database knows of a source, read in one transaction.
pub(super) struct Ledger {
    id: SourceId,
    rows: HashMap<ObjectHash, LedgerObject>,
    /// Numbers of the snapshots that are kept, ascending.
    kept: Vec<u64>,
    /// Keys and versions that are the ledger's.
    pub(super) known: HashSet<(String, String)>,
    /// Keys that were signed for and not confirmed yet, or that are being deleted.
    pub(super) open_keys: HashSet<String>,
}

impl Ledger {
    pub(super) async fn load(
        app: &App,
        scope: &TenantScope,
        prefix: &str,
        id: SourceId,
    ) -> Result<Self, JobError> {
        let tx = app.db.tenant(scope).await?;
        let newest = db::sources::find(&tx, id)
            .await?
            .map_or(0, |source| source.newest_seq);
        let snapshots = db::snapshots::of_source(&tx, id).await?;
        let mut kept: Vec<u64> = snapshots
            .iter()
            .filter(|snapshot| snapshot.state == SnapshotState::Complete)
            .map(|snapshot| snapshot.seq)
            .collect();
        // One whose locks are being extended.
        if newest > 0 && snapshots.last().is_none_or(|last| last.seq < newest) {
            kept.push(newest);
        }
        let rows = db::ledger::all(&tx, id).await?;
        let spares = db::groom::spares(&tx, id, None, None).await?;
        drop(tx);
        let mut known: HashSet<_> = spares
            .into_iter()
            .map(|spare| (spare.key, spare.version_id))
            .collect();
        let mut open_keys = HashSet::new();
        for row in &rows {
            // A commit record that is signed for has its key when its snapshot is complete.
            let key = match (row.object.kind, row.born) {
                (ObjectKind::Commit, None) => repository::layout::commit_key(prefix, id, newest),
                _ => row.key(prefix, id),
            };
            match &row.lock {
                Some(lock) if row.state != ObjectState::Deleting => {
                    known.insert((key, lock.version_id.clone()));
                }
                _ => drop(open_keys.insert(key)),
            }
        }
        Ok(Self {
            id,
            rows: rows.into_iter().map(|row| (row.object.hash, row)).collect(),
            kept,
            known,
            open_keys,
        })
    }

    fn stored(&self) -> impl Iterator<Item = &LedgerObject> {
        self.rows.values().filter(|row| match row.state {
            ObjectState::Live | ObjectState::Unknown => true,
            // What was sent and confirmed, and is in doubt since.
            ObjectState::Pending => row.in_doubt && row.lock.is_some(),
            ObjectState::Deleting => false,
        })
    }

    /// Compares with a listing: counts, notes other sizes, and gives what S3 is to be asked for. `slice` of `slices` parts has its locks
    /// asked for, and so have the keys in `again`.
    pub(super) fn beside<'l>(
        &'l self,
        listing: &SourceListing,
        prefix: &str,
        (slice, slices): (u32, u32),
        again: &HashSet<String>,
        out: &mut Compared,
    ) -> Questions<'l> {
        let mut questions = Questions::default();
        for row in self.stored() {
            let Some(lock) = &row.lock else {
                // Known to be missing, and noted so, since a rebuild.
                questions.suspects.push(row);
                continue;
            };
            let key = row.key(prefix, self.id);
            let listed = listing
                .versions(&key)
                .iter()
                .find(|version| version.id == lock.version_id);
            out.objects += 1;
            out.bytes += row.object.size_bytes;
            match listed {
                None => questions.suspects.push(row),
                Some(version) if version.size_bytes != row.object.size_bytes => {
                    let detail = format!(
                        "{} instead of {}",
                        counted(version.size_bytes, "byte", "bytes"),
                        count(row.object.size_bytes)
                    );
                    out.findings
                        .push(self.finding(BucketFindingKind::OtherSize, row, key, detail));
                }
                Some(_) => {
                    let [a, b, ..] = *row.object.hash.as_bytes();
                    let is_turn = u32::from(u16::from_be_bytes([a, b])) % slices == slice;
                    if is_turn || row.in_doubt || again.contains(&key) {
                        questions.sample.push(row);
                    }
                }
            }
        }
        questions
    }

    /// Takes what S3 shows of an object that is not listed.
    pub(super) fn take_suspect(
        &self,
        row: &LedgerObject,
        head: Option<&VersionHead>,
        prefix: &str,
        out: &mut Compared,
    ) {
        if head.is_some() {
            out.seen.extend(row.in_doubt.then_some(row.object.hash));
            return;
        }
        let key = row.key(prefix, self.id);
        let detail = "the version that was confirmed is no longer there".to_owned();
        out.findings
            .push(self.finding(BucketFindingKind::Missing, row, key, detail));
        out.gone.push((row.object.hash, Unseen::Absent));
    }

    /// Takes what S3 shows of an object that is listed.
    pub(super) fn take_sampled(
        &self,
        row: &LedgerObject,
        head: Option<&VersionHead>,
        prefix: &str,
        out: &mut Compared,
    ) {
        let key = row.key(prefix, self.id);
        let Some(head) = head else {
            // One of the two answers is false: that is told, and decides nothing soon.
            let detail = "it is listed, and S3 does not give it".to_owned();
            out.findings
                .push(self.finding(BucketFindingKind::Missing, row, key, detail));
            out.gone.push((row.object.hash, Unseen::OnlyListed));
            return;
        };
        out.seen.extend(row.in_doubt.then_some(row.object.hash));
        out.shorter
            .extend(shorter(row, head).map(|lock| (row.object.hash, lock)));
        if let Some(detail) = weakness(row, head) {
            out.findings
                .push(self.finding(BucketFindingKind::WeakLock, row, key, detail));
        }
    }

    fn finding(
        &self,
        kind: BucketFindingKind,
        row: &LedgerObject,
        key: String,
        detail: String,
    ) -> NewFinding {
        let end = row.dropped.unwrap_or(u64::MAX);
        let needs = |born: u64| {
            let from = self.kept.partition_point(|seq| *seq < born);
            self.kept.get(from).is_some_and(|seq| *seq < end)
        };
        NewFinding {
            kind,
            source_id: self.id,
            key,
            version_id: row
                .lock
                .as_ref()
                .map_or_else(String::new, |lock| lock.version_id.clone()),
            needed: row.born.is_some_and(needs),
            detail,
        }
    }

    /// Takes back what is of a row that is no longer the same: a sweep has put the object again, or groomed it.
    pub(super) async fn drop_what_moved(
        &self,
        app: &App,
        scope: &TenantScope,
        out: &mut Compared,
    ) -> Result<(), JobError> {
        if out.findings.is_empty() {
            return Ok(());
        }
        let suspected: HashMap<&str, &LedgerObject> = self
            .rows
            .values()
            .filter_map(|row| Some((row.lock.as_ref()?.version_id.as_str(), row)))
            .collect();
        let hashes: Vec<ObjectHash> = out
            .findings
            .iter()
            .filter_map(|finding| suspected.get(finding.version_id.as_str()))
            .map(|row| row.object.hash)
            .collect();
        let tx = app.db.tenant(scope).await?;
        let now = db::ledger::find(&tx, self.id, &hashes).await?;
        drop(tx);
        let now: HashMap<ObjectHash, LedgerObject> =
            now.into_iter().map(|row| (row.object.hash, row)).collect();
        let is_same = |row: &LedgerObject| {
            let version = |row: &LedgerObject| row.lock.as_ref().map(|lock| lock.version_id.clone());
            now.get(&row.object.hash)
                .is_some_and(|now| now.state == row.state && version(now) == version(row))
        };
        out.findings.retain(|finding| {
            let row = suspected.get(finding.version_id.as_str());
            row.is_none_or(|row| is_same(row))
        });
        let is_here = |hash: &ObjectHash| {
            let row = self.rows.get(hash);
            row.is_none_or(|row| row.lock.is_none() || is_same(row))
        };
        out.gone.retain(|(hash, _)| is_here(hash));
        out.shorter.retain(|(hash, _)| is_here(hash));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
