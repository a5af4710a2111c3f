//! Signing what an agent may send: one object at a time, under its own source's prefix, with its lock.

use std::collections::{HashMap, HashSet};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use repository::layout;
use shared::{
    api::agent::{OBJECTS_PER_CALL, UploadTicket, UploadsRequest},
    ids::{RunId, SourceId},
    limits::Limit,
    object::{ObjectHash, ObjectKind, ObjectRef},
    retention::{ObjectState, UploadLock, upload_lock},
};

use super::{
    caller::{find_own_run, must_run, own_run},
    upload_budget,
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
/// An object that was signed for so lately and has not arrived is looked for by its name only, not in the listing of its key.
const JUST_SIGNED: SignedDuration = SignedDuration::from_mins(1);

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
    let mut wanted = Vec::with_capacity(request.objects.len());
    for upload in &request.objects {
        let object = upload.object;
        must_be_allowed(&object)?;
        let content_md5 = BASE64
            .decode(&upload.content_md5)
            .ok()
            .and_then(|md5| md5.try_into().ok());
        let content_md5 = content_md5.ok_or_else(|| {
            ApiError::invalid(
                "content_md5",
                format!("{}: content_md5 is not 16 bytes as base64.", object.hash),
            )
        })?;
        let UploadLock { retain_until, need } = upload_lock(
            &set.policy,
            lock_ahead_days,
            &source.schedule,
            deadline,
            now,
            &tiers,
            &object.hash,
        )?;
        wanted.push((
            NewObject {
                object,
                content_md5,
                signed_until: retain_until,
            },
            need,
        ));
    }
    let mut seen = HashSet::new();
    if let Some((twice, _)) = wanted.iter().find(|(new, _)| !seen.insert(new.object.hash)) {
        return Err(ApiError::invalid(
            "object",
            format!("{}: asked for twice.", twice.object.hash),
        ));
    }
    let hashes: Vec<ObjectHash> = wanted.iter().map(|(new, _)| new.object.hash).collect();
    let known = db::ledger::find(&tx, source.id, &hashes).await?;
    drop(tx);
    let known: HashMap<ObjectHash, LedgerObject> =
        known.into_iter().map(|row| (row.object.hash, row)).collect();

    let store = app.store(&caller.scope, &account)?;
    app.clocks
        .must_agree(account.id, store.as_ref(), &set.bucket)
        .await?;
    let asked = ask_again(store.as_ref(), &set, source.id, known.values(), now).await;
    let mut stored = Vec::with_capacity(wanted.len());
    let mut confirmed = Vec::new();
    // Versions that are there and locked too short: others take their place.
    let mut spares = Vec::new();
    for (new, need) in &wanted {
        let Some(row) = known.get(&new.object.hash) else {
            stored.push(false);
            continue;
        };
        if row.state == ObjectState::Deleting {
            return Err(ApiError::conflict(
                "deleting",
                format!(
                    "{}: an earlier copy of it is being deleted. Start another run.",
                    new.object.hash
                ),
            ));
        }
        if row.object != new.object || row.content_md5 != new.content_md5 {
            return Err(ApiError::conflict(
                "object",
                format!("{}: known with another content.", new.object.hash),
            ));
        }
        // A live object may fall short: the commit extends it. One that was never committed is put again.
        let suffices = |lock: &ConfirmedLock| row.state == ObjectState::Live || lock.locked_until >= *need;
        let found = match (&row.lock, asked.get(&new.object.hash)) {
            (Some(lock), None) if is_known(row) => suffices(lock),
            (_, Some(lock)) if suffices(lock) => {
                confirmed.push((new.object.hash, lock.clone()));
                true
            }
            (_, short) => {
                spares.extend(short.map(|lock| spare(&set, source.id, row, lock.clone())));
                false
            }
        };
        if !found {
            spares.extend(row.lock.clone().map(|lock| spare(&set, source.id, row, lock)));
        }
        stored.push(found);
    }

    let new: Vec<NewObject> = wanted
        .iter()
        .zip(&stored)
        .filter(|(_, stored)| !**stored)
        .map(|((new, _), _)| new.clone())
        .collect();
    // What is asked for again counts already.
    let counted = |new: &&NewObject| {
        let known = known.get(&new.object.hash).and_then(|row| row.signed_at);
        known.is_none_or(|at| at <= now - ADDRESS_LIFE)
    };
    let uncounted = new.iter().filter(counted).map(|new| &new.object);
    let place = (store.as_ref(), &set);
    upload_budget::must_fit(app, caller, place, source.id, uncounted, (now, ADDRESS_LIFE)).await?;

    let tx = app.db.tenant(&caller.scope).await?;
    let (run, _) = own_run(&tx, caller, run.id).await?;
    must_run(&run, now)?;
    db::ledger::sign(&tx, source.id, run.id, &new, now).await?;
    db::groom::add_spares(&tx, source.id, &spares).await?;
    for (hash, lock) in &confirmed {
        db::ledger::confirm(&tx, source.id, *hash, lock, now).await?;
    }
    tx.commit().await?;

    let life = ADDRESS_LIFE.min(deadline.duration_since(now));
    let mut tickets = Vec::with_capacity(wanted.len());
    for ((new, _), stored) in wanted.iter().zip(stored) {
        if stored {
            tickets.push(UploadTicket::Stored);
            continue;
        }
        let key = layout::object_key(&set.prefix, source.id, new.object.kind, &new.object.hash);
        let put = SignPut {
            bucket: &set.bucket,
            key: &key,
            size_bytes: new.object.size_bytes,
            content_md5: new.content_md5,
            lock: Lock {
                mode: set.policy.mode,
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

/// Whether the ledger alone says that the object is there. What was never committed may have gone since it was confirmed, and
/// what counts as gone may have come back: S3 knows.
fn is_known(row: &LedgerObject) -> bool {
    row.state == ObjectState::Live && !row.missing
}

/// Asks S3 for those of these objects of which the ledger alone does not say that they are there. What S3 does not show, or
/// does not answer for, is not in the answer: it is sent again.
async fn ask_again(
    store: &dyn ObjectStore,
    set: &BackupSet,
    source: SourceId,
    rows: impl Iterator<Item = &LedgerObject>,
    now: Timestamp,
) -> HashMap<ObjectHash, ConfirmedLock> {
    let asked = rows.filter(|row| !is_known(row)).map(|row| async move {
        let (key, mode) = (row.key(&set.prefix, source), set.policy.mode);
        let just_signed = |at: Timestamp| now.duration_since(at).abs() < JUST_SIGNED;
        let is_just_signed = row.lock.is_none() && row.signed_at.is_some_and(just_signed);
        if is_just_signed && store.head(&set.bucket, &key, None).await.ok()?.is_none() {
            return None;
        }
        let lock = confirm::confirm(store, &set.bucket, &key, row, mode).await;
        Some((row.object.hash, lock.ok()?))
    });
    let asked: Vec<_> = asked.collect();
    stream::iter(asked)
        .buffer_unordered(PARALLEL)
        .filter_map(std::future::ready)
        .collect()
        .await
}

/// A version that another one takes the place of.
fn spare(set: &BackupSet, source: SourceId, row: &LedgerObject, lock: ConfirmedLock) -> SpareVersion {
    SpareVersion {
        key: row.key(&set.prefix, source),
        version_id: lock.version_id,
        size_bytes: row.object.size_bytes,
        locked_until: lock.locked_until,
    }
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
