//! A look into a bucket: what is there, beside what the ledger knows.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use shared::{api::view::BucketInspection, ids::BackupSetId, object::ObjectKind, retention::ObjectState};

use super::s3_errors::{S3Call, to_api_error};
use crate::{
    app::App,
    db,
    error::ApiError,
    s3::{Bounds, Listed, ObjectStore, S3Error, each_page},
    scope::Manager,
};

/// Keys that are shown as examples.
const EXAMPLES: usize = 5;
/// Versions that are not listed and are asked for by name. Somebody waits for the answer: when none of so many is there, the
/// others count as missing too.
const ASKED: usize = 1_000;
/// HEADs that are under way together.
const PARALLEL: usize = 16;

/// Lists every version below the set's prefix, compares with the ledger, and keeps the result.
///
/// # Errors
/// `NotFound` when the tenant has no such set; `Invalid` with what to do when S3 says no.
pub async fn bucket(app: &App, actor: &Manager, id: BackupSetId) -> Result<BucketInspection, ApiError> {
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
    let call = S3Call::Bucket {
        endpoint: &account.endpoint,
        bucket: &set.bucket,
    };
    let bounds = Bounds::expecting((expected.len() + pending.len() + superseded.len()) as u64);
    let listed = each_page(store.as_ref(), &set.bucket, &set.prefix, bounds, |page| {
        for entry in page.entries {
            match entry {
                Listed::Version {
                    key,
                    version_id,
                    size_bytes,
                    ..
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
        page.next
    });
    listed.await.map_err(|error| to_api_error(&error, call))?;
    ask_by_name(store.as_ref(), &set.bucket, &expected)
        .await
        .map_err(|error| to_api_error(&error, call))?;
    found.missing_versions = expected.len() as u64;

    let tx = app.db.tenant(&actor.scope).await?;
    db::backup_sets::set_inspection(&tx, id, &found).await?;
    tx.commit().await?;
    Ok(found)
}

/// Asks for what the listing lacks. When S3 gives any of it, the listing is no word on what is there.
async fn ask_by_name(
    store: &dyn ObjectStore,
    bucket: &str,
    unlisted: &HashSet<(String, String)>,
) -> Result<(), S3Error> {
    let asked = unlisted.iter().take(ASKED).map(|(key, version)| async move {
        let head = store.head(bucket, key, Some(version)).await?;
        Ok::<_, S3Error>(head.is_some())
    });
    let asked = stream::iter(asked.collect::<Vec<_>>()).buffer_unordered(PARALLEL);
    let given: Vec<bool> = asked.try_collect().await?;
    match given.iter().filter(|given| **given).count() {
        0 => Ok(()),
        there => Err(S3Error::Malformed(format!(
            "its listing leaves out objects that are there ({there} of {} that were asked for by name)",
            given.len()
        ))),
    }
}
