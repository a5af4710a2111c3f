//! Signing what an agent may read: parts of what its snapshots need, each by itself. The range is a signed header, so an address
//! gives these bytes of this version and no others.

use std::collections::HashMap;

use jiff::SignedDuration;
use shared::{
    api::agent::{PARTS_PER_CALL, ReadsRequest, SignedRead},
    ids::SourceId,
    object::{ObjectHash, ObjectKind},
};

use crate::{
    app::App,
    db::{self, TenantTx, backup_sets::BackupSet, ledger::LedgerObject, storage_accounts::StorageAccount},
    error::ApiError,
    scope::{Caller, TenantScope},
};

/// How long a signed address works.
pub const ADDRESS_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// Whose objects are read, and where they are.
pub struct SourceObjects {
    account: StorageAccount,
    set: BackupSet,
    source: SourceId,
}

impl SourceObjects {
    /// Of a source of this set.
    ///
    /// # Errors
    /// When the set's storage account is not there.
    pub async fn of(tx: &TenantTx, set: BackupSet, source: SourceId) -> Result<Self, ApiError> {
        let account = db::storage_accounts::find(tx, set.storage_account_id)
            .await?
            .ok_or(ApiError::NotFound("storage account"))?;
        Ok(Self { account, set, source })
    }
}

/// The objects of which a request names parts, each once.
///
/// # Errors
/// `Invalid` when it names too many parts.
pub fn objects_of(request: &ReadsRequest) -> Result<Vec<ObjectHash>, ApiError> {
    if request.parts.len() > PARTS_PER_CALL {
        return Err(ApiError::invalid(
            "parts",
            format!("parts: at most {PARTS_PER_CALL} in one call."),
        ));
    }
    let mut objects: Vec<ObjectHash> = request.parts.iter().map(|part| part.object).collect();
    objects.sort_unstable();
    objects.dedup();
    Ok(objects)
}

/// Signs reads of the index segments, list pages and manifest of an agent's own newest snapshot: what it needs to
/// rebuild a lost cache. Packs are not among them; those take an authorised restore.
///
/// # Errors
/// `NotFound` when the source or one of the objects is not among them; `Invalid` when a part is not within its object.
pub async fn sign_own_reads(
    app: &App,
    caller: &Caller,
    source: SourceId,
    request: ReadsRequest,
) -> Result<Vec<SignedRead>, ApiError> {
    let objects = objects_of(&request)?;
    let tx = app.db.tenant(&caller.scope).await?;
    let source = db::sources::find(&tx, source).await?;
    let source = source
        .filter(|source| source.agent_id == caller.agent.id)
        .ok_or(ApiError::NotFound("source"))?;
    let newest = db::snapshots::parent(&tx, source.id)
        .await?
        .ok_or(ApiError::NotFound("snapshot"))?;
    let found = db::ledger::needed_among(&tx, source.id, newest.seq, &objects).await?;
    let readable = |row: &LedgerObject| {
        matches!(
            row.object.kind,
            ObjectKind::Index | ObjectKind::Manifest | ObjectKind::ListPage
        )
    };
    if !found.iter().all(readable) {
        return Err(ApiError::NotFound("index segment, list page or manifest"));
    }
    let set = db::backup_sets::find(&tx, source.backup_set_id)
        .await?
        .ok_or(ApiError::NotFound("backup set"))?;
    let objects = SourceObjects::of(&tx, set, source.id).await?;
    drop(tx);
    sign(app, &caller.scope, &objects, &request, found, ADDRESS_LIFE).await
}

/// Signs reads of these parts of what was found, in the order asked.
///
/// # Errors
/// `NotFound` when one of the objects is not among `found`; `Invalid` when a part is not within its object.
pub async fn sign(
    app: &App,
    scope: &TenantScope,
    objects: &SourceObjects,
    request: &ReadsRequest,
    found: Vec<LedgerObject>,
    life: SignedDuration,
) -> Result<Vec<SignedRead>, ApiError> {
    let store = app.store(scope, &objects.account)?;
    let expires_at = app.clock.now() + life;
    let found: HashMap<ObjectHash, LedgerObject> =
        found.into_iter().map(|row| (row.object.hash, row)).collect();
    let mut signed = Vec::with_capacity(request.parts.len());
    for part in &request.parts {
        let row = found
            .get(&part.object)
            .ok_or(ApiError::NotFound("object of this snapshot"))?;
        let size_bytes = row.object.size_bytes;
        if !part.is_within(size_bytes) {
            return Err(ApiError::invalid(
                "parts",
                format!(
                    "parts: give a begin below its end, and an end of at most the object's {size_bytes} bytes."
                ),
            ));
        }
        let lock = row
            .lock
            .as_ref()
            .ok_or(ApiError::NotFound("confirmed version of this object"))?;
        let key = row.key(&objects.set.prefix, objects.source);
        let bucket = &objects.set.bucket;
        signed.push(SignedRead {
            part: *part,
            kind: row.object.kind,
            size_bytes,
            url: store
                .sign_get(bucket, &key, &lock.version_id, part.range(), life)
                .await?,
            expires_at,
        });
    }
    Ok(signed)
}
