//! The periodic comparison of a backup set's bucket with the ledger, without any key: existence, version and size of every
//! object by listing, and the locks of a part of them by HEAD. After [`SLICES`] checks every lock was asked for.
//!
//! A COMPLIANCE lock that S3 has once confirmed can not get weaker, if the provider keeps its word. That it does is what is looked
//! at here, and what GOVERNANCE locks have become.
//!
//! It runs beside backups, sweeps and grooming, so whatever looks wrong is asked of S3 and of the ledger again before it is
//! told. Nothing is ever deleted. An object that is not found is noted in the ledger, and sweeps ask for it until it is seen or
//! believed to be gone: then the next backup sends its data again. One that is seen clears what was noted. A lock that ends too soon is noted too: the sweep that follows extends it.

mod compare;
mod ledger;

use std::{collections::BTreeSet, time::Duration};

use jiff::{SignedDuration, Timestamp};
use shared::{
    api::view::{BucketCheckReport, BucketFindingKind, LiveEvent},
    ids::BackupSetId,
    ids::SourceId,
    object::ObjectHash,
};

use self::ledger::Compared;
use super::{
    error::JobError,
    job::{Context, Job},
};
use crate::{
    app::App,
    db::{
        self,
        backup_sets::BackupSet,
        checks::{BucketCheck, NewFinding},
        ledger::ConfirmedLock,
    },
    presence::Unseen,
    scope::TenantScope,
    source_listing::SetLocation,
};

/// So many checks ask for every lock once.
const SLICES: u32 = 28;
/// Findings of one kind that are kept, at most: whoever has the bucket's keys can make a million versions. All are counted.
const KEPT: usize = 500;

/// When the first check of a set is, within `every` from now: another time for each set.
pub(super) fn first_within(set: BackupSetId, every: SignedDuration) -> SignedDuration {
    // The last bytes of a UUIDv7 are random.
    let [.., a, b] = set.as_uuid().into_bytes();
    let parts = i32::from(u16::from_be_bytes([a, b]));
    every / (i32::from(u16::MAX) + 1) * parts
}

/// A check of one backup set.
pub(super) struct Check<'a> {
    app: &'a App,
    scope: &'a TenantScope,
    set: BackupSet,
    began_at: Timestamp,
    report: BucketCheckReport,
    findings: Vec<NewFinding>,
    /// Objects of the ledger that S3 does not show.
    gone: Vec<(SourceId, Vec<(ObjectHash, Unseen)>)>,
    /// Objects that were in doubt and are there.
    seen: Vec<(SourceId, Vec<ObjectHash>)>,
    /// Locks that end sooner than the ledger has it.
    shorter: Vec<(SourceId, ObjectHash, ConfirmedLock)>,
}

impl<'a> Job<'a> for Check<'a> {
    /// A check that is stopped begins anew.
    const LONGEST: Duration = Duration::from_secs(6 * 3_600);

    async fn load(context: Context<'a>) -> Result<Option<Self>, JobError> {
        let Context { app, scope, .. } = context;
        let tx = app.db.tenant(scope).await?;
        let set = BackupSetId::from_uuid(context.subject);
        let Some(set) = db::backup_sets::find(&tx, set).await? else {
            return Ok(None);
        };
        let before = db::checks::newest(&tx, set.id).await?.map(|check| check.report);
        Ok(Some(Self {
            app,
            scope,
            set,
            began_at: app.clock.now(),
            report: BucketCheckReport {
                slices: SLICES,
                slice: before.as_ref().map_or(0, |before| match before.refused {
                    // It has not been through.
                    Some(_) => before.slice,
                    None => (before.slice + 1) % SLICES,
                }),
                whole_at: before.and_then(|before| before.whole_at),
                ..BucketCheckReport::default()
            },
            findings: Vec::new(),
            gone: Vec::new(),
            seen: Vec::new(),
            shorter: Vec::new(),
        }))
    }

    async fn work(&mut self) -> Result<(), JobError> {
        self.drive().await
    }

    /// Writes the report, and notes in the ledger what a whole check found.
    async fn conclude(mut self, outcome: Result<(), JobError>) -> Result<(), JobError> {
        if let Err(error) = &outcome {
            tracing::warn!(%error, set = %self.set.id, "a bucket could not be compared with the ledger");
            self.report.refused = Some(error.sentence().unwrap_or_else(|| {
                "The check broke off; the server's log says why. It is tried again.".to_owned()
            }));
        }
        self.record().await?;
        outcome
    }
}

