//! Whether everything that a snapshot needs is in the bucket: by listing, and what a listing lacks, by name.
//!
//! A version that is there and whose COMPLIANCE lock was confirmed has that lock: one call for 1,000 objects says so. In
//! GOVERNANCE mode, and where nothing proves that COMPLIANCE is kept, each lock is asked for again once in [`ASK_EVERY`].
//!
//! The bucket and the ledger are read side by side, in the order of the keys: no more than a page of either is held.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::SignedDuration;
use repository::layout;
use shared::{
    api::agent::CommitRequest,
    object::{ObjectHash, ObjectKind},
    retention::{LockMode, ObjectState},
    words::counted,
};

use super::{Commit, Failure, PARALLEL, change::Members, of_store};
use crate::{
    db::{
        self,
        absence::{From, Noted},
        ledger::LedgerObject,
    },
    error::ApiError,
    presence::{self, Presence},
    s3::{Bounds, Listed, S3Error, Walk},
    use_cases::confirm,
};

/// How often the lock of an object is asked for again where a lock may be taken away.
const ASK_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// Rows of the ledger that are held at once.
const ROWS: u64 = 2_000;
/// Objects that a listing lacks and that are asked for by name at one try of the job. More than that is no listing to
/// believe: the next try lists again.
const ASKED_BY_NAME: usize = 4_000;
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

/// What a listing showed of the objects of one kind.
#[derive(Default)]
struct Held {
    /// Objects whose confirmed version is not listed.
    absent: Vec<ObjectHash>,
    /// Objects in doubt whose confirmed version is listed.
    seen: Vec<ObjectHash>,
}

