//! Whether everything that a snapshot needs is in the bucket: by listing, and what a listing lacks, by name.
//!
//! A version that is there and whose COMPLIANCE lock was confirmed has that lock: one call for 1,000 objects says so. In
//! GOVERNANCE mode, and where nothing proves that COMPLIANCE is kept, each lock is asked for again once in [`ASK_EVERY`].
//!
//! The bucket and the ledger are read side by side, in the order of the keys: no more than a few pages of a listing are held, and rows of
//! the ledger only where a digest of them differs from what is listed.

use std::{collections::HashSet, mem, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use repository::layout;
use shared::{
    api::agent::CommitRequest,
    ids::SourceId,
    object::{ObjectHash, ObjectKind},
    retention::{LockMode, ObjectState},
    words::counted,
};
use tokio::task::JoinSet;

use super::{
    change::Members,
    failure::{Failure, of_store},
    state::{Commit, PARALLEL},
};
use crate::{
    db::{
        self, Db,
        absence::Noted,
        confirmed::{From, RangeDigest},
        groom::SpareVersion,
        ledger::LedgerObject,
    },
    jobs::error::JobError,
    presence::{self, Presence, Unseen},
    s3::{Bounds, Listed, ObjectStore, S3Error, Walk},
    scope::TenantScope,
    use_cases::system::confirm,
};

/// How often the lock of an object is asked for again where a lock may be taken away.
const ASK_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// Rows of the ledger that are held at once.
const ROWS: u64 = 2_000;
/// Ranges, of about a page of a listing each, of which the ledger is asked together.
const RANGES: usize = 4;
/// Objects that a listing lacks and that are asked for by name together. When most of them are there, the listing is not one to
/// believe: the next try lists again.
const ASKED_BY_NAME: usize = 4_000;
/// Further versions that are kept in mind, of a slice.
const REPEATED: usize = 10_000;
/// Those among them that are asked for at one look; the next one asks for others.
const LOOKED_AT: usize = 200;
/// For how long what a listing showed is good enough to complete a snapshot on.
const LISTING_LASTS: SignedDuration = SignedDuration::from_mins(1);

/// The kinds that snapshots share, and the manifest.
const KINDS: [ObjectKind; 5] = [
    ObjectKind::Pack,
    ObjectKind::TreePack,
    ObjectKind::Index,
    ObjectKind::ListPage,
    ObjectKind::Manifest,
];

/// Listings that are under way together: a page takes a store some tenths of a second.
const LISTINGS: usize = 8;
/// A kind with more objects than this is listed in [`SLICES`].
const SLICED_FROM: u64 = 20_000;
/// One for each first digit of a hash.
const SLICES: u8 = 16;

/// The objects of one kind, or those of them whose hash begins with one hexadecimal digit.
#[derive(Clone, Copy)]
struct Slice {
    kind: ObjectKind,
    digit: Option<u8>,
}

impl Slice {
    /// What there is to list, of so many objects a kind.
    fn all(count: impl Fn(ObjectKind) -> u64) -> Vec<Self> {
        let of = |kind: ObjectKind| {
            let digits = if count(kind) > SLICED_FROM {
                (0..SLICES).map(Some).collect()
            } else {
                vec![None]
            };
            digits.into_iter().map(move |digit| Self { kind, digit })
        };
        KINDS.into_iter().flat_map(of).collect()
    }

    /// Its first hash.
    fn first(self) -> ObjectHash {
        let mut first = [0; 32];
        first[0] = self.digit.unwrap_or(0) << 4;
        ObjectHash::from_bytes(first)
    }

    /// The first hash behind it; `None` when there is no other behind it.
    fn end(self) -> Option<ObjectHash> {
        let next = self.digit? + 1;
        (next < SLICES).then(|| {
            let digit = Some(next);
            Self { digit, ..self }.first()
        })
    }
}

/// A version that is listed.
struct ListedVersion {
    hash: ObjectHash,
    version_id: String,
    size_bytes: u64,
}

/// What is listed of the hashes from `first` to before `end`, in the order of the hashes.
struct Range {
    first: From,
    end: Option<ObjectHash>,
    listed: Vec<ListedVersion>,
}

impl Range {
    /// What the ledger's rows come to where each has exactly its version listed, and nothing else is.
    fn digest(&self) -> [u8; 32] {
        let mut digest = RangeDigest::default();
        for version in &self.listed {
            digest.add(&version.hash, &version.version_id, version.size_bytes);
        }
        digest.finish()
    }

    /// The versions of one object.
    fn versions(&self, hash: &ObjectHash) -> impl Iterator<Item = &ListedVersion> {
        let first = self.listed.partition_point(|version| version.hash < *hash);
        self.listed[first..]
            .iter()
            .take_while(|version| version.hash == *hash)
    }
}

/// What a listing showed of the objects of a slice.
#[derive(Default)]
struct Held {
    /// Objects whose confirmed version is not listed, but those that count as gone already.
    absent: Vec<ObjectHash>,
    /// Objects in doubt whose confirmed version is listed.
    doubted: Vec<ObjectHash>,
    /// Further versions of the same size as their object.
    repeated: Vec<(ObjectHash, String)>,
}

/// Lists the bucket beside the ledger. Slices are read in tasks of their own: reading listings is work for every core.
struct Lister {
    db: Db,
    scope: TenantScope,
    store: Arc<dyn ObjectStore>,
    bucket: String,
    prefix: String,
    source: SourceId,
    bounds: Bounds,
}

impl Lister {
    /// What all of these show; a few of them are under way together, and end when this is dropped.
    async fn all(self: Arc<Self>, slices: Vec<Slice>) -> Result<Vec<Held>, Failure> {
        let mut waiting = slices.into_iter();
        let mut listings = JoinSet::new();
        let begin = |slice: Slice, listings: &mut JoinSet<_>| {
            let lister = self.clone();
            listings.spawn(async move { lister.held(slice).await });
        };
        for slice in waiting.by_ref().take(LISTINGS) {
            begin(slice, &mut listings);
        }
        let mut shown = Vec::new();
        while let Some(ended) = listings.join_next().await {
            let held = ended.map_err(|error| JobError::Internal(format!("a listing: {error}")))?;
            shown.push(held?);
            if let Some(slice) = waiting.next() {
                begin(slice, &mut listings);
            }
        }
        Ok(shown)
    }

    /// What one slice shows.
    async fn held(&self, slice: Slice) -> Result<Held, Failure> {
        let (first, end) = (slice.first(), slice.end());
        let key = layout::object_key(&self.prefix, self.source, slice.kind, &first);
        let folder = &key[..key.len() - first.to_string().len()];
        let below = &key[..folder.len() + usize::from(slice.digit.is_some())];
        let mut held = Held::default();
        let mut from = From::at(&first);
        let mut walk = Walk::below(below, self.bounds);
        let (mut listed, mut ranges) = (Vec::new(), Vec::new());
        loop {
            let page = walk
                .page(self.store.as_ref(), &self.bucket)
                .await
                .map_err(|error| of_store("The bucket could not be listed", error))?;
            for entry in page.entries {
                if let Listed::Version {
                    key,
                    version_id,
                    size_bytes,
                    ..
                } = entry
                    && let Some(hash) = key.strip_prefix(folder).and_then(|name| name.parse().ok())
                {
                    listed.push(ListedVersion {
                        hash,
                        version_id,
                        size_bytes,
                    });
                }
            }
            // A stable sort of what is in order already.
            listed.sort_by_key(|version: &ListedVersion| version.hash);
            // Some stores list an entry again at the seam of two pages.
            listed.dedup_by(|a, b| a.hash == b.hash && a.version_id == b.version_id);
            let Some(next) = page.next else {
                ranges.push(Range {
                    first: from,
                    end,
                    listed,
                });
                self.compare(slice.kind, ranges, &mut held).await?;
                return Ok(held);
            };
            walk.go_on(next)
                .map_err(|error| of_store("The bucket could not be listed", error))?;
            // The last key of a page may go on in the next one.
            let Some(last) = listed.last().map(|version| version.hash) else {
                continue;
            };
            let rest = listed.split_off(listed.partition_point(|version| version.hash < last));
            ranges.push(Range {
                first: mem::replace(&mut from, From::at(&last)),
                end: Some(last),
                listed: mem::replace(&mut listed, rest),
            });
            if ranges.len() >= RANGES {
                self.compare(slice.kind, mem::take(&mut ranges), &mut held)
                    .await?;
            }
        }
    }

    /// Compares these ranges with the ledger: by digest, and row by row where that differs or something is in doubt.
    async fn compare(&self, kind: ObjectKind, ranges: Vec<Range>, held: &mut Held) -> Result<(), Failure> {
        let bounds: Vec<_> = ranges
            .iter()
            .map(|range| (range.first.clone(), range.end, range.listed.len() + 1))
            .collect();
        let tx = self.db.tenant(&self.scope).await?;
        let states = db::confirmed::range_states(&tx, self.source, kind, &bounds).await?;
        drop(tx);
        if states.len() != ranges.len() {
            let (asked, told) = (ranges.len(), states.len());
            return Err(JobError::Internal(format!("the ledger tells of {told} of {asked} ranges")).into());
        }
        for (range, state) in ranges.iter().zip(states) {
            if state.in_doubt || state.digest != range.digest() {
                self.compare_rows(kind, range, held).await?;
            }
        }
        Ok(())
    }

    /// Compares one range row by row.
    async fn compare_rows(&self, kind: ObjectKind, range: &Range, held: &mut Held) -> Result<(), Failure> {
        let mut from = range.first.clone();
        loop {
            let tx = self.db.tenant(&self.scope).await?;
            let bounds = (&from, range.end.as_ref());
            let rows = db::confirmed::confirmed_between(&tx, self.source, kind, bounds, ROWS).await?;
            drop(tx);
            for row in &rows {
                let of_its_size = || {
                    let versions = range.versions(&row.hash);
                    versions.filter(|version| version.size_bytes == row.size_bytes)
                };
                if of_its_size().any(|version| version.version_id == row.version_id) {
                    held.doubted.extend(row.in_doubt.then_some(row.hash));
                    if held.repeated.len() < REPEATED {
                        let again = of_its_size().filter(|version| version.version_id != row.version_id);
                        held.repeated
                            .extend(again.map(|version| (row.hash, version.version_id.clone())));
                    }
                } else if !row.missing {
                    held.absent.push(row.hash);
                }
            }
            match rows.last() {
                Some(last) if rows.len() as u64 == ROWS => from = From::behind(&last.hash),
                _ => return Ok(()),
            }
        }
    }
}

impl Commit<'_> {
    // Promise: P1
    /// Compares the bucket with the ledger, and notes what is absent and what was seen again. What that comes to for this
    /// snapshot is for [`none_missing`](Self::none_missing) to say.
    pub(super) async fn look_for_all(&mut self) -> Result<(), Failure> {
        let now = self.app.clock.now();
        let tx = self.app.db.tenant(self.scope).await?;
        let counts = db::ledger::counts(&tx, self.source.id).await?;
        drop(tx);
        let lister = Arc::new(Lister {
            db: self.app.db.clone(),
            scope: *self.scope,
            store: self.store.clone(),
            bucket: self.set.bucket.clone(),
            prefix: self.set.prefix.clone(),
            source: self.source.id,
            bounds: Bounds::expecting(counts.values().sum()),
        });
        let slices = Slice::all(|kind| counts.get(&kind).copied().unwrap_or_default());
        let held = lister.all(slices).await?;
        let (mut doubted, mut absent, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
        for held in held {
            doubted.extend(held.doubted);
            absent.extend(held.absent);
            repeated.extend(held.repeated);
        }
        self.enter_spares(repeated).await?;
        for part in doubted.chunks(ASKED_BY_NAME) {
            self.ask_by_name(part).await?;
        }
        // What was put a moment ago may not be listed yet.
        for part in absent.chunks(ASKED_BY_NAME) {
            let seen = self.ask_by_name(part).await?;
            if seen * 2 > ASKED_BY_NAME {
                return Err(Failure::Passing(JobError::store(format!(
                    "The bucket's listing lacks {} objects that are there; it is read again.",
                    absent.len()
                ))));
            }
        }
        self.present_at = Some(now);
        Ok(())
    }

    /// The same, unless this try of the job has done so a moment ago, and nobody can have deleted anything since.
    pub(super) async fn look_again(&mut self) -> Result<(), Failure> {
        let now = self.app.clock.now();
        match self.present_at {
            Some(at) if self.locks_are_kept() && now.duration_since(at).abs() <= LISTING_LASTS => Ok(()),
            _ => self.look_for_all().await,
        }
    }

    /// Whether it is proven that nobody can delete what is locked.
    pub(super) fn locks_are_kept(&self) -> bool {
        self.set.policy.mode == LockMode::Compliance && self.set.compliance_proven_at.is_some()
    }

    /// An address works for an hour, as often as somebody puts to it: each time is a version with its lock. Those that are not
    /// the ledger's are entered as spare versions, so that they go when their locks end. A version of other content is a
    /// stranger's, and stays for the daily check to tell of.
    async fn enter_spares(&mut self, mut repeated: Vec<(ObjectHash, String)>) -> Result<(), Failure> {
        if repeated.is_empty() {
            return Ok(());
        }
        let tx = self.app.db.tenant(self.scope).await?;
        let known = db::groom::spares(&tx, self.source.id, None, None).await?;
        let known: HashSet<String> = known.into_iter().map(|spare| spare.version_id).collect();
        repeated.retain(|(_, version)| !known.contains(version));
        repeated.truncate(LOOKED_AT);
        let mut hashes: Vec<ObjectHash> = repeated.iter().map(|(hash, _)| *hash).collect();
        hashes.dedup();
        let rows = db::ledger::find(&tx, self.source.id, &hashes).await?;
        drop(tx);
        let mut spares = Vec::new();
        for row in rows {
            let (Some(lock), key) = (&row.lock, row.key(&self.set.prefix, self.source.id)) else {
                continue;
            };
            let versions = confirm::versions(self.store.as_ref(), &self.set.bucket, &key, &row)
                .await
                .map_err(|error| of_store("Versions of an object could not be asked for", error))?;
            let others = versions
                .into_iter()
                .filter(|head| head.version_id != lock.version_id && !known.contains(&head.version_id));
            spares.extend(others.map(|head| SpareVersion {
                key: key.clone(),
                version_id: head.version_id,
                size_bytes: row.object.size_bytes,
                locked_until: head.lock.map_or(row.signed_until, |lock| lock.retain_until),
            }));
        }
        if spares.is_empty() {
            return Ok(());
        }
        tracing::warn!(run = %self.run.id, versions = spares.len(), "objects were put more than once");
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        db::groom::add_spares(&tx, self.source.id, &spares).await?;
        Ok(tx.commit().await?)
    }

    /// Asks for objects by name, and notes what is there and what is not. Gives how many are there.
    async fn ask_by_name(&mut self, hashes: &[ObjectHash]) -> Result<usize, Failure> {
        let tx = self.app.db.tenant(self.scope).await?;
        let rows = db::ledger::find(&tx, self.source.id, hashes).await?;
        drop(tx);
        let (store, set, source) = (self.store.clone(), self.set.clone(), self.source.id);
        let asked = rows.into_iter().filter_map(|row| {
            let version = row.lock.clone()?.version_id;
            let (store, set) = (store.clone(), set.clone());
            Some(async move {
                let key = row.key(&set.prefix, source);
                let presence = presence::ask(store.as_ref(), &set.bucket, &key, &version).await?;
                Ok::<_, S3Error>((row.object.hash, presence))
            })
        });
        let asked: Vec<_> = stream::iter(asked)
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await
            .map_err(|error| of_store("Objects that the listing lacks could not be asked for", error))?;
        let (mut seen, mut unseen) = (Vec::new(), Vec::new());
        for (hash, presence) in asked {
            match presence {
                Presence::Shown(_) => seen.push(hash),
                Presence::Unseen(how) => unseen.push((hash, how)),
            }
        }
        let now = self.app.clock.now();
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        db::absence::seen(&tx, self.source.id, &seen).await?;
        let noted = db::absence::note(&tx, self.source.id, &unseen, now).await?;
        tx.commit().await?;
        if noted != Noted::default() {
            tracing::warn!(run = %self.run.id, ?noted, "objects are not in the bucket");
        }
        Ok(seen.len())
    }

    /// Asks for the lock of everything inherited that was not asked for in a day, where a lock may be taken away. What the
    /// lock shows is written down: what falls short is extended by the step after.
    pub(super) async fn ask_for_locks(&mut self, seq: u64) -> Result<(), Failure> {
        if self.locks_are_kept() {
            return Ok(());
        }
        let before = self.asked_before();
        let (mut after, mut open) = (None, 0);
        loop {
            let tx = self.app.db.tenant(self.scope).await?;
            let rows = db::absence::asked_before(&tx, self.source.id, seq, before, after, ROWS).await?;
            drop(tx);
            let Some(last) = rows.last() else { break };
            after = Some(last.object.hash);
            open += self.ask_locks_of(rows).await?;
        }
        // All of them are asked for first: however many are lost, they are believed to be after the same few tries.
        if open > 0 { Err(suspected(open)) } else { Ok(()) }
    }

    /// A lock that was shown before is asked for again, unless it is proven that none can be taken away.
    pub(super) fn asked_before(&self) -> Timestamp {
        self.run.received_at.unwrap_or_else(|| self.app.clock.now()) - ASK_EVERY
    }

    /// Gives how many were not found and are only suspected.
    async fn ask_locks_of(&mut self, rows: Vec<LedgerObject>) -> Result<u64, Failure> {
        let (store, set, source) = (self.store.clone(), self.set.clone(), self.source.id);
        let asked = rows.into_iter().map(|row| {
            let (store, set) = (store.clone(), set.clone());
            async move {
                let key = row.key(&set.prefix, source);
                let shown = match &row.lock {
                    None => Err(Unseen::Absent),
                    Some(old) => confirm::shown(store.as_ref(), &set.bucket, &key, old).await?,
                };
                Ok::<_, S3Error>((row.object.hash, shown))
            }
        });
        let asked: Vec<_> = stream::iter(asked)
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await
            .map_err(|error| of_store("Locks could not be asked for", error))?;
        let now = self.app.clock.now();
        let tx = self.app.db.of_source(self.scope, source).await?;
        let mut absent = Vec::new();
        for (hash, shown) in asked {
            match shown {
                Ok(lock) => db::ledger::confirm(&tx, source, hash, &lock, now).await?,
                Err(how) => absent.push((hash, how)),
            }
        }
        let noted = db::absence::note(&tx, source, &absent, now).await?;
        tx.commit().await?;
        Ok(noted.suspected)
    }

    /// Refuses when something that snapshot `seq` needs counts as gone; asks for another try when that is suspected only.
    pub(super) async fn none_missing(&self, seq: u64) -> Result<(), Failure> {
        let mut doubt = Noted::default();
        let mut after = None;
        loop {
            let tx = self.app.db.tenant(self.scope).await?;
            let rows = db::absence::doubtful(&tx, self.source.id, after, ROWS).await?;
            drop(tx);
            let Some(last) = rows.last() else { break };
            after = Some(last.object.hash);
            rows.iter()
                .filter(|row| needs(row, seq))
                .for_each(|row| count(&mut doubt, row));
        }
        decide(doubt)
    }

    /// The same for a snapshot that has no number yet: what its parent needs and is not dropped, and what is added.
    pub(super) async fn none_missing_of_change(&self, request: &CommitRequest) -> Result<(), Failure> {
        let (mut added, mut dropped) = (Members::added(request), Members::dropped(request));
        let mut doubt = Noted::default();
        let mut after = None;
        loop {
            let tx = self.app.db.tenant(self.scope).await?;
            let rows = db::absence::doubtful(&tx, self.source.id, after, ROWS).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.object.hash);
            for row in &rows {
                let hash = &row.object.hash;
                let is_inherited = needs(row, request.parent_seq)
                    && is_shared(row.object.kind)
                    && !dropped.contains(self, &tx, hash).await?;
                if is_inherited || *hash == request.manifest.hash || added.contains(self, &tx, hash).await? {
                    count(&mut doubt, row);
                }
            }
        }
        decide(doubt)
    }
}

