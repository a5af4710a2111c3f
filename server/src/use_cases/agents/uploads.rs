//! Signing what an agent may send: one object at a time, under its own source's prefix, with its lock.

use std::collections::{HashMap, HashSet};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use repository::layout;
use shared::{
    api::agent::{OBJECTS_PER_CALL, UploadRequest, UploadTicket, UploadsRequest},
    ids::{RunId, SourceId},
    limits::Limit,
    object::{ObjectHash, ObjectKind, ObjectRef},
    retention::{UploadLock, upload_lock},
};

use super::{
    caller::{find_own_run, must_run, own_run},
    upload_budget,
    upload_decision::{UploadDecision, WantedObject, decide, needs_confirmation},
};
use crate::{
    app::App,
    db::{
        self,
        backup_sets::BackupSet,
        groom::SpareVersion,
        ledger::{ConfirmedLock, LedgerObject, NewObject},
        needed::Needed,
        storage_accounts::StorageAccount,
    },
    error::ApiError,
    s3::{Lock, ObjectStore, SignPut},
    scope::Caller,
    use_cases::system::{confirm, protection},
};

/// How long a signed address works.
const ADDRESS_LIFE: SignedDuration = SignedDuration::from_hours(1);
/// HEADs that are under way together.
const PARALLEL: usize = 16;
/// For how long after an address was signed an object that has not arrived is looked for by its name only, and not in the listing
/// of its key.
const NAME_ONLY_FOR: SignedDuration = SignedDuration::from_mins(1);

// Promise: P5
/// Signs uploads. What the bucket holds already, from a run that broke off, is not sent again.
///
/// # Errors
/// `Invalid` for a malformed request; `Conflict` when the run is over or a lock would reach beyond the policy's cap.
pub async fn sign_uploads(
    app: &App,
    caller: &Caller,
    run: RunId,
    request: UploadsRequest,
) -> Result<Vec<UploadTicket>, ApiError> {
    let now = app.clock.now();
    let batch = Batch::read(app, caller, run, &request, now).await?;
    let store = app.store(&caller.scope, &batch.account)?;
    let store = store.as_ref();
    app.clocks
        .must_agree(batch.account.id, store, &batch.set.bucket)
        .await?;
    let confirmed = ask_again(store, &batch, now).await;
    let decisions = decide(&batch.wanted, &batch.known, &confirmed)
        .map_err(|refused| ApiError::conflict(refused.code(), refused.to_string()))?;
    let uncounted = batch.uncounted(&decisions, now);
    upload_budget::must_fit(
        app,
        caller,
        (store, &batch.set),
        batch.source,
        uncounted,
        (now, ADDRESS_LIFE),
    )
    .await?;
    batch.record(app, caller, &decisions, now).await?;
    batch.tickets(store, &decisions, now).await
}

/// What one request asks for, and what the ledger knows of it.
struct Batch {
    run: RunId,
    deadline: Timestamp,
    source: SourceId,
    set: BackupSet,
    account: StorageAccount,
    wanted: Vec<WantedObject>,
    known: HashMap<ObjectHash, LedgerObject>,
}

impl Batch {
    /// Reads it in one transaction.
    async fn read(
        app: &App,
        caller: &Caller,
        run: RunId,
        request: &UploadsRequest,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        check_count(request.objects.len())?;
        let tx = app.db.tenant(&caller.scope).await?;
        let (run, source) = find_own_run(&tx, caller, run).await?;
        must_run(&run, now)?;
        let deadline = run.deadline.unwrap_or(now);
        let set = db::backup_sets::find(&tx, source.backup_set_id)
            .await?
            .ok_or(ApiError::NotFound("backup set"))?;
        let account = account_of(&tx, &set).await?;
        let lock_ahead_days = protection::lock_ahead_days(&set, &account, &source)?;
        let tiers = protection::expected_tiers(&tx, &set, &source, now).await?;
        let wanted = request.objects.iter().map(|upload| {
            must_be_allowed(&upload.object)?;
            let content_md5 = content_md5(upload)?;
            let UploadLock { retain_until, need } = upload_lock(
                &set.policy,
                lock_ahead_days,
                &source.schedule,
                deadline,
                now,
                &tiers,
                &upload.object.hash,
            )?;
            Ok(WantedObject {
                new: NewObject {
                    object: upload.object,
                    content_md5,
                    signed_until: retain_until,
                },
                needed_until: need,
            })
        });
        let wanted: Vec<WantedObject> = wanted.collect::<Result<_, ApiError>>()?;
        must_be_distinct(&wanted)?;
        let hashes: Vec<ObjectHash> = wanted.iter().map(|wanted| wanted.new.object.hash).collect();
        let known = db::ledger::find(&tx, source.id, &hashes).await?;
        Ok(Self {
            run: run.id,
            deadline,
            source: source.id,
            set,
            account,
            wanted,
            known: known.into_iter().map(|row| (row.object.hash, row)).collect(),
        })
    }