impl Commit<'_> {
    /// Compares the bucket with the ledger, and notes what is absent and what was seen again. What that comes to for this
    /// snapshot is for [`none_missing`](Self::none_missing) to say.
    pub(super) async fn look_for_all(&mut self) -> Result<(), Failure> {
        let now = self.app.clock.now();
        let tx = self.app.db.tenant(self.scope).await?;
        let bounds = Bounds::expecting(db::ledger::count(&tx, self.source.id).await?);
        drop(tx);
        let mut absent = Vec::new();
        for kind in KINDS {
            let held = self.held(kind, bounds).await?;
            absent.extend(held.absent);
            if held.seen.is_empty() {
                continue;
            }
            let tx = self.app.db.of_source(self.scope, self.source.id).await?;
            db::absence::seen(&tx, self.source.id, &held.seen).await?;
            tx.commit().await?;
        }
        self.ask_by_name(absent).await?;
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
    fn locks_are_kept(&self) -> bool {
        self.set.policy.mode == LockMode::Compliance && self.set.compliance_proven_at.is_some()
    }

    async fn held(&self, kind: ObjectKind, bounds: Bounds) -> Result<Held, Failure> {
        let zero = ObjectHash::from_bytes([0; 32]);
        let key = layout::object_key(&self.set.prefix, self.source.id, kind, &zero);
        let folder = &key[..key.len() - zero.to_string().len()];
        let mut held = Held::default();
        let mut from = From::start();
        let mut walk = Walk::below(folder, bounds);
        let mut listed: BTreeMap<ObjectHash, Vec<(String, u64)>> = BTreeMap::new();
        loop {
            let page = walk
                .page(self.store.as_ref(), &self.set.bucket)
                .await
                .map_err(|error| of_store("The bucket could not be listed", error))?;
            for entry in page.entries {
                if let Listed::Version {
                    key,
                    version_id,
                    size_bytes,
                } = entry
                    && let Some(hash) = key.strip_prefix(folder).and_then(|name| name.parse().ok())
                {
                    listed.entry(hash).or_default().push((version_id, size_bytes));
                }
            }
            let Some(next) = page.next else {
                self.compare(kind, (&from, None), &listed, &mut held).await?;
                return Ok(held);
            };
            walk.go_on(next)
                .map_err(|error| of_store("The bucket could not be listed", error))?;
            // The last key of a page may go on in the next one.
            let Some(to) = listed.keys().next_back().copied() else {
                continue;
            };
            self.compare(kind, (&from, Some(to)), &listed, &mut held).await?;
            listed = listed.split_off(&to);
            from = From::at(&to);
        }
    }

    /// Compares one range of hashes.
    async fn compare(
        &self,
        kind: ObjectKind,
        (from, to): (&From, Option<ObjectHash>),
        listed: &BTreeMap<ObjectHash, Vec<(String, u64)>>,
        held: &mut Held,
    ) -> Result<(), Failure> {
        let mut from = from.clone();
        loop {
            let tx = self.app.db.tenant(self.scope).await?;
            let rows =
                db::absence::confirmed_between(&tx, self.source.id, kind, (&from, to.as_ref()), ROWS).await?;
            drop(tx);
            for row in &rows {
                let is_it = |(id, size): &(String, u64)| *id == row.version_id && *size == row.size_bytes;
                if listed
                    .get(&row.hash)
                    .is_some_and(|versions| versions.iter().any(is_it))
                {
                    held.seen.extend(row.in_doubt.then_some(row.hash));
                } else {
                    held.absent.push(row.hash);
                }
            }
            match rows.last() {
                Some(last) if rows.len() as u64 == ROWS => from = From::behind(&last.hash),
                _ => return Ok(()),
            }
        }
    }

    /// Asks for what a listing lacked by name: what was put a moment ago may not be listed yet.
    async fn ask_by_name(&mut self, mut absent: Vec<ObjectHash>) -> Result<(), Failure> {
        if absent.is_empty() {
            return Ok(());
        }
        let lacking = absent.len();
        absent.truncate(ASKED_BY_NAME);
        let tx = self.app.db.tenant(self.scope).await?;
        let rows = db::ledger::find(&tx, self.source.id, &absent).await?;
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
        let (mut seen, mut gone) = (Vec::new(), Vec::new());
        for (hash, presence) in asked {
            match presence {
                Presence::Shown(_) => seen.push(hash),
                // The two answers contradict each other: neither is believed.
                Presence::OnlyListed => {}
                Presence::Absent => gone.push(hash),
            }
        }
        let now = self.app.clock.now();
        let tx = self.app.db.of_source(self.scope, self.source.id).await?;
        db::absence::seen(&tx, self.source.id, &seen).await?;
        let noted = db::absence::note(&tx, self.source.id, &gone, now).await?;
        tx.commit().await?;
        if noted != Noted::default() {
            tracing::warn!(run = %self.run.id, ?noted, "objects are not in the bucket");
        }
        if lacking > ASKED_BY_NAME {
            return Err(Failure::Passing(ApiError::conflict(
                "object_store",
                format!(
                    "The bucket's listing lacks {}; it is read again.",
                    counted(lacking as u64, "object", "objects")
                ),
            )));
        }
        Ok(())
    }

    /// Asks for the lock of everything inherited that was not asked for in a day, where a lock may be taken away. What the
    /// lock shows is written down: what falls short is extended by the step after.
    pub(super) async fn ask_for_locks(&mut self, seq: u64) -> Result<(), Failure> {
        if self.locks_are_kept() {
            return Ok(());
        }
        let received_at = self.run.received_at.unwrap_or_else(|| self.app.clock.now());
        loop {
            let tx = self.app.db.tenant(self.scope).await?;
            let rows =
                db::absence::asked_before(&tx, self.source.id, seq, received_at - ASK_EVERY, ROWS).await?;
            drop(tx);
            if rows.is_empty() {
                return Ok(());
            }
            self.ask_locks_of(rows).await?;
        }
    }

    async fn ask_locks_of(&mut self, rows: Vec<LedgerObject>) -> Result<(), Failure> {
        let (store, set, source) = (self.store.clone(), self.set.clone(), self.source.id);
        let asked = rows.into_iter().map(|row| {
            let (store, set) = (store.clone(), set.clone());
            async move {
                let key = row.key(&set.prefix, source);
                let shown = match &row.lock {
                    None => None,
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
                Some(lock) => db::ledger::confirm(&tx, source, hash, &lock, now).await?,
                None => absent.push(hash),
            }
        }
        let noted = db::absence::note(&tx, source, &absent, now).await?;
        tx.commit().await?;
        if noted.suspected > 0 {
            return Err(suspected(noted.suspected));
        }
        Ok(())
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

/// What is gone decides; what is only suspected is waited for.
fn decide(doubt: Noted) -> Result<(), Failure> {
    match doubt {
        Noted {
            gone: gone_now @ 1.., ..
        } => Err(gone(gone_now)),
        Noted { suspected: 0, .. } => Ok(()),
        Noted { suspected: open, .. } => Err(suspected(open)),
    }
}

/// One asking too few.
pub(super) fn suspected(objects: u64) -> Failure {
    Failure::Passing(ApiError::conflict(
        "not_found_yet",
        format!(
            "{} not found in the bucket. That is believed after several askings over some minutes.",
            needed(objects)
        ),
    ))
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