/// Whether snapshot `seq` needs the object.
fn needs(row: &LedgerObject, seq: u64) -> bool {
    row.state == ObjectState::Live
        && row.born.is_some_and(|born| born <= seq)
        && row.dropped.is_none_or(|dropped| dropped > seq)
}

/// Whether snapshots share objects of this kind. Manifest and commit record are one snapshot's alone.
fn is_shared(kind: ObjectKind) -> bool {
    !matches!(kind, ObjectKind::Manifest | ObjectKind::Commit)
}

fn count(doubt: &mut Noted, row: &LedgerObject) {
    if row.missing {
        doubt.gone += 1;
    } else {
        doubt.suspected += 1;
    }
}

/// What is only suspected is waited for, so that the next run knows of all that is gone.
fn decide(doubt: Noted) -> Result<(), Failure> {
    match doubt {
        Noted {
            suspected: open @ 1..,
            ..
        } => Err(suspected(open)),
        Noted { gone: 0, .. } => Ok(()),
        Noted { gone: all, .. } => Err(gone(all)),
    }
}

/// One asking too few.
pub(super) fn suspected(objects: u64) -> Failure {
    Failure::Passing(JobError::store(format!(
        "{} not found in the bucket. That is believed after several askings over some minutes.",
        needed(objects)
    )))
}

/// Believed.
pub(super) fn gone(objects: u64) -> Failure {
    Failure::Run(format!(
        "Not committed: {} gone from the bucket. The next run sends their data again.",
        needed(objects)
    ))
}

fn needed(objects: u64) -> String {
    counted(
        objects,
        "object that this backup needs is",
        "objects that this backup needs are",
    )
}
