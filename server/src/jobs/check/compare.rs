//! One source's listing beside the ledger.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
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
    s3::{Bounds, S3Error, VersionHead},
    scope::TenantScope,
    source_listing::{SetLocation, SourceListing},
};

/// HEADs that are under way together.
const PARALLEL: usize = 16;
/// HEADs that are prepared together.
const PART: usize = 1_000;
/// Unknown versions that are asked for one by one, and delete markers that are named, at most; the others are counted as they
/// are listed.
const LOOKED_AT: usize = 2_000;

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

/// Compares. `slice` of `slices` parts has its locks asked for, and so have the keys in `again`.
///
/// # Errors
/// When S3 or the database does not answer.
pub(super) async fn source(
    app: &App,
    scope: &TenantScope,
    location: SetLocation<'_>,
    id: SourceId,
    (slice, slices): (u32, u32),
    again: &HashSet<String>,
) -> Result<Compared, JobError> {
    // The bucket first: what is put meanwhile is then in the ledger and missed in the listing, and asked for by name.
    let tx = app.db.tenant(scope).await?;
    let expected = db::ledger::count(&tx, id).await?;
    drop(tx);
    let listing = location.list_source(id, Bounds::expecting(expected)).await?;
    let ledger = Ledger::load(app, scope, location.prefix, id).await?;
    let mut out = Compared::default();
    let Questions { suspects, sample } =
        ledger.beside(&listing, location.prefix, (slice, slices), again, &mut out);
    for (row, head) in heads(location, id, suspects).await? {
        ledger.take_suspect(row, head.as_ref(), location.prefix, &mut out);
    }
    let asked = heads(location, id, sample).await?;
    out.locks_asked = asked.len() as u64;
    for (row, head) in asked {
        ledger.take_sampled(row, head.as_ref(), location.prefix, &mut out);
    }
    unknown_versions(location, id, &listing, &ledger, &mut out).await?;
    ledger.drop_what_moved(app, scope, &mut out).await?;
    Ok(out)
}

/// What S3 is asked for by name after a listing.
#[derive(Default)]
struct Questions<'l> {
    /// Objects that are not listed as they were confirmed.
    suspects: Vec<&'l LedgerObject>,
    /// Objects that are listed and whose locks are asked for.
    sample: Vec<&'l LedgerObject>,
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

async fn heads<'r>(
    location: SetLocation<'_>,
    id: SourceId,
    rows: Vec<&'r LedgerObject>,
) -> Result<Vec<(&'r LedgerObject, Option<VersionHead>)>, S3Error> {
    let mut heads = Vec::with_capacity(rows.len());
    for part in rows.chunks(PART) {
        let asked = part.iter().map(|row| async move {
            let head = match &row.lock {
                None => None,
                Some(lock) => {
                    let key = row.key(location.prefix, id);
                    location
                        .store
                        .head(location.bucket, &key, Some(&lock.version_id))
                        .await?
                }
            };
            Ok::<_, S3Error>((*row, head))
        });
        let asked = stream::iter(asked.collect::<Vec<_>>()).buffer_unordered(PARALLEL);
        heads.extend(asked.try_collect::<Vec<_>>().await?);
    }
    Ok(heads)
}

/// What is listed and nobody signed, and delete markers.
async fn unknown_versions(
    location: SetLocation<'_>,
    id: SourceId,
    listing: &SourceListing,
    ledger: &Ledger,
    out: &mut Compared,
) -> Result<(), S3Error> {
    let mut unknown = Vec::new();
    for (key, versions) in &listing.keys {
        if ledger.open_keys.contains(key) {
            continue;
        }
        for version in versions {
            if !ledger.known.contains(&(key.clone(), version.id.clone())) {
                unknown.push((key, version));
            }
        }
    }
    out.unlooked = unknown.len().saturating_sub(LOOKED_AT) as u64;
    unknown.truncate(LOOKED_AT);
    let asked = unknown.into_iter().map(|(key, version)| async move {
        // The groomer may have deleted it, and forgotten it, since it was listed.
        let is_there = location
            .store
            .head(location.bucket, key, Some(&version.id))
            .await?
            .is_some();
        Ok::<_, S3Error>(is_there.then(|| NewFinding {
            kind: BucketFindingKind::UnknownVersion,
            source_id: id,
            key: key.clone(),
            version_id: version.id.clone(),
            needed: false,
            detail: format!(
                "{} that this server has not signed",
                counted(version.size_bytes, "byte", "bytes")
            ),
        }))
    });
    let found: Vec<Option<NewFinding>> = stream::iter(asked.collect::<Vec<_>>())
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    out.findings.extend(found.into_iter().flatten());
    out.unnamed_markers = listing.markers.len().saturating_sub(LOOKED_AT) as u64;
    let markers = listing.markers.iter().take(LOOKED_AT);
    out.findings.extend(markers.map(|(key, version)| NewFinding {
        kind: BucketFindingKind::DeleteMarker,
        source_id: id,
        key: key.clone(),
        version_id: version.clone(),
        needed: false,
        detail: "somebody deleted the key; the versions beneath are unharmed".to_owned(),
    }));
    Ok(())
}

/// What the database knows of a source, read in one transaction.
struct Ledger {
    id: SourceId,
    rows: HashMap<ObjectHash, LedgerObject>,
    /// Numbers of the snapshots that are kept, ascending.
    kept: Vec<u64>,
    /// Keys and versions that are the ledger's.
    known: HashSet<(String, String)>,
    /// Keys that were signed for and not confirmed yet, or that are being deleted.
    open_keys: HashSet<String>,
}

impl Ledger {
    async fn load(app: &App, scope: &TenantScope, prefix: &str, id: SourceId) -> Result<Self, JobError> {
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
    fn beside<'l>(
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
    fn take_suspect(&self, row: &LedgerObject, head: Option<&VersionHead>, prefix: &str, out: &mut Compared) {
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
    fn take_sampled(&self, row: &LedgerObject, head: Option<&VersionHead>, prefix: &str, out: &mut Compared) {
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
    async fn drop_what_moved(
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
