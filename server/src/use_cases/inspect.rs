//! A look into a bucket: what is there, beside what the ledger knows.

use std::collections::HashSet;

use shared::{api::view::BucketInspection, ids::BackupSetId, object::ObjectKind, retention::ObjectState};

use super::explain::{Doing, explain};
use crate::{app::App, db, error::ApiError, s3::Listed, scope::Actor};

/// Keys that are shown as examples.
const EXAMPLES: usize = 5;

/// Lists every version below the set's prefix, compares with the ledger, and keeps the result.
///
/// # Errors
/// `NotFound` when the tenant has no such set; `Invalid` with what to do when S3 says no.
pub async fn bucket(app: &App, actor: &Actor, id: BackupSetId) -> Result<BucketInspection, ApiError> {
    let tx = app.db.tenant(&actor.scope).await?;
    let set = db::backup_sets::find(&tx, id)
        .await?
        .ok_or(ApiError::NotFound("backup set"))?;
    let account = db::storage_accounts::find(&tx, set.storage_account_id).await?;
    let account = account.ok_or(ApiError::NotFound("storage account"))?;
    let mut expected = HashSet::new();
    // Signed for by a run that is under way or broke off: not confirmed yet, but not a stranger's either.
    let mut pending = HashSet::new();
    // Later versions took their place; they go when their locks end.
    let mut superseded = HashSet::new();
    for source in db::sources::all(&tx)
        .await?
        .iter()
        .filter(|source| source.backup_set_id == id)
    {
        for row in db::ledger::all(&tx, source.id).await? {
            if row.object.kind == ObjectKind::Commit && row.born.is_none() {
                continue;
            }
            let key = row.key(&set.prefix, source.id);
            match row.lock {
                // What is being deleted may be gone already.
                Some(lock) if row.state != ObjectState::Deleting => {
                    expected.insert((key, lock.version_id));
                }
                _ => drop(pending.insert(key)),
            }
        }
        let spares = db::groom::spares(&tx, source.id, None, None).await?;
        superseded.extend(spares.into_iter().map(|spare| (spare.key, spare.version_id)));
    }
    drop(tx);

    let store = app.store(&actor.scope, &account)?;
    let mut found = BucketInspection {
        at: app.clock.now(),
        versions: 0,
        bytes: 0,
        delete_markers: 0,
        known_versions: 0,
        unknown_versions: 0,
        missing_versions: 0,
        marker_examples: Vec::new(),
    };
    let doing = Doing::Bucket {
        endpoint: &account.endpoint,
        bucket: &set.bucket,
    };
    let mut from = None;
    loop {
        let page = store
            .list_versions(&set.bucket, &set.prefix, from.as_ref())
            .await
            .map_err(|error| explain(&error, doing))?;
        for entry in page.entries {
            match entry {
                Listed::Version {
                    key,
                    version_id,
                    size_bytes,
                } => {
                    found.versions += 1;
                    found.bytes += size_bytes;
                    let signed = pending.contains(&key);
                    let name = (key, version_id);
                    if expected.remove(&name) || superseded.contains(&name) || signed {
                        found.known_versions += 1;
                    } else {
                        found.unknown_versions += 1;
                    }
                }
                Listed::Marker { key, .. } => {
                    found.delete_markers += 1;
                    if found.marker_examples.len() < EXAMPLES {
                        found.marker_examples.push(key);
                    }
                }
            }
        }
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    found.missing_versions = expected.len() as u64;

    let tx = app.db.tenant(&actor.scope).await?;
    db::backup_sets::set_inspection(&tx, id, &found).await?;
    tx.commit().await?;
    Ok(found)
}