impl Check<'_> {
    async fn drive(&mut self) -> Result<(), JobError> {
        let tx = self.app.db.tenant(self.scope).await?;
        let account = db::storage_accounts::find(&tx, self.set.storage_account_id)
            .await?
            .ok_or_else(|| JobError::Internal("no such storage account".into()))?;
        let mut sources = db::sources::all(&tx).await?;
        sources.retain(|source| source.backup_set_id == self.set.id);
        let before = db::checks::findings(&tx, self.set.id, None).await?;
        drop(tx);
        let store = self.app.store(self.scope, &account)?;
        let location = SetLocation {
            store: store.as_ref(),
            bucket: &self.set.bucket,
            prefix: &self.set.prefix,
        };
        let asked_again =
            |finding: &&shared::api::view::BucketFindingView| finding.kind == BucketFindingKind::WeakLock;
        let again = before
            .iter()
            .filter(asked_again)
            .map(|finding| finding.key.clone())
            .collect();
        let parts = (self.report.slice, self.report.slices);
        // What is noted of absent objects bears a time.
        self.app
            .clocks
            .compare(account.id, store.as_ref(), &self.set.bucket)
            .await
            .map_err(|error| unanswered(error.into()))?;
        let mut done = Vec::with_capacity(sources.len());
        for source in sources {
            let compared = compare::source(self.app, self.scope, location, source.id, parts, &again)
                .await
                .map_err(unanswered)?;
            done.push((source.id, compared));
        }
        for (source, compared) in done {
            self.take(source, compared);
        }
        Ok(())
    }

    fn take(&mut self, source: SourceId, compared: Compared) {
        let report = &mut self.report;
        report.objects += compared.objects;
        report.bytes += compared.bytes;
        report.locks_asked += compared.locks_asked;
        report.unknown_versions += compared.unlooked;
        report.delete_markers += compared.unnamed_markers;
        for finding in compared.findings {
            let count = match finding.kind {
                BucketFindingKind::Missing => &mut report.missing,
                BucketFindingKind::OtherSize => &mut report.other_size,
                BucketFindingKind::WeakLock => &mut report.weak_lock,
                BucketFindingKind::UnknownVersion => &mut report.unknown_versions,
                BucketFindingKind::DeleteMarker => &mut report.delete_markers,
            };
            *count += 1;
            if finding.kind == BucketFindingKind::Missing && finding.needed {
                report.needed_missing += 1;
            }
            self.findings.push(finding);
        }
        if !compared.gone.is_empty() {
            self.gone.push((source, compared.gone));
        }
        if !compared.seen.is_empty() {
            self.seen.push((source, compared.seen));
        }
        let shorter = compared.shorter.into_iter();
        self.shorter
            .extend(shorter.map(|(hash, lock)| (source, hash, lock)));
    }

    /// What is there, what is gone and which locks end too soon, one source after the other.
    async fn tell_ledger(&self, now: Timestamp) -> Result<(), JobError> {
        let seen = self.seen.iter().map(|(source, _)| *source);
        let gone = self.gone.iter().map(|(source, _)| *source);
        let shorter = self.shorter.iter().map(|(source, ..)| *source);
        let sources: BTreeSet<SourceId> = seen.chain(gone).chain(shorter).collect();
        for id in sources {
            let tx = self.app.db.of_source(self.scope, id).await?;
            for (_, hashes) in self.seen.iter().filter(|(source, _)| *source == id) {
                db::absence::seen(&tx, id, hashes).await?;
            }
            let mut is_due = false;
            for (_, hashes) in self.gone.iter().filter(|(source, _)| *source == id) {
                is_due |= db::absence::note(&tx, id, hashes, now).await?.suspected > 0;
            }
            for (_, hash, lock) in self.shorter.iter().filter(|(source, ..)| *source == id) {
                db::ledger::confirm(&tx, id, *hash, lock, now).await?;
                is_due = true;
            }
            if is_due {
                db::sources::set_next_sweep(&tx, id, now).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    async fn record(mut self) -> Result<(), JobError> {
        let now = self.app.clock.now();
        let is_whole = self.report.refused.is_none();
        if is_whole {
            self.tell_ledger(now).await?;
        }
        let tx = self.app.db.tenant(self.scope).await?;
        db::backup_sets::lock(&tx, self.set.id).await?;
        if is_whole {
            self.report.whole_at = Some(now);
            self.findings
                .sort_by_key(|finding| (finding.kind, !finding.needed));
            let mut kept = 0;
            let mut last = None;
            self.findings.retain(|finding| {
                kept = if last == Some(finding.kind) { kept + 1 } else { 1 };
                last = Some(finding.kind);
                kept <= KEPT
            });
            db::checks::set_findings(&tx, self.set.id, &self.findings, now).await?;
        }
        let check = BucketCheck {
            backup_set_id: self.set.id,
            began_at: self.began_at,
            // A clock that was set back in between makes no check end before it began.
            ended_at: now.max(self.began_at),
            report: self.report,
        };
        db::checks::add(&tx, &check).await?;
        if is_whole {
            let event = db::audit::Event {
                actor: "system",
                action: "bucket.check",
                subject: self.set.id.to_string(),
                detail: serde_json::json!({ "bucket": self.set.bucket, "report": check.report }),
            };
            db::audit::add(&tx, event, now).await?;
        }
        tx.commit().await?;
        if !check.report.is_clean() {
            tracing::warn!(set = %self.set.id, report = ?check.report, "a bucket is not as it should be");
        }
        let event = LiveEvent::Check {
            backup_set: self.set.id,
        };
        self.app.live.send(self.scope.tenant(), event);
        Ok(())
    }
}

fn unanswered(error: JobError) -> JobError {
    match error.sentence() {
        Some(_) => error,
        None => JobError::store(format!(
            "The S3 endpoint or the database could not be asked: {error}."
        )),
    }
}