    /// The objects that are to be sent.
    fn to_put(&self, decisions: &[UploadDecision]) -> impl Iterator<Item = &NewObject> {
        self.wanted
            .iter()
            .zip(decisions)
            .filter(|(_, decision)| matches!(decision, UploadDecision::Put { .. }))
            .map(|(wanted, _)| &wanted.new)
    }

    /// Those of them that the upload budget does not count yet: an object whose address is still valid is counted already.
    fn uncounted(&self, decisions: &[UploadDecision], now: Timestamp) -> impl Iterator<Item = &ObjectRef> {
        let is_counted = move |new: &NewObject| {
            let known = self.known.get(&new.object.hash);
            known
                .and_then(|row| row.signed_at)
                .is_some_and(|at| at > now - ADDRESS_LIFE)
        };
        self.to_put(decisions)
            .filter(move |new| !is_counted(new))
            .map(|new| &new.object)
    }

    /// Writes the decisions to the ledger, if the run is still under way.
    async fn record(
        &self,
        app: &App,
        caller: &Caller,
        decisions: &[UploadDecision],
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let new: Vec<NewObject> = self.to_put(decisions).cloned().collect();
        let tx = app.db.tenant(&caller.scope).await?;
        let (run, _) = own_run(&tx, caller, self.run).await?;
        must_run(&run, now)?;
        db::ledger::sign(&tx, self.source, run.id, &new, now).await?;
        db::groom::add_spares(&tx, self.source, &self.superseded(decisions)).await?;
        for (wanted, decision) in self.wanted.iter().zip(decisions) {
            if let UploadDecision::Stored {
                confirmed: Some(lock),
            } = decision
            {
                db::ledger::confirm(&tx, self.source, wanted.new.object.hash, lock, now).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// The versions that new ones supersede: they are deleted when their locks end.
    fn superseded(&self, decisions: &[UploadDecision]) -> Vec<SpareVersion> {
        let mut spares = Vec::new();
        for (wanted, decision) in self.wanted.iter().zip(decisions) {
            let object = &wanted.new.object;
            if let UploadDecision::Put { superseded } = decision {
                spares.extend(superseded.iter().map(|lock| SpareVersion {
                    key: self.key(object),
                    version_id: lock.version_id.clone(),
                    size_bytes: object.size_bytes,
                    locked_until: lock.locked_until,
                }));
            }
        }
        spares
    }

    /// The answer to the agent, with signed addresses.
    async fn tickets(
        &self,
        store: &dyn ObjectStore,
        decisions: &[UploadDecision],
        now: Timestamp,
    ) -> Result<Vec<UploadTicket>, ApiError> {
        let life = ADDRESS_LIFE.min(self.deadline.duration_since(now));
        let mut tickets = Vec::with_capacity(decisions.len());
        for (WantedObject { new, .. }, decision) in self.wanted.iter().zip(decisions) {
            if let UploadDecision::Stored { .. } = decision {
                tickets.push(UploadTicket::Stored);
                continue;
            }
            let key = self.key(&new.object);
            let put = SignPut {
                bucket: &self.set.bucket,
                key: &key,
                size_bytes: new.object.size_bytes,
                content_md5: new.content_md5,
                lock: Lock {
                    mode: self.set.policy.mode,
                    retain_until: new.signed_until,
                },
            };
            let signed = store.sign_put(put, life).await?;
            tickets.push(UploadTicket::Put {
                url: signed.url,
                headers: signed.headers,
                expires_at: now + life,
            });
        }
        Ok(tickets)
    }

    /// The key of an object. Commit records, whose keys are others, are refused.
    fn key(&self, object: &ObjectRef) -> String {
        layout::object_key(&self.set.prefix, self.source, object.kind, &object.hash)
    }
}

/// The MD5 of an upload, as its request names it.
fn content_md5(upload: &UploadRequest) -> Result<[u8; 16], ApiError> {
    let md5 = BASE64.decode(&upload.content_md5).ok();
    md5.and_then(|md5| md5.try_into().ok()).ok_or_else(|| {
        ApiError::invalid(
            "content_md5",
            format!("{}: content_md5 is not 16 bytes as base64.", upload.object.hash),
        )
    })
}

fn must_be_distinct(wanted: &[WantedObject]) -> Result<(), ApiError> {
    let mut seen = HashSet::new();
    match wanted.iter().find(|wanted| !seen.insert(wanted.new.object.hash)) {
        None => Ok(()),
        Some(twice) => Err(ApiError::invalid(
            "object",
            format!("{}: asked for twice.", twice.new.object.hash),
        )),
    }
}

/// Refuses what the format does not have.
fn must_be_allowed(object: &ObjectRef) -> Result<(), ApiError> {
    let refused = |reason: String| Err(ApiError::invalid("object", format!("{}: {reason}", object.hash)));
    let most = object.kind.max_bytes();
    match object.kind {
        ObjectKind::Commit => refused("only the server writes commit records.".to_owned()),
        _ if object.size_bytes == 0 => refused("an object is not empty.".to_owned()),
        _ if object.size_bytes > most as u64 => {
            refused(format!("an object of this kind has at most {most} bytes."))
        }
        _ => Ok(()),
    }
}

/// Asks S3 for those of the known objects that need it. What S3 does not show, or does not answer for, is not in the answer: it is
/// sent again.
async fn ask_again(
    store: &dyn ObjectStore,
    batch: &Batch,
    now: Timestamp,
) -> HashMap<ObjectHash, ConfirmedLock> {
    let set = &batch.set;
    let rows = batch.known.values().filter(|row| needs_confirmation(row));
    let asked = rows.map(|row| async move {
        let key = row.key(&set.prefix, batch.source);
        let is_recent = |at: Timestamp| now.duration_since(at).abs() < NAME_ONLY_FOR;
        let is_just_signed = row.lock.is_none() && row.signed_at.is_some_and(is_recent);
        if is_just_signed && store.head(&set.bucket, &key, None).await.ok()?.is_none() {
            return None;
        }
        let lock = confirm::confirm(store, &set.bucket, &key, row, set.policy.mode).await;
        Some((row.object.hash, lock.ok()?))
    });
    let asked: Vec<_> = asked.collect();
    stream::iter(asked)
        .buffer_unordered(PARALLEL)
        .filter_map(std::future::ready)
        .collect()
        .await
}

fn check_count(count: usize) -> Result<(), ApiError> {
    if count > OBJECTS_PER_CALL {
        return Err(ApiError::invalid(
            "objects",
            format!("objects: at most {OBJECTS_PER_CALL} in one call."),
        ));
    }
    Ok(())
}

async fn account_of(tx: &db::TenantTx, set: &BackupSet) -> Result<StorageAccount, ApiError> {
    let account = db::storage_accounts::find(tx, set.storage_account_id).await?;
    account.ok_or(ApiError::NotFound("storage account"))
}

/// What the newest snapshot of an agent's source needs but its manifest, ascending by hash: the next part behind `after`, empty
/// when there is no more. For an agent that has lost its cache when the bucket has lost the manifest or a page of its list.
///
/// # Errors
/// `NotFound` when the source is not the agent's, `Conflict` when `seq` is not its newest snapshot.
pub async fn list_own_objects(
    app: &App,
    caller: &Caller,
    source: SourceId,
    seq: u64,
    after: Option<ObjectHash>,
) -> Result<Vec<ObjectRef>, ApiError> {
    let tx = app.db.tenant(&caller.scope).await?;
    let source = db::sources::find(&tx, source).await?;
    let source = source
        .filter(|source| source.agent_id == caller.agent.id)
        .ok_or(ApiError::NotFound("source"))?;
    let newest = db::snapshots::parent(&tx, source.id).await?;
    if newest.is_none_or(|newest| newest.seq != seq) {
        return Err(ApiError::conflict(
            "parent",
            format!("Snapshot {seq} is not the newest of this source. Start another run."),
        ));
    }
    let part = Limit::ObjectsPerAnswer.max();
    Ok(Needed::after(source.id, seq, after, part).next(&tx).await?)
}
